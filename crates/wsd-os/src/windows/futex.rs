//! Sleeping until a word changes, between threads of this process. Other processes are reached by bells only.

use core::time::Duration;

use windows_sys::Win32::System::Threading::{INFINITE, WaitOnAddress, WakeByAddressAll, WakeByAddressSingle};

use super::Errno;
use crate::atomic::AtomicU32;

/// Sleeps while `word` holds `expected`, until woken, for at most `timeout`.
///
/// Returns `Ok` after a wake-up, which may be for another reason (check the word again).
///
/// # Errors
///
/// `TIMEDOUT`.
pub fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Result<(), Errno> {
    let milliseconds = timeout.map_or(INFINITE, |limit| {
        u32::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(INFINITE - 1).min(INFINITE - 1)
    });
    let (word, expected) = (core::ptr::from_ref(word).cast(), core::ptr::from_ref(&expected).cast());
    // SAFETY: a live aligned word of four bytes, and what it is compared with.
    let woken = unsafe { WaitOnAddress(word, expected, size_of::<u32>(), milliseconds) };
    if woken != 0 { Ok(()) } else { Err(Errno::TIMEDOUT) }
}

/// Wakes at most `count` sleepers on `word`. Windows does not tell how many there were.
///
/// # Errors
///
/// None.
pub fn wake(word: &AtomicU32, count: u32) -> Result<(), Errno> {
    let word = core::ptr::from_ref(word).cast();
    // SAFETY: only the address is used.
    unsafe { if count == 1 { WakeByAddressSingle(word) } else { WakeByAddressAll(word) } };
    Ok(())
}

/// [`wait`]: all words are this process's.
///
/// # Errors
///
/// As [`wait`].
pub fn wait_private(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Result<(), Errno> {
    wait(word, expected, timeout)
}

/// [`wake`]: all words are this process's.
///
/// # Errors
///
/// None.
pub fn wake_private(word: &AtomicU32, count: u32) -> Result<(), Errno> {
    wake(word, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atomic::Ordering;

    #[test]
    fn wake_ends_a_wait() {
        let word = AtomicU32::new(0);
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                while word.load(Ordering::Acquire) == 0 {
                    let _ = wait(&word, 0, None);
                }
            });
            word.store(1, Ordering::Release);
            let _ = wake(&word, u32::MAX);
            sleeper.join().expect("no panic");
        });
    }

    #[test]
    fn changed_word_and_timeout_are_told() {
        let word = AtomicU32::new(5);
        assert_eq!(wait(&word, 4, None), Ok(()));
        assert_eq!(wait(&word, 5, Some(Duration::from_millis(10))), Err(Errno::TIMEDOUT));
    }
}
