//! Going to sleep and being woken.
//!
//! A side that found nothing to do sets bits in its *wait word*, looks once more, and sleeps. The other side,
//! after everything it publishes, looks at that word and, if it is not zero, takes the bits and wakes whoever
//! they stand for. No wake-up is lost because each side writes one location and then reads the other's, with a
//! full fence in between (Dekker's protocol):
//!
//! ```text
//! reader (arm_data_wait)          writer (write, then take_data_wait)
//!   data_wait |= bits               tail = new
//!   fence(SeqCst)                   fence(SeqCst)
//!   load tail and control words     load data_wait
//! ```
//!
//! Sequentially consistent fences have one order. If the reader's is first, the writer's load sees the bits and
//! it wakes the reader; if the writer's is first, the reader's loads see the new `tail` and it does not sleep.
//! Neither needs more than the fence: the loads and stores around it are relaxed. On x86 a store may otherwise
//! be delayed past a later load, on ARM both may move; the fences (`lock or` and `dmb ish`) forbid either.
//!
//! `space_wait` is the mirror image, with `head` for `tail`.

use super::layout::Area;
use super::{ConsumerState, ProducerState, Ring};
use crate::atomic::Ordering::{AcqRel, Relaxed, SeqCst};
use crate::atomic::{AtomicU32, fence};

impl Ring {
    /// Reader: asks to be woken. `true`: nothing has come meanwhile, and the caller may sleep for as long as
    /// the word of [`Ring::data_wait_word`] still has its bits. `false`: there is news, look again.
    ///
    /// News is data, or a control word other than [noted](Ring::note_writer_control). The bits stay set either
    /// way; a caller that does not sleep may remove them with [`Ring::disarm_data_wait`].
    pub fn arm_data_wait(&self, st: &ConsumerState, bits: u32) -> bool {
        self.header().reader.data_wait.fetch_or(bits, Relaxed);
        // Pairs with the fence in `take_data_wait`, see above.
        fence(SeqCst);
        !self.data_news(st)
    }

    /// Reader: does not want to be woken any more. A wake-up may be under way. May be called without the lock.
    pub fn disarm_data_wait(&self, bits: u32) {
        self.header().reader.data_wait.fetch_and(!bits, Relaxed);
    }

    /// Writer: after publishing anything, the bits of those to be woken. May be called without the lock.
    #[inline]
    pub fn take_data_wait(&self) -> u32 {
        // Pairs with the fence in `arm_data_wait`, see above.
        fence(SeqCst);
        take(&self.header().reader.data_wait)
    }

    /// The word that sleeping readers wait on.
    #[inline]
    pub fn data_wait_word(&self) -> &'static AtomicU32 {
        &self.header().reader.data_wait
    }

    /// Writer: asks to be woken when the reader has made space, or has said anything other than
    /// [noted](Ring::note_reader_control). As [`Ring::arm_data_wait`]; here news is any movement of the reader's
    /// cursor since it was last read, so look with [`Ring::writable`] before.
    pub fn arm_space_wait(&self, st: &ProducerState, bits: u32) -> bool {
        self.header().space.space_wait.fetch_or(bits, Relaxed);
        // Pairs with the fence in `take_space_wait`, see above.
        fence(SeqCst);
        !self.space_news(st)
    }

    /// Writer: does not want to be woken any more. A wake-up may be under way. May be called without the lock.
    pub fn disarm_space_wait(&self, bits: u32) {
        self.header().space.space_wait.fetch_and(!bits, Relaxed);
    }

    /// Reader: after reading or setting anything, the bits of those to be woken. May be called without the
    /// lock.
    #[inline]
    pub fn take_space_wait(&self) -> u32 {
        // Pairs with the fence in `arm_space_wait`, see above.
        fence(SeqCst);
        take(&self.header().space.space_wait)
    }

    /// Reader: as [`Ring::take_space_wait`], but looks, and pays for the fence, only when an eighth of the area
    /// in use was read since the last time.
    ///
    /// A writer may then sleep although up to an eighth is free. It is always woken before the reader has
    /// drained a full ring, because it went to sleep with more than that unread; TCP, too, does not wake a
    /// writer for every byte of window. Not for writers that sleep with less than an eighth unread, such as one
    /// that waits for everything to be read: if there are any, use the other form.
    #[inline]
    pub fn take_space_wait_lazy(&self, st: &ConsumerState) -> u32 {
        let head = st.head.load(Relaxed);
        let read = head.wrapping_sub(st.looked_at.load(Relaxed));
        if read < (Area::of(st.level.load(Relaxed)).bytes / 8) as u64 {
            return 0;
        }
        st.looked_at.store(head, Relaxed);
        self.take_space_wait()
    }

    /// The word that sleeping writers wait on.
    #[inline]
    pub fn space_wait_word(&self) -> &'static AtomicU32 {
        &self.header().space.space_wait
    }
}

/// Takes the bits of a wait word; a plain load while nobody waits.
#[inline]
fn take(word: &AtomicU32) -> u32 {
    if word.load(Relaxed) == 0 {
        return 0;
    }
    // Acquire and release: who finds its bits gone, or takes them, sees what the other did before.
    word.swap(0, AcqRel)
}
