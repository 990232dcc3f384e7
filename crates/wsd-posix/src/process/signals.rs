//! Signal handlers: installed through `wsd_os`, which keeps them out of the switch's critical sections.

use std::ffi::c_int;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{mem, ptr};

use libc::{
    EINVAL, SA_NODEFER, SA_RESETHAND, SA_RESTART, SIG_BLOCK, SIG_ERR, SIG_UNBLOCK, sighandler_t, sigset_t,
};
use rustix::io::Errno;
use wsd_os::signal::defer;

use crate::errno;
use crate::real::NEXT;

type Action = libc::sigaction;

/// `sigset`'s word for "block it".
const SIG_HOLD: sighandler_t = 2;
/// The signals that `siginterrupt` said shall interrupt system calls (those below 65).
static INTERRUPTING: AtomicU64 = AtomicU64::new(0);

/// # Safety
/// As sigaction(2).
unsafe extern "C" fn install(signal: c_int, new: *const Action, old: *mut Action) -> c_int {
    let result = defer::intercept(
        signal,
        // SAFETY: null or the program's action.
        unsafe { new.as_ref() },
        |action| {
            let action = action.map_or(ptr::null(), ptr::from_ref);
            let mut before = no_action();
            let next = NEXT.sigaction.force(c"sigaction").ok_or(())?;
            // SAFETY: the program's call, with the handler that stands before its own.
            if unsafe { next(signal, action, &raw mut before) } == 0 { Ok(before) } else { Err(()) }
        },
    );
    match result {
        Ok(before) => {
            if !old.is_null() {
                // SAFETY: the program's memory for it.
                unsafe { old.write(before) };
            }
            0
        }
        Err(()) => -1,
    }
}

fn no_action() -> Action {
    // SAFETY: a C structure of numbers and an optional function, for which zero is a value.
    unsafe { mem::zeroed() }
}

/// # Safety
/// As sigaction(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sigaction(signal: c_int, new: *const Action, old: *mut Action) -> c_int {
    // SAFETY: the program's own arguments.
    unsafe { install(signal, new, old) }
}

/// # Safety
/// As sigaction(2); the C library's own name for it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __sigaction(signal: c_int, new: *const Action, old: *mut Action) -> c_int {
    // SAFETY: the program's own arguments.
    unsafe { install(signal, new, old) }
}

/// Installs `handler` with these flags, and returns the handler before.
///
/// # Safety
/// As signal(2).
unsafe fn simple(signal: c_int, handler: sighandler_t, flags: c_int, block_itself: bool) -> sighandler_t {
    if handler == SIG_ERR {
        return refuse();
    }
    let (mut new, mut old) = (no_action(), no_action());
    new.sa_sigaction = handler;
    new.sa_flags = flags;
    // SAFETY: a set of our own; a wrong number is refused.
    if block_itself && unsafe { libc::sigaddset(&raw mut new.sa_mask, signal) } != 0 {
        return SIG_ERR;
    }
    // SAFETY: two actions of our own, with the program's handler.
    if unsafe { install(signal, &raw const new, &raw mut old) } == 0 { old.sa_sigaction } else { SIG_ERR }
}

fn refuse() -> sighandler_t {
    errno::set(Errno::from_raw_os_error(EINVAL));
    SIG_ERR
}

fn bit(signal: c_int) -> u64 {
    if (1..=64).contains(&signal) { 1 << (signal - 1) } else { 0 }
}

/// Defines functions that install a handler as 4.2BSD did.
macro_rules! bsd {
    ($($name:ident),*) => {
        $(
            /// # Safety
            /// As signal(2).
            #[unsafe(no_mangle)]
            pub unsafe extern "C-unwind" fn $name(signal: c_int, handler: sighandler_t) -> sighandler_t {
                let interrupts = INTERRUPTING.load(Ordering::Relaxed) & bit(signal) != 0;
                // SAFETY: the program's handler.
                unsafe { simple(signal, handler, if interrupts { 0 } else { SA_RESTART }, true) }
            }
        )*
    };
}

/// Defines functions that install a handler as System V did.
macro_rules! system_v {
    ($($name:ident),*) => {
        $(
            /// # Safety
            /// As sysv_signal(3).
            #[unsafe(no_mangle)]
            pub unsafe extern "C-unwind" fn $name(signal: c_int, handler: sighandler_t) -> sighandler_t {
                // SAFETY: the program's handler.
                unsafe { simple(signal, handler, SA_RESETHAND | SA_NODEFER, false) }
            }
        )*
    };
}

bsd!(signal, bsd_signal, ssignal);
system_v!(sysv_signal, __sysv_signal);

/// # Safety
/// As sigset(3).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sigset(signal: c_int, disposition: sighandler_t) -> sighandler_t {
    if disposition == SIG_ERR {
        return refuse();
    }
    // SAFETY: sets of our own; a wrong number is refused.
    unsafe {
        let mut only: sigset_t = mem::zeroed();
        let mut before: sigset_t = mem::zeroed();
        if libc::sigaddset(&raw mut only, signal) != 0 {
            return SIG_ERR;
        }
        let hold = disposition == SIG_HOLD;
        let old = if hold {
            let mut old = no_action();
            if install(signal, ptr::null(), &raw mut old) != 0 {
                return SIG_ERR;
            }
            old.sa_sigaction
        } else {
            match simple(signal, disposition, 0, false) {
                SIG_ERR => return SIG_ERR,
                old => old,
            }
        };
        let how = if hold { SIG_BLOCK } else { SIG_UNBLOCK };
        let refused = libc::pthread_sigmask(how, &raw const only, &raw mut before);
        if refused != 0 {
            errno::set(Errno::from_raw_os_error(refused));
            return SIG_ERR;
        }
        if libc::sigismember(&raw const before, signal) == 1 { SIG_HOLD } else { old }
    }
}

/// # Safety
/// None needed: as siginterrupt(3).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn siginterrupt(signal: c_int, interrupt: c_int) -> c_int {
    let mut action = no_action();
    // SAFETY: an action of our own, which is put back with other flags.
    unsafe {
        if install(signal, ptr::null(), &raw mut action) != 0 {
            return -1;
        }
        if interrupt != 0 {
            INTERRUPTING.fetch_or(bit(signal), Ordering::Relaxed);
            action.sa_flags &= !SA_RESTART;
        } else {
            INTERRUPTING.fetch_and(!bit(signal), Ordering::Relaxed);
            action.sa_flags |= SA_RESTART;
        }
        install(signal, &raw const action, ptr::null_mut())
    }
}
