//! Sockets that hold the descriptor, the port and the options of a connection that the kernel does not carry.

use std::net::SocketAddr;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};

use crate::fd::{AsFd, BorrowedFd, OwnedFd};
use crate::sockopt;

/// Options that an accepted socket has from its listener, and can be given as they are read: level and name.
const INHERITED: [(i32, i32); 14] = [
    (libc::SOL_SOCKET, libc::SO_DEBUG),
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
    (libc::SOL_SOCKET, libc::SO_LINGER),
    (libc::SOL_SOCKET, libc::SO_OOBINLINE),
    (libc::SOL_SOCKET, libc::SO_RCVLOWAT),
    (libc::SOL_SOCKET, libc::SO_RCVTIMEO),
    (libc::SOL_SOCKET, libc::SO_SNDTIMEO),
    (libc::SOL_SOCKET, libc::SO_PRIORITY),
    (libc::IPPROTO_TCP, libc::TCP_NODELAY),
    (libc::IPPROTO_TCP, libc::TCP_CORK),
    (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
    (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL),
    (libc::IPPROTO_TCP, libc::TCP_KEEPCNT),
    (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT),
];

/// `SO_BUF_LOCK` (asm-generic/socket.h): which buffer sizes a program has set, as bits.
const SO_BUF_LOCK: i32 = 72;
/// The sizes that it may have set, by their bits.
const BUFFERS: [(i32, i32); 2] = [(1, libc::SO_SNDBUF), (2, libc::SO_RCVBUF)];

/// How a new descriptor is made (accept4(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DescriptorFlags {
    /// `SOCK_NONBLOCK`.
    pub nonblocking: bool,
    /// `SOCK_CLOEXEC`.
    pub close_on_exec: bool,
}

/// A new, unconnected TCP socket of the family of `listener`, with the options that an accepted one would have from it.
///
/// # Errors
///
/// As socket(2).
pub fn like(listener: BorrowedFd<'_>, flags: DescriptorFlags) -> Result<OwnedFd, Errno> {
    let domain = sockopt::get_int(listener, libc::SOL_SOCKET, libc::SO_DOMAIN)?;
    let family = if domain == libc::AF_INET6 { AddressFamily::INET6 } else { AddressFamily::INET };
    let mut kind = SocketFlags::empty();
    kind.set(SocketFlags::NONBLOCK, flags.nonblocking);
    kind.set(SocketFlags::CLOEXEC, flags.close_on_exec);
    let fd: OwnedFd = socket_with(family, SocketType::STREAM, kind, None)?.into();
    for (level, name) in INHERITED {
        let mut value = [0; 16];
        let read = sockopt::get_bytes(listener, level, name, &mut value);
        if let Ok(length @ 1..) = read
            && value[..length].iter().any(|byte| *byte != 0)
        {
            // One that takes privileges the process has given up is left out.
            let _ = sockopt::set_bytes(fd.as_fd(), level, name, &value[..length]);
        }
    }
    let set = sockopt::get_int(listener, libc::SOL_SOCKET, SO_BUF_LOCK).unwrap_or(0);
    for (_, name) in BUFFERS.iter().filter(|(bit, _)| set & bit != 0) {
        if let Ok(size) = sockopt::get_int(listener, libc::SOL_SOCKET, *name) {
            // The kernel tells the double of what it was told. Above a limit of now the size is cut.
            let _ = sockopt::set_bytes(fd.as_fd(), libc::SOL_SOCKET, *name, &(size / 2).to_ne_bytes());
        }
    }
    Ok(fd)
}

/// connect(2) that never waits, also on a blocking socket: `EINPROGRESS` if the result follows. Whoever changes O_NONBLOCK
/// of the same description at that very moment may find it as it was before.
///
/// # Errors
///
/// As connect(2).
pub fn connect_without_waiting(fd: BorrowedFd<'_>, peer: SocketAddr) -> Result<(), Errno> {
    let flags = fcntl_getfl(fd)?;
    if flags.contains(OFlags::NONBLOCK) {
        return rustix::net::connect(fd, &peer);
    }
    fcntl_setfl(fd, flags | OFlags::NONBLOCK)?;
    let result = rustix::net::connect(fd, &peer);
    fcntl_setfl(fd, flags)?;
    result
}

/// bind(2).
///
/// # Errors
///
/// As bind(2).
pub fn name(fd: BorrowedFd<'_>, local: SocketAddr) -> Result<(), Errno> {
    bind(fd, &local)
}

/// `SO_DEBUG` (socket(7)).
///
/// # Errors
///
/// As getsockopt(2).
pub fn is_debugged(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    sockopt::get_int(fd, libc::SOL_SOCKET, libc::SO_DEBUG).map(|on| on != 0)
}

/// Sets `SO_DEBUG`.
///
/// # Errors
///
/// As setsockopt(2); `EACCES`: to set it takes CAP_NET_ADMIN.
pub fn set_debugged(fd: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    sockopt::set_bytes(fd, libc::SOL_SOCKET, libc::SO_DEBUG, &i32::from(on).to_ne_bytes())
}

/// `IPV6_V6ONLY` (ipv6(7)); true for an IPv4 socket would mean nothing, so it is false.
///
/// # Errors
///
/// As getsockopt(2).
pub fn is_ipv6_only(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    sockopt::get_int(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY).map(|on| on != 0)
}
