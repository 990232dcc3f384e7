//! The words that change rarely: end of stream, reset, urgent mark, leaving the ring.
//!
//! A setter publishes its word; the caller then wakes the other side with [`Ring::take_data_wait`] or
//! [`Ring::take_space_wait`]. A getter returns all words of the other side at once. They are claims of the
//! peer, to be checked against the cursors by the caller; [`Ring::at_fin`] does so for the end of the stream.
//!
//! All stores here are releases and pair with the acquire loads of the getter next to them: who sees a word
//! sees the cursors stored before it.

use super::{ConsumerState, ProducerState, Ring, Violation};
use crate::atomic::Ordering::{Acquire, Relaxed, Release};

/// What the writer has said besides its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriterControl {
    /// Offset at which the stream ends.
    pub fin: Option<u64>,
    /// Offset just after the latest urgent byte.
    pub urgent: Option<u64>,
    /// Offset from which the stream no longer uses the ring.
    pub end: Option<u64>,
    /// The writer has aborted the connection.
    pub reset: bool,
}

/// What the reader has said besides its cursor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReaderControl {
    /// Offset at which the reader has stopped for good, to go on elsewhere.
    pub frozen_at: Option<u64>,
    /// The reader will not read any more.
    pub closed: bool,
}

impl Ring {
    /// Writer: the stream ends after what was written; the offset of that.
    pub fn set_fin(&self, st: &ProducerState) -> u64 {
        let tail = st.tail();
        self.header().writer.fin.store(tail.wrapping_add(1), Release);
        tail
    }

    /// Writer: from the present offset on, which is returned, the stream no longer uses the ring.
    pub fn set_end(&self, st: &ProducerState) -> u64 {
        let tail = st.tail();
        self.header().writer.end.store(tail.wrapping_add(1), Release);
        tail
    }

    /// Writer: the byte before offset `after` is urgent. Replaces an earlier mark.
    ///
    /// Before the byte is published: then a reader that knows the byte to be there ([`Ring::readable`]) and looks at
    /// [`Ring::writer_control`] afterwards sees the mark.
    pub fn set_urgent(&self, after: u64) {
        self.header().writer.urgent.store(after.wrapping_add(1), Release);
    }

    /// Writer: the connection is aborted. May be called without the lock.
    pub fn set_reset(&self) {
        self.header().writer.reset.store(1, Release);
    }

    /// Reader: nothing more will be read. May be called without the lock.
    pub fn set_reader_closed(&self) {
        self.header().reader.closed.store(1, Release);
    }

    /// Reader: stops at its present offset, which is returned, and will go on elsewhere.
    pub fn freeze(&self, st: &ConsumerState) -> u64 {
        let head = st.head();
        self.header().reader.frozen_at.store(head.wrapping_add(1), Release);
        head
    }

    /// What the writer has said. May be called without the lock.
    #[inline]
    pub fn writer_control(&self) -> WriterControl {
        let writer = &self.header().writer;
        WriterControl {
            fin: writer.fin.load(Acquire).checked_sub(1),
            urgent: writer.urgent.load(Acquire).checked_sub(1),
            end: writer.end.load(Acquire).checked_sub(1),
            reset: writer.reset.load(Acquire) != 0,
        }
    }

    /// What the reader has said. May be called without the lock.
    #[inline]
    pub fn reader_control(&self) -> ReaderControl {
        let reader = &self.header().reader;
        ReaderControl {
            frozen_at: reader.frozen_at.load(Acquire).checked_sub(1),
            closed: reader.closed.load(Acquire) != 0,
        }
    }

    /// Reader: whether everything up to the end of the stream was read.
    pub fn at_fin(&self, st: &ConsumerState) -> Result<bool, Violation> {
        // Acquire: pairs with the release in `set_fin`.
        let Some(fin) = self.header().writer.fin.load(Acquire).checked_sub(1) else { return Ok(false) };
        if !st.begun() {
            return Ok(false);
        }
        let head = st.head();
        if fin < head.max(st.limit.load(Relaxed)) {
            return Err(Violation::Fin);
        }
        Ok(fin == head)
    }

    /// Reader: has dealt with `seen`; only other news than these keep [`Ring::arm_data_wait`] from sleeping.
    pub fn note_writer_control(&self, st: &ConsumerState, seen: &WriterControl) {
        st.seen_fin.store(word(seen.fin), Relaxed);
        st.seen_urgent.store(word(seen.urgent), Relaxed);
        st.seen_end.store(word(seen.end), Relaxed);
        st.seen_reset.store(seen.reset.into(), Relaxed);
    }

    /// Writer: has dealt with `seen`; only other news than these keep [`Ring::arm_space_wait`] from sleeping.
    pub fn note_reader_control(&self, st: &ProducerState, seen: &ReaderControl) {
        st.seen_frozen.store(word(seen.frozen_at), Relaxed);
        st.seen_closed.store(seen.closed.into(), Relaxed);
    }

    /// Writer: whether the reader has moved since its cursor was last read, for spinning: one load of shared memory, and no
    /// order with anything else. May be called without the lock.
    #[inline]
    pub fn space_hint(&self, st: &ProducerState) -> bool {
        self.header().head.head.load(Relaxed) > st.known_head()
    }

    /// Writer: room that makes a poll for writing answer "ready": an eighth of the area in use, so that writers are not
    /// woken for crumbs.
    #[inline]
    pub fn low_water(&self, st: &ProducerState) -> usize {
        super::layout::Area::of(st.level()).bytes / 8
    }

    /// Reader: whether there is anything that was neither read nor noted. Ordered by the caller's fence.
    #[inline]
    pub(super) fn data_news(&self, st: &ConsumerState) -> bool {
        let writer = &self.header().writer;
        let start = st.seen_start.load(Relaxed);
        // Before the ring has begun its `tail` means nothing.
        (start != 0 && writer.tail.load(Relaxed) != st.head())
            || writer.start.load(Relaxed) != start
            || writer.fin.load(Relaxed) != st.seen_fin.load(Relaxed)
            || writer.urgent.load(Relaxed) != st.seen_urgent.load(Relaxed)
            || writer.end.load(Relaxed) != st.seen_end.load(Relaxed)
            || u32::from(writer.reset.load(Relaxed) != 0) != st.seen_reset.load(Relaxed)
    }

    /// Writer: whether the reader has moved since its cursor was last read, or has said anything that was not
    /// noted. Ordered by the caller's fence.
    #[inline]
    pub(super) fn space_news(&self, st: &ProducerState) -> bool {
        let head = self.header().head.head.load(Relaxed);
        let reader = &self.header().reader;
        // Zero as in `Staging::refresh`.
        (head != 0 && head != st.known_head())
            || reader.frozen_at.load(Relaxed) != st.seen_frozen.load(Relaxed)
            || u32::from(reader.closed.load(Relaxed) != 0) != st.seen_closed.load(Relaxed)
    }
}

/// How an offset is stored in a control word.
#[inline]
fn word(offset: Option<u64>) -> u64 {
    offset.map_or(0, |offset| offset.wrapping_add(1))
}
