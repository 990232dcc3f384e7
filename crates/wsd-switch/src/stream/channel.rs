//! What this process needs to reach the rings of a promoted connection: one entry per record, private to the process,
//! copied by fork. Entries are never freed and ring addresses never unmapped, so a thread that raced with a close
//! reads stale bytes at worst, and learns under the direction's lock that the path changed.

use std::sync::OnceLock;

use rustix::io::Errno;
use wsd_os::atomic::{AtomicU32, Ordering};
use wsd_os::memory::SparseArray;
use wsd_os::ring::RingSlot;

use crate::family::layout::RECORDS;

wsd_os::zeroable! {
    /// Reachability of one connection's rings.
    #[repr(align(64))]
    pub(crate) struct Channel {
        /// Ring that the program's sends go into.
        pub send: RingSlot,
        /// Ring that the program's receives come from.
        pub recv: RingSlot,
        /// Number of the pair + 1 through which the peer's sleepers are reached; 0: the other end of the rings is this
        /// process's own service thread.
        pub pair: AtomicU32,
        /// This connection's bit in the pair page of the peer.
        pub peer_bit: AtomicU32,
        /// This connection's bit in our own pair page.
        pub own_bit: AtomicU32,
        /// Lanes (bits 0..) in which threads of this process watch the connection in sets.
        pub lanes: AtomicU32,
    }
}

static CHANNELS: OnceLock<SparseArray<Channel>> = OnceLock::new();

/// Makes the table.
pub(crate) fn start() -> Result<(), Errno> {
    let table = SparseArray::new(RECORDS)?;
    CHANNELS.set(table).map_err(|_| Errno::ALREADY)
}

/// The entry of a record.
#[inline]
pub(crate) fn of(index: u32) -> Option<&'static Channel> {
    CHANNELS.get()?.get(index as usize)
}

impl Channel {
    /// Forgets the rings.
    pub(crate) fn clear(&self) {
        self.send.clear();
        self.recv.clear();
        self.pair.store(0, Ordering::Release);
        self.peer_bit.store(0, Ordering::Relaxed);
        self.own_bit.store(0, Ordering::Relaxed);
    }
}
