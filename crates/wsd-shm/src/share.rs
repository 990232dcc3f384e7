//! `WsdAllocate`, `WsdFree`, `WsdMap`, `WsdUnmap`: shared memory of a connection. See [`pool`](crate::pool).

use std::ptr::NonNull;

use wsd_spi::WsaError;
use wsd_spi::provider::Mapping;

use crate::pool::Allocation;
use crate::socket::State;
use crate::state::Core;
use crate::wire::{Kind, Packet};

impl Core {
    /// `WsdAllocate`.
    pub(crate) fn allocate(
        &mut self,
        id: u32,
        length: u32,
        descriptor: &mut [u8],
    ) -> Result<NonNull<u8>, WsaError> {
        let wire = self.socket(id)?.connected().map_err(|_| WsaError::WSAENOTCONN)?;
        let link = self.links.get_mut(&wire.link).ok_or(WsaError::WSAENOTCONN)?;
        let mut taken = link.store.take(length).map_err(|_| WsaError::WSAENOBUFS)?;
        let (chunk, new_chunk) = (taken.chunk, taken.new_chunk.take());
        let held = &mut self.socket(id)?.held;
        let (start, allocation) = held.allocated(wire.link, taken, id).ok_or(WsaError::WSAENOBUFS)?;
        if let Some(new) = new_chunk {
            let packet = Packet::new(Kind::Chunk, 0, chunk, new.slots).with(new.slot_length);
            self.say_with(wire.link, packet, Some(new.memory));
        }
        allocation.encode(descriptor);
        Ok(start)
    }

    /// `WsdFree`.
    pub(crate) fn free(&mut self, id: u32, start: NonNull<u8>) -> Result<(), WsaError> {
        let (link, allocation) = self.socket(id)?.held.free(start).ok_or(WsaError::WSAEINVAL)?;
        self.freed(link, &allocation);
        Ok(())
    }

    /// `WsdMap`.
    pub(crate) fn map(&mut self, id: u32, descriptor: &[u8]) -> Result<Mapping, WsaError> {
        let socket = self.socket(id)?;
        let wire = match socket.state {
            State::Connected => socket.wire,
            // The peer may be gone, and still its memory is worth reading.
            State::Broken(_) => socket.wire,
            _ => None,
        };
        let wire = wire.ok_or(WsaError::WSAENOTCONN)?;
        let allocation = Allocation::decode(descriptor).ok_or(WsaError::WSAEINVAL)?;
        if allocation.socket != wire.remote {
            return Err(WsaError::WSAEINVAL);
        }
        let known =
            |core: &Self| core.links.get(&wire.link).is_some_and(|link| link.view.has(allocation.chunk));
        if !known(self) {
            // The descriptor may have come another way, before we read what the peer has said here.
            self.read_link(wire.link);
        }
        let link = self.links.get_mut(&wire.link).ok_or(WsaError::WSAENOTCONN)?;
        let seen = link.view.map(&allocation).ok_or(WsaError::WSAEINVAL)?;
        self.socket(id)?.held.mapped(wire.link, seen, allocation).ok_or(WsaError::WSAENOBUFS)
    }

    /// `WsdUnmap`.
    pub(crate) fn unmap(&mut self, id: u32, start: NonNull<u8>) -> Result<(), WsaError> {
        let (link, allocation) = self.socket(id)?.held.unmap(start).ok_or(WsaError::WSAEINVAL)?;
        self.unmapped(link, &allocation);
        Ok(())
    }

    /// Gives back all shared memory of a socket.
    pub(crate) fn give_back_all(&mut self, id: u32) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let (allocated, mapped) = socket.held.take_all();
        for (link, allocation) in allocated {
            self.freed(link, &allocation);
        }
        for (link, allocation) in mapped {
            self.unmapped(link, &allocation);
        }
    }

    fn freed(&mut self, link: u32, allocation: &Allocation) {
        if let Some(end) = self.links.get_mut(&link) {
            end.store.give_back(allocation);
            let packet = Packet::new(Kind::Freed, 0, allocation.chunk, allocation.slot);
            self.say(link, packet.with(allocation.generation));
        }
    }

    fn unmapped(&mut self, link: u32, allocation: &Allocation) {
        if let Some(end) = self.links.get_mut(&link)
            && end.view.unmap(allocation)
        {
            let packet = Packet::new(Kind::Released, 0, allocation.chunk, allocation.slot);
            self.say(link, packet.with(allocation.generation));
        }
    }
}
