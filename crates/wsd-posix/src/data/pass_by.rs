//! Calls that move bytes inside the kernel: the connection goes back to TCP for them.

use std::ffi::{c_int, c_uint};

use libc::{iovec, off64_t, size_t, ssize_t};
use wsd_switch::reason::Reason;

use crate::sys::{next, raw};
use crate::{errno, notice};

/// Takes both to TCP; false, with `errno` set, if one had to be given up.
extern "C" fn by_kernel(a: c_int, b: c_int) -> bool {
    match notice::leave(a, Reason::KernelCall).and(notice::leave(b, Reason::KernelCall)) {
        Ok(()) => true,
        Err(error) => {
            errno::set(error);
            false
        }
    }
}

/// # Safety
/// As splice(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn splice(
    from: c_int,
    from_offset: *mut off64_t,
    to: c_int,
    to_offset: *mut off64_t,
    length: size_t,
    flags: c_uint,
) -> ssize_t {
    if !by_kernel(from, to) {
        return -1;
    }
    // SAFETY: the program's call, unchanged.
    unsafe {
        next!(splice(from, from_offset, to, to_offset, length, flags)
            or SYS_splice(from, from_offset, to, to_offset, length, flags))
    }
}

/// # Safety
/// As tee(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn tee(from: c_int, to: c_int, length: size_t, flags: c_uint) -> ssize_t {
    if !by_kernel(from, to) {
        return -1;
    }
    // SAFETY: the program's call, unchanged.
    unsafe { next!(tee(from, to, length, flags) or SYS_tee(from, to, length, flags)) }
}

/// # Safety
/// As vmsplice(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn vmsplice(
    fd: c_int,
    list: *const iovec,
    count: size_t,
    flags: c_uint,
) -> ssize_t {
    if !by_kernel(fd, -1) {
        return -1;
    }
    // SAFETY: the program's call, unchanged.
    unsafe { next!(vmsplice(fd, list, count, flags) or SYS_vmsplice(fd, list, count, flags)) }
}

/// # Safety
/// As copy_file_range(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn copy_file_range(
    from: c_int,
    from_offset: *mut off64_t,
    to: c_int,
    to_offset: *mut off64_t,
    length: size_t,
    flags: c_uint,
) -> ssize_t {
    if !by_kernel(from, to) {
        return -1;
    }
    // SAFETY: the program's call, unchanged.
    unsafe {
        next!(copy_file_range(from, from_offset, to, to_offset, length, flags)
            or SYS_copy_file_range(from, from_offset, to, to_offset, length, flags))
    }
}
