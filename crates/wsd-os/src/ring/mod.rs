//! One direction of a connection's bytes, in memory shared by two processes that do not trust each other.
//!
//! A [`Ring`] is only an address. What it holds:
//!
//! * three *data areas* of growing size ([`AREA_BYTES`]). The writer starts in the smallest and moves on when
//!   the stream turns out to need it ([`Ring::grow`]); the reader follows at the offset the writer named.
//! * the *cursors*, `tail` (written by the writer) and `head` (written by the reader). Both are offsets in the
//!   stream: 64 bits, they never wrap, and the byte at offset `o` lies at `o & (capacity - 1)` of the area in
//!   use at `o`.
//! * words that change rarely: where the ring begins and ends, end of stream, reset, urgent mark.
//! * two *wait words*, by which a side that found nothing to do asks to be woken.
//!
//! # Trust
//!
//! The peer may write anything at any time. So a side keeps its own cursor in private memory
//! ([`ProducerState`], [`ConsumerState`]) and only ever publishes it; of the shared words it reads those of the
//! peer, each once, and compares it with what it knows before use. A peer that writes the impossible causes a
//! [`Violation`], and the caller resets that connection. Data is copied out of the ring before anyone looks at
//! it, so a peer that changes it meanwhile only changes what it sent.
//!
//! # Threads and processes
//!
//! All calls of one side must be serialised by the caller (a lock of the side's processes); the two sides need
//! no lock between them. Calls that say so may be made without the lock.
//!
//! # Pairs of release and acquire
//!
//! | published with release by | read with acquire by | carries |
//! |---|---|---|
//! | [`Staging::publish`] (`tail`) | `Drain::refresh`, through [`Ring::read`] and others | data bytes, `grow_at` |
//! | [`Drain::commit`] (`head`) | `Staging::refresh`, through [`Ring::write`] and others | the right to overwrite |
//! | [`Ring::begin`] (`start`) | [`Ring::accept_begin`] | the first `tail` |
//! | setters of the control words | [`Ring::writer_control`], [`Ring::reader_control`] | cursors stored before |
//!
//! The wait words are ordered by fences, see [`Ring::arm_data_wait`].

mod begin;
mod consumer;
mod control;
mod copy;
mod layout;
mod producer;
mod slot;
mod state;
mod violation;
mod wait;

#[cfg(all(test, loom))]
mod loom_model;
#[cfg(all(test, not(loom)))]
mod tests;

use core::ptr::NonNull;

pub use consumer::Drain;
pub use control::{ReaderControl, WriterControl};
pub use copy::Span;
pub use layout::{AREA_BYTES, LEVELS};
pub use producer::Staging;
pub use slot::RingSlot;
pub use state::{ConsumerState, ProducerState};
pub use violation::Violation;

use layout::Header;

/// The ring in shared memory: a copyable address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    base: NonNull<u8>,
}

// SAFETY: a `Ring` is an address of memory that stays mapped (contract of `from_raw`); all its shared words are
// atomics, and the data areas are only touched by raw copies.
unsafe impl Send for Ring {}
// SAFETY: as for `Send`; there is no interior state in the handle itself.
unsafe impl Sync for Ring {}

impl Ring {
    /// Bytes of memory a ring needs. Most of it costs nothing until the stream has grown into it.
    pub const BYTES: usize = layout::RING_BYTES;

    /// Alignment the memory of a ring needs: a page.
    pub const ALIGN: usize = layout::PAGE;

    /// The ring in `len` bytes of memory at `ptr`; `None` if it is too short or not aligned to a page.
    ///
    /// # Safety
    ///
    /// The range must stay mapped, readable and writable, for the remaining life of the process. Its contents
    /// may change in any way at any time, also into those of something unrelated. No Rust reference to it that
    /// forbids such changes may exist.
    #[inline]
    pub unsafe fn from_raw(ptr: *mut u8, len: usize) -> Option<Ring> {
        if len < Self::BYTES || !(ptr as usize).is_multiple_of(Self::ALIGN) {
            return None;
        }
        NonNull::new(ptr).map(|base| Ring { base })
    }

    /// Address of the ring's memory.
    #[inline]
    pub fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// The shared words.
    #[inline]
    fn header(&self) -> &'static Header {
        // SAFETY: `from_raw` has checked alignment and length and was promised that the memory stays mapped;
        // `Header` consists of atomics, which may change under a shared reference and accept every bit pattern.
        unsafe { self.base.cast::<Header>().as_ref() }
    }
}
