//! The owner's side: chunks that this end of a link made.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use wsd_os::Errno;
use wsd_os::fd::OwnedFd;
use wsd_os::memory::SharedRegion;

use super::{Allocation, Mapped, WARM, class, slots};

/// The chunks of one end of a link.
#[derive(Debug, Default)]
pub(crate) struct Store {
    chunks: HashMap<u32, Chunk>,
    /// Free slots per size class, the one that was freed last at the end.
    free: BTreeMap<u64, Vec<(u32, u32)>>,
    next_chunk: u32,
}

#[derive(Debug)]
struct Chunk {
    region: Arc<Mapped>,
    class: u64,
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    generation: u64,
    state: SlotState,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SlotState {
    /// Both ends have done with it.
    Free,
    /// Allocated.
    Taken,
    /// Given back here; the peer has not answered.
    Freed,
}

/// A slot that was taken.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Chunk, slot and generation.
    pub(crate) chunk: u32,
    pub(crate) slot: u32,
    pub(crate) generation: u64,
    /// The chunk's memory.
    pub(crate) region: Arc<Mapped>,
    /// Where the slot begins in it.
    pub(crate) offset: usize,
    /// Present if the chunk is new and has to be sent to the peer.
    pub(crate) new_chunk: Option<NewChunk>,
}

/// What the peer must get before it can map slots of a chunk.
#[derive(Debug)]
pub(crate) struct NewChunk {
    /// Number of slots.
    pub(crate) slots: u32,
    /// Length of a slot.
    pub(crate) slot_length: u64,
    /// The memory.
    pub(crate) memory: OwnedFd,
}

impl Store {
    /// Takes a slot of at least `length` bytes.
    ///
    /// # Errors
    /// As [`SharedRegion::create`].
    pub(crate) fn take(&mut self, length: u32) -> Result<Taken, Errno> {
        let class = class(length);
        if let Some((chunk, slot)) = self.free.get_mut(&class).and_then(Vec::pop) {
            return self.taken(chunk, slot, None).ok_or(Errno::INVAL);
        }
        let make = |count: u32| {
            let bytes = usize::try_from(class * u64::from(count)).map_err(|_| Errno::NOMEM)?;
            let map = |options| SharedRegion::create(c"wsd-shm", bytes, options);
            Mapped::new(bytes, map).map(|region| (count, region))
        };
        // A limit of the program's (RLIMIT_AS, RLIMIT_FSIZE) may allow one slot where it does not allow many.
        let (count, mut region) = make(slots(class)).or_else(|_| make(1))?;
        // Once sent, nobody needs the descriptor any more.
        let memory = region.region.take_fd().ok_or(Errno::BADF)?;
        let region = Arc::new(region);
        let chunk = self.next_chunk;
        self.next_chunk = self.next_chunk.checked_add(1).ok_or(Errno::NOMEM)?;
        let slots = vec![Slot { generation: 0, state: SlotState::Free }; count as usize];
        self.chunks.insert(chunk, Chunk { region, class, slots });
        self.free.entry(class).or_default().extend((1..count).rev().map(|slot| (chunk, slot)));
        let new_chunk = NewChunk { slots: count, slot_length: class, memory };
        self.taken(chunk, 0, Some(new_chunk)).ok_or(Errno::INVAL)
    }

    fn taken(&mut self, number: u32, slot: u32, new_chunk: Option<NewChunk>) -> Option<Taken> {
        let chunk = self.chunks.get_mut(&number)?;
        let state = chunk.slots.get_mut(slot as usize)?;
        *state = Slot { generation: state.generation + 1, state: SlotState::Taken };
        Some(Taken {
            chunk: number,
            slot,
            generation: state.generation,
            region: chunk.region.clone(),
            offset: slot as usize * chunk.class as usize,
            new_chunk,
        })
    }

    /// The owner gives a slot back; the peer is to be told.
    pub(crate) fn give_back(&mut self, allocation: &Allocation) {
        if let Some(slot) = self.slot(allocation)
            && slot.state == SlotState::Taken
        {
            slot.state = SlotState::Freed;
        }
    }

    /// The peer has done with a slot. False if that was not to be said.
    pub(crate) fn released(&mut self, allocation: &Allocation) -> bool {
        match self.slot(allocation) {
            Some(slot) if slot.state == SlotState::Freed => slot.state = SlotState::Free,
            _ => return false,
        }
        let Some(chunk) = self.chunks.get(&allocation.chunk) else { return false };
        let start = allocation.slot as usize * chunk.class as usize;
        let end = start + chunk.class as usize;
        if start + WARM < end {
            // Without the kernel's help the memory stays in use until the link ends.
            let _ = chunk.region.punch_hole(start + WARM..end);
        }
        self.free.entry(chunk.class).or_default().push((allocation.chunk, allocation.slot));
        true
    }

    fn slot(&mut self, allocation: &Allocation) -> Option<&mut Slot> {
        let slot = self.chunks.get_mut(&allocation.chunk)?.slots.get_mut(allocation.slot as usize)?;
        (slot.generation == allocation.generation).then_some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allocation(taken: &Taken) -> Allocation {
        Allocation { chunk: taken.chunk, slot: taken.slot, generation: taken.generation, socket: 0 }
    }

    #[test]
    fn slots_come_back_only_when_both_ends_have_done() {
        let mut store = Store::default();
        let first = store.take(100_000).expect("memory");
        let chunk = first.new_chunk.as_ref().expect("a new chunk");
        assert_eq!((chunk.slots, chunk.slot_length), (16, 106_496));
        let second = store.take(100_000).expect("memory");
        assert!(second.new_chunk.is_none() && second.chunk == first.chunk);
        assert_ne!(first.offset, second.offset);
        assert!(!store.released(&allocation(&first)), "it was not freed");
        store.give_back(&allocation(&first));
        let third = store.take(100_000).expect("memory");
        assert!(third.slot != first.slot && third.slot != second.slot);
        assert!(store.released(&allocation(&first)));
        assert!(!store.released(&allocation(&first)), "only once");
        let again = store.take(100_000).expect("memory");
        assert_eq!((again.slot, again.generation), (first.slot, 2), "the one that was freed last");
        store.give_back(&allocation(&first));
        assert!(!store.released(&allocation(&first)), "of the past");
    }

    /// Windows cannot take memory back.
    #[cfg(target_os = "linux")]
    #[test]
    fn grown_slot_shrinks_and_small_part_stays_warm() {
        let mut store = Store::default();
        let taken = store.take(9_500_000).expect("memory");
        assert!(taken.region.write_bytes(taken.offset, b"warm"));
        assert!(taken.region.write_bytes(taken.offset + WARM, b"cold"));
        store.give_back(&allocation(&taken));
        assert!(store.released(&allocation(&taken)));
        let (mut warm, mut cold) = ([0; 4], [0; 4]);
        assert!(taken.region.read_bytes(taken.offset, &mut warm));
        assert!(taken.region.read_bytes(taken.offset + WARM, &mut cold));
        assert_eq!((&warm, &cold), (b"warm", &[0; 4]));
    }
}
