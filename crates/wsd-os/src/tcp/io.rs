//! Moving bytes through the kernel's TCP, never blocking.

use core::ptr;
use std::io::{IoSlice, IoSliceMut};

use rustix::io::Errno;

use crate::fd::{AsRawFd, BorrowedFd};
use crate::raw;

pub use rustix::net::Shutdown;

/// Flags of one send or receive: the bits of `MSG_*` (send(2), recv(2)).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags(pub i32);

impl Flags {
    /// None.
    pub const NONE: Self = Self(0);
    /// `MSG_NOSIGNAL`: no `SIGPIPE` when the direction is closed.
    pub const NO_SIGNAL: Self = Self(libc::MSG_NOSIGNAL);
    /// `MSG_PEEK`: leave what is received in the queue.
    pub const PEEK: Self = Self(libc::MSG_PEEK);
    /// `MSG_MORE`: more follows soon.
    pub const MORE: Self = Self(libc::MSG_MORE);
    /// `MSG_OOB`: urgent data.
    pub const OUT_OF_BAND: Self = Self(libc::MSG_OOB);

    /// These flags and `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are among these.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What [`recv`] got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Received {
    /// How many bytes; 0 is the end of the stream if there was room for one.
    pub len: usize,
    /// The `MSG_*` bits that the kernel returned (recvmsg(2)).
    pub flags: Flags,
}

/// Sends as much of `pieces` (at most 1024) as the kernel takes now and returns how many bytes it was.
///
/// `MSG_DONTWAIT` is added to `flags`; `SIGPIPE` is raised as ever unless [`Flags::NO_SIGNAL`] is given.
///
/// # Errors
///
/// `EAGAIN` if there is no room; `EPIPE`, `ECONNRESET`, `ENOTCONN`; else as sendmsg(2).
#[inline]
pub fn send(fd: BorrowedFd<'_>, pieces: &[IoSlice<'_>], flags: Flags) -> Result<usize, Errno> {
    let message = message(pieces.as_ptr().cast_mut().cast(), pieces.len());
    let flags = (flags.0 | libc::MSG_DONTWAIT) as usize;
    let arguments = [fd.as_raw_fd() as usize, raw::address(&message), flags, 0, 0, 0];
    // SAFETY: IoSlice has the layout of iovec, and the kernel only reads the pieces.
    unsafe { raw::syscall(libc::SYS_sendmsg, arguments) }
}

/// Receives what is there, at most as much as fits into `pieces` (at most 1024). `MSG_DONTWAIT` is added to `flags`.
///
/// # Errors
///
/// `EAGAIN` if nothing is there; `ECONNRESET`, `ENOTCONN`; else as recvmsg(2).
#[inline]
pub fn recv(fd: BorrowedFd<'_>, pieces: &mut [IoSliceMut<'_>], flags: Flags) -> Result<Received, Errno> {
    let mut message = message(pieces.as_mut_ptr().cast(), pieces.len());
    let flags = (flags.0 | libc::MSG_DONTWAIT) as usize;
    let arguments = [fd.as_raw_fd() as usize, raw::address_mut(&mut message), flags, 0, 0, 0];
    // SAFETY: IoSliceMut has the layout of iovec, and the pieces are the caller's exclusively; the kernel also writes
    // the live `message`.
    let len = unsafe { raw::syscall(libc::SYS_recvmsg, arguments) }?;
    Ok(Received { len, flags: Flags(message.msg_flags) })
}

/// Closes one direction or both of the connection, for all who have it (shutdown(2)).
///
/// # Errors
///
/// `ENOTCONN`.
pub fn shutdown(fd: BorrowedFd<'_>, how: Shutdown) -> Result<(), Errno> {
    rustix::net::shutdown(fd, how)
}

/// Resets the connection at once, for all who have it: the peer gets ECONNRESET, unsent data is thrown away. The
/// descriptor stays open (connect(2) with AF_UNSPEC).
///
/// # Errors
///
/// As connect(2).
pub fn abort(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::net::connect_unspec(fd)
}

fn message(pieces: *mut libc::iovec, count: usize) -> libc::msghdr {
    // SAFETY: all-zero bytes are a msghdr without name, pieces and control data (musl's has private padding).
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_name = ptr::null_mut();
    message.msg_iov = pieces;
    message.msg_iovlen = count as _;
    message
}
