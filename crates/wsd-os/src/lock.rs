//! A lock in memory shared by a process and the children that it forks, which survives the death of its owner.
//!
//! Built on the kernel's priority-inheriting futexes (futex(2), `FUTEX_LOCK_PI`), because with them the word names the
//! owning thread: when that thread is gone, the kernel says so to the next locker (`ESRCH`, or the `FUTEX_OWNER_DIED`
//! bit), also after `kill -9`. Free and uncontended the lock costs two atomic operations and no system call.
//!
//! The kernel trusts the word, so it must lie in memory that only this family of processes can write, never where a
//! peer can. All users must see the same thread numbers: a child that was forked into another PID namespace must not
//! use the lock. If nobody wanted the lock of a dead owner until its number was given to another thread, the lock waits for
//! that thread to end too.

use core::marker::PhantomData;
use core::time::Duration;

use rustix::io::Errno;

use crate::atomic::{AtomicU32, Ordering, pause};
use crate::memory::{Shared, Zeroable};
use crate::signal::Critical;
use crate::{futex, thread};

/// A mutual exclusion lock; see the [module](self). All-zero bytes are a free lock.
///
/// While it is held, handlers of asynchronous signals are deferred ([`Critical`]), so that a handler that sends or
/// receives cannot meet a lock of its own thread.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct FamilyLock {
    /// 0, or the owner's thread number, with `FUTEX_WAITERS` when somebody sleeps in the kernel for it.
    word: AtomicU32,
}

// SAFETY: a transparent AtomicU32.
unsafe impl Zeroable for FamilyLock {}
// SAFETY: a transparent AtomicU32. (Memory-safe with any bytes; where a peer writes it excludes nobody.)
unsafe impl Shared for FamilyLock {}

/// The lock, acquired.
#[must_use = "the lock is released when this is dropped"]
#[derive(Debug)]
pub enum Acquired<'a> {
    /// The last owner released it.
    Clean(FamilyGuard<'a>),
    /// The last owner died while it held the lock: what the lock protects may be half changed. Repair it before use.
    OwnerDied(FamilyGuard<'a>),
}

impl<'a> Acquired<'a> {
    /// The guard, whatever happened to the last owner.
    pub fn into_guard(self) -> FamilyGuard<'a> {
        match self {
            Self::Clean(guard) | Self::OwnerDied(guard) => guard,
        }
    }

    /// Whether the last owner died holding the lock.
    pub fn owner_died(&self) -> bool {
        matches!(self, Self::OwnerDied(_))
    }
}

/// Holds a [`FamilyLock`] until dropped, by the thread that acquired it.
#[must_use = "the lock is released when this is dropped"]
#[derive(Debug)]
pub struct FamilyGuard<'a> {
    lock: &'a FamilyLock,
    /// Dropped after the lock is released: deferred handlers run then.
    _critical: Critical,
    _not_send: PhantomData<*const ()>,
}

/// How often a locker looks again before it sleeps in the kernel: critical sections are some hundred nanoseconds.
const SPINS: u32 = 100;

/// How often a locker asks again while the kernel passes the lock on from a dead owner: some seconds.
const PATIENCE: u32 = 5_000;

impl FamilyLock {
    /// A free lock.
    pub const fn new() -> Self {
        Self { word: AtomicU32::new(0) }
    }

    /// Acquires the lock, sleeping while another living thread holds it. Signals do not interrupt the wait.
    ///
    /// # Errors
    ///
    /// `EDEADLK` if this thread holds it already; `EINVAL` if the word was overwritten with nonsense; `ENOSYS` or `EPERM` where the kernel or a sandbox offers no
    /// `FUTEX_LOCK_PI` and the lock is contended; `ENOMEM`.
    #[inline]
    pub fn lock(&self) -> Result<Acquired<'_>, Errno> {
        self.acquire(Self::lock_slow)
    }

    /// Acquires the lock if it is free or its owner is dead.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if another living thread holds it; otherwise as [`lock`](Self::lock).
    #[inline]
    pub fn try_lock(&self) -> Result<Acquired<'_>, Errno> {
        self.acquire(Self::try_lock_slow)
    }

    /// The thread number of the owner, 0 if free. May be out of date when it is returned.
    pub fn owner(&self) -> u32 {
        self.word.load(Ordering::Relaxed) & libc::FUTEX_TID_MASK
    }

    #[inline]
    fn acquire(&self, slow: fn(&Self, u32) -> Result<bool, Errno>) -> Result<Acquired<'_>, Errno> {
        let critical = Critical::enter();
        let tid = thread::tid();
        let died = match self.word.compare_exchange(0, tid, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => false,
            Err(_) => slow(self, tid)?,
        };
        thread::lock_acquired();
        let guard = FamilyGuard { lock: self, _critical: critical, _not_send: PhantomData };
        Ok(if died { Acquired::OwnerDied(guard) } else { Acquired::Clean(guard) })
    }

    /// Acquires with the kernel's help; `true` if the last owner died.
    #[cold]
    fn lock_slow(&self, tid: u32) -> Result<bool, Errno> {
        for _ in 0..SPINS {
            match self.word.load(Ordering::Relaxed) {
                0 => {
                    if self.word.compare_exchange(0, tid, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                        return Ok(false);
                    }
                }
                // Somebody sleeps already: queue up behind.
                word if word & libc::FUTEX_WAITERS != 0 => break,
                word if word & libc::FUTEX_TID_MASK == tid => break,
                _ => pause(),
            }
        }
        self.ask_kernel(tid, true)
    }

    #[cold]
    fn try_lock_slow(&self, tid: u32) -> Result<bool, Errno> {
        self.ask_kernel(tid, false)
    }

    /// Asks the kernel for the lock until it gives an answer that means something.
    fn ask_kernel(&self, tid: u32, wait: bool) -> Result<bool, Errno> {
        let mut passing_on = 0;
        loop {
            let seen = self.word.load(Ordering::Relaxed);
            if seen & libc::FUTEX_TID_MASK == tid {
                // This thread holds no lock at all, so the word names a dead thread whose number we were given.
                if thread::locks_held() == 0 && self.take_over(seen, tid) {
                    return Ok(true);
                }
                return Err(Errno::DEADLK);
            }
            match if wait { futex::lock_pi(&self.word) } else { futex::try_lock_pi(&self.word) } {
                Ok(()) => return Ok(self.clear_owner_died()),
                Err(Errno::AGAIN) if !wait => return Err(Errno::AGAIN),
                // The word changed meanwhile, or the owner is just exiting.
                Err(Errno::AGAIN | Errno::INTR) => {}
                // No such thread, or the number now belongs to a thread of the kernel: the owner is dead, and nobody
                // sleeps for the lock, or the kernel would have passed it on. One locker wins.
                // Of an owner that came, and died, since we looked, the next look tells.
                Err(Errno::SRCH | Errno::PERM) => {
                    if seen & libc::FUTEX_TID_MASK != 0 && self.take_over(seen, tid) {
                        return Ok(true);
                    }
                }
                // The kernel is passing the lock on from a dead owner to a sleeper that has not run yet: until then the
                // word contradicts what the kernel knows. If it does so for seconds, the word was destroyed.
                Err(Errno::INVAL) if passing_on < PATIENCE => {
                    passing_on += 1;
                    pass_time(passing_on);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Replaces the dead owner in `seen` by `tid`; fails if the word is no longer `seen`.
    fn take_over(&self, seen: u32, tid: u32) -> bool {
        // A left-over FUTEX_WAITERS stays: it costs a system call at the unlock, losing it could lose a wake-up.
        let mine = tid | seen & libc::FUTEX_WAITERS;
        self.word.compare_exchange(seen, mine, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Clears the bit by which the kernel tells that the owner before us died; `true` if it was set.
    fn clear_owner_died(&self) -> bool {
        self.word.fetch_and(!libc::FUTEX_OWNER_DIED, Ordering::Acquire) & libc::FUTEX_OWNER_DIED != 0
    }
}

/// Lets others run, the longer the more often it was tried.
fn pass_time(tries: u32) {
    if tries < 50 {
        thread::yield_now();
    } else {
        thread::sleep(Duration::from_millis(1));
    }
}

impl FamilyGuard<'_> {
    /// The lock that is held.
    pub fn lock(&self) -> &FamilyLock {
        self.lock
    }
}

impl Drop for FamilyGuard<'_> {
    fn drop(&mut self) {
        thread::lock_released();
        let word = &self.lock.word;
        loop {
            // Asked again: a guard that was copied by fork must not release its parent's lock.
            if word.compare_exchange(thread::tid(), 0, Ordering::Release, Ordering::Relaxed).is_ok() {
                return;
            }
            // EAGAIN: the word changed while the kernel looked. Any other error: this thread is not the owner.
            if !matches!(futex::unlock_pi(word), Err(Errno::AGAIN | Errno::INTR)) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
