//! Proving that a companion belongs to this very TCP connection: each end hands the other its descriptor, never to a
//! stranger first.

use std::net::{IpAddr, SocketAddr};

use wsd_os::diag;
use wsd_os::fd::BorrowedFd;
use wsd_os::link::PeerCredentials;
use wsd_os::tcp;

/// User number that stands for every user without a number in this user namespace.
const OVERFLOW_USER: u32 = 65_534;

/// The names of one connection, as this end has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
}

impl Names {
    /// The names of a connected descriptor, IPv4 addresses mapped into IPv6 taken as IPv4.
    pub(super) fn of(fd: BorrowedFd<'_>) -> Option<Self> {
        Some(Self { local: canonical(tcp::local_name(fd).ok()?), peer: canonical(tcp::peer_name(fd).ok()?) })
    }

    /// As the other end has them.
    pub(super) fn mirrored(self) -> Self {
        Self { local: self.peer, peer: self.local }
    }
}

/// Without the IPv4-in-IPv6 form, flow label and scope of addresses that need none.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(IpAddr::V4(ip), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Whether `other` is the other end of the connection `own`.
pub(super) fn is_other_end(own: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    let (Some(names), Some(others)) = (Names::of(own), Names::of(other)) else { return false };
    let same_namespace = match (tcp::netns_cookie(own), tcp::netns_cookie(other)) {
        (Ok(one), Ok(two)) => one == two,
        _ => false,
    };
    let mirrored = names.mirrored();
    tcp::is_stream_tcp(other)
        && others == mirrored
        && same_namespace
        && tcp::state(other) == Ok(tcp::State::Established)
        && tcp::state(own) == Ok(tcp::State::Established)
        && diag::find_tcp(mirrored.local, mirrored.peer).map(|facts| facts.cookie) == tcp::cookie(other)
}

/// Whether this end may hand over its descriptor before it has seen the other one.
pub(super) fn may_go_first(partner: PeerCredentials, names: Names) -> bool {
    let user = partner.uid;
    if user == 0 {
        return true;
    }
    if user == OVERFLOW_USER {
        return false;
    }
    let mirrored = names.mirrored();
    user == rustix::process::geteuid().as_raw()
        || diag::find_tcp(mirrored.local, mirrored.peer).is_ok_and(|facts| facts.uid == user)
}

/// Closes a descriptor that a peer handed over. A descriptor with SO_LINGER may make close(2) wait when it is the last one,
/// so that happens elsewhere.
pub(super) fn close_foreign(fd: wsd_os::fd::OwnedFd) {
    use wsd_os::fd::AsFd;
    if tcp::linger(fd.as_fd()) == Ok(None) {
        return drop(fd);
    }
    let _ = wsd_os::thread::spawn_hidden("wsd-close", wsd_os::thread::DEFAULT_STACK, move || drop(fd));
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use wsd_os::fd::AsFd;

    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let one = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        (one, listener.accept().expect("accepted").0)
    }

    #[test]
    fn only_the_other_end_of_the_same_connection_is_right() {
        let (one, two) = connection();
        let (three, four) = connection();
        assert!(is_other_end(one.as_fd(), two.as_fd()));
        assert!(is_other_end(two.as_fd(), one.as_fd()));
        assert!(!is_other_end(one.as_fd(), one.as_fd()));
        assert!(!is_other_end(one.as_fd(), three.as_fd()));
        assert!(!is_other_end(one.as_fd(), four.as_fd()));
    }

    #[test]
    fn nobody_goes_first_towards_a_stranger() {
        let (one, _two) = connection();
        let names = Names::of(one.as_fd()).expect("connected");
        let own = rustix::process::geteuid().as_raw();
        let partner = |uid| PeerCredentials { pid: 1, uid, gid: uid };
        assert!(may_go_first(partner(own), names));
        assert!(may_go_first(partner(0), names));
        assert!(!may_go_first(partner(own + 12_345), names));
        assert!(!may_go_first(partner(OVERFLOW_USER), names));
    }
}
