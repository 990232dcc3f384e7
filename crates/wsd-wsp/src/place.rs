//! Memory of the program that outlives the call which named it.

use core::ptr::NonNull;

/// A value of the program's that a finished operation fills in.
pub(crate) struct Place<T>(NonNull<T>);

// SAFETY: `new` demands that the place is ours alone until the operation is done, on whichever thread that is.
unsafe impl<T: Send> Send for Place<T> {}

impl<T: Copy> Place<T> {
    /// The place behind a pointer; `None` for NULL.
    ///
    /// # Safety
    /// NULL, or valid for writes until the operation that it belongs to is done.
    pub(crate) unsafe fn new(pointer: *mut T) -> Option<Self> {
        NonNull::new(pointer).map(Self)
    }

    /// Puts `value` there.
    pub(crate) fn set(&self, value: T) {
        // SAFETY: valid until the operation is done, which owns this value.
        unsafe { self.0.as_ptr().write_unaligned(value) }
    }
}
