//! Proving that a companion belongs to this very TCP connection: each end hands the other its descriptor, never to a
//! stranger first.

use std::net::{IpAddr, SocketAddr};

use wsd_os::diag;
use wsd_os::fd::AsFd;
use wsd_os::link::PeerCredentials;
use wsd_os::tcp;

/// The names of one connection, as this end has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
}

impl Names {
    /// The names of a connected descriptor, IPv4 addresses mapped into IPv6 taken as IPv4.
    pub(super) fn of(socket: &impl AsFd) -> Option<Self> {
        let (local, peer) = (tcp::local_name(socket.as_fd()), tcp::peer_name(socket.as_fd()));
        Some(Self { local: canonical(local.ok()?), peer: canonical(peer.ok()?) })
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
pub(super) fn is_other_end(own: &impl AsFd, other: &impl AsFd) -> bool {
    let (Some(names), Some(others)) = (Names::of(own), Names::of(other)) else { return false };
    let mirrored = names.mirrored();
    tcp::is_stream_tcp(other.as_fd())
        && others == mirrored
        && tcp::same_stack(own.as_fd(), other.as_fd())
        && tcp::state(other.as_fd()) == Ok(tcp::State::Established)
        && tcp::state(own.as_fd()) == Ok(tcp::State::Established)
        && diag::is_current(other.as_fd(), mirrored.local, mirrored.peer)
}

/// Whether this end may hand over its descriptor before it has seen the other one.
pub(super) fn may_go_first(partner: PeerCredentials, names: Names) -> bool {
    let mirrored = names.mirrored();
    diag::may_be_shown(partner, mirrored.local, mirrored.peer)
}

/// Closes a descriptor that a peer handed over. A descriptor with SO_LINGER may make close(2) wait when it is the last one,
/// so that happens elsewhere.
pub(super) fn close_foreign(fd: wsd_os::fd::OwnedFd) {
    if tcp::linger(fd.as_fd()) == Ok(None) {
        return drop(fd);
    }
    let _ = wsd_os::thread::spawn_hidden("wsd-close", wsd_os::thread::DEFAULT_STACK, move || drop(fd));
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let one = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        (one, listener.accept().expect("accepted").0)
    }

    #[test]
    fn only_the_other_end_of_the_same_connection_is_right() {
        let (one, two) = connection();
        let (three, four) = connection();
        assert!(is_other_end(&one, &two));
        assert!(is_other_end(&two, &one));
        assert!(!is_other_end(&one, &one));
        assert!(!is_other_end(&one, &three));
        assert!(!is_other_end(&one, &four));
    }
}
