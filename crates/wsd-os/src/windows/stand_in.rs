//! Sockets that hold the handle, the port and the options of a connection that TCP does not carry.

use std::net::SocketAddr;

use windows_sys::Win32::Networking::WinSock as ws;

use super::{done, local_name, option, socket};
use crate::Errno;
use crate::fd::{BorrowedFd, OwnedFd};
use crate::windows::address::Address;
use crate::windows::socket::Socket;

/// Options that an accepted socket has from its listener: level and name; numbers of 32 bits.
const INHERITED: [(i32, i32); 6] = [
    (ws::SOL_SOCKET, ws::SO_KEEPALIVE),
    (ws::SOL_SOCKET, ws::SO_LINGER),
    (ws::SOL_SOCKET, ws::SO_OOBINLINE),
    (ws::SOL_SOCKET, ws::SO_RCVTIMEO),
    (ws::SOL_SOCKET, ws::SO_SNDTIMEO),
    (ws::IPPROTO_TCP, ws::TCP_NODELAY),
];

/// How a new descriptor is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DescriptorFlags {
    /// Non-blocking.
    pub nonblocking: bool,
    /// Not inherited by programs that this one starts.
    pub close_on_exec: bool,
}

/// A new, unconnected TCP socket of the family of `listener`, with the options that an accepted one would have from it.
///
/// # Errors
///
/// As WSASocket.
pub fn like(listener: BorrowedFd<'_>, flags: DescriptorFlags) -> Result<OwnedFd, Errno> {
    let family = if local_name(listener.clone())?.is_ipv6() { ws::AF_INET6 } else { ws::AF_INET };
    let inherit = if flags.close_on_exec { ws::WSA_FLAG_NO_HANDLE_INHERIT } else { 0 };
    // SAFETY: no protocol is named.
    let made = unsafe {
        let how = ws::WSA_FLAG_OVERLAPPED | inherit;
        ws::WSASocketW(i32::from(family), ws::SOCK_STREAM, ws::IPPROTO_TCP, core::ptr::null(), 0, how)
    };
    let made = Socket::returned(made)?;
    let number = made.number() as ws::SOCKET;
    if flags.nonblocking {
        let mut on = 1;
        // SAFETY: one u32 is read.
        done(unsafe { ws::ioctlsocket(number, ws::FIONBIO, &raw mut on) })?;
    }
    for (level, name) in INHERITED {
        if let Ok(value @ 1..) = option::<u32>(&listener, level, name) {
            // SAFETY: exactly the value is read. What cannot be set is left out.
            unsafe { ws::setsockopt(number, level, name, (&raw const value).cast(), 4) };
        }
    }
    Ok(made.into())
}

/// Would connect without waiting on any socket, which takes more than a call on Windows.
///
/// # Errors
///
/// Always `OPNOTSUPP`.
pub fn connect_without_waiting(_fd: BorrowedFd<'_>, _peer: SocketAddr) -> Result<(), Errno> {
    Err(Errno::OPNOTSUPP)
}

/// Binds.
///
/// # Errors
///
/// As bind.
pub fn name(fd: BorrowedFd<'_>, local: SocketAddr) -> Result<(), Errno> {
    let (address, length) = Address::of(local);
    // SAFETY: an address of that length.
    done(unsafe { ws::bind(socket(&fd), address.place(), length) })
}

/// `SO_DEBUG`.
///
/// # Errors
///
/// As getsockopt.
pub fn is_debugged(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    option::<i32>(&fd, ws::SOL_SOCKET, ws::SO_DEBUG).map(|on| on != 0)
}

/// Sets `SO_DEBUG`.
///
/// # Errors
///
/// As setsockopt.
pub fn set_debugged(fd: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    let value = i32::from(on);
    let place = (&raw const value).cast();
    // SAFETY: exactly the value is read.
    done(unsafe { ws::setsockopt(socket(&fd), ws::SOL_SOCKET, ws::SO_DEBUG, place, 4) })
}

/// `IPV6_V6ONLY`; false for an IPv4 socket.
///
/// # Errors
///
/// As getsockopt.
pub fn is_ipv6_only(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    option::<i32>(&fd, ws::IPPROTO_IPV6, ws::IPV6_V6ONLY).map(|on| on != 0)
}
