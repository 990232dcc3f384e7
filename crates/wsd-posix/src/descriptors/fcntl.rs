//! `fcntl`: copies of descriptors and their flags.

use std::ffi::c_int;

use libc::{F_DUPFD, F_DUPFD_CLOEXEC, F_SETFL, F_SETOWN, O_ASYNC, O_NONBLOCK};
use wsd_switch::front;
use wsd_switch::reason::Reason;

use super::dup::copied;
use crate::notice;
use crate::sys::{next, raw, returned_int};

/// Commands that the libc crate does not name.
const F_SETSIG: c_int = 10;
const F_SETOWN_EX: c_int = 15;

/// The one argument of fcntl(2) beside the command is declared as a number here: see the crate's rules on variadic functions.
///
/// # Safety
/// As fcntl(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    before(fd, command, argument);
    // SAFETY: the program's call, unchanged.
    let result = unsafe { next!(fcntl(fd, command, argument) or SYS_fcntl(fd, command, argument)) };
    after(fd, command, argument, result)
}

/// # Safety
/// As fcntl(2), which this is where off_t has 64 bits.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn fcntl64(fd: c_int, command: c_int, argument: usize) -> c_int {
    before(fd, command, argument);
    // SAFETY: the program's call, unchanged.
    let result = unsafe { next!(fcntl64(fd, command, argument) or SYS_fcntl(fd, command, argument)) };
    after(fd, command, argument, result)
}

/// # Safety
/// As fcntl(2); the C library's own name for it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: the program's call.
    unsafe { fcntl(fd, command, argument) }
}

/// fcntl(2) by the system call of this name.
///
/// # Safety
/// As fcntl(2).
pub(crate) unsafe fn raw_fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    before(fd, command, argument);
    // SAFETY: the program's call, unchanged.
    let result = returned_int(unsafe { raw!(SYS_fcntl, fd, command, argument) });
    after(fd, command, argument, result)
}

extern "C" fn before(fd: c_int, command: c_int, argument: usize) {
    let signals = match command {
        F_SETOWN | F_SETOWN_EX | F_SETSIG => true,
        F_SETFL => argument as c_int & O_ASYNC != 0,
        _ => false,
    };
    if signals {
        // Signals about arriving data come from the kernel's TCP.
        let _ = notice::leave(fd, Reason::KernelOption);
    }
}

extern "C" fn after(fd: c_int, command: c_int, argument: usize, result: c_int) -> c_int {
    match command {
        F_DUPFD | F_DUPFD_CLOEXEC => return copied(fd, result),
        F_SETFL if result == 0 => {
            if let Some(socket) = front::find(fd) {
                notice::nonblocking_changed(socket, argument as c_int & O_NONBLOCK != 0);
            }
        }
        _ => {}
    }
    result
}
