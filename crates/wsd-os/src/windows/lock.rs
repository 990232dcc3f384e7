//! The lock of a direction. A family is one process here, so its owner never dies alone.

use core::marker::PhantomData;

use super::signal::Critical;
use super::{Errno, futex, thread};
use crate::atomic::{AtomicU32, Ordering, pause};
use crate::memory::{Shared, Zeroable};

/// Somebody sleeps for the lock. Numbers of threads are multiples of four.
const AWAITED: u32 = 1;

/// How often a locker looks again before it sleeps: critical sections are some hundred nanoseconds.
const SPINS: u32 = 100;

/// A mutual exclusion lock. All-zero bytes are a free lock.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct FamilyLock {
    /// 0, or the owner's thread number, with [`AWAITED`].
    word: AtomicU32,
}

// SAFETY: a transparent AtomicU32.
unsafe impl Zeroable for FamilyLock {}
// SAFETY: a transparent AtomicU32.
unsafe impl Shared for FamilyLock {}

/// The lock, acquired.
#[must_use = "the lock is released when this is dropped"]
#[derive(Debug)]
pub struct Acquired<'a>(FamilyGuard<'a>);

impl<'a> Acquired<'a> {
    /// The guard.
    pub fn into_guard(self) -> FamilyGuard<'a> {
        self.0
    }
}

/// Holds a [`FamilyLock`] until dropped, by the thread that acquired it.
#[must_use = "the lock is released when this is dropped"]
#[derive(Debug)]
pub struct FamilyGuard<'a> {
    lock: &'a FamilyLock,
    _critical: Critical,
    _not_send: PhantomData<*const ()>,
}

impl FamilyLock {
    /// Acquires the lock, sleeping while another thread holds it.
    ///
    /// # Errors
    ///
    /// `DEADLK` if this thread holds it already.
    #[inline]
    pub fn lock(&self) -> Result<Acquired<'_>, Errno> {
        let critical = Critical::enter();
        let me = thread::tid();
        if self.word.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.lock_slow(me)?;
        }
        Ok(Acquired(FamilyGuard { lock: self, _critical: critical, _not_send: PhantomData }))
    }

    #[cold]
    fn lock_slow(&self, me: u32) -> Result<(), Errno> {
        let mut spins = 0;
        // Once this thread has slept, others may sleep too: the unlock has to wake one.
        let mut mine = me;
        loop {
            let seen = self.word.load(Ordering::Relaxed);
            if seen == 0 {
                if self.word.compare_exchange(0, mine, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                    return Ok(());
                }
            } else if seen & !AWAITED == me {
                return Err(Errno::DEADLK);
            } else if spins < SPINS {
                spins += 1;
                pause();
            } else {
                let awaited = seen | AWAITED;
                let marked = seen == awaited
                    || self
                        .word
                        .compare_exchange(seen, awaited, Ordering::Relaxed, Ordering::Relaxed)
                        .is_ok();
                if marked {
                    mine = me | AWAITED;
                    let _ = futex::wait(&self.word, awaited, None);
                }
            }
        }
    }
}

impl Drop for FamilyGuard<'_> {
    fn drop(&mut self) {
        if self.lock.word.swap(0, Ordering::Release) & AWAITED != 0 {
            let _ = futex::wake(&self.lock.word, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atomic::AtomicU64;

    #[test]
    fn threads_take_turns() {
        let (lock, count) = (FamilyLock::default(), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        let _guard = lock.lock().expect("not held").into_guard();
                        let seen = count.load(Ordering::Relaxed);
                        std::hint::spin_loop();
                        count.store(seen + 1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(count.load(Ordering::Relaxed), 20_000);
    }

    #[test]
    fn a_second_lock_of_the_owner_is_refused() {
        let lock = FamilyLock::default();
        let guard = lock.lock().expect("free").into_guard();
        assert_eq!(lock.lock().map(drop), Err(Errno::DEADLK));
        drop(guard);
        assert!(lock.lock().is_ok());
    }
}
