//! Threads and the identity of the caller.

use std::thread::{Builder, JoinHandle};

use windows_sys::Win32::System::Threading::GetCurrentThreadId;

use super::Errno;

/// The stack size of hidden threads in bytes, unless another is asked for.
pub const DEFAULT_STACK: usize = 256 * 1024;

/// The system's number of the calling thread.
pub fn tid() -> u32 {
    // SAFETY: only returns a number.
    unsafe { GetCurrentThreadId() }
}

/// Which process this is among those that came from each other by fork: there is no fork.
pub fn fork_epoch() -> u64 {
    1
}

/// Starts a thread of our own. `stack` is the size of its stack in bytes.
///
/// # Errors
///
/// `AGAIN` if the process may have no more threads.
pub fn spawn_hidden<T: Send + 'static>(
    name: &str,
    stack: usize,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Errno> {
    Builder::new().name(name.to_owned()).stack_size(stack).spawn(body).map_err(|_| Errno::AGAIN)
}
