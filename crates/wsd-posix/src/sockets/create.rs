//! `socket`, `accept` and what else makes sockets.

use std::ffi::c_int;

use libc::{SOCK_CLOEXEC, SOCK_NONBLOCK, sockaddr, socklen_t};
use wsd_os::fd::IntoRawFd;
use wsd_switch::front::{self, Accepted, DescriptorFlags, Outcome, Verdict};

use super::address::{self, Peer};
use crate::process::cancel;
use crate::sys::{checked, next, raw};
use crate::{errno, notice};

/// # Safety
/// None needed: as socket(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    // SAFETY: the program's call, unchanged.
    let fd = unsafe { next!(socket(domain, kind, protocol) or SYS_socket(domain, kind, protocol)) };
    if fd >= 0 {
        notice::opened(fd, domain, kind, protocol);
    }
    fd
}

/// # Safety
/// As socket(2); the C library's own name for it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    // SAFETY: the program's call.
    unsafe { socket(domain, kind, protocol) }
}

/// # Safety
/// As socketpair(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn socketpair(
    domain: c_int,
    kind: c_int,
    protocol: c_int,
    pair: *mut c_int,
) -> c_int {
    // SAFETY: the program's call, unchanged.
    let result = unsafe {
        next!(socketpair(domain, kind, protocol, pair) or SYS_socketpair(domain, kind, protocol, pair))
    };
    if result == 0 {
        for i in 0..2 {
            // SAFETY: the kernel has just written two descriptors there.
            notice::reused(unsafe { pair.add(i).read() });
        }
    }
    result
}

/// # Safety
/// As accept(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn accept(
    listener: c_int,
    name: *mut sockaddr,
    length: *mut socklen_t,
) -> c_int {
    if front::connects_san_first() {
        // SAFETY: the program's own pointers.
        if let Some(fd) = cancel::point(|| unsafe { accept_first(listener, name, length, 0) }) {
            return fd;
        }
    }
    let mut peer = Peer::new();
    // SAFETY: the program's own pointers.
    let (name, length) = unsafe { peer.asked_for(name, length) };
    // SAFETY: the program's call, unchanged but for the place that the peer's name goes to.
    let fd = unsafe { next!(accept(listener, name, length) or SYS_accept(listener, name, length)) };
    accepted(listener, fd);
    // SAFETY: the call has been made with these.
    unsafe { peer.tell(fd, name, length) };
    fd
}

/// # Safety
/// As accept4(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn accept4(
    listener: c_int,
    name: *mut sockaddr,
    length: *mut socklen_t,
    flags: c_int,
) -> c_int {
    if front::connects_san_first() {
        // SAFETY: the program's own pointers.
        if let Some(fd) = cancel::point(|| unsafe { accept_first(listener, name, length, flags) }) {
            return fd;
        }
    }
    let mut peer = Peer::new();
    // SAFETY: the program's own pointers.
    let (name, length) = unsafe { peer.asked_for(name, length) };
    // SAFETY: the program's call, unchanged but for the place that the peer's name goes to.
    let fd = unsafe {
        next!(accept4(listener, name, length, flags) or SYS_accept4(listener, name, length, flags))
    };
    accepted(listener, fd);
    // SAFETY: the call has been made with these.
    unsafe { peer.tell(fd, name, length) };
    fd
}

/// Accepts from TCP and from the SAN; `None`: TCP alone is to be asked.
///
/// # Safety
/// As accept4(2).
unsafe extern "C" fn accept_first(
    listener: c_int,
    name: *mut sockaddr,
    length: *mut socklen_t,
    flags: c_int,
) -> Option<c_int> {
    let socket = front::find(listener)?;
    if flags & !(SOCK_NONBLOCK | SOCK_CLOEXEC) != 0 {
        return None;
    }
    let made =
        DescriptorFlags { nonblocking: flags & SOCK_NONBLOCK != 0, close_on_exec: flags & SOCK_CLOEXEC != 0 };
    let kernel = || {
        // SAFETY: the program's call. The switch calls this only while it does not wait.
        checked(unsafe { raw!(SYS_accept4, listener, name, length, flags) }).map(|fd| fd as i32)
    };
    let result = match front::accept(socket, made, |_| Verdict::Accept, kernel) {
        Outcome::Pass => return None,
        Outcome::Served(result) => result,
    };
    Some(errno::returned_int(result.map(|connection| match connection {
        Accepted::Tcp(fd) => {
            notice::accepted(socket, fd);
            fd as usize
        }
        Accepted::San { fd, peer, .. } => {
            if !name.is_null() {
                // SAFETY: the program's own pointers. An unusable length is not worth a connection.
                let _ = unsafe { address::write(peer, name, length) };
            }
            fd.into_raw_fd() as usize
        }
    })))
}

extern "C" fn accepted(listener: c_int, fd: c_int) {
    if fd >= 0 {
        match front::find(listener) {
            Some(listener) => notice::accepted(listener, fd),
            None => notice::reused(fd),
        }
    }
}
