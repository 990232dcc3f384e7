//! A ring in this family's own memory, which providers are given as well.

use std::sync::Arc;

use wsd_os::memory::{AddressArena, RegionOptions, SharedRegion};
use wsd_os::ring::{Ring, Span};
use wsd_spi::client::{MemorySlice, StableMemory};

use super::super::port::{Lasting, ring_of};

/// Address ranges of rings, never given back: a thread that raced with a close reads zeros or another ring.
static ARENA: AddressArena = AddressArena::new();

/// A ring whose one side is a program of this family, and whose other side is the service thread.
pub(super) struct RingMemory {
    ring: Ring,
    whole: MemorySlice,
    region: SharedRegion,
}

impl RingMemory {
    /// A ring that has not begun. Forks share it. `None`: no memory, or a limit of the process forbids it.
    pub(super) fn new() -> Option<Self> {
        let options = RegionOptions { fixed_size: true, no_dump: true, arena: Some(&ARENA) };
        let mut region = SharedRegion::create(c"wsdirect-ring", Ring::BYTES, options).ok()?;
        // Forks inherit the mapping; nobody else gets it.
        drop(region.take_fd());
        let (ring, memory) = ring_of(Lasting::Own(&region))?;
        ring.reset();
        let memory: Arc<dyn StableMemory> = Arc::new(memory);
        Some(Self { ring, whole: MemorySlice::whole(memory)?, region })
    }

    pub(super) fn ring(&self) -> Ring {
        self.ring
    }

    /// Bytes of a data area as providers take them.
    pub(super) fn slice(&self, span: Span) -> Option<MemorySlice> {
        let start = span.ptr.addr().checked_sub(self.ring.as_ptr().addr())?;
        let end = start.checked_add(span.len)?;
        self.whole.slice(u32::try_from(start).ok()?..u32::try_from(end).ok()?)
    }

    /// Address and length of the mapping, for providers that keep registrations of what is about to change (SW-211).
    pub(super) fn range(&self) -> (usize, usize) {
        (self.region.as_ptr().addr(), self.region.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wsd_os::ring::{AREA_BYTES, ConsumerState, ProducerState};

    #[test]
    fn spans_of_the_ring_are_slices_of_its_memory() {
        let memory = RingMemory::new().expect("memory");
        let (ring, writer, reader) = (memory.ring(), ProducerState::default(), ConsumerState::default());
        let start = AREA_BYTES[0] as u64 - 3;
        ring.begin(&writer, start);
        assert_eq!(ring.accept_begin(&reader, start), Ok(true));
        assert_eq!(ring.write(&writer, b"around the end"), Ok(14));
        let spans = ring.drain(&reader).data_spans(14).expect("honest");
        let mut found = Vec::new();
        for span in spans {
            let slice = memory.slice(span).expect("inside");
            let mut bytes = vec![0; slice.len()];
            wsd_spi::client::MemoryExt::read(&slice, 0, &mut bytes);
            found.extend(bytes);
        }
        assert_eq!(found, b"around the end");
        assert_eq!(memory.slice(Span { ptr: std::ptr::null_mut(), len: 1 }).map(|_| ()), None);
    }
}
