//! Registered memory of one connection: for own operations (`WSPRegisterMemory`) and for the peer
//! (`WSPRegisterRdmaMemory`). One region of the device each, so that a registration ends when it is taken back, and with
//! it all access (SP-123).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use wsd_engine::{Range, Ranges};
use wsd_spi::provider::{MemoryRange, UserBuffer, UserBuffers};
use wsd_spi::{MemoryAccess, RegistrationHandle, WsaError};

use crate::rdma::{Domain, Region, Rights, Sge};

/// Length of the descriptor of exposed memory.
pub(crate) const DESCRIPTOR: usize = 24;

/// Bits of a virtual address that the device wants as they are.
const PAGE: usize = 4096;

/// The registrations of one connection.
pub(crate) struct Registrations {
    /// Those of the engine, by address.
    table: Arc<Ranges>,
    local: HashMap<usize, Local>,
    /// Start and number of all local ones.
    by_start: BTreeSet<(usize, usize)>,
    exposed: HashMap<u32, Exposed>,
}

/// Memory for own operations.
struct Local {
    memory: MemoryRange,
    access: MemoryAccess,
    /// None for memory without a byte, and for memory whose mappings have changed.
    region: Option<Region>,
    range: Range,
    /// How many pending operations use it.
    users: u32,
}

/// Memory for the peer; its access ends with the value.
struct Exposed {
    remote: Remote,
    /// None for memory whose mappings have changed.
    region: Option<Region>,
    range: Range,
}

/// What a pending operation uses: registrations, and where its bytes are.
#[derive(Default)]
pub(crate) struct Uses {
    numbers: Vec<usize>,
    pub(crate) segments: Vec<Sge>,
}

/// A descriptor, as it travels: address, key, length, rights, zeros; big-endian.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Remote {
    /// Virtual address of the first byte.
    pub(crate) address: u64,
    /// The device's key.
    pub(crate) key: u32,
    length: u32,
    access: MemoryAccess,
}

impl Remote {
    /// Reads a descriptor.
    ///
    /// # Errors
    /// `WSAEINVAL` if it is none.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, WsaError> {
        let bytes: &[u8; DESCRIPTOR] = bytes.try_into().map_err(|_| WsaError::WSAEINVAL)?;
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let access = MemoryAccess::from_flags(bytes[16].into()).ok_or(WsaError::WSAEINVAL)?;
        if bytes[17..] != [0; DESCRIPTOR - 17] {
            return Err(WsaError::WSAEINVAL);
        }
        let address = u64::from(word(0)) << 32 | u64::from(word(4));
        Ok(Self { address, key: word(8), length: word(12), access })
    }

    fn encode(self, bytes: &mut [u8]) {
        bytes[0..8].copy_from_slice(&self.address.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.key.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.length.to_be_bytes());
        bytes[16..].fill(0);
        bytes[16] = self.access.flags() as u8;
    }

    /// The address for an operation, if the descriptor allows it; the peer's device checks again (SP-132).
    ///
    /// # Errors
    /// `WSAEFAULT` if the memory is shorter, or not for this direction.
    pub(crate) fn target(&self, write: bool, offset: u32, length: u32) -> Result<u64, WsaError> {
        let allowed = if write { self.access.writes() } else { self.access.reads() };
        let fits = offset.checked_add(length).is_some_and(|end| end <= self.length);
        let address = self.address.checked_add(u64::from(offset));
        address.filter(|_| allowed && fits).ok_or(WsaError::WSAEFAULT)
    }
}

/// What a failed registration means.
fn failed(error: std::io::Error) -> WsaError {
    match error.raw_os_error() {
        Some(libc::EFAULT | libc::EACCES | libc::EINVAL) => WsaError::WSAEFAULT,
        _ => WsaError::WSAENOBUFS,
    }
}

impl Registrations {
    /// None yet; all will be in that table, too.
    pub(crate) fn new(table: Arc<Ranges>) -> Self {
        Self { table, local: HashMap::new(), by_start: BTreeSet::new(), exposed: HashMap::new() }
    }

    /// Takes from the device what is not mapped any more as it was (SP-160). The registrations stay, and are good for
    /// nothing (SP-133).
    pub(crate) fn sweep(&mut self) {
        for local in self.local.values_mut().filter(|local| !local.range.is_live()) {
            local.region = None;
        }
        for exposed in self.exposed.values_mut().filter(|exposed| !exposed.range.is_live()) {
            exposed.region = None;
        }
    }

    /// Registers memory for own operations under a new number.
    ///
    /// # Errors
    /// `WSAEFAULT`, `WSAENOBUFS`.
    pub(crate) fn add(
        &mut self,
        domain: &Domain,
        number: usize,
        memory: MemoryRange,
        access: MemoryAccess,
    ) -> Result<(), WsaError> {
        let start = memory.as_ptr().addr();
        let register = || {
            let rights = Rights::Own(access);
            domain.register(memory.as_ptr(), memory.len(), start as u64, rights).map_err(failed)
        };
        let region = (!memory.is_empty()).then(register).transpose()?;
        self.by_start.insert((start, number));
        let range = self.table.insert(start, memory.len() as usize);
        self.local.insert(number, Local { memory, access, region, range, users: 0 });
        Ok(())
    }

    /// Ends such a registration.
    ///
    /// # Errors
    /// `WSAEINVAL` if there is none, or a pending operation uses it (SP-114).
    pub(crate) fn remove(&mut self, handle: RegistrationHandle) -> Result<(), WsaError> {
        let number = handle.raw();
        let start = match self.local.get(&number) {
            Some(local) if local.users == 0 => local.memory.as_ptr().addr(),
            _ => return Err(WsaError::WSAEINVAL),
        };
        self.by_start.remove(&(start, number));
        self.local.remove(&number);
        Ok(())
    }

    /// Exposes memory to the peer, and writes its descriptor. The peer learns no address of this process.
    ///
    /// # Errors
    /// `WSAEFAULT`, `WSAENOBUFS`.
    pub(crate) fn expose(
        &mut self,
        domain: &Domain,
        memory: &MemoryRange,
        access: MemoryAccess,
        descriptor: &mut [u8],
    ) -> Result<(), WsaError> {
        let address = (memory.as_ptr().addr() % PAGE) as u64;
        let region =
            domain.register(memory.as_ptr(), memory.len(), address, Rights::Peer(access)).map_err(failed)?;
        let remote = Remote { address, key: region.remote_key(), length: memory.len(), access };
        remote.encode(descriptor);
        let range = self.table.insert(memory.as_ptr().addr(), memory.len() as usize);
        self.exposed.insert(remote.key, Exposed { remote, region: Some(region), range });
        Ok(())
    }

    /// Ends all access of the peer's.
    pub(crate) fn conceal_all(&mut self) {
        self.exposed.clear();
    }

    /// Ends the peer's access (SP-123).
    ///
    /// # Errors
    /// `WSAEINVAL` if there is no such registration.
    pub(crate) fn conceal(&mut self, descriptor: &[u8]) -> Result<(), WsaError> {
        let remote = Remote::decode(descriptor)?;
        match self.exposed.get(&remote.key) {
            Some(exposed) if exposed.remote == remote => {
                self.exposed.remove(&remote.key);
                Ok(())
            }
            _ => Err(WsaError::WSAEINVAL),
        }
    }

    /// Finds the registrations of the buffers of a message, by their addresses (SP-085), and counts them as used.
    ///
    /// # Errors
    /// `WSAEFAULT` if a buffer is not registered for that direction.
    pub(crate) fn use_by_address(&mut self, buffers: &UserBuffers, write: bool) -> Result<Uses, WsaError> {
        self.use_all(buffers, write, |own, buffer| {
            own.by_start
                .range(..=(buffer.as_ptr().addr(), usize::MAX))
                .rev()
                .map(|(_, number)| *number)
                .find(|number| own.key(*number, buffer, write).is_some())
        })
    }

    /// Checks the registrations that the segments of an RDMA operation name, and counts them as used.
    ///
    /// # Errors
    /// `WSAEFAULT` if a segment is not within a registration of this socket for that direction (SP-133).
    pub(crate) fn use_by_handle(&mut self, buffers: &UserBuffers, write: bool) -> Result<Uses, WsaError> {
        self.use_all(buffers, write, |_, buffer| buffer.handle().map(RegistrationHandle::raw))
    }

    fn use_all(
        &mut self,
        buffers: &UserBuffers,
        write: bool,
        find: impl Fn(&Self, &UserBuffer) -> Option<usize>,
    ) -> Result<Uses, WsaError> {
        let mut uses = Uses::default();
        for buffer in buffers.segments().iter().filter(|buffer| !buffer.is_empty()) {
            let number = find(self, buffer).ok_or(WsaError::WSAEFAULT)?;
            let key = self.key(number, buffer, write).ok_or(WsaError::WSAEFAULT)?;
            uses.numbers.push(number);
            uses.segments.push(segment(buffer, key));
        }
        for number in &uses.numbers {
            if let Some(local) = self.local.get_mut(number) {
                local.users += 1;
            }
        }
        Ok(uses)
    }

    /// The key for a buffer, if that registration covers it.
    fn key(&self, number: usize, buffer: &UserBuffer, write: bool) -> Option<u32> {
        let local = self.local.get(&number)?;
        let allowed = if write { local.access.writes() } else { local.access.reads() };
        let covered = allowed && local.memory.contains(buffer.as_ptr(), buffer.len());
        local.region.as_ref().filter(|_| covered).map(Region::local_key)
    }

    /// The operation is over.
    pub(crate) fn end(&mut self, uses: &Uses) {
        for number in &uses.numbers {
            if let Some(local) = self.local.get_mut(number) {
                local.users = local.users.saturating_sub(1);
            }
        }
    }
}

impl Uses {
    /// Buffers whose bytes are taken when the work request is posted: no registration is needed (SP-085).
    pub(crate) fn inline(buffers: &UserBuffers) -> Self {
        let filled = buffers.segments().iter().filter(|buffer| !buffer.is_empty());
        Self { numbers: Vec::new(), segments: filled.map(|buffer| segment(buffer, 0)).collect() }
    }
}

fn segment(buffer: &UserBuffer, lkey: u32) -> Sge {
    Sge { addr: buffer.as_ptr().expose_provenance() as u64, length: buffer.len(), lkey }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SP-132: an operation outside of the range, or in the other direction, is not begun; SP-122: 24 bytes, whatever they
    /// describe.
    #[test]
    fn descriptors_survive_the_journey_and_rubbish_is_refused() {
        let remote = Remote { address: 0x123, key: 0x0102_0304, length: 100, access: MemoryAccess::Read };
        let mut bytes = [0xff; DESCRIPTOR];
        remote.encode(&mut bytes);
        assert_eq!(bytes[..17], [0, 0, 0, 0, 0, 0, 1, 0x23, 1, 2, 3, 4, 0, 0, 0, 100, 1]);
        assert_eq!(Remote::decode(&bytes), Ok(remote));
        assert_eq!(remote.target(false, 50, 50), Ok(0x123 + 50));
        assert_eq!(remote.target(false, 50, 51), Err(WsaError::WSAEFAULT));
        assert_eq!(remote.target(false, u32::MAX, 2), Err(WsaError::WSAEFAULT));
        assert_eq!(remote.target(true, 0, 1), Err(WsaError::WSAEFAULT));
        for bad in [[0; DESCRIPTOR], [0xff; DESCRIPTOR]] {
            assert_eq!(Remote::decode(&bad), Err(WsaError::WSAEINVAL));
        }
        assert_eq!(Remote::decode(&bytes[1..]), Err(WsaError::WSAEINVAL));
    }
}
