//! Tables as long as the largest index, of which only the used parts cost memory. All of them counts as used (commit charge).

use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::{NonNull, null};

use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_READWRITE, VirtualAlloc, VirtualFree,
};

use super::super::Errno;
use super::{Zeroable, whole_pages};

/// An array of zero-initialised elements in memory of this process; a page is allocated when it is first written. Used as a
/// slice.
pub struct SparseArray<T: Zeroable> {
    start: NonNull<T>,
    count: usize,
    _owned: PhantomData<T>,
}

// SAFETY: owns its elements like a Vec; Zeroable implies Sync, and only shared references to elements are given out.
unsafe impl<T: Zeroable> Send for SparseArray<T> {}
// SAFETY: as above.
unsafe impl<T: Zeroable> Sync for SparseArray<T> {}

impl<T: Zeroable> SparseArray<T> {
    /// An array of `count` zero elements.
    ///
    /// # Errors
    ///
    /// `INVAL` if its size is 0 or overflows; `NOMEM`.
    pub fn new(count: usize) -> Result<Self, Errno> {
        const { assert!(!core::mem::needs_drop::<T>(), "elements are never dropped") };
        const { assert!(align_of::<T>() <= 4096, "elements are aligned to a page at most") };
        let len = count.checked_mul(size_of::<T>()).and_then(whole_pages).ok_or(Errno::INVAL)?;
        // SAFETY: a new range at an address of the system's choice disturbs nothing.
        let start = unsafe { VirtualAlloc(null(), len, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE) };
        let start = NonNull::new(start.cast()).ok_or(Errno::NOMEM)?;
        Ok(Self { start, count, _owned: PhantomData })
    }
}

impl<T: Zeroable> Deref for SparseArray<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the range holds `count` elements, zero-valid and page-aligned, for as long as `self` lives, and is only used
        // through shared references.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl<T: Zeroable> Drop for SparseArray<T> {
    fn drop(&mut self) {
        // SAFETY: our own range; no reference outlives `self`.
        unsafe { VirtualFree(self.start.as_ptr().cast(), 0, MEM_RELEASE) };
    }
}

impl<T: Zeroable> fmt::Debug for SparseArray<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SparseArray of {}", self.count)
    }
}
