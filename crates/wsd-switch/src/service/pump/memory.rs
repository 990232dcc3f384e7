//! A pump's memory: what the sharing processes have in common, and the two rings, in one segment of this family's own. Providers
//! are given the rings as well.

use std::sync::Arc;

use wsd_os::Errno;
use wsd_os::fd::OwnedFd;
use wsd_os::memory::{AddressArena, RegionOptions, SharedRegion};
use wsd_os::ring::{Ring, Span};
use wsd_spi::client::{MemorySlice, StableMemory};

use super::super::lasting::{Lasting, ring_of};
use crate::sharing::page::{LISTENER_SEGMENT, Page, READ_AT, SEGMENT, WRITTEN_AT};
use crate::stream::channel::Channel;

/// Address ranges of rings, never given back: a thread that raced with a close reads zeros or another ring.
static ARENA: AddressArena = AddressArena::new();

const OPTIONS: RegionOptions = RegionOptions { fixed_size: true, no_dump: true, arena: Some(&ARENA) };

/// The segment of one connection.
pub(in super::super) struct PumpMemory {
    pub(in super::super) page: &'static Page,
    /// The ring that the program writes, and the one that it reads.
    pub(super) written: RingMemory,
    pub(super) read: RingMemory,
    /// Of the process that made or mapped it; forks inherit the mapping and keep it.
    region: Option<SharedRegion>,
}

impl PumpMemory {
    /// Rings that have not begun. Forks share them. `None`: no memory, or a limit of the process forbids it.
    pub(super) fn new() -> Option<Self> {
        let region = SharedRegion::create(c"wsdirect-pump", SEGMENT, OPTIONS).ok()?;
        let memory = Self::of(region)?;
        memory.written.ring.reset();
        memory.read.ring.reset();
        Some(memory)
    }

    /// Maps what another process has made and sent here.
    pub(in super::super) fn map(memory: OwnedFd) -> Result<SharedRegion, Errno> {
        let listens = SharedRegion::length_of(&memory)? == LISTENER_SEGMENT;
        SharedRegion::from_fd(memory, if listens { LISTENER_SEGMENT } else { SEGMENT }, OPTIONS)
    }

    /// A page alone, for a listener.
    pub(in super::super) fn page_alone() -> Result<SharedRegion, Errno> {
        SharedRegion::create(c"wsdirect-listener", LISTENER_SEGMENT, OPTIONS)
    }

    /// What [`PumpMemory::map`] has mapped.
    pub(in super::super) fn of(region: SharedRegion) -> Option<Self> {
        let ring = |offset| RingMemory::of(Lasting::Own(&region, offset));
        let (page, written, read) = (region.at_forever(0)?, ring(WRITTEN_AT)?, ring(READ_AT)?);
        Some(Self { page, written, read, region: Some(region) })
    }

    /// What this process has inherited with a connection.
    pub(in super::super) fn inherited(channel: &Channel) -> Option<Self> {
        let ring = |ring| RingMemory::of(Lasting::Inherited(ring));
        let (written, read) = (ring(channel.send.load()?)?, ring(channel.recv.load()?)?);
        Some(Self { page: channel.page.load()?, written, read, region: None })
    }

    /// The descriptor by which other processes can map it; the mapping stays.
    pub(super) fn take_fd(&mut self) -> Option<OwnedFd> {
        self.region.as_mut()?.take_fd()
    }

    /// Lets the program's threads find it.
    pub(in super::super) fn show(&self, channel: &Channel) {
        channel.page.store(self.page);
        channel.send.store(self.written.ring);
        channel.recv.store(self.read.ring);
    }
}

/// A ring whose one side is a program of this family, and whose other side is the service thread.
#[derive(Clone)]
pub(super) struct RingMemory {
    ring: Ring,
    whole: MemorySlice,
}

impl RingMemory {
    fn of(memory: Lasting<'_>) -> Option<Self> {
        let (ring, memory) = ring_of(memory)?;
        let memory: Arc<dyn StableMemory> = Arc::new(memory);
        Some(Self { ring, whole: MemorySlice::whole(memory)? })
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
        (self.ring.as_ptr().addr(), Ring::BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wsd_os::ring::{AREA_BYTES, ConsumerState, ProducerState};

    #[test]
    fn spans_of_the_ring_are_slices_of_its_memory() {
        let pump = PumpMemory::new().expect("memory");
        let memory = &pump.written;
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
