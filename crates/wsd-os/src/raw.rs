//! System calls that rustix does not offer, by the instruction itself; also the way by which a front end passes a program's
//! call on to the kernel.
//!
//! libc's `syscall()` is not used: it sets `errno`, and the library above exports a `syscall` of its own.

use core::arch::asm;
use core::ffi::c_long;

use rustix::io::Errno;

/// Makes system call `number` with up to six arguments (unused ones are 0) and returns its result.
///
/// Numbers are libc's `SYS_*` constants.
///
/// # Errors
///
/// As the system call. Interruption is not hidden: `EINTR` is returned.
///
/// # Safety
///
/// As for the system call: every pointer among the arguments must be valid for what the call does with it, and the
/// effect of the call (unmapping, closing) must not break anybody else's invariant.
#[inline(always)]
pub unsafe fn syscall(number: c_long, arguments: [usize; 6]) -> Result<usize, Errno> {
    // SAFETY: the contract is the same.
    checked(unsafe { call(number, arguments) })
}

/// A kernel result as a `Result`.
///
/// # Errors
///
/// What a `result` between -4095 and -1 stands for.
#[inline(always)]
pub fn checked(result: isize) -> Result<usize, Errno> {
    if (-4095..0).contains(&result) {
        Err(Errno::from_raw_os_error(-result as i32))
    } else {
        Ok(result as usize)
    }
}

/// As [`syscall`], with what the kernel left in the result register: an error is its number, negative.
///
/// # Safety
///
/// As [`syscall`].
#[inline(always)]
pub unsafe fn call(number: c_long, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the x86-64 Linux convention (syscall(2)); rcx and r11 are declared as overwritten, memory may be
    // changed because the `nomem` option is absent, and the caller answers for the arguments.
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
    // SAFETY: the aarch64 Linux convention (syscall(2)); only x0 is overwritten, memory may be changed because the
    // `nomem` option is absent, and the caller answers for the arguments.
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

/// The address of `value` as a system call argument.
pub(crate) fn address<T>(value: &T) -> usize {
    core::ptr::from_ref(value).expose_provenance()
}

/// The address of `value`, which the kernel will write, as a system call argument.
pub(crate) fn address_mut<T>(value: &mut T) -> usize {
    core::ptr::from_mut(value).expose_provenance()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_and_error_are_told_apart() {
        // SAFETY: getpid takes no arguments and has no effect.
        let pid = unsafe { syscall(libc::SYS_getpid, [0; 6]) };
        assert_eq!(pid, Ok(std::process::id() as usize));
        // SAFETY: closing descriptor -1 has no effect but EBADF.
        let error = unsafe { syscall(libc::SYS_close, [usize::MAX, 0, 0, 0, 0, 0]) };
        assert_eq!(error, Err(Errno::BADF));
    }
}
