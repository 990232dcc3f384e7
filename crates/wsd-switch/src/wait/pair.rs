//! Pair pages: how two processes tell each other which of their connections has something new.
//!
//! For each peer process this process owns one page, shared with that peer alone: per lane (per set of sleepers) a flag "somebody
//! sleeps here", and a bitmap with one bit per connection of the pair. The peer sets the bit, then, if the flag was
//! set, takes it and rings the lane's bell. The sleeper sets the flag, looks at the bits again, sleeps.
//! Both orders are by sequentially consistent operations, so either the bit is seen or the bell rings.

use std::sync::OnceLock;

use wsd_os::Errno;
use wsd_os::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use wsd_os::memory::{SharedSlot, SparseArray};

use super::bells;
use crate::stream::channel::Channel;

/// Lanes per process. Lane 0 is the service thread's.
pub(crate) const LANES: usize = 16;
/// Connections per pair.
pub(crate) const CONNECTIONS: usize = 4096;
/// Pairs per process.
const PAIRS: usize = 1024;

wsd_os::shared! {
    #[repr(align(64))]
    struct Lane {
        sleeping: AtomicU32,
        pad: [AtomicU32; 15],
        summary: AtomicU64,
        bits: [AtomicU64; CONNECTIONS / 64],
    }
}

wsd_os::shared! {
    /// A pair page.
    pub(crate) struct Page {
        lanes: [Lane; LANES],
    }
}

/// Bytes of a pair page's segment.
pub(crate) const PAGE_BYTES: usize = size_of::<Page>().next_multiple_of(4096);

wsd_os::zeroable! {
    /// A peer process, in a table that never moves.
    #[repr(align(64))]
    pub(crate) struct Pair {
        /// [`FREE`], [`ALIVE`] or [`INHERITED`].
        alive: AtomicU32,
        /// Page that the peer reads.
        outgoing: SharedSlot<Page>,
        /// Page that we read.
        incoming: SharedSlot<Page>,
        /// The peer's process token, which names its bells.
        token: [AtomicU64; 2],
        /// Bit in our page -> record index + 1.
        connections: [AtomicU32; CONNECTIONS],
    }
}

/// Nobody's.
const FREE: u32 = 0;
/// This process's.
const ALIVE: u32 = 1;
/// The parent's: the peer can be told of news, but reports its own to the parent.
#[cfg(target_os = "linux")]
const INHERITED: u32 = 2;

static TABLE: OnceLock<SparseArray<Pair>> = OnceLock::new();
/// One past the highest pair ever used.
static HIGHEST: AtomicU32 = AtomicU32::new(0);

/// Makes the table.
pub(crate) fn start() -> Result<(), Errno> {
    TABLE.set(SparseArray::new(PAIRS)?).map_err(|_| Errno::ALREADY)
}

fn pairs() -> impl Iterator<Item = (usize, &'static Pair)> {
    let highest = HIGHEST.load(Ordering::Acquire) as usize;
    TABLE.get().into_iter().flat_map(|table| table.iter()).take(highest).enumerate()
}

fn get(number: u32) -> Option<&'static Pair> {
    TABLE.get()?.get(number as usize)
}

/// Enters a peer; its number.
pub(crate) fn add(outgoing: &'static Page, incoming: &'static Page, token: [u64; 2]) -> Option<u32> {
    let table = TABLE.get()?;
    let number = table.iter().position(|pair| pair.alive.load(Ordering::Acquire) == FREE)?;
    let pair = table.get(number)?;
    for entry in &pair.connections {
        entry.store(0, Ordering::Relaxed);
    }
    pair.outgoing.store(outgoing);
    pair.incoming.store(incoming);
    pair.token[0].store(token[0], Ordering::Relaxed);
    pair.token[1].store(token[1], Ordering::Relaxed);
    pair.alive.store(ALIVE, Ordering::Release);
    HIGHEST.fetch_max(number as u32 + 1, Ordering::AcqRel);
    u32::try_from(number).ok()
}

/// Forgets a peer. Its pages stay readable.
pub(crate) fn remove(number: u32) {
    if let Some(pair) = get(number) {
        pair.alive.store(FREE, Ordering::Release);
    }
}

/// In the child of a fork: the pairs belong to the parent.
#[cfg(target_os = "linux")]
pub(crate) fn inherit_all() {
    for (_, pair) in pairs() {
        let _ = pair.alive.compare_exchange(ALIVE, INHERITED, Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// Gives a connection a bit in our page.
pub(crate) fn take_bit(number: u32, index: u32) -> Option<u32> {
    let pair = get(number)?;
    let bit = pair.connections.iter().position(|entry| {
        entry.compare_exchange(0, index + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    })?;
    u32::try_from(bit).ok()
}

/// Gives a bit back.
pub(crate) fn drop_bit(number: u32, bit: u32) {
    if let Some(entry) = get(number).and_then(|pair| pair.connections.get(bit as usize)) {
        entry.store(0, Ordering::Release);
    }
}

/// Tells the peer's sleepers on `lanes` that the connection has news.
pub(crate) fn notify(channel: &Channel, lanes: u32) {
    let Some(number) = channel.pair.load(Ordering::Acquire).checked_sub(1) else { return };
    let Some(pair) = get(number) else { return };
    if pair.alive.load(Ordering::Acquire) == FREE {
        return;
    }
    let Some(page) = pair.outgoing.load() else { return };
    let bit = channel.peer_bit.load(Ordering::Relaxed) as usize % CONNECTIONS;
    for (number, lane) in page.lanes.iter().enumerate() {
        if lanes & (1 << number) == 0 {
            continue;
        }
        lane.bits[bit / 64].fetch_or(1 << (bit % 64), Ordering::SeqCst);
        lane.summary.fetch_or(1 << (bit / 64), Ordering::SeqCst);
        if lane.sleeping.load(Ordering::SeqCst) != 0 && lane.sleeping.swap(0, Ordering::SeqCst) != 0 {
            let token = [pair.token[0].load(Ordering::Relaxed), pair.token[1].load(Ordering::Relaxed)];
            bells::ring(token, number as u32);
        }
    }
}

/// Says that somebody sleeps on the lane; look with [`take`] once more before sleeping.
pub(crate) fn sleeping(lane: u32) {
    for (_, pair) in pairs() {
        if pair.alive.load(Ordering::Relaxed) == ALIVE
            && let Some(lane) = pair.incoming.load().and_then(|page| page.lanes.get(lane as usize))
        {
            lane.sleeping.store(1, Ordering::SeqCst);
        }
    }
    fence(Ordering::SeqCst);
}

/// Whether any bit of the lane is set; loads only, for spinning.
#[inline]
pub(crate) fn any(lane: u32) -> bool {
    pairs().any(|(_, pair)| {
        pair.alive.load(Ordering::Relaxed) == ALIVE
            && pair
                .incoming
                .load()
                .and_then(|page| page.lanes.get(lane as usize))
                .is_some_and(|lane| lane.summary.load(Ordering::Relaxed) != 0)
    })
}

/// Takes the bits of a lane and calls `news` with the record index of each.
pub(crate) fn take(lane: u32, mut news: impl FnMut(u32)) {
    for (_, pair) in pairs() {
        if pair.alive.load(Ordering::Acquire) != ALIVE {
            continue;
        }
        let Some(lane) = pair.incoming.load().and_then(|page| page.lanes.get(lane as usize)) else {
            continue;
        };
        if lane.summary.load(Ordering::SeqCst) == 0 {
            continue;
        }
        for word in bits_of(lane.summary.swap(0, Ordering::SeqCst)) {
            for bit in bits_of(lane.bits[word].swap(0, Ordering::SeqCst)) {
                if let Some(index) = pair.connections[word * 64 + bit].load(Ordering::Acquire).checked_sub(1)
                {
                    news(index);
                }
            }
        }
    }
}

/// Positions of the set bits.
pub(crate) fn bits_of(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        if word == 0 {
            return None;
        }
        let bit = word.trailing_zeros() as usize;
        word &= word - 1;
        Some(bit)
    })
}

#[cfg(test)]
mod fuzz;
