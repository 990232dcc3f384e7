//! Deferral of the program's signal handlers out of critical sections.
//!
//! A front end that replaces `sigaction` passes every call through [`intercept`]. It installs our trampoline instead
//! of the program's function. Outside of critical sections the trampoline calls the program's function at once. Inside,
//! it gives the signal back to the kernel: it queues it again for this thread, with everything that came with it
//! (rt_tgsigqueueinfo(2)), and adds it to the mask that the return from the handler restores. So the signal stays
//! pending until [`Critical`] unblocks it, and the kernel then delivers it as it would have: mask, alternate stack,
//! `siginfo_t` and machine context are the real thing, there is no queue of ours to overflow and no memory to allocate.
//!
//! Signals that tell of a fault of the interrupted instruction (`SIGSEGV` and the like) are never deferred: their
//! handlers are installed as they are.

use core::ffi::{c_int, c_void};

use super::critical::{note_deferred, swap_deferred};
use super::{Critical, Mask};
use crate::atomic::{AtomicI32, AtomicUsize, Ordering};
use crate::raw;

/// A handler of the program as the trampoline needs it.
struct Entry {
    /// Address of the function, 0 for none.
    handler: AtomicUsize,
    /// The `SA_*` flags that the program gave.
    flags: AtomicI32,
}

/// The program's handlers by signal number. An entry keeps its last function for ever: whether it is in use is known to
/// the kernel alone, which calls the trampoline or does not. Two threads that install handlers for one signal at the
/// same time get one of the two functions, perhaps with the other's flags.
static TABLE: [Entry; 65] = [const { Entry { handler: AtomicUsize::new(0), flags: AtomicI32::new(0) } }; 65];

/// Stands between the program and sigaction(2) for signal `signal`.
///
/// `install` makes the real call (`None`: only ask) and returns the action before. The result is what the program must
/// be told of the action before. The action that `install` gets differs from `new` only in function and flags.
/// Async-signal-safe, no lock, may be called in a child of `vfork` to reset signals.
///
/// # Errors
///
/// That of `install`.
pub fn intercept<E>(
    signal: i32,
    new: Option<&libc::sigaction>,
    install: impl FnOnce(Option<&libc::sigaction>) -> Result<libc::sigaction, E>,
) -> Result<libc::sigaction, E> {
    let Some(entry) = entry(signal) else { return install(new) };
    let before = (entry.handler.load(Ordering::Acquire), entry.flags.load(Ordering::Acquire));
    let mut old = match new {
        Some(action) if is_function(action.sa_sigaction) => {
            entry.set(action.sa_sigaction, action.sa_flags);
            install(Some(&redirected(action))).inspect_err(|_| entry.set(before.0, before.1))?
        }
        other => install(other)?,
    };
    if old.sa_sigaction == trampoline_address() {
        (old.sa_sigaction, old.sa_flags) = before;
    }
    Ok(old)
}

impl Entry {
    fn set(&self, handler: usize, flags: i32) {
        self.flags.store(flags, Ordering::Release);
        self.handler.store(handler, Ordering::Release);
    }
}

/// The table's entry for a signal whose handlers can be deferred.
fn entry(signal: i32) -> Option<&'static Entry> {
    use libc::{SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGSTOP, SIGSYS, SIGTRAP};
    match signal {
        SIGSEGV | SIGBUS | SIGFPE | SIGILL | SIGTRAP | SIGSYS | SIGKILL | SIGSTOP => None,
        // Out of range, or the C library's own.
        _ if Mask::HIDDEN_THREAD.contains(signal) => TABLE.get(signal as usize),
        _ => None,
    }
}

fn is_function(handler: usize) -> bool {
    handler != libc::SIG_DFL && handler != libc::SIG_IGN
}

fn trampoline_address() -> usize {
    trampoline as *const () as usize
}

/// `action` with the trampoline as its function. `SA_RESETHAND` is left to the trampoline, because the kernel would
/// forget the handler at the first delivery, also when that one is deferred.
fn redirected(action: &libc::sigaction) -> libc::sigaction {
    let mut action = *action;
    action.sa_sigaction = trampoline_address();
    action.sa_flags = (action.sa_flags | libc::SA_SIGINFO) & !libc::SA_RESETHAND;
    action
}

/// What the kernel calls for every redirected signal.
extern "C" fn trampoline(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(entry) = entry(signal) else { return };
    // SAFETY: the kernel gave both pointers for the time of this call, with SA_SIGINFO as `redirected` asks for.
    if Critical::active() && unsafe { give_back(signal, info, context) } {
        return;
    }
    let handler = entry.handler.load(Ordering::Acquire);
    if !is_function(handler) {
        return;
    }
    if entry.flags.load(Ordering::Acquire) & libc::SA_RESETHAND != 0 {
        reset_to_default(signal);
    }
    // SAFETY: the program installed this address as a handler. One that was installed without SA_SIGINFO takes only the
    // first argument; on both architectures further arguments are in registers that it ignores.
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
        unsafe { core::mem::transmute(handler) };
    // A critical section that the handler opens and ends must not unblock what the interrupted code will: the return
    // from this handler restores the mask with those signals blocked.
    let outer = swap_deferred(0);
    handler(signal, info, context);
    note_deferred(Mask::from_bits(outer));
}

/// Queues the signal again for this thread, blocked until the outermost critical section ends. False if the kernel has
/// no memory for it: then it is better to run the handler now than to lose it.
///
/// # Safety
///
/// `info` and `context` must be those of the running handler, installed with `SA_SIGINFO`.
unsafe fn give_back(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) -> bool {
    let this = Mask::only(signal);
    // Blocked already, except with SA_NODEFER.
    let blocked = this.block();
    let identity = |call| {
        // SAFETY: getpid and gettid take no arguments and have no effect. Not cached: this may be a child of vfork.
        unsafe { raw::syscall(call, [0; 6]) }.unwrap_or(0)
    };
    let arguments = [
        identity(libc::SYS_getpid),
        identity(libc::SYS_gettid),
        signal as usize,
        info.expose_provenance(),
        0,
        0,
    ];
    // SAFETY: `info` is readable; the signal goes to this thread, where it is blocked.
    if unsafe { raw::syscall(libc::SYS_rt_tgsigqueueinfo, arguments) }.is_err() {
        return false;
    }
    // The mask is now that of `context`, restored when this handler returns.
    core::mem::forget(blocked);
    // SAFETY: `context` is the ucontext_t of this handler; the kernel's 8-byte set is at the start of its uc_sigmask.
    let restored = unsafe { &mut *(&raw mut (*context.cast::<libc::ucontext_t>()).uc_sigmask).cast::<u64>() };
    // If the program blocks it there itself (it was delivered under the mask of a ppoll), it will unblock it too.
    if *restored & this.bits() == 0 {
        *restored |= this.bits();
        note_deferred(this);
    }
    true
}

/// What `SA_RESETHAND` asks for.
fn reset_to_default(signal: c_int) {
    /// The kernel's `struct sigaction`, on the architectures of this crate.
    #[repr(C)]
    struct KernelAction {
        handler: usize,
        flags: u64,
        restorer: usize,
        mask: u64,
    }
    let default = KernelAction { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };
    // SAFETY: `default` is a live kernel sigaction for SIG_DFL, which needs no restorer.
    let _ = unsafe {
        raw::syscall(
            libc::SYS_rt_sigaction,
            [signal as usize, raw::address(&default), 0, size_of::<u64>(), 0, 0],
        )
    };
}
