//! `socket`, `accept` and what else makes sockets.

use std::ffi::c_int;

use libc::{sockaddr, socklen_t};
use wsd_switch::front;

use crate::notice;
use crate::sys::{next, raw};

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
    // SAFETY: the program's call, unchanged.
    let fd = unsafe { next!(accept(listener, name, length) or SYS_accept(listener, name, length)) };
    accepted(listener, fd);
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
    // SAFETY: the program's call, unchanged.
    let fd = unsafe {
        next!(accept4(listener, name, length, flags) or SYS_accept4(listener, name, length, flags))
    };
    accepted(listener, fd);
    fd
}

extern "C" fn accepted(listener: c_int, fd: c_int) {
    if fd >= 0 {
        match front::find(listener) {
            Some(listener) => notice::accepted(listener, fd),
            None => notice::reused(fd),
        }
    }
}
