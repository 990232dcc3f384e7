//! System calls as the exported functions make them: for calls before the library is set up, and for what the switch asks of
//! the kernel in the middle of a call. (libc's own wrappers may be cancelled, and some of them are ours.)

use std::ffi::c_int;

pub(crate) use wsd_os::raw::{call, checked};

/// Fills up the six arguments that a system call can have.
pub(crate) const fn arguments<const N: usize>(given: [usize; N]) -> [usize; 6] {
    let mut all = [0; 6];
    let mut i = 0;
    while i < N && i < 6 {
        all[i] = given[i];
        i += 1;
    }
    all
}

/// A kernel result as a libc function returns it: -1 with `errno` set on failure.
#[inline]
pub(crate) fn returned(raw: isize) -> isize {
    crate::errno::returned(checked(raw))
}

/// The same for functions that return `int`.
#[inline]
pub(crate) fn returned_int(raw: isize) -> c_int {
    returned(raw) as c_int
}

/// Makes a system call: `raw!(SYS_read, fd, buffer, length)`, with the kernel's plain result. Unsafe.
macro_rules! raw {
    ($number:ident $(, $argument:expr)* $(,)?) => {
        $crate::sys::call(libc::$number, $crate::sys::arguments([$($argument as usize),*]))
    };
}

/// Calls the function that the program would have reached without us, or, before it is known, the system call that does the
/// same: `next!(read(fd, buffer, length) or SYS_read(fd, buffer, length))`. Unsafe.
macro_rules! next {
    ($name:ident($($argument:expr),* $(,)?) or $number:ident($($raw:expr),* $(,)?)) => {
        match $crate::real::NEXT.$name.get() {
            Some(function) => function($($argument),*),
            None => $crate::sys::returned(raw!($number $(, $raw)*)) as _,
        }
    };
}

pub(crate) use {next, raw};
