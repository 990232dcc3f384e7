//! `errno`: where the program finds why a call failed.

use std::ffi::c_int;

use rustix::io::Errno;

/// Sets `errno` of the calling thread.
#[inline]
pub(crate) fn set(error: Errno) {
    // SAFETY: the C library returns a valid pointer to the calling thread's `errno`.
    unsafe { *libc::__errno_location() = error.raw_os_error() };
}

/// `errno` of the calling thread, 0 if nothing has failed yet.
#[inline]
pub(crate) fn number() -> c_int {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() }
}

/// Puts back what [`number`] gave.
#[inline]
pub(crate) fn restore(number: c_int) {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = number };
}

/// A result as a libc function returns it: -1 with `errno` set on failure.
#[inline]
pub(crate) fn returned(result: Result<usize, Errno>) -> isize {
    match result {
        Ok(value) => value as isize,
        Err(error) => {
            set(error);
            -1
        }
    }
}

/// The same for functions that return `int`.
#[inline]
pub(crate) fn returned_int(result: Result<usize, Errno>) -> c_int {
    returned(result) as c_int
}

/// The other way round: what a libc function returned, with `errno` where it failed.
#[inline]
pub(crate) fn outcome(value: c_int) -> Result<(), Errno> {
    match number() {
        _ if value >= 0 => Ok(()),
        // Errno has no other values.
        error @ 1..=4095 => Err(Errno::from_raw_os_error(error)),
        _ => Err(Errno::IO),
    }
}
