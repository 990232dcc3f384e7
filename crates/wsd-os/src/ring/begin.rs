//! The begin of a ring's use: cleared by whoever set it up, begun by the writer, accepted by the reader.

use super::layout::Header;
use super::{ConsumerState, ProducerState, Ring, Violation};
use crate::atomic::Ordering::{Acquire, Relaxed, Release};

impl Ring {
    /// Clears all shared words, for a new connection. Neither side may be using the ring.
    ///
    /// The states of both sides must be zeroed or begun anew as well. Handing the ring to the other process is
    /// what orders this before its first access.
    pub fn reset(&self) {
        let Header { writer, head, reader, space } = self.header();
        writer.tail.store(0, Relaxed);
        writer.start.store(0, Relaxed);
        for word in &writer.grow_at {
            word.store(0, Relaxed);
        }
        writer.fin.store(0, Relaxed);
        writer.urgent.store(0, Relaxed);
        writer.end.store(0, Relaxed);
        writer.reset.store(0, Relaxed);
        head.head.store(0, Relaxed);
        reader.data_wait.store(0, Relaxed);
        reader.closed.store(0, Relaxed);
        reader.frozen_at.store(0, Relaxed);
        space.space_wait.store(0, Relaxed);
    }

    /// Writer: the stream uses the ring from offset `start` on. Wake the reader after it.
    pub fn begin(&self, st: &ProducerState, start: u64) {
        st.tail.store(start, Relaxed);
        st.cached_head.store(start, Relaxed);
        st.limit.store(start.saturating_add(super::AREA_BYTES[0] as u64), Relaxed);
        for word in &st.area_start {
            word.store(0, Relaxed);
        }
        st.level.store(0, Relaxed);
        st.seen_closed.store(0, Relaxed);
        st.seen_frozen.store(0, Relaxed);
        st.begun.store(1, Relaxed);
        let writer = &self.header().writer;
        writer.tail.store(start, Relaxed);
        // Release: pairs with the acquire in `accept_begin`, so that its reader finds this `tail`, not zero.
        writer.start.store(start.wrapping_add(1), Release);
    }

    /// Reader: whether the writer has begun; from then on the ring can be read. It must begin at
    /// `expected_start`, up to which the reader got the stream elsewhere. Calling it again changes nothing.
    pub fn accept_begin(&self, st: &ConsumerState, expected_start: u64) -> Result<bool, Violation> {
        if st.begun() {
            return Ok(true);
        }
        // Acquire: pairs with the release in `begin`.
        let word = self.header().writer.start.load(Acquire);
        let Some(start) = word.checked_sub(1) else { return Ok(false) };
        if start != expected_start {
            return Err(Violation::Start);
        }
        st.head.store(start, Relaxed);
        st.limit.store(start, Relaxed);
        st.looked_at.store(start, Relaxed);
        st.level.store(0, Relaxed);
        st.seen_start.store(word, Relaxed);
        // Nothing was read, so nothing must be ordered before this; the writer takes it for its own start.
        self.header().head.head.store(start, Relaxed);
        Ok(true)
    }

    /// Offset at which the writer has begun, if it has. May be called without the lock.
    #[inline]
    pub fn started_at(&self) -> Option<u64> {
        // Acquire: pairs with the release in `begin`.
        self.header().writer.start.load(Acquire).checked_sub(1)
    }
}
