//! Where everything lies in the memory of a ring.
//!
//! Words are grouped by who writes them and how often, one group to a pair of cache lines (processors fetch
//! lines in pairs, so 64 bytes of distance would still let two groups disturb each other):
//!
//! * `WriterLine`: `tail` and the writer's rare words. They share a line so that a reader, who needs `tail` for
//!   every message, finds the rare words without touching a second line.
//! * `HeadLine`: `head` alone. The writer reads it only when its last known value leaves too little room.
//! * `ReaderLine`: `data_wait` and the reader's rare words. The writer looks at `data_wait` after each
//!   publication, so the rare words cost it nothing. In a stream whose reader does not sleep nobody writes here.
//! * `SpaceLine`: `space_wait`, the mirror image: looked at by the reader, armed by a writer that sleeps.

use crate::atomic::{AtomicU32, AtomicU64};

/// Page size assumed for the layout; memory of larger pages is aligned to this as well.
pub(super) const PAGE: usize = 4096;

/// Number of data areas.
pub const LEVELS: usize = 3;

/// Sizes of the data areas in bytes, each a power of two.
#[cfg(not(loom))]
pub const AREA_BYTES: [usize; LEVELS] = [64 << 10, 1 << 20, 8 << 20];
/// Sizes of the data areas in bytes, tiny so that a model run reaches a full ring.
#[cfg(loom)]
pub const AREA_BYTES: [usize; LEVELS] = [2, 4, 8];

const fn pages(bytes: usize) -> usize {
    bytes.div_ceil(PAGE) * PAGE
}

/// Offsets of the data areas from the ring's base.
const AREA_OFFSET: [usize; LEVELS] = {
    let first = pages(size_of::<Header>());
    let second = first + pages(AREA_BYTES[0]);
    [first, second, second + pages(AREA_BYTES[1])]
};

/// Bytes of a whole ring.
pub(super) const RING_BYTES: usize = AREA_OFFSET[2] + pages(AREA_BYTES[2]);

/// Words of the writer: `tail` and those that rarely change.
///
/// Offsets other than `tail` are stored plus one, so that zeroed memory says "not yet".
#[repr(C, align(128))]
#[derive(Default)]
pub(super) struct WriterLine {
    /// Offset after the last published byte.
    pub(super) tail: AtomicU64,
    /// Offset at which the ring begins, plus one.
    pub(super) start: AtomicU64,
    /// Offset at which the writer moved from area `l` to area `l + 1`, plus one.
    pub(super) grow_at: [AtomicU64; LEVELS - 1],
    /// Offset at which the stream ends, plus one.
    pub(super) fin: AtomicU64,
    /// Offset after the urgent byte, plus one.
    pub(super) urgent: AtomicU64,
    /// Offset from which the stream no longer uses the ring, plus one.
    pub(super) end: AtomicU64,
    /// Not zero: the writer has aborted the connection.
    pub(super) reset: AtomicU32,
}

/// The reader's cursor.
#[repr(C, align(128))]
#[derive(Default)]
pub(super) struct HeadLine {
    /// Offset after the last byte read; zero also means that the reader has not begun.
    pub(super) head: AtomicU64,
}

/// Words of the reader that rarely change.
#[repr(C, align(128))]
#[derive(Default)]
pub(super) struct ReaderLine {
    /// Bits of those who sleep until there is data.
    pub(super) data_wait: AtomicU32,
    /// Not zero: the reader will not read any more.
    pub(super) closed: AtomicU32,
    /// Offset at which the reader stopped for good, plus one.
    pub(super) frozen_at: AtomicU64,
}

/// What the writer asks of the reader.
#[repr(C, align(128))]
#[derive(Default)]
pub(super) struct SpaceLine {
    /// Bits of those who sleep until there is space.
    pub(super) space_wait: AtomicU32,
}

/// All shared words of a ring.
#[repr(C)]
#[derive(Default)]
pub(super) struct Header {
    pub(super) writer: WriterLine,
    pub(super) head: HeadLine,
    pub(super) reader: ReaderLine,
    pub(super) space: SpaceLine,
}

/// Both processes must agree on these numbers; and the writer's words must fit one cache line.
#[cfg(not(loom))]
const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(WriterLine, reset) + 4 <= 64);
    assert!(offset_of!(Header, writer) == 0);
    assert!(offset_of!(Header, head) == 128);
    assert!(offset_of!(Header, reader) == 256);
    assert!(offset_of!(Header, space) == 384);
    assert!(size_of::<Header>() == 512);
    assert!(AREA_OFFSET[0] == PAGE);
    assert!(size_of::<usize>() == 8);
};

/// One data area: its offset from the ring's base and its size.
#[derive(Clone, Copy)]
pub(super) struct Area {
    pub(super) offset: usize,
    pub(super) bytes: usize,
}

impl Area {
    /// The area of a level. A level out of range means the last one: wherever a level comes from, the result is
    /// inside the ring.
    #[inline]
    pub(super) fn of(level: u32) -> Area {
        // Written out, because this becomes selects between constants where an index would be loads.
        match level {
            0 => Area { offset: AREA_OFFSET[0], bytes: AREA_BYTES[0] },
            1 => Area { offset: AREA_OFFSET[1], bytes: AREA_BYTES[1] },
            _ => Area { offset: AREA_OFFSET[2], bytes: AREA_BYTES[2] },
        }
    }
}
