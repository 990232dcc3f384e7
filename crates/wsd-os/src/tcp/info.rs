//! Which connection a descriptor is.

use std::net::SocketAddr;

use rustix::io::Errno;
use rustix::net::{getpeername, getsockname};

use crate::fd::BorrowedFd;
use crate::sockopt;

/// The state of a TCP connection, numbered as the kernel does (`TCP_ESTABLISHED` and so on).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum State {
    /// Both directions are open.
    Established = 1,
    /// Connecting.
    SynSent = 2,
    /// Being accepted.
    SynReceived = 3,
    /// Our FIN is not acknowledged yet.
    FinWait1 = 4,
    /// Our FIN is acknowledged, the peer's has not come.
    FinWait2 = 5,
    /// Both FINs have been acknowledged; waiting for stragglers.
    TimeWait = 6,
    /// Not connected, or no longer.
    Closed = 7,
    /// The peer's FIN has come; our direction is open.
    CloseWait = 8,
    /// The peer's FIN has come, ours is not acknowledged yet.
    LastAck = 9,
    /// Listening.
    Listening = 10,
    /// Both FINs are on their way, ours is not acknowledged yet.
    Closing = 11,
    /// A connection request in the listener's queue.
    NewSynReceived = 12,
}

impl State {
    /// The state with the kernel's number.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Established,
            2 => Self::SynSent,
            3 => Self::SynReceived,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Closed,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listening,
            11 => Self::Closing,
            12 => Self::NewSynReceived,
            _ => return None,
        })
    }

    /// Whether our FIN was sent (or queued): nothing can be written any more.
    pub const fn fin_sent(self) -> bool {
        matches!(self, Self::FinWait1 | Self::FinWait2 | Self::Closing | Self::LastAck | Self::TimeWait)
    }

    /// Whether the peer's FIN was received.
    pub const fn fin_received(self) -> bool {
        matches!(self, Self::CloseWait | Self::LastAck | Self::Closing | Self::TimeWait)
    }
}

/// The socket's own address and port (getsockname(2)). An IPv6 socket that talks IPv4 has a mapped address.
///
/// # Errors
///
/// `ENOTSOCK`, `EBADF`; `EAFNOSUPPORT` if it is no internet socket.
pub fn local_name(fd: BorrowedFd<'_>) -> Result<SocketAddr, Errno> {
    SocketAddr::try_from(getsockname(fd)?)
}

/// The peer's address and port (getpeername(2)).
///
/// # Errors
///
/// `ENOTCONN`, `ENOTSOCK`, `EBADF`; `EAFNOSUPPORT` if it is no internet socket.
pub fn peer_name(fd: BorrowedFd<'_>) -> Result<SocketAddr, Errno> {
    SocketAddr::try_from(getpeername(fd)?.ok_or(Errno::AFNOSUPPORT)?)
}

/// Whether the descriptor is a TCP socket over IPv4 or IPv6; false for anything else, also MPTCP, and for a bad
/// descriptor.
pub fn is_stream_tcp(fd: BorrowedFd<'_>) -> bool {
    let option = |name| sockopt::get_int(fd, libc::SOL_SOCKET, name);
    matches!(option(libc::SO_DOMAIN), Ok(libc::AF_INET | libc::AF_INET6))
        && option(libc::SO_TYPE) == Ok(libc::SOCK_STREAM)
        && option(libc::SO_PROTOCOL) == Ok(libc::IPPROTO_TCP)
}

/// The state of the connection (tcp(7), TCP_INFO).
///
/// # Errors
///
/// As getsockopt(2): `ENOPROTOOPT` or `EOPNOTSUPP` if it is no TCP socket.
pub fn state(fd: BorrowedFd<'_>) -> Result<State, Errno> {
    let mut info = [0];
    sockopt::get_bytes(fd, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info)?;
    State::from_number(info[0]).ok_or(Errno::INVAL)
}

/// The number that the kernel gave this socket, unique in the host's uptime (SO_COOKIE, since Linux 4.12).
///
/// # Errors
///
/// As getsockopt(2).
pub fn cookie(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    sockopt::get_u64(fd, libc::SOL_SOCKET, libc::SO_COOKIE)
}

/// Whether both sockets are in one network namespace, where names mean the same.
pub fn same_stack(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    match (netns_cookie(one), netns_cookie(other)) {
        (Ok(one), Ok(two)) => one == two,
        _ => false,
    }
}

/// The number of the socket's network namespace, unique in the host's uptime (SO_NETNS_COOKIE, since Linux 5.14).
///
/// # Errors
///
/// As getsockopt(2): `ENOPROTOOPT` on older kernels.
pub fn netns_cookie(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    const SO_NETNS_COOKIE: i32 = 71;
    sockopt::get_u64(fd, libc::SOL_SOCKET, SO_NETNS_COOKIE)
}
