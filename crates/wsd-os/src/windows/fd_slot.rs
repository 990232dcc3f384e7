//! A word that holds a descriptor, for tables that several threads use. What it means is kept in one place, so that a late reader
//! finds nothing instead of what was closed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::Errno;
use super::super::fd::{AsFd, BorrowedFd, Object, OwnedFd};
use super::Zeroable;
use crate::atomic::{AtomicU32, Ordering};

static HELD: Mutex<Option<HashMap<u32, OwnedFd>>> = Mutex::new(None);
static NEXT: AtomicU32 = AtomicU32::new(1);

fn held() -> MutexGuard<'static, Option<HashMap<u32, OwnedFd>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A descriptor that is made at first use and then borrowed by any thread. Zeroed memory holds none.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct FdSlot(
    /// Number of what it holds, never used twice; 0: nothing.
    AtomicU32,
);

// SAFETY: 0 is "none".
unsafe impl Zeroable for FdSlot {}

impl FdSlot {
    /// Holds none.
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// The descriptor, if made.
    pub fn get(&self) -> Option<BorrowedFd<'static>> {
        let held = held();
        let object: Object = held.as_ref()?.get(&self.0.load(Ordering::Acquire))?.as_fd().0;
        Some(BorrowedFd::of(object))
    }

    /// The descriptor, made by `make` if there is none. If two threads make one, one of the two is closed again.
    ///
    /// # Errors
    ///
    /// What `make` gives.
    pub fn get_or_make(
        &self,
        make: impl FnOnce() -> Result<OwnedFd, Errno>,
    ) -> Result<BorrowedFd<'static>, Errno> {
        if let Some(fd) = self.get() {
            return Ok(fd);
        }
        let made = make()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        held().get_or_insert_default().insert(number, made);
        if self.0.compare_exchange(0, number, Ordering::AcqRel, Ordering::Acquire).is_err() {
            let spare = held().get_or_insert_default().remove(&number);
            drop(spare);
        }
        self.get().ok_or(Errno::BADF)
    }

    /// Closes the descriptor when nobody has it borrowed any more.
    pub fn close(&self) {
        let number = self.0.swap(0, Ordering::AcqRel);
        let closed = held().get_or_insert_default().remove(&number);
        drop(closed);
    }

    /// Holds none from now on; here nobody else has the descriptor, so it is closed.
    pub fn forget(&self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doorbell;
    use crate::fd::AsRawFd;

    #[test]
    fn made_once_and_closed() {
        let slot = FdSlot::new();
        let made = slot.get_or_make(doorbell::event).expect("made").as_raw_fd();
        let again = slot.get_or_make(|| Err(Errno::INVAL)).expect("not made again").as_raw_fd();
        assert_eq!(made, again);
        slot.close();
        assert!(slot.get().is_none());
    }
}
