//! A word that holds a ring or none, for tables that several threads use without a lock.

use core::ptr;

use super::Ring;
use crate::atomic::{AtomicPtr, Ordering};

/// A [`Ring`] or none. Zeroed memory holds none.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct RingSlot(AtomicPtr<u8>);

#[cfg(not(loom))]
// SAFETY: the null pointer is "none".
unsafe impl crate::memory::Zeroable for RingSlot {}

impl RingSlot {
    /// The ring. Acquire: pairs with the release in [`store`](Self::store).
    #[inline]
    pub fn load(&self) -> Option<Ring> {
        ptr::NonNull::new(self.0.load(Ordering::Acquire)).map(|base| Ring { base })
    }

    /// Holds `ring` from now on.
    pub fn store(&self, ring: Ring) {
        self.0.store(ring.as_ptr(), Ordering::Release);
    }

    /// Holds none from now on.
    pub fn clear(&self) {
        self.0.store(ptr::null_mut(), Ordering::Release);
    }
}
