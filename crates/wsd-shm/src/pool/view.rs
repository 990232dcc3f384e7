//! The peer's side: chunks that the other end of a link made.

use std::collections::HashMap;
use std::sync::Arc;

use wsd_os::Errno;
use wsd_os::fd::OwnedFd;
use wsd_os::memory::{SharedRegion, page_size};

use super::{Allocation, MAX_CHUNKS, MAX_SLOTS, Mapped};

/// The peer's chunks of one link.
#[derive(Debug, Default)]
pub(crate) struct View {
    chunks: HashMap<u32, Chunk>,
}

#[derive(Debug)]
struct Chunk {
    /// Absent if there was no address space.
    region: Option<Arc<Mapped>>,
    slot_length: usize,
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// How many generations the owner has given back.
    freed: u64,
    /// How often it is mapped.
    count: u32,
}

/// A slot as it is mapped.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The chunk's memory.
    pub(crate) region: Arc<Mapped>,
    /// Where the slot begins in it.
    pub(crate) offset: usize,
    /// Length of the slot.
    pub(crate) length: u32,
}

impl View {
    /// Maps a chunk that the peer sent. False if the peer breaks the rules. Without address space the chunk is known,
    /// and nothing of it can be mapped.
    pub(crate) fn add(&mut self, number: u32, slots: u32, slot_length: u64, memory: OwnedFd) -> bool {
        let length =
            u32::try_from(slot_length).ok().filter(|length| length.is_multiple_of(page_size() as u32));
        let Some(slot_length) = length.map(|length| length as usize).filter(|length| *length != 0) else {
            return false;
        };
        if !(1..=MAX_SLOTS).contains(&slots)
            || self.chunks.len() >= MAX_CHUNKS
            || self.chunks.contains_key(&number)
        {
            return false;
        }
        let Some(bytes) = slot_length.checked_mul(slots as usize) else { return false };
        let region = match Mapped::new(bytes, |options| SharedRegion::from_fd(memory, bytes, options)) {
            Ok(mut region) => {
                region.region.take_fd();
                Some(Arc::new(region))
            }
            Err(Errno::INVAL) => return false,
            Err(_) => None,
        };
        let slots = vec![Slot::default(); slots as usize];
        self.chunks.insert(number, Chunk { region, slot_length, slots });
        true
    }

    /// Whether the peer has sent that chunk.
    pub(crate) fn has(&self, chunk: u32) -> bool {
        self.chunks.contains_key(&chunk)
    }

    /// Maps a slot; `None` if there is no such allocation any more.
    pub(crate) fn map(&mut self, allocation: &Allocation) -> Option<Seen> {
        let chunk = self.chunks.get_mut(&allocation.chunk)?;
        let slot = chunk.slots.get_mut(allocation.slot as usize)?;
        // The owner takes a slot again only after we have released it, so nothing is skipped.
        if allocation.generation != slot.freed + 1 {
            return None;
        }
        let region = chunk.region.clone()?;
        slot.count = slot.count.checked_add(1)?;
        Some(Seen {
            region,
            offset: allocation.slot as usize * chunk.slot_length,
            length: chunk.slot_length as u32,
        })
    }

    /// Ends one mapping of a slot. True if its owner waits for that.
    pub(crate) fn unmap(&mut self, allocation: &Allocation) -> bool {
        let Some(slot) = self.slot(allocation) else { return false };
        slot.count = slot.count.saturating_sub(1);
        slot.count == 0 && slot.freed == allocation.generation
    }

    /// The owner has given a slot back: whether it is unused here too. `None` if there is no such allocation.
    pub(crate) fn freed(&mut self, allocation: &Allocation) -> Option<bool> {
        let slot = self.slot(allocation)?;
        if allocation.generation != slot.freed + 1 {
            return None;
        }
        slot.freed = allocation.generation;
        Some(slot.count == 0)
    }

    fn slot(&mut self, allocation: &Allocation) -> Option<&mut Slot> {
        self.chunks.get_mut(&allocation.chunk)?.slots.get_mut(allocation.slot as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::Store;
    use super::*;
    use wsd_os::memory::RegionOptions;

    fn both() -> (Store, View, Allocation) {
        let (mut store, mut view) = (Store::default(), View::default());
        let taken = store.take(10_000).expect("memory");
        let chunk = taken.new_chunk.expect("a new chunk");
        assert!(view.add(taken.chunk, chunk.slots, chunk.slot_length, chunk.memory));
        assert!(taken.region.write_bytes(taken.offset, b"hello"));
        let allocation =
            Allocation { chunk: taken.chunk, slot: taken.slot, generation: taken.generation, socket: 0 };
        (store, view, allocation)
    }

    #[test]
    fn mapped_slot_shows_the_same_memory_until_it_is_freed() {
        let (mut store, mut view, allocation) = both();
        let seen = view.map(&allocation).expect("mapped");
        let mut bytes = [0; 5];
        assert!(seen.region.read_bytes(seen.offset, &mut bytes));
        assert_eq!((&bytes, seen.length), (b"hello", 12_288));
        assert!(view.map(&allocation).is_some(), "twice");
        store.give_back(&allocation);
        assert_eq!(view.freed(&allocation), Some(false), "still mapped");
        assert!(view.map(&allocation).is_none(), "freed");
        assert!(!view.unmap(&allocation));
        assert!(view.unmap(&allocation), "the owner is told with the last unmap");
        assert!(store.released(&allocation));
    }

    #[test]
    fn slot_that_was_never_mapped_is_released_at_once() {
        let (_store, mut view, allocation) = both();
        assert_eq!(view.freed(&allocation), Some(true));
        for wrong in
            [Allocation { slot: 99, ..allocation }, Allocation { generation: 3, ..allocation }, allocation]
        {
            assert_eq!(view.freed(&wrong), None);
        }
        assert!(view.map(&allocation).is_none());
    }

    #[test]
    fn foreign_memory_is_checked() {
        let (_, mut view, _) = both();
        let make = || {
            let options = RegionOptions { fixed_size: true, ..RegionOptions::default() };
            let mut region = SharedRegion::create(c"wsd-test", 8192, options).expect("memory");
            region.take_fd().expect("a descriptor")
        };
        assert!(!view.add(0, 2, 4096, make()), "a number that exists");
        assert!(!view.add(7, 0, 8192, make()), "no slots");
        assert!(!view.add(7, 17, 4096, make()), "too many slots");
        assert!(!view.add(7, 4, 4096, make()), "longer than it is");
        assert!(!view.add(7, 1, 4096, make()), "shorter than it is");
        assert!(!view.add(7, 2, 4095, make()), "not whole pages");
        assert!(!view.add(7, 1, u64::MAX, make()), "too long");
        assert!(view.add(7, 2, 4096, make()));
    }
}
