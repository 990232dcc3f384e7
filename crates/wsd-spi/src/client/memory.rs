//! Memory that a provider may be given.

use core::fmt;
use core::ops::Range;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU32, AtomicU64};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::sync::Arc;

use crate::error::WsaError;

/// Memory at a fixed address that others than this program's code may read and write at any time: a provider, the
/// hardware, a peer.
///
/// # Safety
/// `as_ptr` and `len` always answer the same. From `as_ptr` on, `len` bytes are mapped, readable and writable as
/// long as the value lives. No Rust reference to any of these bytes exists, except for atomics.
pub unsafe trait StableMemory: Send + Sync {
    /// Start of the memory.
    fn as_ptr(&self) -> NonNull<u8>;

    /// Length in bytes.
    fn len(&self) -> usize;

    /// Whether the length is 0.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Access to [`StableMemory`] by copying. As with memory that is shared with hardware, copies of bytes that somebody
/// else is just writing have unspecified contents; who may write when is agreed on elsewhere, by completions or by
/// the atomic words.
pub trait MemoryExt: StableMemory {
    /// Copies from the memory, beginning at `offset`.
    ///
    /// # Panics
    /// If the bytes are not all in the memory.
    fn read(&self, offset: usize, target: &mut [u8]) {
        let source = self.at(offset, target.len());
        // SAFETY: the source is mapped memory as long as `self`; the target is an exclusive borrow, and no reference
        // to the memory exists.
        unsafe { ptr::copy_nonoverlapping(source, target.as_mut_ptr(), target.len()) };
    }

    /// Copies into the memory, beginning at `offset`.
    ///
    /// # Panics
    /// If the bytes are not all in the memory.
    fn write(&self, offset: usize, source: &[u8]) {
        let target = self.at(offset, source.len());
        // SAFETY: the target is mapped memory as long as `self`; no reference to the memory exists.
        unsafe { ptr::copy_nonoverlapping(source.as_ptr(), target, source.len()) };
    }

    /// The 32-bit word at `offset`.
    ///
    /// # Panics
    /// If it is not all in the memory, or not aligned.
    fn atomic_u32(&self, offset: usize) -> &AtomicU32 {
        let word = self.at(offset, size_of::<u32>()).cast::<u32>();
        assert!(word.is_aligned(), "word at offset {offset} is not aligned");
        // SAFETY: mapped as long as `self`, aligned, and only used atomically.
        unsafe { AtomicU32::from_ptr(word) }
    }

    /// The 64-bit word at `offset`.
    ///
    /// # Panics
    /// If it is not all in the memory, or not aligned.
    fn atomic_u64(&self, offset: usize) -> &AtomicU64 {
        let word = self.at(offset, size_of::<u64>()).cast::<u64>();
        assert!(word.is_aligned(), "word at offset {offset} is not aligned");
        // SAFETY: mapped as long as `self`, aligned, and only used atomically.
        unsafe { AtomicU64::from_ptr(word) }
    }

    /// Address of `length` bytes from `offset` on.
    ///
    /// # Panics
    /// If they are not all in the memory.
    fn at(&self, offset: usize, length: usize) -> *mut u8 {
        let fits = offset.checked_add(length).is_some_and(|end| end <= self.len());
        assert!(fits, "{length} bytes at offset {offset} of {}", self.len());
        // SAFETY: the offset lies within the memory.
        unsafe { self.as_ptr().as_ptr().add(offset) }
    }
}

impl<T: StableMemory + ?Sized> MemoryExt for T {}

/// Whole pages of ordinary memory, zero at first.
pub struct Buffer {
    start: NonNull<u8>,
    layout: Layout,
    length: usize,
}

// SAFETY: the memory belongs to the value and is only used by copying.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Alignment of the memory, and unit of its true size, in bytes.
    pub const PAGE: usize = 4096;

    /// A buffer of `length` bytes.
    ///
    /// # Errors
    /// `WSAENOBUFS` if there is not enough memory.
    pub fn new(length: usize) -> Result<Self, WsaError> {
        let size = length.max(1).checked_next_multiple_of(Self::PAGE).ok_or(WsaError::WSAENOBUFS)?;
        let layout = Layout::from_size_align(size, Self::PAGE).map_err(|_| WsaError::WSAENOBUFS)?;
        // SAFETY: the size is not 0.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(WsaError::WSAENOBUFS)?;
        Ok(Self { start, layout, length })
    }
}

// SAFETY: allocated in `new`, freed in `drop`, and never borrowed.
unsafe impl StableMemory for Buffer {
    fn as_ptr(&self) -> NonNull<u8> {
        self.start
    }

    fn len(&self) -> usize {
        self.length
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({:p}+{})", self.start, self.length)
    }
}

/// Memory that stays mapped until the process ends.
#[derive(Debug)]
pub struct ForeverMemory {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the pointer is only used by copying.
unsafe impl Send for ForeverMemory {}
// SAFETY: as above.
unsafe impl Sync for ForeverMemory {}

impl ForeverMemory {
    /// The memory of `length` bytes from `start` on.
    ///
    /// # Safety
    /// As [`StableMemory`], until the process ends.
    pub const unsafe fn new(start: NonNull<u8>, length: usize) -> Self {
        Self { start, length }
    }
}

// SAFETY: by the contract of `new`.
unsafe impl StableMemory for ForeverMemory {
    fn as_ptr(&self) -> NonNull<u8> {
        self.start
    }

    fn len(&self) -> usize {
        self.length
    }
}

/// A part of some memory, which it keeps alive.
#[derive(Clone)]
pub struct MemorySlice {
    memory: Arc<dyn StableMemory>,
    offset: usize,
    length: u32,
}

impl MemorySlice {
    /// The bytes in `range`; `None` if they are not all in the memory, or more than 32 bits can count.
    pub fn new(memory: Arc<dyn StableMemory>, range: Range<usize>) -> Option<Self> {
        let length = u32::try_from(range.end.checked_sub(range.start)?).ok()?;
        (range.end <= memory.len()).then_some(Self { memory, offset: range.start, length })
    }

    /// All of it; `None` if it has more bytes than 32 bits can count.
    pub fn whole(memory: Arc<dyn StableMemory>) -> Option<Self> {
        let length = memory.len();
        Self::new(memory, 0..length)
    }

    /// The bytes in `range` of this slice; `None` if they are not all in it.
    pub fn slice(&self, range: Range<u32>) -> Option<Self> {
        let length = range.end.checked_sub(range.start)?;
        let offset = self.offset + range.start as usize;
        (range.end <= self.length).then(|| Self { memory: self.memory.clone(), offset, length })
    }

    /// The memory that it is a part of.
    pub fn memory(&self) -> &Arc<dyn StableMemory> {
        &self.memory
    }

    /// Offset in bytes in that memory.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Address of its first byte.
    pub fn start(&self) -> *mut u8 {
        self.memory.at(self.offset, self.length as usize)
    }
}

// SAFETY: part of memory that it keeps alive.
unsafe impl StableMemory for MemorySlice {
    fn as_ptr(&self) -> NonNull<u8> {
        NonNull::new(self.start()).expect("an address within memory that begins at a non-null address")
    }

    fn len(&self) -> usize {
        self.length as usize
    }
}

impl fmt::Debug for MemorySlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:p}+{}", self.start(), self.length)
    }
}
