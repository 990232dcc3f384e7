//! Ports of rdma_cm for identifiers that nobody looks for by a port that they did not tell: those that connect, and meeting
//! points.
//!
//! A companion that listens has to have the port of its TCP socket, which the kernel has chosen out of a range of its own.
//! rdma_cm takes "any" port out of the same range, and knows nothing of TCP's sockets. So these ports are outside of it.

use std::io;
use std::ops::RangeInclusive;

use wsd_spi::SockAddr;

use crate::rdma::Identifier;

/// Where the kernel tells out of which range TCP's ports are chosen.
const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// The kernel's own choice.
const USUAL: RangeInclusive<u16> = 32_768..=60_999;
/// The first port that needs no privilege.
const FIRST: u16 = 1024;
/// Ports that all identifiers that connect share, on all of the host: few, so that few are lost to listeners; several,
/// because networks with several ways choose one by the ports.
const SHARED: usize = 16;
/// Ports out of which meeting points get one of their own.
const OWN: usize = 4096;
/// How many of them are tried.
const TRIES: usize = 64;

/// Ports of this host's.
pub(crate) struct Ports {
    shared: Vec<u16>,
    own: Vec<u16>,
    /// Where the next search begins.
    next: usize,
}

impl Ports {
    /// Those outside of the kernel's range, as it is now.
    pub(crate) fn of_host() -> Self {
        let told = std::fs::read_to_string(RANGE).ok().and_then(|text| range(&text));
        let start = wsd_os::random::bytes().map_or(0, u16::from_ne_bytes);
        Self::outside(&told.unwrap_or(USUAL), usize::from(start))
    }

    /// The highest ones, where services are least expected. If the range leaves no room, those are of the range.
    fn outside(range: &RangeInclusive<u16>, start: usize) -> Self {
        let all = || (FIRST..=u16::MAX).rev();
        let mut shared: Vec<u16> = all().filter(|port| !range.contains(port)).take(SHARED + OWN).collect();
        if shared.len() < 2 * SHARED {
            shared = all().take(SHARED + OWN).collect();
        }
        let own = shared.split_off(SHARED);
        Self { shared, own, next: start }
    }

    /// Binds an identifier that will connect. `EADDRINUSE` if somebody listens at all of the shared ports.
    ///
    /// # Errors
    /// Those of rdma_cm.
    pub(crate) fn bind_shared(&mut self, id: &Identifier, address: SockAddr) -> io::Result<()> {
        id.share_port()?;
        self.next = self.next.wrapping_add(1);
        bind_first(id, address, turned(&self.shared, self.next))
    }

    /// Binds an identifier to a port that nobody else has.
    ///
    /// # Errors
    /// Those of rdma_cm.
    pub(crate) fn bind_own(&mut self, id: &Identifier, address: SockAddr) -> io::Result<()> {
        self.next = self.next.wrapping_add(1);
        bind_first(id, address, turned(&self.own, self.next).take(TRIES))
    }
}

/// All of them, from one on.
fn turned(ports: &[u16], first: usize) -> impl Iterator<Item = u16> {
    ports.iter().copied().cycle().skip(first % ports.len()).take(ports.len())
}

/// Takes the first of the ports that is free; if none is, any port of rdma_cm's.
fn bind_first(id: &Identifier, address: SockAddr, ports: impl Iterator<Item = u16>) -> io::Result<()> {
    for port in ports {
        match id.bind(address.with_port(port).into()) {
            // The second one if somebody has it with the wildcard address.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EADDRINUSE | libc::EADDRNOTAVAIL)) => {}
            other => return other,
        }
    }
    id.bind(address.with_port(0).into())
}

/// The first and the last port that the kernel names.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_whitespace().map(str::parse);
    let (first, last) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (first <= last).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::SocketAddr;

    use super::*;
    use crate::greeting::Greeting;
    use crate::hostile::event;
    use crate::rdma::Channel;
    use crate::support::{address, sides};

    #[test]
    fn range_of_the_kernel_is_read() {
        assert_eq!(range("32768\t60999\n"), Some(USUAL));
        for wrong in ["", "1024", "60999\t32768\n", "1\t65536", "a b"] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ports_are_the_highest_outside_of_the_range() {
        for (range, highest) in [(USUAL, 65_535), (10_000..=65_535, 9_999), (5_000..=65_000, 65_535)] {
            let ports = Ports::outside(&range, 0);
            assert_eq!((ports.shared.len(), ports.own.len() > SHARED), (SHARED, true));
            assert_eq!(ports.shared[0], highest);
            let all: BTreeSet<u16> = ports.shared.iter().chain(&ports.own).copied().collect();
            assert_eq!(all.len(), SHARED + ports.own.len(), "none is both");
            assert!(all.iter().all(|port| *port >= FIRST && !range.contains(port)));
        }
    }

    #[test]
    fn range_without_room_is_used() {
        for range in [1024..=65_535, 1024..=65_505, 1..=65_535] {
            let ports = Ports::outside(&range, 0);
            assert_eq!((ports.shared.len(), ports.own.len()), (SHARED, OWN));
        }
    }

    #[test]
    fn every_port_has_its_turn() {
        assert_eq!(turned(&[5, 6, 7], 4).collect::<Vec<_>>(), [6, 7, 5]);
        assert_eq!(turned(&[5, 6, 7], usize::MAX).count(), 3);
    }

    fn listen(channel: &Channel, port: u16) -> Identifier {
        let id = Identifier::new(channel, 1).expect("an identifier");
        id.bind(SocketAddr::from(([10, 9, 0, 1], port))).expect("a free port");
        id.listen(64).expect("listens");
        id
    }

    /// SW-081: a companion can listen at its TCP socket's port, whatever other companions connect.
    #[test]
    #[ignore = "needs an RDMA device"]
    fn connecting_companions_take_none_of_tcps_ports() {
        let told = std::fs::read_to_string(RANGE).expect("a file of the kernel");
        let range = range(&told).expect("a range");
        let channel = Channel::new().expect("rdma_cm");
        let _listener = listen(&channel, 54_101);
        let [side] = sides();
        let mut ports = BTreeSet::new();
        let mut all = Vec::new();
        for number in 1..=2 * SHARED {
            let socket = side.connecting("10.9.0.1:1234", "10.9.0.1:54101", number);
            let request = event(&channel);
            let id = request.new.expect("a request");
            let Some(Greeting::Connect { from, .. }) = Greeting::decode(&request.data) else {
                panic!("another greeting");
            };
            ports.extend([from.port, id.peer().expect("a name").port()]);
            all.push((socket, id));
        }
        assert!(ports.iter().all(|port| !range.contains(port)), "{ports:?} {range:?}");
        assert_eq!(ports.len(), SHARED + 1, "those that connect share theirs: {ports:?}");
    }

    #[test]
    #[ignore = "needs an RDMA device"]
    fn taken_ports_are_passed_over() {
        let channel = Channel::new().expect("rdma_cm");
        let here = address("10.9.0.1:0");
        let mut ports = Ports { shared: vec![54_111, 54_112], own: vec![54_113, 54_114], next: 0 };
        let _listeners = [54_111, 54_113].map(|port| listen(&channel, port));
        let new = || Identifier::new(&channel, 1).expect("an identifier");
        let port = |id: &Identifier| id.local().expect("a name").port();
        let shared = [new(), new()];
        for id in &shared {
            ports.bind_shared(id, here).expect("binds");
            assert_eq!(port(id), 54_112);
        }
        let own = [new(), new()];
        for id in &own {
            ports.bind_own(id, here).expect("binds");
        }
        assert_eq!(port(&own[0]), 54_114);
        assert!(!(54_111..=54_114).contains(&port(&own[1])), "the kernel's choice, when there is none");
        let elsewhere = address("10.9.0.99:0");
        assert!(ports.bind_own(&new(), elsewhere).is_err(), "no device has the address");
    }
}
