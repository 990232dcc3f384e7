//! Sleeping until a word changes: futex(2).
//!
//! The functions without a suffix work on words in memory shared between processes; the `_private` ones only between
//! threads of one process, and are a little faster.

use core::time::Duration;

use rustix::io::Errno;

use crate::atomic::AtomicU32;
use crate::{clock, raw};

/// Sleeps while `word` holds `expected`, until woken, for at most `timeout`.
///
/// Returns `Ok` after a wake-up, which may be for another reason (check the word again). Errors:
/// [`Errno::AGAIN`] if the word did not hold `expected`; [`Errno::TIMEDOUT`]; [`Errno::INTR`] if a signal handler ran.
/// Without a time-out a handler installed with `SA_RESTART` does not interrupt the wait: exactly the behaviour of
/// recv(2) without and with `SO_RCVTIMEO` (signal(7)).
#[inline]
pub fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Result<(), Errno> {
    wait_with(word, libc::FUTEX_WAIT, expected, timeout)
}

/// Sleeps while both words hold what is expected, until either is woken (futex_waitv, Linux 5.16). `theirs` may be in memory
/// that another process writes, which could move its sleepers elsewhere; `ours` cannot be reached by it, so a wake-up there
/// is certain. Results and restarting as [`wait`].
///
/// On kernels without the call the sleep on `theirs` ends with `Ok` after a tenth of a second at the latest.
pub fn wait_two(
    theirs: (&AtomicU32, u32),
    ours: (&AtomicU32, u32),
    timeout: Option<Duration>,
) -> Result<(), Errno> {
    const FUTEX2_SIZE_U32: u32 = 2;
    #[repr(C)]
    struct Waiter {
        expected: u64,
        address: u64,
        flags: u32,
        reserved: u32,
    }
    let waiter = |(word, expected): (&AtomicU32, u32)| Waiter {
        expected: u64::from(expected),
        address: raw::address(word) as u64,
        flags: FUTEX2_SIZE_U32,
        reserved: 0,
    };
    let waiters = [waiter(theirs), waiter(ours)];
    let end = timeout.map(|timeout| clock::timespec(clock::now() + timeout));
    let limit = end.as_ref().map_or(0, raw::address);
    let arguments = [raw::address(&waiters), 2, 0, limit, libc::CLOCK_MONOTONIC as usize, 0];
    // SAFETY: two live waiters with live aligned words; `limit` is null or points at a timespec that outlives the call.
    match unsafe { raw::syscall(SYS_FUTEX_WAITV, arguments) } {
        Err(Errno::NOSYS | Errno::PERM) => {
            let slice = Duration::from_millis(100);
            match wait(theirs.0, theirs.1, Some(timeout.map_or(slice, |timeout| timeout.min(slice)))) {
                Err(Errno::TIMEDOUT) if timeout.is_none_or(|timeout| timeout > slice) => Ok(()),
                result => result,
            }
        }
        result => result.map(drop),
    }
}

/// The same number on all architectures.
const SYS_FUTEX_WAITV: i64 = 449;

/// Wakes at most `count` sleepers on `word`, in all processes, and returns how many there were.
#[inline]
pub fn wake(word: &AtomicU32, count: u32) -> Result<usize, Errno> {
    wake_with(word, libc::FUTEX_WAKE, count)
}

/// [`wait`] on a word that only threads of this process use.
#[inline]
pub fn wait_private(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Result<(), Errno> {
    wait_with(word, libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, expected, timeout)
}

/// [`wake`] for a word that only threads of this process use.
#[inline]
pub fn wake_private(word: &AtomicU32, count: u32) -> Result<usize, Errno> {
    wake_with(word, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, count)
}

/// `FUTEX_LOCK_PI`: makes this thread the owner of the lock `word`, sleeping as long as a living thread owns it.
pub(crate) fn lock_pi(word: &AtomicU32) -> Result<(), Errno> {
    let arguments = [raw::address(word), libc::FUTEX_LOCK_PI as usize, 0, 0, 0, 0];
    // SAFETY: `word` is a live aligned futex word; no timeout pointer is given.
    unsafe { raw::syscall(libc::SYS_futex, arguments) }.map(drop)
}

/// `FUTEX_TRYLOCK_PI`: as [`lock_pi`], with `EAGAIN` instead of sleeping.
pub(crate) fn try_lock_pi(word: &AtomicU32) -> Result<(), Errno> {
    let arguments = [raw::address(word), libc::FUTEX_TRYLOCK_PI as usize, 0, 0, 0, 0];
    // SAFETY: `word` is a live aligned futex word; the call takes no other pointer.
    unsafe { raw::syscall(libc::SYS_futex, arguments) }.map(drop)
}

/// `FUTEX_UNLOCK_PI`: passes the lock `word`, owned by this thread, to the first sleeper.
pub(crate) fn unlock_pi(word: &AtomicU32) -> Result<(), Errno> {
    let arguments = [raw::address(word), libc::FUTEX_UNLOCK_PI as usize, 0, 0, 0, 0];
    // SAFETY: `word` is a live aligned futex word; the call takes no other pointer.
    unsafe { raw::syscall(libc::SYS_futex, arguments) }.map(drop)
}

fn wait_with(
    word: &AtomicU32,
    operation: i32,
    expected: u32,
    timeout: Option<Duration>,
) -> Result<(), Errno> {
    let limit = timeout.map(clock::timespec);
    let limit = limit.as_ref().map_or(0, raw::address);
    let arguments = [raw::address(word), operation as usize, expected as usize, limit, 0, 0];
    // SAFETY: `word` is a live aligned futex word, and `limit` is null or points at a timespec that outlives the call.
    unsafe { raw::syscall(libc::SYS_futex, arguments) }.map(drop)
}

fn wake_with(word: &AtomicU32, operation: i32, count: u32) -> Result<usize, Errno> {
    let count = count.min(i32::MAX as u32) as usize;
    // SAFETY: the kernel only uses the address of `word` to find sleepers.
    unsafe { raw::syscall(libc::SYS_futex, [raw::address(word), operation as usize, count, 0, 0, 0]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atomic::Ordering;

    #[test]
    fn either_of_two_words_wakes() {
        static THEIRS: AtomicU32 = AtomicU32::new(1);
        static OURS: AtomicU32 = AtomicU32::new(7);
        let both = |timeout| wait_two((&THEIRS, 1), (&OURS, 7), timeout);
        assert_eq!(both(Some(Duration::from_millis(20))), Err(Errno::TIMEDOUT));
        for word in [&THEIRS, &OURS] {
            let sleeper = std::thread::spawn(move || both(None));
            while wake(word, 1) != Ok(1) {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(sleeper.join().expect("no panic"), Ok(()));
        }
        assert_eq!(wait_two((&THEIRS, 2), (&OURS, 7), None), Err(Errno::AGAIN));
    }

    #[test]
    fn wake_ends_a_wait() {
        let word = AtomicU32::new(0);
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                while word.load(Ordering::Acquire) == 0 {
                    match wait(&word, 0, Some(Duration::from_secs(20))) {
                        Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            });
            std::thread::sleep(Duration::from_millis(20));
            word.store(1, Ordering::Release);
            let start = clock::now();
            while !sleeper.is_finished() && clock::now() - start < Duration::from_secs(10) {
                let _ = wake(&word, 1);
                std::thread::yield_now();
            }
            assert_eq!(sleeper.join().expect("the sleeper does not panic"), Ok(()));
        });
    }

    #[test]
    fn wake_counts_sleepers_of_its_own_flavour() {
        let word = AtomicU32::new(0);
        assert_eq!(wake(&word, 1), Ok(0));
        std::thread::scope(|scope| {
            scope.spawn(|| wait_private(&word, 0, Some(Duration::from_secs(20))));
            let start = clock::now();
            let mut woken = 0;
            while woken == 0 && clock::now() - start < Duration::from_secs(10) {
                woken = wake_private(&word, 1).expect("a valid futex");
            }
            assert_eq!(woken, 1);
        });
    }

    #[test]
    fn changed_word_and_timeout_are_told() {
        let word = AtomicU32::new(5);
        assert_eq!(wait(&word, 4, None), Err(Errno::AGAIN));
        let start = clock::now();
        assert_eq!(wait(&word, 5, Some(Duration::from_millis(30))), Err(Errno::TIMEDOUT));
        assert!(clock::now() - start >= Duration::from_millis(30));
    }
}
