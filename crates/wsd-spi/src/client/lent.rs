//! Memory that somebody else owns and gets back.

use core::fmt;
use core::ptr::NonNull;

use super::memory::StableMemory;

/// Memory on loan. `G` is dropped with the value, which tells the lender that nothing refers to the memory any more.
pub struct LentMemory<G> {
    start: NonNull<u8>,
    length: usize,
    loan: G,
}

impl<G> LentMemory<G> {
    /// The memory of `length` bytes from `start` on, lent until `loan` is dropped.
    ///
    /// # Safety
    /// As [`StableMemory`], until `loan` is dropped. Memory that is given to a provider for reading only
    /// ([`MemoryAccess::Read`](crate::MemoryAccess::Read)) need not be writable.
    pub const unsafe fn new(start: NonNull<u8>, length: usize, loan: G) -> Self {
        Self { start, length, loan }
    }

    /// What is dropped with the value.
    pub const fn loan(&self) -> &G {
        &self.loan
    }
}

// SAFETY: the pointer is only used by copying, under the contract of `new`.
unsafe impl<G: Send> Send for LentMemory<G> {}
// SAFETY: as above.
unsafe impl<G: Sync> Sync for LentMemory<G> {}

// SAFETY: by the contract of `new`: the value lives no longer than its `loan`.
unsafe impl<G: Send + Sync> StableMemory for LentMemory<G> {
    fn as_ptr(&self) -> NonNull<u8> {
        self.start
    }

    fn len(&self) -> usize {
        self.length
    }
}

impl<G> fmt::Debug for LentMemory<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LentMemory({:p}+{})", self.start, self.length)
    }
}
