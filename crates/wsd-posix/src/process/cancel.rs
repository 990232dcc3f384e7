//! Cancellation of threads (pthreads(7)) that wait in the switch.
//!
//! The C library's own calls are left by unwinding from the handler of its signal. The switch cannot be: it holds what must
//! be given back. So a thread that is cancelled is interrupted, the switch returns `EINTR`, and the exported function, where
//! nothing is held, is the cancellation point.

use std::ffi::{c_int, c_ulong};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use libc::{EINTR, clockid_t, pthread_t};
use rustix::io::Errno;

use crate::errno;
use crate::real::NEXT;
use crate::sys::raw;

/// The C library's signal for cancellation.
const SIGCANCEL: c_int = 32;

/// Whether the program cancels threads at all.
static USED: AtomicBool = AtomicBool::new(false);

unsafe extern "C-unwind" {
    fn pthread_testcancel();
}

/// What a call to the switch returns to the program.
pub(crate) trait Returned: Copy {
    /// Whether it says that the call failed.
    fn failed(self) -> bool;
}

impl Returned for isize {
    fn failed(self) -> bool {
        self == -1
    }
}

impl Returned for c_int {
    fn failed(self) -> bool {
        self == -1
    }
}

impl Returned for Option<c_int> {
    fn failed(self) -> bool {
        self == Some(-1)
    }
}

/// Makes `call`, a call to the switch that may wait, as a cancellation point.
#[inline]
pub(crate) fn point<T: Returned>(call: impl FnOnce() -> T) -> T {
    if USED.load(Ordering::Relaxed) {
        // SAFETY: may unwind out of the exported function that we are in; nothing there needs dropping.
        unsafe { pthread_testcancel() };
    }
    let result = call();
    if result.failed() && USED.load(Ordering::Relaxed) && errno::number() == EINTR {
        // SAFETY: as above.
        unsafe { pthread_testcancel() };
    }
    result
}

/// # Safety
/// As pthread_cancel(3).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn pthread_cancel(thread: pthread_t) -> c_int {
    USED.store(true, Ordering::Relaxed);
    let Some(next) = NEXT.pthread_cancel.force(c"pthread_cancel") else {
        return Errno::NOSYS.raw_os_error();
    };
    // SAFETY: the program's call, unchanged.
    let result = unsafe { next(thread) };
    if result == 0 {
        // SAFETY: the thread was there a moment ago, and is not joined before this returns.
        unsafe { interrupt(thread) };
    }
    result
}

/// What the kernel knows of a signal's handler (rt_sigaction(2)).
#[repr(C)]
#[derive(Clone, Copy)]
struct KernelAction {
    handler: usize,
    flags: c_ulong,
    restorer: usize,
    mask: u64,
}

/// Interrupts the system call that a thread waits in. The C library's handler lets system calls go on; so it is told to
/// interrupt them, and the signal is sent once more.
///
/// # Safety
/// As pthread_cancel(3).
unsafe extern "C" fn interrupt(thread: pthread_t) {
    // SAFETY: the caller's promise; asking for the clock tells the kernel's number of the thread, which is part of it.
    let number = unsafe {
        let mut clock: clockid_t = 0;
        if thread == libc::pthread_self() || libc::pthread_getcpuclockid(thread, &raw mut clock) != 0 {
            return;
        }
        !(clock >> 3)
    };
    let mut action = KernelAction { handler: 0, flags: 0, restorer: 0, mask: 0 };
    // SAFETY: the structures are those of the system calls; the handler stays the C library's.
    unsafe {
        if raw!(SYS_rt_sigaction, SIGCANCEL, 0, &raw mut action, 8) != 0 || action.handler <= libc::SIG_IGN {
            return;
        }
        action.flags &= !(libc::SA_RESTART as c_ulong);
        raw!(SYS_rt_sigaction, SIGCANCEL, &raw const action, 0, 8);
        // A signal that comes just before the thread goes to sleep does not keep it from sleeping: so it comes again.
        for pause in [0, 2, 10] {
            wsd_os::thread::sleep(Duration::from_millis(pause));
            raw!(SYS_tgkill, raw!(SYS_getpid), number, SIGCANCEL);
        }
    }
}
