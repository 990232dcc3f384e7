//! The writer's side: staging bytes, publishing them, growing into the next area.

use super::layout::Area;
use super::{LEVELS, ProducerState, Ring, Span, Violation};
use crate::atomic::Ordering::{Acquire, Relaxed, Release};

/// Long writes are published in pieces of this size, so that the reader copies out the first while the writer
/// copies in the next.
const PIECE: usize = 32 << 10;

/// A write in progress: bytes copied into the ring that the reader does not see before [`Staging::publish`].
///
/// Dropping it instead forgets them (except for pieces of long writes that were published on the way). While
/// it exists no other call may change the same state.
#[must_use = "staged bytes are only sent by `publish`"]
pub struct Staging<'a> {
    ring: Ring,
    st: &'a ProducerState,
    /// Offset of the next byte to stage.
    at: u64,
    /// Offset up to which there is room.
    limit: u64,
    /// Area in use.
    level: u32,
}

impl Ring {
    /// Begins a write, for several pieces with one publication.
    #[inline]
    pub fn stage<'a>(&self, st: &'a ProducerState) -> Staging<'a> {
        Staging {
            ring: *self,
            st,
            at: st.tail.load(Relaxed),
            limit: st.limit.load(Relaxed),
            level: st.level.load(Relaxed),
        }
    }

    /// Writes as much of `src` as fits and publishes it; how much that was. Then call
    /// [`Ring::take_data_wait`].
    #[inline]
    pub fn write(&self, st: &ProducerState, src: &[u8]) -> Result<usize, Violation> {
        let mut staging = self.stage(st);
        let n = staging.push(src)?;
        staging.publish();
        Ok(n)
    }

    /// Bytes that could be written now, from a fresh look at the reader's cursor.
    #[inline]
    pub fn writable(&self, st: &ProducerState) -> Result<usize, Violation> {
        let mut staging = self.stage(st);
        staging.refresh()?;
        Ok(staging.room())
    }

    /// Moves on to the next area, which has its whole size free; `false` if there is none. Nothing may be
    /// staged.
    pub fn grow(&self, st: &ProducerState) -> bool {
        let level = st.level.load(Relaxed);
        let Some(word) = self.header().writer.grow_at.get(level as usize) else { return false };
        if !st.begun() {
            return false;
        }
        let tail = st.tail.load(Relaxed);
        // The local words first: if this process dies in between, the next one repeats nothing and the reader
        // finds an impossible stream only if bytes are really missing.
        st.area_start[level as usize].store(tail, Relaxed);
        st.level.store(level + 1, Relaxed);
        st.limit.store(tail.saturating_add(Area::of(level + 1).bytes as u64), Relaxed);
        // Release is not what the reader relies on: it reads this after the acquire of a `tail` that was
        // published later. It is released so that a reader that sees it early sees the present `tail` with it.
        word.store(tail.wrapping_add(1), Release);
        true
    }

    /// Copies bytes the writer has written, from offset `from` on, back into `dst`; how many those were.
    ///
    /// For a stream that leaves the ring before the reader has read everything: the reader has stopped for good
    /// at [`ReaderControl::frozen_at`](super::ReaderControl), and the rest is sent another way. Only bytes from
    /// the reader's cursor on are still there; for any other offset the result is zero.
    pub fn reread(&self, st: &ProducerState, from: u64, dst: &mut [u8]) -> Result<usize, Violation> {
        let mut staging = self.stage(st);
        staging.refresh()?;
        let tail = st.tail();
        if from < st.known_head() {
            return Ok(0);
        }
        let (mut at, mut done) = (from, 0);
        for level in 0..LEVELS as u32 {
            let top = level >= st.level();
            let end = if top { tail } else { st.start_of(level + 1).min(tail) };
            let n = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
            let n = n.min(dst.len() - done).min(Area::of(level).bytes);
            self.copy_out(level, at, &mut dst[done..done + n]);
            at += n as u64;
            done += n;
            if top {
                break;
            }
        }
        Ok(done)
    }
}

impl Staging<'_> {
    /// Copies as much of `src` as fits into the ring; how much that was.
    #[inline]
    pub fn push(&mut self, src: &[u8]) -> Result<usize, Violation> {
        if self.room() < src.len() {
            self.refresh()?;
        }
        let n = self.room().min(src.len());
        let mut src = &src[..n];
        while src.len() > PIECE {
            let (piece, rest) = src.split_at(PIECE);
            self.ring.copy_in(self.level, self.at, piece);
            self.at += PIECE as u64;
            self.store_tail();
            src = rest;
        }
        self.ring.copy_in(self.level, self.at, src);
        self.at += src.len() as u64;
        Ok(n)
    }

    /// Room for more, as known without looking at shared memory again.
    #[inline]
    pub fn room(&self) -> usize {
        let room = usize::try_from(self.limit.saturating_sub(self.at)).unwrap_or(usize::MAX);
        room.min(Area::of(self.level).bytes)
    }

    /// Offset behind everything staged.
    #[inline]
    pub fn offset(&self) -> u64 {
        self.at
    }

    /// The free bytes at the end of what is staged, at most `max` of them, for a system call to fill. Follow
    /// with [`Staging::advance`].
    pub fn free_spans(&mut self, max: usize) -> Result<[Span; 2], Violation> {
        if self.room() < max {
            self.refresh()?;
        }
        Ok(self.ring.spans(self.level, self.at, self.room().min(max)))
    }

    /// Adds `n` bytes, put into the spans by other means, to what is staged.
    #[inline]
    pub fn advance(&mut self, n: usize) {
        self.at += n.min(self.room()) as u64;
    }

    /// Makes everything staged visible to the reader. Then call [`Ring::take_data_wait`].
    #[inline]
    pub fn publish(self) {
        if self.at != self.st.tail.load(Relaxed) {
            self.store_tail();
        }
    }

    #[inline]
    fn store_tail(&self) {
        self.st.tail.store(self.at, Relaxed);
        // Release: pairs with the acquire in `Drain::refresh`; the reader that sees this sees the bytes.
        self.ring.header().writer.tail.store(self.at, Release);
    }

    /// Reads the reader's cursor and works out the room anew.
    #[inline]
    fn refresh(&mut self) -> Result<(), Violation> {
        if !self.st.begun() {
            return Ok(());
        }
        // Acquire: pairs with the release in `Drain::commit`; the reader has finished copying what is before it,
        // so it may be overwritten.
        let head = self.ring.header().head.head.load(Acquire);
        // Zero: the reader has not accepted the ring yet, or a peer that only harms itself.
        if head == 0 {
            return Ok(());
        }
        if head < self.st.cached_head.load(Relaxed) {
            return Err(Violation::HeadBack);
        }
        if head > self.st.tail.load(Relaxed) {
            return Err(Violation::HeadAhead);
        }
        self.st.cached_head.store(head, Relaxed);
        // What is unread of former areas takes no room in this one.
        let from = head.max(self.st.start_of(self.level));
        self.limit = from.saturating_add(Area::of(self.level).bytes as u64);
        self.st.limit.store(self.limit, Relaxed);
        Ok(())
    }
}
