//! What one socket has allocated and mapped, by address.

use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::Arc;

use wsd_spi::provider::Mapping;

use super::store::Taken;
use super::view::Seen;
use super::{Allocation, Mapped};

/// An allocation and the link whose chunk it is part of.
pub(crate) type OfLink = (u32, Allocation);

/// The shared memory of one socket. Holds the chunks, also when their link is gone: memory stays valid until it is
/// given back or the socket is closed.
#[derive(Debug, Default)]
pub(crate) struct Held {
    allocated: HashMap<usize, Piece>,
    mapped: HashMap<usize, Piece>,
}

#[derive(Debug)]
struct Piece {
    allocation: Allocation,
    /// The link whose chunk it is part of.
    link: u32,
    count: u32,
    /// Keeps the memory mapped.
    _region: Arc<Mapped>,
}

impl Held {
    /// Notes a slot that was taken for the peer's socket or, by number, this one; returns where it is.
    pub(crate) fn allocated(
        &mut self,
        link: u32,
        taken: Taken,
        socket: u32,
    ) -> Option<(NonNull<u8>, Allocation)> {
        let allocation =
            Allocation { chunk: taken.chunk, slot: taken.slot, generation: taken.generation, socket };
        let start = NonNull::new(taken.region.as_ptr().wrapping_add(taken.offset))?;
        let piece = Piece { allocation, link, count: 1, _region: taken.region };
        self.allocated.insert(start.as_ptr().addr(), piece);
        Some((start, allocation))
    }

    /// Forgets memory that was allocated there.
    pub(crate) fn free(&mut self, start: NonNull<u8>) -> Option<OfLink> {
        self.allocated.remove(&start.as_ptr().addr()).map(|piece| (piece.link, piece.allocation))
    }

    /// Notes a slot of the peer that was mapped; returns where it is.
    pub(crate) fn mapped(&mut self, link: u32, seen: Seen, allocation: Allocation) -> Option<Mapping> {
        let start = NonNull::new(seen.region.as_ptr().wrapping_add(seen.offset))?;
        let piece = Piece { allocation, link, count: 0, _region: seen.region };
        self.mapped.entry(start.as_ptr().addr()).or_insert(piece).count += 1;
        Some(Mapping { memory: start, length: seen.length })
    }

    /// Ends one mapping there.
    pub(crate) fn unmap(&mut self, start: NonNull<u8>) -> Option<OfLink> {
        let piece = self.mapped.get_mut(&start.as_ptr().addr())?;
        piece.count -= 1;
        let (link, allocation, last) = (piece.link, piece.allocation, piece.count == 0);
        if last {
            self.mapped.remove(&start.as_ptr().addr());
        }
        Some((link, allocation))
    }

    /// Takes everything, with its links: what was allocated, and what was mapped, once per mapping.
    pub(crate) fn take_all(&mut self) -> (Vec<OfLink>, Vec<OfLink>) {
        let allocated = self.allocated.drain().map(|(_, piece)| (piece.link, piece.allocation)).collect();
        let mapped = self
            .mapped
            .drain()
            .flat_map(|(_, piece)| std::iter::repeat_n((piece.link, piece.allocation), piece.count as usize))
            .collect();
        (allocated, mapped)
    }
}
