//! Address ranges that are never given back to the operating system.
//!
//! A reader that takes no lock may still look at a segment when another thread gives it up. If the segment were unmapped
//! the reader would fault, or read what somebody else mapped there meanwhile. Ranges of an arena become zero pages
//! instead, and later hold other segments of the same size: a late reader reads zeros or another segment's atomics,
//! which its own checks (a generation number) must find out.

use core::ptr::{self, NonNull};

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous};

use crate::atomic::{AtomicUsize, Ordering};
use crate::fd::{AsFd, BorrowedFd};

/// How many retired ranges are remembered for reuse; more stay mapped as zeros without being reused.
const SLOTS: usize = 1024;

/// A retired range.
struct Slot {
    /// [`EMPTY`], [`BUSY`], or the address of the range.
    address: AtomicUsize,
    /// Its length in bytes, while `address` is an address.
    len: AtomicUsize,
}

/// The slot holds nothing.
const EMPTY: usize = 0;
/// A thread is filling or emptying the slot.
const BUSY: usize = 1;

/// Hands out address ranges and takes them back for reuse. No lock, no allocation: may be used after fork and by several
/// threads at once.
#[derive(Debug)]
pub struct AddressArena {
    slots: [Slot; SLOTS],
}

impl core::fmt::Debug for Slot {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "{:#x}", self.address.load(Ordering::Relaxed))
    }
}

impl AddressArena {
    /// An arena without ranges. Must be a `static`, since what it hands out is valid for ever.
    #[expect(clippy::new_without_default, reason = "only for statics")]
    pub const fn new() -> Self {
        Self { slots: [const { Slot { address: AtomicUsize::new(EMPTY), len: AtomicUsize::new(0) } }; SLOTS] }
    }

    /// Maps the first `len` bytes of `fd` shared, readable and writable, at a retired range of that length if there is
    /// one. `len` is in whole pages.
    ///
    /// # Errors
    ///
    /// As mmap(2).
    pub(super) fn map(&self, fd: BorrowedFd<'_>, len: usize) -> Result<NonNull<u8>, Errno> {
        let Some(range) = self.take(len) else {
            return map_shared(ptr::null_mut(), len, MapFlags::empty(), fd);
        };
        map_shared(range.as_ptr(), len, MapFlags::FIXED, fd).inspect_err(|_| {
            // SAFETY: the range is ours and is not in use: `take` gave it to us.
            unsafe { self.retire(range, len) }
        })
    }

    /// Replaces the mapping of `len` bytes at `range` by zero pages, and keeps the range for reuse.
    ///
    /// # Safety
    ///
    /// The range must have been mapped by [`map`](Self::map) with this length, and be given up by its owner: from now on
    /// its contents change without notice. References to atomics in it stay valid.
    pub(super) unsafe fn retire(&self, range: NonNull<u8>, len: usize) {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: replaces a mapping that the caller owns and gave up.
        let zeros =
            unsafe { mmap_anonymous(range.as_ptr().cast(), len, ProtFlags::READ | ProtFlags::WRITE, flags) };
        // Without memory for the mapping table, the old mapping stays: valid, only never reused.
        if zeros.is_ok() {
            self.keep(range, len);
        }
    }

    /// How many ranges wait for reuse.
    pub fn retired(&self) -> usize {
        self.slots.iter().filter(|slot| slot.address.load(Ordering::Relaxed) > BUSY).count()
    }

    fn keep(&self, range: NonNull<u8>, len: usize) {
        let empty = self.slots.iter().find(|slot| {
            slot.address.compare_exchange(EMPTY, BUSY, Ordering::Acquire, Ordering::Relaxed).is_ok()
        });
        if let Some(slot) = empty {
            slot.len.store(len, Ordering::Relaxed);
            slot.address.store(range.as_ptr().expose_provenance(), Ordering::Release);
        }
    }

    fn take(&self, len: usize) -> Option<NonNull<u8>> {
        self.slots.iter().find_map(|slot| {
            let address = slot.address.load(Ordering::Acquire);
            if address <= BUSY
                || slot.len.load(Ordering::Relaxed) != len
                || slot.address.compare_exchange(address, BUSY, Ordering::Acquire, Ordering::Relaxed).is_err()
            {
                return None;
            }
            // The slot may have been emptied and filled again between the two looks.
            if slot.len.load(Ordering::Relaxed) == len {
                slot.address.store(EMPTY, Ordering::Release);
                NonNull::new(ptr::with_exposed_provenance_mut(address))
            } else {
                slot.address.store(address, Ordering::Release);
                None
            }
        })
    }
}

/// Maps `len` bytes of `fd` shared, readable and writable.
pub(super) fn map_shared(
    at: *mut u8,
    len: usize,
    flags: MapFlags,
    fd: impl AsFd,
) -> Result<NonNull<u8>, Errno> {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: without FIXED a new mapping disturbs nothing; with it, callers pass a range of an arena that they own.
    let mapped = unsafe { mmap(at.cast(), len, protection, flags | MapFlags::SHARED, fd, 0) }?;
    NonNull::new(mapped.cast()).ok_or(Errno::NOMEM)
}
