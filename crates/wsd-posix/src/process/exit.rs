//! The end of the process: what the program has written, and the switch still holds in this process's memory, leaves first.
//!
//! A process that is killed loses it, and the peer learns of a reset.

use std::ffi::c_int;

use crate::notice;
use crate::sys::raw;

#[used]
// SAFETY: the loader calls what this section holds once, when the program's own handlers of exit(3) have run; `end` needs no
// arguments.
#[unsafe(link_section = ".fini_array")]
static END: extern "C" fn() = end;

extern "C" fn end() {
    notice::ending();
}

/// # Safety
/// None needed: as _exit(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn _exit(status: c_int) -> ! {
    notice::ending();
    loop {
        // SAFETY: what _exit does.
        unsafe { raw!(SYS_exit_group, status) };
    }
}

/// # Safety
/// None needed: as _Exit(3).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn _Exit(status: c_int) -> ! {
    // SAFETY: the same call.
    unsafe { _exit(status) }
}
