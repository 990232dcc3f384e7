//! System calls by the instruction itself: for calls before the library is set up, and for what the switch asks of the
//! kernel in the middle of a call. (libc's own wrappers may be cancelled, and some of them are ours.)

use core::arch::asm;
use std::ffi::{c_int, c_long};

use rustix::io::Errno;

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

/// Makes system call `number` and returns what the kernel left in the result register.
///
/// # Safety
/// As for the system call itself.
#[inline(always)]
pub(crate) unsafe fn call(number: c_long, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the x86-64 convention of syscall(2); the overwritten registers are declared, memory may change, and the
    // caller answers for the arguments.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the aarch64 convention of syscall(2); only x0 is overwritten, memory may change, and the caller answers for
    // the arguments.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    result
}

/// A kernel result as a `Result`.
#[inline]
pub(crate) fn checked(raw: isize) -> Result<usize, Errno> {
    if (-4095..0).contains(&raw) { Err(Errno::from_raw_os_error(-raw as i32)) } else { Ok(raw as usize) }
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
