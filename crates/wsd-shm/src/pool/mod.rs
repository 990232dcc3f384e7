//! Memory that both ends of a connection see (`WsdAllocate`, `WsdMap`).
//!
//! Each end of a link has a [`store::Store`]: chunks of shared memory that it made, each cut into slots of one size,
//! and a [`view::View`] of the peer's. A chunk is sent over the link once, as a descriptor of a sealed memfd. An
//! allocation takes the slot that was freed last, whose pages are warm; its descriptor names chunk, slot, generation
//! and the socket that it is for.
//!
//! A slot is used again when both ends have done with it: its owner by `WsdFree`, the peer by `WsdUnmap` (or both by
//! closing their sockets). The owner says `Freed`; the peer answers `Released`, at once or when it unmaps; from `Freed`
//! on that generation cannot be mapped any more. When the peer dies nothing is answered, but then the whole store goes.
//!
//! Address ranges are never given back to the system (see `wsd_spi::extension`): chunks end up as zero pages in an
//! arena.

pub(crate) mod held;
pub(crate) mod store;
pub(crate) mod view;

use core::ops::Deref;

use wsd_os::Errno;
use wsd_os::atomic::{AtomicUsize, Ordering};
use wsd_os::memory::{AddressArena, RegionOptions, SharedRegion, page_size};

/// Length of a descriptor of `WsdAllocate`.
pub(crate) const DESCRIPTOR: usize = 24;
/// Most slots of a chunk.
pub(crate) const MAX_SLOTS: u32 = 16;
/// Most bytes of a chunk that has more than one slot.
const CHUNK_BYTES: u64 = 256 << 20;
/// A freed slot keeps this much memory; what lies behind goes back to the system.
const WARM: usize = 128 * 1024;
/// Most chunks of one peer. More than [`MAX_MAPPED`], since the peer's limit has to be met first.
const MAX_CHUNKS: usize = 2 * MAX_MAPPED;
/// Most chunks that a process maps, of a limited number of mappings (by default 65,530) that the program needs too.
const MAX_MAPPED: usize = 16_384;
/// Most bytes of chunks that a process maps: address space, not memory.
const MAX_BYTES: usize = 16 << 40;

/// Where chunks are mapped.
static ARENA: AddressArena = AddressArena::new();
/// How many chunks are mapped, and how many bytes.
static MAPPED: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// The memory of a chunk, mapped.
#[derive(Debug)]
pub(crate) struct Mapped {
    region: SharedRegion,
    _share: Share,
}

/// A chunk's part of what may be mapped.
#[derive(Debug)]
struct Share(usize);

impl Mapped {
    /// Maps a chunk of that many bytes with `map`.
    ///
    /// # Errors
    /// `ENOMEM` if too much is mapped, and what `map` answers.
    fn new(
        bytes: usize,
        map: impl FnOnce(RegionOptions) -> Result<SharedRegion, Errno>,
    ) -> Result<Self, Errno> {
        // First, so that it is given back on every way out.
        let share = Share(bytes);
        let chunks = MAPPED.fetch_add(1, Ordering::Relaxed);
        let all = BYTES.fetch_add(bytes, Ordering::Relaxed);
        if chunks >= MAX_MAPPED || bytes > MAX_BYTES - all.min(MAX_BYTES) {
            return Err(Errno::NOMEM);
        }
        let options = RegionOptions { fixed_size: true, no_dump: true, arena: Some(&ARENA) };
        Ok(Self { region: map(options)?, _share: share })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        MAPPED.fetch_sub(1, Ordering::Relaxed);
        BYTES.fetch_sub(self.0, Ordering::Relaxed);
    }
}

impl Deref for Mapped {
    type Target = SharedRegion;

    fn deref(&self) -> &SharedRegion {
        &self.region
    }
}

/// What a descriptor says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Allocation {
    /// Number of the chunk, unique for its link.
    pub(crate) chunk: u32,
    /// The slot in it.
    pub(crate) slot: u32,
    /// How often the slot has been taken.
    pub(crate) generation: u64,
    /// The owner's number of the socket.
    pub(crate) socket: u32,
}

impl Allocation {
    /// Writes the descriptor.
    pub(crate) fn encode(self, bytes: &mut [u8]) {
        bytes[0..4].copy_from_slice(&self.chunk.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.slot.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.generation.to_ne_bytes());
        bytes[16..20].copy_from_slice(&self.socket.to_ne_bytes());
        bytes[20..24].fill(0);
    }

    /// Reads a descriptor.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |at| crate::wire::u32_at(bytes, at);
        let end = word(20)?;
        let allocation = Self {
            chunk: word(0)?,
            slot: word(4)?,
            generation: crate::wire::u64_at(bytes, 8)?,
            socket: word(16)?,
        };
        (bytes.len() == DESCRIPTOR && end == 0).then_some(allocation)
    }
}

/// The size class of a length: up to an eighth more than asked for, in whole pages.
fn class(length: u32) -> u64 {
    let length = u64::from(length.max(1));
    let step = (length.next_power_of_two() / 16).max(page_size() as u64);
    length.next_multiple_of(step)
}

/// How many slots a chunk of that size class has.
fn slots(class: u64) -> u32 {
    (CHUNK_BYTES / class).clamp(1, u64::from(MAX_SLOTS)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_waste_little() {
        for length in [1, 4096, 4097, 65_536, 100_000, 9_500_000, u32::MAX] {
            let class = class(length);
            assert!(class >= u64::from(length) && class.is_multiple_of(4096));
            assert!(class <= (u64::from(length) + u64::from(length) / 8).max(4096 + u64::from(length)));
            assert!(slots(class) >= 1 && u64::from(slots(class)) * class <= CHUNK_BYTES.max(class));
        }
        assert_eq!(slots(class(9_500_000)), 16);
    }

    #[test]
    fn descriptors_survive_the_journey_and_rubbish_is_refused() {
        let allocation = Allocation { chunk: 1, slot: 2, generation: 3, socket: 4 };
        let mut bytes = [0xff; DESCRIPTOR];
        allocation.encode(&mut bytes);
        assert_eq!(Allocation::decode(&bytes), Some(allocation));
        assert_eq!(Allocation::decode(&bytes[1..]), None);
        assert_eq!(Allocation::decode(&[0xff; DESCRIPTOR]), None);
        assert_eq!(Allocation::decode(&[0; DESCRIPTOR + 1]), None);
    }
}
