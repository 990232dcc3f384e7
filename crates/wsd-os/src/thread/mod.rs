//! Threads and the identity of the caller.

mod forked;
mod spawn;

use core::cell::Cell;
use core::ffi::CStr;
use core::time::Duration;

use rustix::io::Errno;

use crate::{clock, raw};

pub use forked::{after_fork_child, fork_epoch};
pub use spawn::{DEFAULT_STACK, spawn_hidden};

/// Whether a process can be copied by fork.
pub const FORKS: bool = true;

/// What is known about the calling thread, valid as long as `epoch` is that of this process.
struct Identity {
    /// The [`fork_epoch`] in which the rest was stored, 0 for never.
    epoch: Cell<u64>,
    /// The kernel's number of this thread.
    tid: Cell<u32>,
    /// How many [family locks](crate::lock::FamilyLock) this thread holds.
    held: Cell<u32>,
}

thread_local! {
    static IDENTITY: Identity = const { Identity { epoch: Cell::new(0), tid: Cell::new(0), held: Cell::new(0) } };
}

/// The kernel's number of the calling thread (gettid(2)), without a system call except the first time in each thread
/// and after fork.
///
/// In a child of `vfork`, which borrows its parent's memory, this is the parent's thread.
#[inline]
pub fn tid() -> u32 {
    IDENTITY.with(|me| {
        refresh(me);
        me.tid.get()
    })
}

/// The process number of the caller (getpid(2)), by a system call.
pub fn pid() -> u32 {
    // SAFETY: getpid takes no arguments and has no effect.
    unsafe { raw::syscall(libc::SYS_getpid, [0; 6]) }.unwrap_or(0) as u32
}

/// Lets another thread that is ready run first (sched_yield(2)).
pub fn yield_now() {
    rustix::thread::sched_yield();
}

/// Sleeps for about `duration`, less if a signal handler runs (clock_nanosleep(2)).
pub fn sleep(duration: Duration) {
    let request = clock::timespec(duration);
    let arguments = [libc::CLOCK_MONOTONIC as usize, 0, raw::address(&request), 0, 0, 0];
    // SAFETY: the kernel reads the live `request`; the rest of the time is not asked for.
    let _ = unsafe { raw::syscall(libc::SYS_clock_nanosleep, arguments) };
}

/// Names the calling thread, as shown by `ps` and `top`; the kernel keeps the first 15 bytes (prctl(2), PR_SET_NAME).
///
/// # Errors
///
/// None that is documented for a readable name.
pub fn set_name(name: &CStr) -> Result<(), Errno> {
    rustix::thread::set_name(name)
}

/// How many family locks the calling thread holds.
pub(crate) fn locks_held() -> u32 {
    IDENTITY.with(|me| {
        refresh(me);
        me.held.get()
    })
}

/// Notes that the calling thread acquired a family lock.
pub(crate) fn lock_acquired() {
    IDENTITY.with(|me| me.held.set(me.held.get() + 1));
}

/// Notes that the calling thread released a family lock.
pub(crate) fn lock_released() {
    // Saturating: a guard that was held over a fork is dropped in the child too, which holds nothing.
    IDENTITY.with(|me| me.held.set(me.held.get().saturating_sub(1)));
}

#[inline]
fn refresh(me: &Identity) {
    let epoch = fork_epoch();
    if me.epoch.get() != epoch {
        // SAFETY: gettid takes no arguments and has no effect.
        me.tid.set(unsafe { raw::syscall(libc::SYS_gettid, [0; 6]) }.unwrap_or(0) as u32);
        me.held.set(0);
        // Last, so that a signal handler in between finds the stored values invalid.
        me.epoch.set(epoch);
    }
}

/// Sends `SIGPIPE` to the calling thread, as the kernel does to a writer on a closed connection (send(2)).
pub fn raise_sigpipe() {
    let arguments = [pid() as usize, tid() as usize, libc::SIGPIPE as usize, 0, 0, 0];
    // SAFETY: tgkill takes numbers only.
    let _ = unsafe { crate::raw::syscall(libc::SYS_tgkill, arguments) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_have_numbers_of_their_own() {
        let mine = tid();
        assert_eq!(mine, tid());
        let other = std::thread::spawn(tid).join().expect("the thread does not panic");
        assert_ne!(mine, other);
        assert_eq!(pid(), std::process::id());
    }

    #[test]
    fn name_is_set() {
        std::thread::spawn(|| {
            set_name(c"wsd-named").expect("a valid name");
            let name = std::fs::read_to_string("/proc/thread-self/comm").expect("procfs");
            assert_eq!(name.trim(), "wsd-named");
        })
        .join()
        .expect("the thread does not panic");
    }
}
