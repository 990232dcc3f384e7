//! `connect`, `listen` and `shutdown`.

use std::ffi::c_int;

use libc::{AF_UNSPEC, sockaddr, socklen_t};
use rustix::io::Errno;
use wsd_switch::front::{self, Outcome, Socket};
use wsd_switch::reason::Reason;

use super::address;
use crate::process::cancel;
use crate::sys::{checked, next, raw};
use crate::{errno, notice};

/// # Safety
/// As connect(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn connect(fd: c_int, name: *const sockaddr, length: socklen_t) -> c_int {
    let Some(socket) = front::find(fd) else {
        // SAFETY: the program's call, unchanged.
        return unsafe { next!(connect(fd, name, length) or SYS_connect(fd, name, length)) };
    };
    // SAFETY: the program's address.
    let ends = unsafe { dissolves(name, length) };
    if ends && notice::leave(fd, Reason::KernelCall) == Err(Errno::OPNOTSUPP) {
        // A connection of the SAN. Of others what the kernel thinks of the call matters more than whether they could be saved.
        return errno::returned_int(Err(Errno::OPNOTSUPP));
    }
    if !ends && front::connects_san_first() {
        // SAFETY: the program's address.
        if let Some(result) = cancel::point(|| unsafe { connect_first(socket, name, length) }) {
            return result;
        }
    }
    if !ends && front::asks_for_peers() {
        // SAFETY: the program's address.
        unsafe { tell_peer(socket, name, length) };
    }
    // SAFETY: the program's call, unchanged.
    let result = unsafe { next!(connect(fd, name, length) or SYS_connect(fd, name, length)) };
    if !ends {
        tell(socket, result);
    }
    result
}

/// Connects by the SAN; `None`: TCP is to connect.
///
/// # Safety
/// As connect(2).
unsafe extern "C" fn connect_first(
    socket: Socket,
    name: *const sockaddr,
    length: socklen_t,
) -> Option<c_int> {
    // SAFETY: the caller's promise.
    let peer = unsafe { address::read(name, length) }?;
    match front::connect(socket, peer) {
        Outcome::Served(result) => Some(errno::returned_int(result.map(|()| 0))),
        Outcome::Pass => None,
    }
}

/// Whether the address asks to end a connection instead of beginning one.
///
/// # Safety
/// As connect(2).
unsafe fn dissolves(name: *const sockaddr, length: socklen_t) -> bool {
    // SAFETY: an address of this length has a family.
    !name.is_null() && length as usize >= 2 && unsafe { (*name).sa_family } == AF_UNSPEC as u16
}

extern "C" fn tell(socket: Socket, result: c_int) {
    let error = errno::number();
    notice::connected(socket, errno::outcome(result));
    errno::restore(error);
}

/// # Safety
/// As connect(2).
unsafe extern "C" fn tell_peer(socket: Socket, name: *const sockaddr, length: socklen_t) {
    // SAFETY: the caller's promise.
    if let Some(peer) = unsafe { address::read(name, length) } {
        notice::peer_known(socket, peer);
    }
}

/// # Safety
/// As connect(2); the C library's own name for it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __connect(fd: c_int, name: *const sockaddr, length: socklen_t) -> c_int {
    // SAFETY: the program's call.
    unsafe { connect(fd, name, length) }
}

/// # Safety
/// None needed: as listen(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn listen(fd: c_int, backlog: c_int) -> c_int {
    // SAFETY: the program's call, unchanged.
    let result = unsafe { next!(listen(fd, backlog) or SYS_listen(fd, backlog)) };
    if result == 0
        && let Some(socket) = front::find(fd)
    {
        if front::connects_san_first() {
            listen_first(socket, backlog);
        } else {
            notice::listening(socket);
        }
    }
    result
}

extern "C" fn listen_first(socket: Socket, backlog: c_int) {
    front::listen(socket, backlog);
}

/// # Safety
/// None needed: as shutdown(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn shutdown(fd: c_int, how: c_int) -> c_int {
    match front::find(fd) {
        Some(socket) => shutdown_tracked(socket, fd, how),
        // SAFETY: the program's call, unchanged.
        None => unsafe { next!(shutdown(fd, how) or SYS_shutdown(fd, how)) },
    }
}

extern "C" fn shutdown_tracked(socket: Socket, fd: c_int, how: c_int) -> c_int {
    let result = front::shutdown(socket, how, || {
        // SAFETY: the program's call, unchanged.
        checked(unsafe { raw!(SYS_shutdown, fd, how) }).map(|_| ())
    });
    errno::returned_int(result.map(|()| 0))
}
