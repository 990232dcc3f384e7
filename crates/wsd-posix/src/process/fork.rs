//! `fork`, which is told to the switch by the handlers registered with `pthread_atfork` (so that it holds its tables only
//! while nothing of the program runs), and forks that those do not see.
//!
//! `vfork` cannot be replaced: its child goes on in the caller's frame. The switch recognises such a child by its process
//! number. A fork by the raw system call is recognised in the same way.

use std::ffi::c_int;

use libc::{SIGCHLD, STDERR_FILENO, STDIN_FILENO, pid_t};
use rustix::fd::{AsRawFd, IntoRawFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::real::NEXT;
use crate::sys::{raw, returned_int};
use crate::{errno, notice};

/// # Safety
/// None needed: as fork(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn fork() -> pid_t {
    let Some(next) = NEXT.fork.force(c"fork") else {
        return errno::returned_int(Err(Errno::NOSYS));
    };
    notice::forking();
    // SAFETY: the program's call, unchanged.
    let child = unsafe { next() };
    notice::forked(child < 0);
    child
}

/// # Safety
/// As fork(2); the C library's own name for it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __fork() -> pid_t {
    // SAFETY: the program's call.
    unsafe { fork() }
}

/// # Safety
/// As fork(2); the C library's own name for it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __libc_fork() -> pid_t {
    // SAFETY: the program's call.
    unsafe { fork() }
}

/// # Safety
/// As _Fork(3).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn _Fork() -> pid_t {
    notice::before_fork();
    let child = match NEXT._Fork.force(c"_Fork") {
        // SAFETY: the program's call, unchanged.
        Some(next) => unsafe { next() },
        // SAFETY: what _Fork does.
        None => returned_int(unsafe { raw!(SYS_clone, SIGCHLD, 0, 0, 0, 0) }),
    };
    match child {
        0 => notice::after_fork_in_child(),
        child => notice::after_fork_in_parent(child < 0),
    }
    child
}

/// Made of its parts: the C library's own ends the parent by a call that the switch does not see, and with it what the parent has yet to
/// give to the child.
///
/// # Safety
/// None needed: as daemon(3).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn daemon(stay: c_int, keep: c_int) -> c_int {
    // SAFETY: the program's call.
    match unsafe { fork() } {
        -1 => return -1,
        0 => {}
        // SAFETY: the program's call: daemon(3) ends the parent.
        _ => unsafe { super::exit::_exit(0) },
    }
    let begun = rustix::process::setsid().and_then(|_| {
        if stay == 0 {
            rustix::process::chdir("/")?;
        }
        if keep == 0 { silence() } else { Ok(()) }
    });
    errno::returned_int(begun.map(|()| 0))
}

/// Standard input and output are nobody's.
fn silence() -> Result<(), Errno> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    for fd in STDIN_FILENO..=STDERR_FILENO {
        notice::reused(fd);
    }
    if null.as_raw_fd() <= STDERR_FILENO {
        // One of the three itself.
        let _ = null.into_raw_fd();
    }
    Ok(())
}
