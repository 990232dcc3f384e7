//! Forks and the service thread: no process is copied while its service thread is at work. What that is in the middle of, such
//! as the start of a provider, would stay unfinished in the child, whose own service thread would wait for its end for ever.

use std::cell::Cell;
use std::time::Duration;

use wsd_os::atomic::{AtomicU32, Ordering};
use wsd_os::{clock, futex};

/// Whether the service thread is at work, rather than asleep in the kernel (or not there).
static WORKING: AtomicU32 = AtomicU32::new(0);
/// Forks that wait for the end of its work, or are under way: until they are over it begins nothing.
static FORKS: AtomicU32 = AtomicU32::new(0);
/// A fork waits no longer than this (nanoseconds): what the service thread is waiting for may be the fork itself, where a
/// provider starts another program.
const FORK_WAITS: u64 = 2_000_000_000;

thread_local! {
    static IS_SERVICE: Cell<bool> = const { Cell::new(false) };
}

/// The work of the service thread, until dropped. For that thread, which begins it with no lock held.
pub(super) struct Working(());

impl Working {
    pub(super) fn begin() -> Self {
        IS_SERVICE.set(true);
        resume();
        Self(())
    }

    /// Rests from it while `sleep` runs, which touches nothing that a child would miss.
    pub(super) fn rest<T>(&self, sleep: impl FnOnce() -> T) -> T {
        pause();
        let result = sleep();
        resume();
        result
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        pause();
    }
}

fn resume() {
    loop {
        // Either a fork that has counted itself sees this, or its count is seen here: all four are sequentially consistent.
        WORKING.store(1, Ordering::SeqCst);
        let forks = FORKS.load(Ordering::SeqCst);
        if forks == 0 {
            return;
        }
        pause();
        let _ = futex::wait_private(&FORKS, forks, None);
    }
}

fn pause() {
    WORKING.store(0, Ordering::SeqCst);
    if FORKS.load(Ordering::SeqCst) != 0 {
        let _ = futex::wake_private(&WORKING, u32::MAX >> 1);
    }
}

/// Before a fork, with no lock held: waits until the service thread rests, which goes on after [`release_after_fork`].
pub(crate) fn hold_for_fork() {
    FORKS.fetch_add(1, Ordering::SeqCst);
    let end = clock::now_ns() + FORK_WAITS;
    while !IS_SERVICE.get() && WORKING.load(Ordering::SeqCst) != 0 {
        let left = end.saturating_sub(clock::now_ns());
        if left == 0 {
            crate::trace::note(format_args!("a fork in the middle of the service thread's work"));
            return;
        }
        let _ = futex::wait_private(&WORKING, 1, Some(Duration::from_nanos(left)));
    }
}

/// See [`hold_for_fork`]; in the parent.
pub(crate) fn release_after_fork() {
    if FORKS.fetch_sub(1, Ordering::SeqCst) == 1 {
        let _ = futex::wake_private(&FORKS, u32::MAX >> 1);
    }
}

/// In the child of a fork: no service thread, and no other fork.
pub(crate) fn restart_in_child() {
    IS_SERVICE.set(false);
    WORKING.store(0, Ordering::SeqCst);
    FORKS.store(0, Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvTimeoutError, channel};

    use super::*;

    /// One test, since the words are the process's.
    #[test]
    fn forks_and_work_take_turns() {
        const SHORT: Duration = Duration::from_millis(100);
        let (worked, work) = channel();
        let (slept, sleep) = channel::<()>();
        let service = std::thread::spawn(move || {
            let working = Working::begin();
            worked.send("begun").expect("the test listens");
            sleep.recv().expect("the test goes on");
            working.rest(|| sleep.recv().expect("the test goes on"));
            worked.send("goes on").expect("the test listens");
            // Its own forks do not wait for it.
            hold_for_fork();
            release_after_fork();
        });
        assert_eq!(work.recv(), Ok("begun"));
        let (forked, fork) = channel();
        let (ended, end) = channel::<()>();
        let forking = std::thread::spawn(move || {
            hold_for_fork();
            forked.send(()).expect("the test listens");
            end.recv().expect("the test goes on");
            release_after_fork();
        });
        assert_eq!(fork.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout), "it works");
        slept.send(()).expect("it listens");
        assert_eq!(fork.recv(), Ok(()), "it rests");
        slept.send(()).expect("it listens");
        assert_eq!(work.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout), "there is a fork");
        ended.send(()).expect("it listens");
        assert_eq!(work.recv(), Ok("goes on"));
        forking.join().expect("no panic");
        service.join().expect("no panic");
        assert_eq!([&WORKING, &FORKS].map(|word| word.load(Ordering::SeqCst)), [0, 0]);
    }
}
