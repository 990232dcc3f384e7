//! A word that holds a reference and that several threads read and replace, without a lock.

use core::ptr;

use super::plain::Zeroable;
use crate::atomic::{AtomicPtr, Ordering};

/// Nothing, or a reference that is valid for ever. Zeroed memory holds nothing.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct SharedSlot<T: 'static>(AtomicPtr<T>);

// SAFETY: the null pointer is "nothing".
unsafe impl<T: Sync + 'static> Zeroable for SharedSlot<T> {}

impl<T: Sync + 'static> SharedSlot<T> {
    /// Holds nothing.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// What it holds. Acquire: pairs with the release in [`store`](Self::store).
    #[inline]
    pub fn load(&self) -> Option<&'static T> {
        let place = self.0.load(Ordering::Acquire);
        // SAFETY: null, or stored from a `&'static T`; only shared references to a Sync type are given out.
        unsafe { place.as_ref() }
    }

    /// Holds `value` from now on.
    pub fn store(&self, value: &'static T) {
        self.0.store(ptr::from_ref(value).cast_mut(), Ordering::Release);
    }

    /// Holds nothing from now on.
    pub fn clear(&self) {
        self.0.store(ptr::null_mut(), Ordering::Release);
    }
}
