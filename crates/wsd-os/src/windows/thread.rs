//! Threads and the identity of the caller.

use core::cell::Cell;
use std::thread::{Builder, JoinHandle};

use windows_sys::Win32::Foundation::{GetLastError, SetLastError};
use windows_sys::Win32::System::Threading::{GetCurrentProcessId, GetCurrentThreadId};

use super::Errno;

/// The stack size of hidden threads in bytes, unless another is asked for.
pub const DEFAULT_STACK: usize = 256 * 1024;

/// Whether a process can be copied by fork.
pub const FORKS: bool = false;

/// The system's number of the calling thread.
pub fn tid() -> u32 {
    // SAFETY: only returns a number.
    unsafe { GetCurrentThreadId() }
}

/// The process number of the caller.
pub fn pid() -> u32 {
    // SAFETY: only returns a number.
    unsafe { GetCurrentProcessId() }
}

/// Lets another thread that is ready run first.
pub fn yield_now() {
    std::thread::yield_now();
}

/// Would tell a writer that nobody reads any more; Windows has no such signal.
pub fn raise_sigpipe() {}

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// The calling thread works for us, not for the program: what it calls passes to the system, whatever a front end has hooked.
#[derive(Debug)]
#[must_use = "the thread works for the program again when this is dropped"]
pub struct Inside(());

impl Inside {
    /// From now on. `None`: it does already.
    #[inline]
    pub fn enter() -> Option<Self> {
        if INSIDE.replace(true) { None } else { Some(Self(())) }
    }
}

impl Drop for Inside {
    /// The thread's last error stays, which the program is about to ask for: to look at variables of a thread resets it.
    #[inline]
    fn drop(&mut self) {
        // SAFETY: both only touch a number of this thread.
        let error = unsafe { GetLastError() };
        INSIDE.set(false);
        // SAFETY: as above.
        unsafe { SetLastError(error) };
    }
}

/// Lets the program's own code run on this thread, as it does in routines that the system calls while the thread waits for us.
pub fn outside<T>(act: impl FnOnce() -> T) -> T {
    let inside = INSIDE.replace(false);
    let result = act();
    // SAFETY: both only touch a number of this thread; see `Inside`'s Drop.
    let error = unsafe { GetLastError() };
    INSIDE.set(inside);
    // SAFETY: as above.
    unsafe { SetLastError(error) };
    result
}

/// Which process this is among those that came from each other by fork: there is no fork.
pub fn fork_epoch() -> u64 {
    1
}

/// Starts a thread of our own, which is [`Inside`] for ever. `stack` is the size of its stack in bytes.
///
/// # Errors
///
/// `AGAIN` if the process may have no more threads.
pub fn spawn_hidden<T: Send + 'static>(
    name: &str,
    stack: usize,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Errno> {
    let marked = move || {
        INSIDE.set(true);
        body()
    };
    Builder::new().name(name.to_owned()).stack_size(stack).spawn(marked).map_err(|_| Errno::AGAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_inside_until_the_outermost_call_ends() {
        let outer = Inside::enter().expect("outside");
        assert!(Inside::enter().is_none());
        assert!(Inside::enter().is_none(), "still inside");
        outside(|| assert!(Inside::enter().is_some()));
        assert!(Inside::enter().is_none());
        drop(outer);
        assert!(Inside::enter().is_some());
        let hidden = spawn_hidden("wsd-test", DEFAULT_STACK, || Inside::enter().is_none());
        assert!(hidden.expect("a thread").join().expect("no panic"));
    }
}
