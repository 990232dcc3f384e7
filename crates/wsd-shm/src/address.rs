//! IP addresses: which are ours, and what a listener at one is called.
//!
//! A listener at `127.0.0.1:8080` is an abstract AF_UNIX socket with the name `wsd-shm-4-7f000001-1f90`. The kernel
//! makes such names exclusive, keeps them apart by network namespace, and frees them when the process ends, however it
//! ends. More listeners at that address are called `wsd-shm-4-7f000001-1f90+1` and so on: TCP decides who may share an
//! address (SP-045), and the connections of one local address and port to different peers do.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use wsd_os::net::{AddressMonitor, interface_addresses};
use wsd_spi::ffi::{AF_INET, AF_INET6};
use wsd_spi::{SockAddr, WsaError};

use wsd_engine::Tracked;

/// How many sockets of the network namespace can listen at one address.
pub(crate) const PLACES: u8 = 8;

/// An address, and the place at it, at which one socket of the network namespace can listen. Mapped IPv6 addresses are IPv4
/// ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Name {
    ip: IpAddr,
    scope: u32,
    port: u16,
    place: u8,
}

impl Name {
    /// The first name for exactly this address.
    pub(crate) fn of(address: &SockAddr) -> Self {
        let scope = match address.socket_addr() {
            SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => v6.scope_id(),
            _ => 0,
        };
        Self { ip: address.socket_addr().ip().to_canonical(), scope, port: address.port(), place: 0 }
    }

    /// This and the other places at the same address.
    pub(crate) fn places(self) -> impl Iterator<Item = Self> {
        (0..PLACES).map(move |place| Self { place, ..self })
    }

    /// Which place it is.
    pub(crate) fn place(&self) -> u8 {
        self.place
    }

    /// The names under which a listener for this address is looked for, best first: the address itself, the wildcard
    /// of its family, and for IPv4 the wildcard of IPv6, which stands for both families; each with all its places.
    pub(crate) fn candidates(address: &SockAddr) -> impl Iterator<Item = Self> {
        let exact = Self::of(address);
        let any = |ip: IpAddr| Self { ip, scope: 0, ..exact };
        let v4 = exact.ip.is_ipv4().then(|| any(Ipv4Addr::UNSPECIFIED.into()));
        [Some(exact), v4, Some(any(Ipv6Addr::UNSPECIFIED.into()))]
            .into_iter()
            .flatten()
            .flat_map(Self::places)
    }

    /// The name as the kernel gets it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut name = match self.ip {
            IpAddr::V4(ip) => format!("wsd-shm-4-{:08x}-{:x}", u32::from(ip), self.port),
            IpAddr::V6(ip) => format!("wsd-shm-6-{:032x}-{:x}", u128::from(ip), self.port),
        };
        if self.scope != 0 {
            name.push_str(&format!("-{:x}", self.scope));
        }
        if self.place != 0 {
            name.push_str(&format!("+{}", self.place));
        }
        name.into_bytes()
    }
}

/// The address as a socket of that family sees it: a listener at the IPv6 wildcard sees IPv4 peers as mapped ones, and
/// an IPv4 listener the other way round.
pub(crate) fn in_family(address: SockAddr, family: i32) -> SockAddr {
    match address.socket_addr() {
        SocketAddr::V6(v6) if family == AF_INET => SocketAddr::new(v6.ip().to_canonical(), v6.port()).into(),
        SocketAddr::V4(v4) if family == AF_INET6 => {
            SocketAddr::V6(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0)).into()
        }
        _ => address,
    }
}

/// The addresses of this host, kept up to date by the kernel's news.
#[derive(Debug, Default)]
pub(crate) struct OwnAddresses {
    monitor: Option<Tracked<AddressMonitor>>,
    /// Without ports; link-local ones with their interface.
    known: Vec<SockAddr>,
}

impl OwnAddresses {
    /// Whether a socket can have this address (SP-045): any loopback address, the wildcard, or one of an interface.
    pub(crate) fn contains(&mut self, address: &SockAddr) -> Result<bool, WsaError> {
        let ip = address.socket_addr().ip().to_canonical();
        if ip.is_loopback() || ip.is_unspecified() {
            return Ok(true);
        }
        self.refresh()?;
        Ok(self.known.iter().any(|known| known.socket_addr().ip() == ip))
    }

    /// All addresses of the interfaces (SP-103), without ports.
    pub(crate) fn list(&mut self) -> Result<Vec<SockAddr>, WsaError> {
        self.refresh()?;
        Ok(self.known.clone())
    }

    fn refresh(&mut self) -> Result<(), WsaError> {
        let changed = match &self.monitor {
            // News that cannot be read count as news.
            Some(monitor) => monitor.drain().unwrap_or(true),
            None => {
                // Without a monitor everything is read anew each time.
                self.monitor = AddressMonitor::new().ok().map(Tracked::new);
                true
            }
        };
        if changed || self.monitor.is_none() {
            let all = interface_addresses().map_err(|_| WsaError::WSAENETDOWN)?;
            self.known.clear();
            for entry in all {
                let mut address = SocketAddr::new(entry.address, 0);
                if let SocketAddr::V6(v6) = &mut address
                    && v6.ip().is_unicast_link_local()
                {
                    v6.set_scope_id(entry.interface);
                }
                if !self.known.contains(&address.into()) {
                    self.known.push(address.into());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SockAddr {
        SockAddr::from(text.parse::<SocketAddr>().expect("an address"))
    }

    fn name(name: Name) -> String {
        String::from_utf8(name.bytes()).expect("ASCII")
    }

    #[test]
    fn names_are_exact_then_wildcard() {
        let first = |text: &str| -> Vec<_> {
            Name::candidates(&address(text)).step_by(PLACES.into()).map(name).collect()
        };
        let v6 = "0".repeat(32);
        assert_eq!(
            first("127.0.0.1:8080"),
            ["wsd-shm-4-7f000001-1f90", "wsd-shm-4-00000000-1f90", &format!("wsd-shm-6-{v6}-1f90")]
        );
        let names = first("[::1]:80");
        assert_eq!(names, [format!("wsd-shm-6-{}1-50", "0".repeat(31)), format!("wsd-shm-6-{v6}-50")]);
        let all: Vec<_> = Name::candidates(&address("127.0.0.1:8080")).map(name).collect();
        assert_eq!((all.len(), all[1].as_str()), (24, "wsd-shm-4-7f000001-1f90+1"));
    }

    #[test]
    fn mapped_addresses_are_ipv4_and_scopes_count_for_link_local_ones() {
        assert_eq!(Name::of(&address("[::ffff:10.1.2.3]:80")), Name::of(&address("10.1.2.3:80")));
        assert_ne!(Name::of(&address("[fe80::1%2]:80")), Name::of(&address("[fe80::1%3]:80")));
        assert_eq!(Name::of(&address("[2001:db8::1%2]:80")), Name::of(&address("[2001:db8::1%3]:80")));
        assert!(name(Name::of(&address("[fe80::1%2]:80"))).ends_with("-50-2"));
        let (plain, mapped) = (address("10.1.2.3:80"), address("[::ffff:10.1.2.3]:80"));
        assert_eq!((in_family(plain, AF_INET6), in_family(mapped, AF_INET)), (mapped, plain));
        assert_eq!((in_family(plain, AF_INET), in_family(mapped, AF_INET6)), (plain, mapped));
    }

    /// SP-045: own addresses and the wildcard, nothing else.
    #[test]
    fn own_addresses_are_told_from_others() {
        let mut own = OwnAddresses::default();
        for ours in ["127.0.0.1:1", "127.9.8.7:1", "0.0.0.0:1", "[::1]:1", "[::]:1"] {
            assert_eq!(own.contains(&address(ours)), Ok(true), "{ours}");
        }
        for other in ["192.0.2.77:1", "[2001:db8::77]:1"] {
            assert_eq!(own.contains(&address(other)), Ok(false), "{other}");
        }
        for listed in own.list().expect("rtnetlink") {
            assert_eq!(own.contains(&listed), Ok(true), "{listed}");
        }
        assert!(own.list().expect("rtnetlink").contains(&address("127.0.0.1:0")));
    }
}
