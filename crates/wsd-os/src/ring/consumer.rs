//! The reader's side: finding out what is there, copying it out, giving the space back.

use super::layout::Area;
use super::{ConsumerState, LEVELS, Ring, Span, Violation};
use crate::atomic::Ordering::{Acquire, Relaxed, Release};

/// Long reads give space back in pieces of this size, so that the writer can fill it meanwhile.
const PIECE: usize = 32 << 10;

/// A read in progress: the writer does not get the space of what was taken before [`Drain::commit`].
///
/// Dropping it instead takes nothing: the bytes will be read again. While it exists no other call may change
/// the same state.
#[must_use = "what was read is only taken by `commit`"]
pub struct Drain<'a> {
    ring: Ring,
    st: &'a ConsumerState,
    /// Offset of the next byte.
    at: u64,
    /// Offset up to which bytes are known to be in the area in use.
    limit: u64,
    /// Area in use.
    level: u32,
    /// `limit` is where the writer moved to the next area, so there may be more behind it.
    edge: bool,
}

impl Ring {
    /// Begins a read, for several pieces with one step of the reader's cursor.
    #[inline]
    pub fn drain<'a>(&self, st: &'a ConsumerState) -> Drain<'a> {
        Drain {
            ring: *self,
            st,
            at: st.head.load(Relaxed),
            limit: st.limit.load(Relaxed),
            level: st.level.load(Relaxed),
            edge: false,
        }
    }

    /// Reads as much as there is into `dst`; how much that was. Then call [`Ring::take_space_wait`] or its lazy
    /// form.
    #[inline]
    pub fn read(&self, st: &ConsumerState, dst: &mut [u8]) -> Result<usize, Violation> {
        let mut drain = self.drain(st);
        if dst.len() <= PIECE {
            let n = drain.pull(dst)?;
            drain.commit();
            return Ok(n);
        }
        let mut done = 0;
        for piece in dst.chunks_mut(PIECE) {
            let n = drain.pull(piece)?;
            drain.store_head();
            done += n;
            if n < piece.len() {
                break;
            }
        }
        Ok(done)
    }

    /// Copies bytes from `skip` bytes after the reader's cursor on, without taking them; how many those were.
    pub fn peek(&self, st: &ConsumerState, skip: usize, dst: &mut [u8]) -> Result<usize, Violation> {
        let mut drain = self.drain(st);
        if drain.skip(skip)? < skip {
            return Ok(0);
        }
        drain.pull(dst)
    }

    /// Takes up to `n` bytes without copying them; how many those were.
    pub fn consume(&self, st: &ConsumerState, n: usize) -> Result<usize, Violation> {
        let mut drain = self.drain(st);
        let n = drain.skip(n)?;
        drain.commit();
        Ok(n)
    }

    /// Bytes that can be read now, from a fresh look at the writer's cursor.
    #[inline]
    pub fn readable(&self, st: &ConsumerState) -> Result<usize, Violation> {
        let mut drain = self.drain(st);
        drain.refresh()?;
        let mut total = drain.room();
        // Each further step is one more area; a peer cannot make it more than there are.
        for _ in 1..LEVELS {
            if !drain.edge {
                break;
            }
            drain.at = drain.limit;
            drain.refresh()?;
            total += drain.room();
        }
        Ok(total)
    }

    /// Whether anything can be read, for spinning: one load of shared memory, and no order with anything else.
    /// May be called without the lock.
    #[inline]
    pub fn has_data_hint(&self, st: &ConsumerState) -> bool {
        self.header().writer.tail.load(Relaxed) > st.head.load(Relaxed)
    }
}

impl Drain<'_> {
    /// Copies as much as there is into `dst`; how much that was.
    #[inline]
    pub fn pull(&mut self, dst: &mut [u8]) -> Result<usize, Violation> {
        if self.room() < dst.len() {
            self.refresh()?;
        }
        let n = self.room().min(dst.len());
        self.ring.copy_out(self.level, self.at, &mut dst[..n]);
        self.at += n as u64;
        if n < dst.len() && self.edge { self.pull_across(dst, n) } else { Ok(n) }
    }

    /// Goes on with a pull that has reached the end of an area, `done` bytes into `dst`.
    #[cold]
    fn pull_across(&mut self, dst: &mut [u8], mut done: usize) -> Result<usize, Violation> {
        while self.edge && done < dst.len() {
            self.refresh()?;
            let n = self.room().min(dst.len() - done);
            self.ring.copy_out(self.level, self.at, &mut dst[done..done + n]);
            self.at += n as u64;
            done += n;
        }
        Ok(done)
    }

    /// Passes over up to `n` bytes; how many those were.
    pub fn skip(&mut self, n: usize) -> Result<usize, Violation> {
        let mut done = 0;
        // As in `pull`, once more for every area that ends on the way.
        loop {
            if self.room() < n - done {
                self.refresh()?;
            }
            let step = self.room().min(n - done);
            self.at += step as u64;
            done += step;
            if done == n || !self.edge {
                return Ok(done);
            }
        }
    }

    /// The next bytes, at most `max` of them, for a system call to take. Follow with [`Drain::skip`]. There may
    /// be more than these when the writer has moved to another area.
    pub fn data_spans(&mut self, max: usize) -> Result<[Span; 2], Violation> {
        if self.room() < max {
            self.refresh()?;
        }
        Ok(self.ring.spans(self.level, self.at, self.room().min(max)))
    }

    /// Takes everything passed over and gives its space back; how much it was. Then call
    /// [`Ring::take_space_wait`] or its lazy form.
    #[inline]
    pub fn commit(self) -> usize {
        self.store_head()
    }

    #[inline]
    fn store_head(&self) -> usize {
        let from = self.st.head.load(Relaxed);
        self.st.level.store(self.level, Relaxed);
        self.st.limit.store(self.limit, Relaxed);
        if self.at != from {
            self.st.head.store(self.at, Relaxed);
            // Release: pairs with the acquire in `Staging::refresh`; our copies are done before the writer may
            // overwrite the bytes.
            self.ring.header().head.head.store(self.at, Release);
        }
        self.at.wrapping_sub(from) as usize
    }

    /// Bytes known to be there, in the area in use, without looking at shared memory again.
    #[inline]
    fn room(&self) -> usize {
        let room = usize::try_from(self.limit.saturating_sub(self.at)).unwrap_or(usize::MAX);
        room.min(Area::of(self.level).bytes)
    }

    /// Reads the writer's cursor and works out what is there; steps into the next area if this one is done.
    #[inline]
    fn refresh(&mut self) -> Result<(), Violation> {
        self.edge = false;
        if !self.st.begun() {
            return Ok(());
        }
        let writer = &self.ring.header().writer;
        // Acquire: pairs with the release in `Staging::publish`; we see the bytes before it, and a `grow_at`
        // that concerns any of them.
        let tail = writer.tail.load(Acquire);
        if tail < self.limit {
            return Err(Violation::TailBack);
        }
        let mut limit = tail;
        while let Some(word) = writer.grow_at.get(self.level as usize) {
            let word = word.load(Relaxed);
            // Zero: the writer is still in this area. Beyond `tail`: it has moved on since, which then is not
            // our concern yet.
            let Some(edge) = word.checked_sub(1).filter(|edge| *edge <= tail) else { break };
            if edge < self.limit {
                return Err(Violation::Grow);
            }
            if edge > self.at {
                limit = edge;
                self.edge = true;
                break;
            }
            self.level += 1;
        }
        if limit.wrapping_sub(self.at) > Area::of(self.level).bytes as u64 {
            return Err(Violation::TailAhead);
        }
        self.limit = limit;
        Ok(())
    }
}
