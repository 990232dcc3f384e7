//! Rings in memory that stays mapped for ever.

use std::ptr::NonNull;

use wsd_os::atomic::AtomicU8;
use wsd_os::memory::SharedRegion;
use wsd_os::ring::Ring;
use wsd_spi::client::{ForeverMemory, SharedMemory, StableMemory};

/// The ring in memory that a provider shares with the peer.
pub(super) fn ring_in(memory: &SharedMemory) -> Option<Ring> {
    ring_of(Lasting::Shared(memory)).map(|(ring, _)| ring)
}

/// Memory that stays mapped for ever.
pub(super) enum Lasting<'a> {
    /// By the contract of WsdAllocate and WsdMap: until the last WSPCleanup, which this process never calls.
    Shared(&'a SharedMemory),
    /// From this offset on, if it lies in an arena.
    Own(&'a SharedRegion, usize),
    /// A ring that this process has inherited.
    Inherited(Ring),
}

/// The ring in memory, and the same memory as providers take it.
#[allow(unsafe_code)]
pub(super) fn ring_of(memory: Lasting<'_>) -> Option<(Ring, ForeverMemory)> {
    let (start, length) = match memory {
        Lasting::Shared(memory) => (memory.as_ptr(), memory.len()),
        Lasting::Own(region, offset) => {
            // Its last byte lies inside, and for ever.
            region.at_forever::<AtomicU8>(offset.checked_add(Ring::BYTES - 1)?)?;
            (NonNull::new(region.as_ptr().wrapping_add(offset))?, Ring::BYTES)
        }
        Lasting::Inherited(ring) => (NonNull::new(ring.as_ptr())?, Ring::BYTES),
    };
    // SAFETY: the range stays mapped, readable and writable, for ever (see `Lasting`); only atomics and raw copies touch it.
    unsafe { Some((Ring::from_raw(start.as_ptr(), length)?, ForeverMemory::new(start, length))) }
}
