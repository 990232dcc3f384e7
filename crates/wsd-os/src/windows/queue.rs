//! A queue of packets in memory that both sides of a link write: one side puts in, the other one takes out.

use core::ptr::{self, NonNull};

use crate::atomic::{AtomicU64, Ordering};

/// Bytes of a queue.
pub(super) const CAPACITY: usize = 256 * 1024;

/// How far each side is, in bytes since the beginning.
#[repr(C, align(128))]
pub(super) struct Cursors {
    /// Written by who puts in.
    tail: AtomicU64,
    apart: [u64; 15],
    /// Written by who takes out.
    head: AtomicU64,
}

/// The other side has written what cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Broken;

/// One direction of a link.
pub(super) struct Queue<'a> {
    cursors: &'a Cursors,
    data: NonNull<u8>,
}

impl<'a> Queue<'a> {
    /// The queue with these cursors.
    ///
    /// # Safety
    ///
    /// [`CAPACITY`] bytes from `data` on stay mapped as long as `'a`, readable and writable, without references to them.
    pub(super) unsafe fn new(cursors: &'a Cursors, data: NonNull<u8>) -> Self {
        Self { cursors, data }
    }

    /// Where the side before us in this process's place stopped putting in, and taking out.
    pub(super) fn positions(&self) -> (u64, u64) {
        (self.cursors.tail.load(Ordering::Acquire), self.cursors.head.load(Ordering::Acquire))
    }

    /// How many bytes can be put in behind `tail`, our own position.
    pub(super) fn room(&self, tail: u64) -> Result<usize, Broken> {
        let used = tail.wrapping_sub(self.cursors.head.load(Ordering::SeqCst));
        (CAPACITY as u64).checked_sub(used).map(|room| room as usize).ok_or(Broken)
    }

    /// How many bytes can be taken out from `head` on, our own position.
    pub(super) fn filled(&self, head: u64) -> Result<usize, Broken> {
        let filled = self.cursors.tail.load(Ordering::SeqCst).wrapping_sub(head);
        if filled > CAPACITY as u64 { Err(Broken) } else { Ok(filled as usize) }
    }

    /// Puts bytes at a position, where there is room; nobody sees them yet.
    pub(super) fn put(&self, at: u64, bytes: &[u8]) {
        let (place, first) = self.place(at, bytes.len());
        // SAFETY: within the queue; private bytes do not overlap it.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), place, first);
            ptr::copy_nonoverlapping(bytes.as_ptr().add(first), self.data.as_ptr(), bytes.len() - first);
        }
    }

    /// What is before this position can be taken out.
    pub(super) fn publish(&self, tail: u64) {
        self.cursors.tail.store(tail, Ordering::SeqCst);
    }

    /// Copies bytes from a position. The other side may change them meanwhile: then they are a mixture.
    pub(super) fn get(&self, at: u64, bytes: &mut [u8]) {
        let (place, first) = self.place(at, bytes.len());
        // SAFETY: as in `put`.
        unsafe {
            ptr::copy_nonoverlapping(place, bytes.as_mut_ptr(), first);
            ptr::copy_nonoverlapping(self.data.as_ptr(), bytes.as_mut_ptr().add(first), bytes.len() - first);
        }
    }

    /// What is before this position is done with.
    pub(super) fn release(&self, head: u64) {
        self.cursors.head.store(head, Ordering::SeqCst);
    }

    /// Where a position is, and how many of `length` bytes, at most [`CAPACITY`], lie before the end of the memory.
    fn place(&self, at: u64, length: usize) -> (*mut u8, usize) {
        assert!(length <= CAPACITY, "no packet is longer");
        let offset = at as usize % CAPACITY;
        // SAFETY: less than the length.
        let place = unsafe { self.data.as_ptr().add(offset) };
        (place, length.min(CAPACITY - offset))
    }
}
