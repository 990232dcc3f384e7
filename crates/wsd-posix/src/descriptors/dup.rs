//! Copies of descriptors.

use std::ffi::c_int;

use libc::{EBADF, F_GETFD, O_CLOEXEC, STDERR_FILENO};
use rustix::io::Errno;
use wsd_os::fd::is_hidden;
use wsd_switch::front;
use wsd_switch::reason::Reason;

use crate::sys::{next, raw};
use crate::{errno, notice};

/// # Safety
/// None needed: as dup(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn dup(old: c_int) -> c_int {
    // SAFETY: the program's call, unchanged.
    copied(old, unsafe { next!(dup(old) or SYS_dup(old)) })
}

/// Tells that `new`, unless it is an error, is a copy of `old`, and gives it back.
pub(super) extern "C" fn copied(old: c_int, new: c_int) -> c_int {
    if new >= 0 && new != old {
        notice::duplicated(old, new);
        if new <= STDERR_FILENO && front::find(new).is_some() {
            // The C library's own streams are on this descriptor, and they do not come to us.
            let _ = notice::leave(new, Reason::Stdio);
        }
    }
    new
}

/// Prepares for `new` becoming a copy of `old`: false if the kernel will refuse before it closes `new`.
extern "C" fn replaces(old: c_int, new: c_int) -> bool {
    // SAFETY: only asks.
    let valid = old != new && new >= 0 && unsafe { raw!(SYS_fcntl, old, F_GETFD) } != -EBADF as isize;
    if valid {
        notice::closing(new);
    }
    valid
}

/// The number is one of our own descriptors: the kernel gives the same error when another thread is opening it.
#[cold]
fn taken() -> c_int {
    errno::returned_int(Err(Errno::BUSY))
}

/// # Safety
/// As dup2(2): `new` is closed.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn dup2(old: c_int, new: c_int) -> c_int {
    if is_hidden(new) {
        return taken();
    }
    if !replaces(old, new) {
        // SAFETY: the program's call, unchanged.
        return unsafe { next!(dup2(old, new) or SYS_dup3(old, new, 0)) };
    }
    // SAFETY: the program's call, unchanged.
    copied(old, unsafe { next!(dup2(old, new) or SYS_dup3(old, new, 0)) })
}

/// # Safety
/// As dup2(2); the C library's own name for it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __dup2(old: c_int, new: c_int) -> c_int {
    // SAFETY: the program's call.
    unsafe { dup2(old, new) }
}

/// # Safety
/// As dup3(2): `new` is closed.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
    if is_hidden(new) {
        return taken();
    }
    if flags & !O_CLOEXEC != 0 || !replaces(old, new) {
        // SAFETY: the program's call, unchanged.
        return unsafe { next!(dup3(old, new, flags) or SYS_dup3(old, new, flags)) };
    }
    // SAFETY: the program's call, unchanged.
    copied(old, unsafe { next!(dup3(old, new, flags) or SYS_dup3(old, new, flags)) })
}
