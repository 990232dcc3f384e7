//! Tables as long as the largest index, of which only the used parts cost memory.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::{self, NonNull};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use super::plain::Zeroable;
use super::whole_pages;

/// An array of zero-initialised elements in anonymous memory of this process; a page is allocated when it is first
/// written. Used as a slice. A child of fork has its own copy.
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
    /// `EINVAL` if its size is 0 or overflows; `ENOMEM` if there is not as much address space.
    pub fn new(count: usize) -> Result<Self, Errno> {
        const { assert!(!core::mem::needs_drop::<T>(), "elements are never dropped") };
        const { assert!(align_of::<T>() <= 4096, "elements are aligned to a page at most") };
        let len = Self::bytes(count)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
        let start =
            unsafe { mmap_anonymous(ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, flags) }?;
        // SAFETY: our own mapping. Best effort: a huge page for one used element would waste 2 MiB.
        let _ = unsafe { madvise(start, len, Advice::LinuxNoHugepage) };
        let start = NonNull::new(start.cast()).ok_or(Errno::NOMEM)?;
        Ok(Self { start, count, _owned: PhantomData })
    }

    fn bytes(count: usize) -> Result<usize, Errno> {
        count.checked_mul(size_of::<T>()).and_then(whole_pages).ok_or(Errno::INVAL)
    }
}

impl<T: Zeroable> Deref for SparseArray<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the mapping holds `count` elements, zero-valid and page-aligned, for as long as `self` lives, and is
        // only used through shared references.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl<T: Zeroable> Drop for SparseArray<T> {
    fn drop(&mut self) {
        if let Ok(len) = Self::bytes(self.count) {
            // SAFETY: our own mapping of this length; no reference outlives `self`.
            let _ = unsafe { munmap(self.start.as_ptr().cast(), len) };
        }
    }
}

impl<T: Zeroable> fmt::Debug for SparseArray<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SparseArray of {}", self.count)
    }
}
