//! What a side knows about a ring by itself: its own cursor and what it last saw of the peer's.
//!
//! These live in memory that only the side's own processes can write. All words are atomics only so that they
//! can be embedded in a record shared by those processes; the caller's lock orders them, so every access is
//! relaxed. Zeroed memory is a valid state: that of a ring that has not begun.
//!
//! A state with nonsense in it makes calls return nonsense, but never makes them leave the ring's memory.

use crate::atomic::{AtomicU32, AtomicU64, Ordering};

#[cfg(not(loom))]
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// The writer's own knowledge. One cache line, never part of two: reader and writer are often different threads.
#[repr(C, align(64))]
#[derive(Debug, Default)]
#[cfg_attr(not(loom), derive(FromBytes, IntoBytes, KnownLayout))]
pub struct ProducerState {
    /// Offset after the last published byte.
    pub(super) tail: AtomicU64,
    /// Offset up to which there was room when the reader's cursor was last read.
    pub(super) limit: AtomicU64,
    /// The reader's cursor when last read.
    pub(super) cached_head: AtomicU64,
    /// Where the areas after the first began; meaningful for levels that were reached.
    pub(super) area_start: [AtomicU64; 2],
    /// Area in use.
    pub(super) level: AtomicU32,
    /// Noted by [`crate::ring::Ring::note_reader_control`].
    pub(super) seen_closed: AtomicU32,
    /// Noted by [`crate::ring::Ring::note_reader_control`].
    pub(super) seen_frozen: AtomicU64,
    pub(super) begun: AtomicU64,
}

/// The reader's own knowledge. One cache line, as for the writer.
#[repr(C, align(64))]
#[derive(Debug, Default)]
#[cfg_attr(not(loom), derive(FromBytes, IntoBytes, KnownLayout))]
pub struct ConsumerState {
    /// Offset of the next byte to read.
    pub(super) head: AtomicU64,
    /// Offset up to which data was known when the writer's cursor was last read, inside the area in use.
    pub(super) limit: AtomicU64,
    /// `head` when the writer's wait word was last looked at.
    pub(super) looked_at: AtomicU64,
    /// Area in use.
    pub(super) level: AtomicU32,
    /// Noted by [`crate::ring::Ring::note_writer_control`].
    pub(super) seen_reset: AtomicU32,
    /// The word `start` as accepted; zero before.
    pub(super) seen_start: AtomicU64,
    /// Noted by [`crate::ring::Ring::note_writer_control`].
    pub(super) seen_fin: AtomicU64,
    /// Noted by [`crate::ring::Ring::note_writer_control`].
    pub(super) seen_urgent: AtomicU64,
    /// Noted by [`crate::ring::Ring::note_writer_control`].
    pub(super) seen_end: AtomicU64,
}

#[cfg(not(loom))]
// SAFETY: atomic integers only, in a fixed layout.
unsafe impl crate::memory::Zeroable for ProducerState {}
#[cfg(not(loom))]
// SAFETY: as above; nonsense in it leads to nonsense, never out of the ring's memory.
unsafe impl crate::memory::Shared for ProducerState {}
#[cfg(not(loom))]
// SAFETY: atomic integers only, in a fixed layout.
unsafe impl crate::memory::Zeroable for ConsumerState {}
#[cfg(not(loom))]
// SAFETY: as above.
unsafe impl crate::memory::Shared for ConsumerState {}

impl ProducerState {
    /// Back to a ring that has not begun.
    pub fn clear(&self) {
        for word in [
            &self.tail,
            &self.limit,
            &self.cached_head,
            &self.area_start[0],
            &self.area_start[1],
            &self.seen_frozen,
            &self.begun,
        ] {
            word.store(0, Ordering::Relaxed);
        }
        self.level.store(0, Ordering::Relaxed);
        self.seen_closed.store(0, Ordering::Relaxed);
    }

    /// Takes over what another process of the same side knew, which does not use the ring any more.
    pub fn assign(&self, from: &Self) {
        let words = [
            (&self.tail, &from.tail),
            (&self.limit, &from.limit),
            (&self.cached_head, &from.cached_head),
            (&self.area_start[0], &from.area_start[0]),
            (&self.area_start[1], &from.area_start[1]),
            (&self.seen_frozen, &from.seen_frozen),
            (&self.begun, &from.begun),
        ];
        for (to, from) in words {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.level.store(from.level.load(Ordering::Relaxed), Ordering::Relaxed);
        self.seen_closed.store(from.seen_closed.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Offset after the last byte written: where the next one goes.
    #[inline]
    pub fn tail(&self) -> u64 {
        self.tail.load(Ordering::Relaxed)
    }

    /// The reader's cursor when it was last read. Bytes before it were read by the peer's program.
    #[inline]
    pub fn known_head(&self) -> u64 {
        self.cached_head.load(Ordering::Relaxed)
    }

    /// Which area is in use, as an index of [`crate::ring::AREA_BYTES`].
    #[inline]
    pub fn level(&self) -> u32 {
        self.level.load(Ordering::Relaxed)
    }

    /// Whether [`crate::ring::Ring::begin`] was called.
    #[inline]
    pub fn begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed) != 0
    }

    /// Offset at which the area of `level` began.
    #[inline]
    pub(super) fn start_of(&self, level: u32) -> u64 {
        match level {
            0 => 0,
            1 => self.area_start[0].load(Ordering::Relaxed),
            _ => self.area_start[1].load(Ordering::Relaxed),
        }
    }
}

impl ConsumerState {
    /// Back to a ring that has not begun.
    pub fn clear(&self) {
        for word in [
            &self.head,
            &self.limit,
            &self.looked_at,
            &self.seen_start,
            &self.seen_fin,
            &self.seen_urgent,
            &self.seen_end,
        ] {
            word.store(0, Ordering::Relaxed);
        }
        self.level.store(0, Ordering::Relaxed);
        self.seen_reset.store(0, Ordering::Relaxed);
    }

    /// Takes over what another process of the same side knew, which does not use the ring any more.
    pub fn assign(&self, from: &Self) {
        let words = [
            (&self.head, &from.head),
            (&self.limit, &from.limit),
            (&self.looked_at, &from.looked_at),
            (&self.seen_start, &from.seen_start),
            (&self.seen_fin, &from.seen_fin),
            (&self.seen_urgent, &from.seen_urgent),
            (&self.seen_end, &from.seen_end),
        ];
        for (to, from) in words {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.level.store(from.level.load(Ordering::Relaxed), Ordering::Relaxed);
        self.seen_reset.store(from.seen_reset.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Offset of the next byte to read.
    #[inline]
    pub fn head(&self) -> u64 {
        self.head.load(Ordering::Relaxed)
    }

    /// Which area is in use, as an index of [`crate::ring::AREA_BYTES`].
    #[inline]
    pub fn level(&self) -> u32 {
        self.level.load(Ordering::Relaxed)
    }

    /// Whether [`crate::ring::Ring::accept_begin`] has seen the ring begin.
    #[inline]
    pub fn begun(&self) -> bool {
        self.seen_start.load(Ordering::Relaxed) != 0
    }

    /// Bytes known to be there without looking at shared memory; there may be more.
    #[inline]
    pub fn known_readable(&self) -> usize {
        self.limit.load(Ordering::Relaxed).saturating_sub(self.head()) as usize
    }
}
