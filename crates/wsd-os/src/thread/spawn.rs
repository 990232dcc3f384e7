//! Threads that the program does not notice.

use std::thread::{Builder, JoinHandle};

use rustix::io::Errno;

use crate::signal::Mask;

/// The stack size of hidden threads in bytes, unless another is asked for. Only touched pages cost memory.
pub const DEFAULT_STACK: usize = 256 * 1024;

/// Starts a thread that never runs the program's signal handlers: all signals are blocked in it from its first
/// instruction on, except those that the C library sends to all threads for itself (setuid(2), NPTL notes).
///
/// `name` (15 bytes are kept) is shown by `ps -T`. `stack` is the size of its stack in bytes. Uses libc's threads, so it
/// must not be called where allocation is forbidden (a signal handler, a child of `vfork`).
///
/// # Errors
///
/// As pthread_create(3): `EAGAIN` if the process may have no more threads.
pub fn spawn_hidden<T: Send + 'static>(
    name: &str,
    stack: usize,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Errno> {
    // A thread starts with its creator's mask.
    let _restored = Mask::HIDDEN_THREAD.block();
    Builder::new()
        .name(name.to_owned())
        .stack_size(stack)
        .spawn(body)
        .map_err(|error| error.raw_os_error().map_or(Errno::AGAIN, Errno::from_raw_os_error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_thread_blocks_signals_and_caller_does_not() {
        let before = Mask::current();
        let inside = spawn_hidden("wsd-hidden", DEFAULT_STACK, Mask::current).expect("a thread");
        let inside = inside.join().expect("the thread does not panic");
        assert!(
            inside.contains(libc::SIGTERM)
                && inside.contains(libc::SIGCHLD)
                && inside.contains(libc::SIGPROF)
        );
        assert!(!inside.contains(33), "SIGSETXID must get through, or setuid hangs");
        assert_eq!(Mask::current(), before);
    }
}
