//! The options of a socket that our own sending and receiving must respect.

use core::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_linger;

use crate::fd::{AsRawFd, BorrowedFd};
use crate::{raw, sockopt};

/// Request of ioctl(2), which the libc crate does not have.
const SIOCATMARK: usize = 0x8905;

/// A direction of a connection, seen from this end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From this end to the peer.
    Send,
    /// From the peer to this end.
    Receive,
}

/// Whether the open file description is non-blocking (fcntl(2), O_NONBLOCK). It may change at any time, by any process
/// that has the description.
///
/// # Errors
///
/// `EBADF`.
pub fn is_nonblocking(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(fcntl_getfl(fd)?.contains(OFlags::NONBLOCK))
}

/// `SO_SNDTIMEO` or `SO_RCVTIMEO`: how long a blocking call may take, `None` for no limit (socket(7)).
///
/// # Errors
///
/// As getsockopt(2).
pub fn timeout(fd: BorrowedFd<'_>, direction: Direction) -> Result<Option<Duration>, Errno> {
    let name = match direction {
        Direction::Send => libc::SO_SNDTIMEO,
        Direction::Receive => libc::SO_RCVTIMEO,
    };
    let value: [u8; 16] = sockopt::get(fd, libc::SOL_SOCKET, name)?;
    let number = |at: usize| value[at..].first_chunk().map_or(0, |bytes| i64::from_ne_bytes(*bytes));
    let (seconds, micros) = (number(0).max(0) as u64, number(8).clamp(0, 999_999) as u32);
    let limit = Duration::new(seconds, micros * 1000);
    Ok((!limit.is_zero()).then_some(limit))
}

/// `SO_LINGER`: how long close waits for unsent data, `None` if it is off. Zero: close resets the connection (socket(7)).
///
/// # Errors
///
/// As getsockopt(2).
pub fn linger(fd: BorrowedFd<'_>) -> Result<Option<Duration>, Errno> {
    let value: [u8; 8] = sockopt::get(fd, libc::SOL_SOCKET, libc::SO_LINGER)?;
    let number = |at: usize| value[at..].first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    Ok((number(0) != 0).then(|| Duration::from_secs(number(4).max(0) as u64)))
}

/// Close does not wait for unsent data any more, which the kernel goes on sending. A connection that close is to reset
/// is still reset; see [`linger`].
///
/// # Errors
///
/// As getsockopt(2) and setsockopt(2).
pub fn stop_lingering(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    match linger(fd)? {
        Some(limit) if !limit.is_zero() => set_socket_linger(fd, None),
        _ => Ok(()),
    }
}

/// `SO_OOBINLINE`: whether urgent data is in the normal stream (socket(7)).
///
/// # Errors
///
/// As getsockopt(2).
pub fn out_of_band_inline(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    sockopt::get_int(fd, libc::SOL_SOCKET, libc::SO_OOBINLINE).map(|on| on != 0)
}

/// `SO_RCVLOWAT`: how many bytes make the socket readable, at least 1 (socket(7)).
///
/// # Errors
///
/// As getsockopt(2).
pub fn receive_low_water(fd: BorrowedFd<'_>) -> Result<usize, Errno> {
    sockopt::get_int(fd, libc::SOL_SOCKET, libc::SO_RCVLOWAT).map(|bytes| bytes.max(1) as usize)
}

/// `SO_SNDBUF` in bytes, as the kernel has it: twice what a program set (socket(7)).
///
/// # Errors
///
/// As getsockopt(2).
pub fn send_buffer(fd: BorrowedFd<'_>) -> Result<usize, Errno> {
    sockopt::get_int(fd, libc::SOL_SOCKET, libc::SO_SNDBUF).map(|bytes| bytes.max(0) as usize)
}

/// `SO_RCVBUF` in bytes, as the kernel has it: twice what a program set (socket(7)).
///
/// # Errors
///
/// As getsockopt(2).
pub fn receive_buffer(fd: BorrowedFd<'_>) -> Result<usize, Errno> {
    sockopt::get_int(fd, libc::SOL_SOCKET, libc::SO_RCVBUF).map(|bytes| bytes.max(0) as usize)
}

/// `TCP_CORK`: whether the kernel holds small writes back (tcp(7)).
///
/// # Errors
///
/// As getsockopt(2).
pub fn is_corked(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    sockopt::get_int(fd, libc::IPPROTO_TCP, libc::TCP_CORK).map(|on| on != 0)
}

/// Bytes that have arrived and were not received yet (ioctl FIONREAD, tcp(7)).
///
/// # Errors
///
/// `EINVAL` for a listener.
pub fn unread(fd: BorrowedFd<'_>) -> Result<usize, Errno> {
    rustix::io::ioctl_fionread(fd).map(|bytes| bytes as usize)
}

/// Whether the next byte to receive is the urgent one (sockatmark(3)).
///
/// # Errors
///
/// As ioctl(2).
pub fn at_mark(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut answer = 0_i32;
    let arguments = [fd.as_raw_fd() as usize, SIOCATMARK, raw::address_mut(&mut answer), 0, 0, 0];
    // SAFETY: the kernel writes one int to the live variable.
    unsafe { raw::syscall(libc::SYS_ioctl, arguments) }?;
    Ok(answer != 0)
}
