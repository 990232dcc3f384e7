//! `send`, `recv` and their forms with an address.

use std::ffi::{c_int, c_void};
use std::ptr;

use libc::{MSG_FASTOPEN, MSG_TRUNC, size_t, sockaddr, socklen_t, ssize_t};
use rustix::io::Errno;
use wsd_switch::front::{self, Socket};

use crate::process::cancel::point;
use crate::slices::{self, MOST};
use crate::sys::{checked, next, raw};
use crate::{errno, notice, real};

/// # Safety
/// As recv(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn recv(fd: c_int, data: *mut c_void, length: size_t, flags: c_int) -> ssize_t {
    match front::find(fd) {
        Some(socket) => {
            // SAFETY: the program's own arguments.
            point(|| unsafe {
                recv_tracked(socket, fd, data, length, flags, ptr::null_mut(), ptr::null_mut())
            })
        }
        // SAFETY: the program's call, unchanged.
        None => unsafe {
            next!(recv(fd, data, length, flags) or SYS_recvfrom(fd, data, length, flags, 0, 0))
        },
    }
}

/// # Safety
/// As recvfrom(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn recvfrom(
    fd: c_int,
    data: *mut c_void,
    length: size_t,
    flags: c_int,
    name: *mut sockaddr,
    name_length: *mut socklen_t,
) -> ssize_t {
    match front::find(fd) {
        // SAFETY: the program's own arguments.
        Some(socket) => point(|| unsafe { recv_tracked(socket, fd, data, length, flags, name, name_length) }),
        // SAFETY: the program's call, unchanged.
        None => unsafe {
            next!(recvfrom(fd, data, length, flags, name, name_length)
                or SYS_recvfrom(fd, data, length, flags, name, name_length))
        },
    }
}

/// # Safety
/// As recvfrom(2).
unsafe extern "C" fn recv_tracked(
    socket: Socket,
    fd: c_int,
    data: *mut c_void,
    length: usize,
    flags: c_int,
    name: *mut sockaddr,
    name_length: *mut socklen_t,
) -> ssize_t {
    let mut by_kernel = false;
    let mut kernel = |extra: u32| {
        by_kernel = true;
        let flags = flags as u32 | extra;
        // SAFETY: the program's own call with more flags.
        checked(unsafe { raw!(SYS_recvfrom, fd, data, length, flags, name, name_length) })
    };
    let result = if data.is_null() && length != 0 && flags & MSG_TRUNC != 0 {
        discard(socket, length, flags, kernel)
    } else {
        // SAFETY: the program's buffer.
        unsafe { slices::target(data, length) }
            .and_then(|target| front::recv(socket, &mut [target], flags as u32, |_, extra| kernel(extra)))
    };
    if result.is_ok() && !by_kernel && !name.is_null() && !name_length.is_null() {
        // A stream has no addresses to tell.
        // SAFETY: the program's own pointer.
        unsafe { name_length.write_unaligned(0) };
    }
    errno::returned(result)
}

/// `recv` with `MSG_TRUNC` throws bytes away and takes a null pointer for a buffer, which no slice can have.
#[inline(never)]
fn discard(
    socket: Socket,
    length: usize,
    flags: c_int,
    mut kernel: impl FnMut(u32) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let mut scratch = [0; 4096];
    let room = length.min(scratch.len());
    // SAFETY: `scratch` is valid for `room` bytes.
    let target = unsafe { slices::target(scratch.as_mut_ptr().cast(), room) }?;
    front::recv(socket, &mut [target], flags as u32, |_, extra| kernel(extra))
}

/// # Safety
/// As recv(2); `size` is that of the buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __recv_chk(
    fd: c_int,
    data: *mut c_void,
    length: size_t,
    size: size_t,
    flags: c_int,
) -> ssize_t {
    if length > size
        && let Some(refuse) = real::NEXT.__recv_chk.get()
    {
        // SAFETY: the program's call, unchanged: it ends the program.
        return unsafe { refuse(fd, data, length, size, flags) };
    }
    // SAFETY: the program's call.
    unsafe { recv(fd, data, length, flags) }
}

/// # Safety
/// As recvfrom(2); `size` is that of the buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __recvfrom_chk(
    fd: c_int,
    data: *mut c_void,
    length: size_t,
    size: size_t,
    flags: c_int,
    name: *mut sockaddr,
    name_length: *mut socklen_t,
) -> ssize_t {
    if length > size
        && let Some(refuse) = real::NEXT.__recvfrom_chk.get()
    {
        // SAFETY: the program's call, unchanged: it ends the program.
        return unsafe { refuse(fd, data, length, size, flags, name, name_length) };
    }
    // SAFETY: the program's call.
    unsafe { recvfrom(fd, data, length, flags, name, name_length) }
}

/// # Safety
/// As send(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn send(
    fd: c_int,
    data: *const c_void,
    length: size_t,
    flags: c_int,
) -> ssize_t {
    match front::find(fd) {
        // SAFETY: the program's own arguments.
        Some(socket) => point(|| unsafe { send_tracked(socket, fd, data, length, flags, ptr::null(), 0) }),
        // SAFETY: the program's call, unchanged.
        None => unsafe { next!(send(fd, data, length, flags) or SYS_sendto(fd, data, length, flags, 0, 0)) },
    }
}

/// # Safety
/// As sendto(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sendto(
    fd: c_int,
    data: *const c_void,
    length: size_t,
    flags: c_int,
    name: *const sockaddr,
    name_length: socklen_t,
) -> ssize_t {
    match front::find(fd) {
        // SAFETY: the program's own arguments.
        Some(socket) => point(|| unsafe { send_tracked(socket, fd, data, length, flags, name, name_length) }),
        // SAFETY: the program's call, unchanged.
        None => unsafe {
            next!(sendto(fd, data, length, flags, name, name_length)
                or SYS_sendto(fd, data, length, flags, name, name_length))
        },
    }
}

/// # Safety
/// As sendto(2).
unsafe extern "C" fn send_tracked(
    socket: Socket,
    fd: c_int,
    data: *const c_void,
    length: usize,
    flags: c_int,
    name: *const sockaddr,
    name_length: socklen_t,
) -> ssize_t {
    let length = length.min(MOST);
    // SAFETY: the program's buffer.
    let result = unsafe { slices::source(data, length) }.and_then(|source| {
        front::send(socket, &[source], flags as u32, |extra| {
            let flags = flags as u32 | extra;
            // SAFETY: the program's own call with more flags.
            checked(unsafe { raw!(SYS_sendto, fd, data, length, flags, name, name_length) })
        })
    });
    fast_opened(socket, flags, result);
    errno::returned(result)
}

/// A send with `MSG_FASTOPEN` connects too.
#[inline]
pub(super) fn fast_opened(socket: Socket, flags: c_int, result: Result<usize, Errno>) {
    if flags & MSG_FASTOPEN != 0 && matches!(result, Ok(_) | Err(Errno::INPROGRESS)) {
        notice::connected(socket, result.map(|_| ()));
    }
}

/// # Safety
/// As send(2); the C library's own name for it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __send(
    fd: c_int,
    data: *const c_void,
    length: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the program's call.
    unsafe { send(fd, data, length, flags) }
}

/// # Safety
/// As recv(2); the C library's own name for it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __recv(
    fd: c_int,
    data: *mut c_void,
    length: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the program's call.
    unsafe { recv(fd, data, length, flags) }
}
