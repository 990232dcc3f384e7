//! A value on pages of its own that exists only while it is needed.

use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr;
use core::time::Duration;

use super::{Zeroable, give_back, page_size};
use crate::atomic::{AtomicU32, Ordering};
use crate::{clock, futex};

const VACANT: u32 = 0;
const FULL: u32 = 1;
const IN_USE: u32 = 2;
/// In use, and somebody waits.
const AWAITED: u32 = 3;

/// How long a cell in use is waited for.
const WAIT: Duration = Duration::from_millis(500);

/// Nothing, or a value that one thread uses at a time, for a moment. In a [`SparseArray`](super::SparseArray) a cell that was
/// never used, or is vacated, takes no memory. The value's destructor never runs.
///
/// Who finds it in use waits, half a second at most: its user may have lost its processor. Longer than that it is in use only for a signal
/// handler that has interrupted its user, and in a copy that fork has made while another thread used it: there it is in use for ever.
#[repr(C, align(4096))]
pub struct PageCell<V> {
    state: AtomicU32,
    value: UnsafeCell<MaybeUninit<V>>,
}

// SAFETY: zero is `VACANT`, where the value's bytes mean nothing. Sync: below.
unsafe impl<V: Send> Zeroable for PageCell<V> {}
// SAFETY: only the thread that has put the cell in use reaches the value, so it is sent from thread to thread.
unsafe impl<V: Send> Sync for PageCell<V> {}

impl<V> PageCell<V> {
    /// Does something with the value, which is made first if there is none; makes no system call unless the cell is in use.
    /// `None`: it is in use, and stays so.
    pub fn with<R>(&self, first: impl FnOnce() -> V, act: impl FnOnce(&mut V) -> R) -> Option<R> {
        let found = self.take()?;
        // SAFETY: in use by this thread alone until the store below.
        let place = unsafe { &mut *self.value.get() };
        let value = if found == FULL {
            // SAFETY: full since a value was written, and written completely: the taking has acquired the release below.
            unsafe { place.assume_init_mut() }
        } else {
            place.write(first())
        };
        let result = act(value);
        // Release: pairs with the acquire of whoever takes the cell next.
        if self.state.swap(FULL, Ordering::Release) == AWAITED {
            self.wake();
        }
        Some(result)
    }

    /// Forgets the value and gives its memory back, unless it is in use and stays so.
    pub fn vacate(&self) {
        if self.state.load(Ordering::Relaxed) == VACANT || self.take().is_none() {
            return;
        }
        let page = page_size();
        if size_of::<Self>().is_multiple_of(page) && ptr::from_ref(self).addr().is_multiple_of(page) {
            // SAFETY: whole pages of private memory that only this cell covers; as zeros they are a vacant cell, and nobody
            // else is in it.
            if unsafe { give_back(ptr::from_ref(self).cast_mut().cast(), size_of::<Self>()) } {
                return self.wake();
            }
        }
        self.state.store(VACANT, Ordering::Release);
        self.wake();
    }

    /// Puts the cell in use; the state that it was in.
    fn take(&self) -> Option<u32> {
        let mut found = self.state.load(Ordering::Relaxed);
        let mut until = None;
        loop {
            let next = if found < IN_USE { IN_USE } else { AWAITED };
            match self.state.compare_exchange_weak(found, next, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) if found < IN_USE => return Some(found),
                Ok(_) => {}
                Err(now) => {
                    found = now;
                    continue;
                }
            }
            let now = clock::now_ns();
            let left = until.get_or_insert(now + WAIT.as_nanos() as u64).saturating_sub(now);
            if left == 0 {
                return None;
            }
            // Woken, late or interrupted: the state says what to do.
            let _ = futex::wait_private(&self.state, AWAITED, Some(Duration::from_nanos(left)));
            found = self.state.load(Ordering::Relaxed);
        }
    }

    fn wake(&self) {
        let _ = futex::wake_private(&self.state, i32::MAX as u32);
    }
}

impl<V> fmt::Debug for PageCell<V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PageCell in state {}", self.state.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::super::SparseArray;
    use super::*;

    #[test]
    fn a_value_is_made_kept_and_forgotten() {
        let cells = SparseArray::<PageCell<u64>>::new(2).expect("two pages");
        assert_eq!(cells[1].with(|| 5, |value| std::mem::replace(value, 6)), Some(5));
        assert_eq!(cells[1].with(|| 5, |value| *value), Some(6));
        cells[1].vacate();
        cells[1].vacate();
        assert_eq!(cells[1].with(|| 7, |value| *value), Some(7));
        assert_eq!(cells[0].with(|| 8, |value| *value), Some(8), "its neighbour has a page of its own");
        assert_eq!(cells[1].with(|| 0, |value| *value), Some(7));
    }

    #[test]
    fn threads_take_turns() {
        let cells = SparseArray::<PageCell<u64>>::new(1).expect("a page");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let add = |value: &mut u64| *value += 1;
                        while cells[0].with(|| 0, add).is_none() {}
                    }
                });
            }
        });
        assert_eq!(cells[0].with(|| 0, |value| *value), Some(40_000));
    }

    #[test]
    fn a_cell_that_stays_in_use_is_given_up() {
        let cells = SparseArray::<PageCell<u64>>::new(1).expect("a page");
        let inside = cells[0].with(
            || 1,
            |value| {
                *value = 2;
                cells[0].vacate();
                cells[0].with(|| 3, |_| ())
            },
        );
        assert_eq!(inside, Some(None));
        assert_eq!(cells[0].with(|| 4, |value| *value), Some(2));
    }
}
