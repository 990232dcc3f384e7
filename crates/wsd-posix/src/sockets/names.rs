//! `getsockname` and `getpeername`. A connection that TCP made bears its true names whatever path its bytes take; one that the SAN
//! made has none in the kernel. `bind` is always the kernel's (SW-041).

use std::ffi::c_int;
use std::net::SocketAddr;

use libc::{sockaddr, socklen_t};
use wsd_switch::front::{self, Socket};

use super::address;
use crate::errno;
use crate::sys::{next, raw};

/// # Safety
/// As getsockname(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn getsockname(fd: c_int, name: *mut sockaddr, length: *mut socklen_t) -> c_int {
    // SAFETY: the program's own pointers.
    if let Some(result) = unsafe { known(fd, front::local_name, name, length) } {
        return result;
    }
    // SAFETY: the program's call, unchanged.
    unsafe { next!(getsockname(fd, name, length) or SYS_getsockname(fd, name, length)) }
}

/// # Safety
/// As getpeername(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn getpeername(fd: c_int, name: *mut sockaddr, length: *mut socklen_t) -> c_int {
    // SAFETY: the program's own pointers.
    if let Some(result) = unsafe { known(fd, front::peer_name, name, length) } {
        return result;
    }
    // SAFETY: the program's call, unchanged.
    unsafe { next!(getpeername(fd, name, length) or SYS_getpeername(fd, name, length)) }
}

/// # Safety
/// As getsockname(2).
unsafe extern "C" fn known(
    fd: c_int,
    which: fn(Socket) -> Option<SocketAddr>,
    name: *mut sockaddr,
    length: *mut socklen_t,
) -> Option<c_int> {
    let found = front::find(fd).and_then(which)?;
    // SAFETY: the caller's promise.
    Some(errno::returned_int(unsafe { address::write(found, name, length) }.map(|()| 0)))
}
