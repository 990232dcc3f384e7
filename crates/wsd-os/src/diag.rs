//! Asking the kernel about TCP sockets that are not the caller's (sock_diag(7)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;

use crate::fd::BorrowedFd;
use crate::link::PeerCredentials;
use crate::netlink::{self, Netlink, SOCK_DIAG, u32_at};
use crate::tcp::{self, State};

/// What the kernel tells about a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketFacts {
    /// The user who made it (setuid(2) afterwards changes nothing).
    pub uid: u32,
    /// The inode number that `/proc/PID/fd` shows, 0 if no process has it.
    pub inode: u32,
    /// What [`tcp::cookie`] gives to its holder.
    pub cookie: u64,
    /// The state of the connection.
    pub state: State,
}

/// Finds the TCP socket with exactly this local and this peer address, in the network namespace of the caller.
///
/// Addresses are seen from the wanted socket: for the other end of a connection of ours, `local` is our peer. IPv4 and
/// mapped IPv6 addresses mean the same.
///
/// # Errors
///
/// `ENOENT` if there is none; `EINVAL` if one address is IPv4 and the other IPv6; `EMFILE`; `EACCES` or
/// `EPROTONOSUPPORT` where a sandbox or the kernel has no sock_diag.
pub fn find_tcp(local: SocketAddr, peer: SocketAddr) -> Result<SocketFacts, Errno> {
    let wanted = Id::new(local, peer)?;
    let netlink = Netlink::new(SOCK_DIAG, 0)?;
    netlink.request(SOCK_DIAG_BY_FAMILY, 0, &wanted.request())?;
    let mut buffer = [0; 1024];
    wanted.find(netlink.receive(&mut buffer)?)
}

/// Whether the socket is the one that the kernel has under these names now, seen from the socket.
pub fn is_current(socket: BorrowedFd<'_>, local: SocketAddr, peer: SocketAddr) -> bool {
    find_tcp(local, peer).map(|facts| facts.cookie) == tcp::cookie(socket)
}

/// Whether the partner at a link may be shown our end of a connection before it has shown the other one, which has the names
/// `local` and `peer`: it can get at it anyway, or made it.
pub fn may_be_shown(partner: PeerCredentials, local: SocketAddr, peer: SocketAddr) -> bool {
    let user = partner.uid;
    if user == 0 {
        return true;
    }
    if user == OVERFLOW_USER {
        return false;
    }
    user == rustix::process::geteuid().as_raw() || find_tcp(local, peer).is_ok_and(|facts| facts.uid == user)
}

/// User number that stands for every user without a number in this user namespace.
const OVERFLOW_USER: u32 = 65_534;

/// A TCP socket that some process holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeldSocket {
    /// The inode number that `/proc/PID/fd` shows.
    pub inode: u32,
    /// Name of this end. Mapped IPv6 addresses are shown as IPv4.
    pub local: SocketAddr,
    /// Name of the other end.
    pub peer: SocketAddr,
}

/// The TCP sockets of the caller's network namespace that some process holds. Allocates. As of some moments: what is made meanwhile
/// may be missing.
///
/// Costs far less than reading `/proc/net/tcp` on a host with many connections in `TIME_WAIT`, which are left out.
///
/// # Errors
///
/// `EMFILE`; `EACCES` or `EPROTONOSUPPORT` where a sandbox or the kernel has no sock_diag.
pub fn held_tcp() -> Result<Vec<HeldSocket>, Errno> {
    let mut found = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let mut request = request(family as u8);
        request[4..8].copy_from_slice(&HELD.to_ne_bytes());
        netlink::dump(SOCK_DIAG, SOCK_DIAG_BY_FAMILY, &request, |message| found.extend(held(message.body)))?;
    }
    Ok(found)
}

/// Reads a `struct inet_diag_msg`; `None` if no process has the socket.
fn held(body: &[u8]) -> Option<HeldSocket> {
    let address = |at| match i32::from(*body.first()?) {
        libc::AF_INET => Some(IpAddr::from(netlink::number::<4>(body, at)?)),
        libc::AF_INET6 => Some(IpAddr::from(netlink::number::<16>(body, at)?).to_canonical()),
        _ => None,
    };
    let port = |at| netlink::number(body, at).map(u16::from_be_bytes);
    let inode = u32_at(body, 68).filter(|inode| *inode != 0)?;
    let local = SocketAddr::new(address(8)?, port(4)?);
    Some(HeldSocket { inode, local, peer: SocketAddr::new(address(24)?, port(6)?) })
}

/// `struct inet_diag_req_v2` for all TCP sockets of a family.
fn request(family: u8) -> [u8; REQUEST] {
    let mut request = [0; REQUEST];
    request[0] = family;
    request[1] = libc::IPPROTO_TCP as u8;
    // idiag_states: all.
    request[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
    // INET_DIAG_NOCOOKIE.
    request[48..56].fill(0xff);
    request
}

/// The parts of `struct inet_diag_sockid` that name a connection.
struct Id {
    family: u8,
    /// Ports and addresses as they are in the structure: source and destination port, source and destination address
    /// (16 bytes each; IPv4 uses the first 4).
    names: [u8; 36],
    /// The interface of link-local addresses, else 0.
    interface: u32,
}

/// The type of request and answer (sock_diag(7)).
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// The length of `struct inet_diag_req_v2`.
const REQUEST: usize = 56;
/// idiag_states: all states in which a process may hold the socket, so neither `TCP_TIME_WAIT` (6) nor `TCP_NEW_SYN_RECV` (12).
const HELD: u32 = !(1 << 6 | 1 << 12);

impl Id {
    fn new(local: SocketAddr, peer: SocketAddr) -> Result<Self, Errno> {
        let mut names = [0; 36];
        names[0..2].copy_from_slice(&local.port().to_be_bytes());
        names[2..4].copy_from_slice(&peer.port().to_be_bytes());
        let (family, interface) = match (local.ip().to_canonical(), peer.ip().to_canonical()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                names[4..8].copy_from_slice(&from.octets());
                names[20..24].copy_from_slice(&to.octets());
                (libc::AF_INET, 0)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                names[4..20].copy_from_slice(&from.octets());
                names[20..36].copy_from_slice(&to.octets());
                let scope =
                    |address| if let SocketAddr::V6(address) = address { address.scope_id() } else { 0 };
                (libc::AF_INET6, scope(local).max(scope(peer)))
            }
            _ => return Err(Errno::INVAL),
        };
        Ok(Self { family: family as u8, names, interface })
    }

    /// `struct inet_diag_req_v2` for this connection.
    fn request(&self) -> [u8; REQUEST] {
        let mut request = request(self.family);
        request[8..44].copy_from_slice(&self.names);
        request[44..48].copy_from_slice(&self.interface.to_ne_bytes());
        request
    }

    /// Finds the socket in an answer.
    fn find(&self, packet: &[u8]) -> Result<SocketFacts, Errno> {
        for message in netlink::messages(packet) {
            if let Some(end) = message.end() {
                end?;
            } else if message.kind == SOCK_DIAG_BY_FAMILY {
                return self.read(message.body).ok_or(Errno::NOENT);
            }
        }
        Err(Errno::NOENT)
    }

    /// Reads a `struct inet_diag_msg`; `None` if it is about another socket (the kernel also finds listeners).
    fn read(&self, body: &[u8]) -> Option<SocketFacts> {
        let names = body.get(4..40)?;
        // The socket may be an IPv6 one with mapped addresses, which the kernel then shows.
        let same = if body[0] == self.family {
            names == self.names
        } else {
            let mapped = |at| Ipv6Addr::from(netlink::number::<16>(names, at)?).to_ipv4_mapped();
            let wanted = |at| netlink::number::<4>(&self.names, at).map(Ipv4Addr::from);
            names[0..4] == self.names[0..4] && mapped(4) == wanted(4) && mapped(20) == wanted(20)
        };
        if !same {
            return None;
        }
        let cookie = u64::from(u32_at(body, 44)?) | u64::from(u32_at(body, 48)?) << 32;
        Some(SocketFacts {
            uid: u32_at(body, 64)?,
            inode: u32_at(body, 68)?,
            cookie,
            state: State::from_number(body[1])?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;

    fn inode(socket: &impl AsRawFd) -> u32 {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).expect("a socket");
        let name = link.to_str().expect("text");
        name.trim_start_matches("socket:[").trim_end_matches(']').parse().expect("a number")
    }

    #[test]
    fn held_sockets_have_their_names() {
        for home in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(home).expect("a port");
            let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
            let (far, _) = listener.accept().expect("accepted");
            let (local, peer) = (near.local_addr().expect("a name"), far.local_addr().expect("a name"));
            let held = held_tcp().expect("sock_diag");
            assert!(held.contains(&HeldSocket { inode: inode(&near), local, peer }), "{home}");
            assert!(held.contains(&HeldSocket { inode: inode(&far), local: peer, peer: local }), "{home}");
            assert!(held.iter().any(|socket| socket.inode == inode(&listener)), "{home}");
        }
    }

    #[test]
    fn nobody_shows_anything_to_a_stranger() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let (far, _) = listener.accept().expect("accepted");
        let (local, peer) = (far.local_addr().expect("a name"), near.local_addr().expect("a name"));
        let own = rustix::process::geteuid().as_raw();
        let shown = |uid| may_be_shown(PeerCredentials { pid: 1, uid, gid: uid }, local, peer);
        assert!(shown(own) && shown(0));
        assert!(!shown(own + 12_345) && !shown(OVERFLOW_USER));
    }

    #[test]
    fn what_nobody_holds_is_left_out() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let (far, _) = listener.accept().expect("accepted");
        let local = near.local_addr().expect("a name");
        drop(near);
        drop(far);
        let held = held_tcp().expect("sock_diag");
        assert!(!held.iter().any(|socket| socket.local == local));
    }
}

#[cfg(test)]
mod fuzz {
    use proptest::prelude::*;

    use super::*;
    use crate::netlink::fuzz::packet;

    fn wanted() -> Id {
        let name = |text: &str| text.parse().expect("a name");
        Id::new(name("127.0.0.1:80"), name("127.0.0.2:1234")).expect("of one family")
    }

    /// `struct inet_diag_msg`, as the kernel writes it for the wanted socket.
    fn right() -> Vec<u8> {
        let wanted = wanted();
        let mut body = vec![wanted.family, 1, 0, 0];
        body.extend(wanted.names);
        body.extend((1..=32).collect::<Vec<u8>>());
        body
    }

    /// The right body, changed here and there and cut.
    fn body() -> impl Strategy<Value = Vec<u8>> {
        let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
        let cut = prop_oneof![3 => Just(usize::MAX), 1 => 0..80_usize];
        (changes, cut).prop_map(|(changes, cut)| {
            let mut body = right();
            for (at, byte) in changes {
                let at = at.index(body.len());
                body[at] = byte;
            }
            body.truncate(cut);
            body
        })
    }

    #[test]
    fn the_right_answer_is_read() {
        let facts = wanted().read(&right()).expect("complete");
        assert_eq!(facts.state, State::Established);
        assert_eq!(facts.cookie.to_ne_bytes()[..4], [5, 6, 7, 8]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2000), failure_persistence: None, ..ProptestConfig::default() })]

        /// Only an answer with exactly the wanted names is believed.
        #[test]
        fn no_other_socket_is_found(packet in packet(body())) {
            if wanted().find(&packet).is_ok() {
                let names = wanted().names;
                prop_assert!(packet.windows(names.len()).any(|part| part == names));
            }
        }

        #[test]
        fn any_body_is_read(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = wanted().read(&body);
            let _ = held(&body);
        }
    }
}
