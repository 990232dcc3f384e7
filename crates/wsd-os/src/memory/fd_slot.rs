//! A word that holds a descriptor, for tables that several threads use without a lock.

use core::mem::ManuallyDrop;

use rustix::io::Errno;

use super::plain::Zeroable;
use crate::atomic::{AtomicI32, Ordering};
use crate::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A descriptor that is made at first use and then borrowed by any thread. Zeroed memory holds none.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct FdSlot(
    /// Number + 1.
    AtomicI32,
);

// SAFETY: 0 is "none".
unsafe impl Zeroable for FdSlot {}

impl FdSlot {
    /// Holds none.
    pub const fn new() -> Self {
        Self(AtomicI32::new(0))
    }

    /// The descriptor, if made.
    #[inline]
    pub fn get(&self) -> Option<BorrowedFd<'static>> {
        let number = self.0.load(Ordering::Acquire) - 1;
        // SAFETY: the slot owns the open descriptor; whoever closes it (`close`) answers for late borrowers.
        (number >= 0).then(|| unsafe { BorrowedFd::borrow_raw(number) })
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
        match self.0.compare_exchange(0, made.as_raw_fd() + 1, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                let number = ManuallyDrop::new(made).as_raw_fd();
                // SAFETY: open, and owned by the slot from now on.
                Ok(unsafe { BorrowedFd::borrow_raw(number) })
            }
            Err(_) => self.get().ok_or(Errno::BADF),
        }
    }

    /// Forgets the descriptor without closing it.
    pub fn forget(&self) {
        self.0.store(0, Ordering::Release);
    }

    /// Closes the descriptor. The caller makes sure that no thread uses it any more: a late one would meet whatever gets
    /// the number next.
    pub fn close(&self) {
        let number = self.0.swap(0, Ordering::AcqRel) - 1;
        if number >= 0 {
            // SAFETY: taken out of the slot, so owned here alone.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::pipe;

    #[test]
    fn made_once_and_closed() {
        let slot = FdSlot::new();
        let (read, _write) = pipe().expect("a pipe");
        let made = slot.get_or_make(|| Ok(read.into())).expect("made").as_raw_fd();
        let again = slot.get_or_make(|| Err(Errno::INVAL)).expect("not made again").as_raw_fd();
        assert_eq!(made, again);
        slot.close();
        assert!(slot.get().is_none());
    }
}
