//! Registered memory of one socket: for own operations (`WSPRegisterMemory`) and for the peer
//! (`WSPRegisterRdmaMemory`).
//!
//! Registering costs nothing here, so nothing is cached: a registration ends when it is taken back, and with it the
//! peer's access, at once (SP-123, SP-164). Every registration has a number of its own, also of the same memory
//! (SP-111), and numbers are never used twice (SP-114, SP-133).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use wsd_engine::{Range, Ranges};
use wsd_spi::provider::{MemoryRange, UserBuffers};
use wsd_spi::{MemoryAccess, RegistrationHandle, WsaError};

/// Length of the descriptor of exposed memory.
pub(crate) const DESCRIPTOR: usize = 32;

/// The registrations of one socket.
#[derive(Debug)]
pub(crate) struct Registrations {
    table: Arc<Ranges>,
    local: HashMap<usize, Local>,
    /// Start and number of all local ones.
    by_start: BTreeSet<(usize, usize)>,
    exposed: HashMap<u64, Exposed>,
}

/// Memory for own operations.
#[derive(Debug)]
struct Local {
    memory: MemoryRange,
    access: MemoryAccess,
    range: Range,
    /// How many pending operations use it.
    users: u32,
}

/// Memory for the peer.
#[derive(Debug)]
struct Exposed {
    memory: MemoryRange,
    access: MemoryAccess,
    range: Range,
    key: u64,
}

/// The local registrations that a pending operation uses.
#[derive(Debug, Default)]
pub(crate) struct Uses(Vec<usize>);

/// A descriptor, as it travels: number, key, length, access, zeros.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Remote {
    /// Number of the registration.
    pub(crate) number: u64,
    /// What the peer must know.
    pub(crate) key: u64,
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
        let word = |at| crate::wire::u64_at(bytes, at).unwrap_or(0);
        let length = (word(16) & 0xffff_ffff) as u32;
        let access = MemoryAccess::from_flags((word(16) >> 32) as u32).ok_or(WsaError::WSAEINVAL)?;
        if word(24) != 0 {
            return Err(WsaError::WSAEINVAL);
        }
        Ok(Self { number: word(0), key: word(8), length, access })
    }

    fn encode(self, bytes: &mut [u8]) {
        bytes[0..8].copy_from_slice(&self.number.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.key.to_ne_bytes());
        let rest = u64::from(self.length) | u64::from(self.access.flags()) << 32;
        bytes[16..24].copy_from_slice(&rest.to_ne_bytes());
        bytes[24..32].fill(0);
    }

    /// What can be told without asking the owner, who checks everything again (SP-132).
    ///
    /// # Errors
    /// `WSAEFAULT` if the memory is shorter, or not for this direction.
    pub(crate) fn check(&self, write: bool, offset: u32, length: u32) -> Result<(), WsaError> {
        let allowed = if write { self.access.writes() } else { self.access.reads() };
        let fits = offset.checked_add(length).is_some_and(|end| end <= self.length);
        if allowed && fits { Ok(()) } else { Err(WsaError::WSAEFAULT) }
    }
}

impl Registrations {
    /// None yet.
    pub(crate) fn new(table: Arc<Ranges>) -> Self {
        Self { table, local: HashMap::new(), by_start: BTreeSet::new(), exposed: HashMap::new() }
    }

    /// Registers memory for own operations under a new number.
    pub(crate) fn add(&mut self, number: usize, memory: MemoryRange, access: MemoryAccess) {
        let range = self.table.insert(memory.as_ptr().addr(), memory.len() as usize);
        self.by_start.insert((memory.as_ptr().addr(), number));
        self.local.insert(number, Local { memory, access, range, users: 0 });
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

    /// Exposes memory to the peer under a new number, and writes its descriptor.
    pub(crate) fn expose(
        &mut self,
        number: u64,
        key: u64,
        memory: MemoryRange,
        access: MemoryAccess,
        descriptor: &mut [u8],
    ) {
        Remote { number, key, length: memory.len(), access }.encode(descriptor);
        let range = self.table.insert(memory.as_ptr().addr(), memory.len() as usize);
        self.exposed.insert(number, Exposed { memory, access, range, key });
    }

    /// Ends the peer's access (SP-123). A transfer that is under way fails: a peer must not be able to delay this.
    ///
    /// # Errors
    /// `WSAEINVAL` if there is no such registration.
    pub(crate) fn conceal(&mut self, descriptor: &[u8]) -> Result<(), WsaError> {
        let remote = Remote::decode(descriptor)?;
        match self.exposed.get(&remote.number) {
            Some(exposed) if exposed.key == remote.key => {
                self.exposed.remove(&remote.number);
                Ok(())
            }
            _ => Err(WsaError::WSAEINVAL),
        }
    }

    /// Ends all registrations.
    pub(crate) fn clear(&mut self) {
        self.local.clear();
        self.by_start.clear();
        self.exposed.clear();
    }

    /// Ends the peer's access to everything: the connection is over (SP-123).
    pub(crate) fn conceal_all(&mut self) {
        self.exposed.clear();
    }

    /// Finds the registrations of the buffers of a message, by their addresses (SP-085), and counts them as used.
    ///
    /// # Errors
    /// `WSAEFAULT` if a buffer is not registered for that direction.
    pub(crate) fn use_by_address(&mut self, buffers: &UserBuffers, write: bool) -> Result<Uses, WsaError> {
        let mut uses = Vec::new();
        for buffer in buffers.segments().iter().filter(|buffer| !buffer.is_empty()) {
            let start = buffer.as_ptr();
            let number = self
                .by_start
                .range(..=(start.addr(), usize::MAX))
                .rev()
                .map(|(_, number)| *number)
                .find(|number| self.covers(*number, start, buffer.len(), write));
            uses.push(number.ok_or(WsaError::WSAEFAULT)?);
        }
        Ok(self.begin(uses))
    }

    /// Checks the registrations that the segments of an RDMA operation name, and counts them as used.
    ///
    /// # Errors
    /// `WSAEFAULT` if a segment is not within a registration of this socket for that direction (SP-133).
    pub(crate) fn use_by_handle(&mut self, buffers: &UserBuffers, write: bool) -> Result<Uses, WsaError> {
        let mut uses = Vec::new();
        for buffer in buffers.segments().iter().filter(|buffer| !buffer.is_empty()) {
            let number = buffer.handle().ok_or(WsaError::WSAEFAULT)?.raw();
            if !self.covers(number, buffer.as_ptr(), buffer.len(), write) {
                return Err(WsaError::WSAEFAULT);
            }
            uses.push(number);
        }
        Ok(self.begin(uses))
    }

    fn begin(&mut self, uses: Vec<usize>) -> Uses {
        for number in &uses {
            if let Some(local) = self.local.get_mut(number) {
                local.users += 1;
            }
        }
        Uses(uses)
    }

    /// The operation is over.
    pub(crate) fn end(&mut self, uses: Uses) {
        for number in uses.0 {
            if let Some(local) = self.local.get_mut(&number) {
                local.users = local.users.saturating_sub(1);
            }
        }
    }

    /// Runs `copy`, which reads or writes the buffers of an operation.
    ///
    /// # Errors
    /// `WSAEFAULT` if their memory has gone meanwhile (SP-133).
    pub(crate) fn while_used<T>(&self, uses: &Uses, copy: impl FnOnce() -> T) -> Result<T, WsaError> {
        let ranges = uses.0.iter().filter_map(|number| Some(&self.local.get(number)?.range));
        self.table.while_live(ranges, copy).ok_or(WsaError::WSAEFAULT)
    }

    /// Copies from exposed memory, for the peer. False if the peer may not (SP-123, SP-132).
    pub(crate) fn read_exposed(&self, number: u64, key: u64, offset: u32, target: &mut [u8]) -> bool {
        let Some(exposed) = self.exposed_to(number, key) else { return false };
        exposed.access.reads()
            && self
                .table
                // SAFETY: in `exposed`, so neither deregistered nor closed, and its mappings have not changed.
                .while_live([&exposed.range].into_iter(), || unsafe {
                    exposed.memory.copy_to(offset, target)
                })
                .unwrap_or(false)
    }

    /// Copies to exposed memory, for the peer. False if the peer may not (SP-123, SP-132).
    pub(crate) fn write_exposed(&self, number: u64, key: u64, offset: u32, source: &[u8]) -> bool {
        let Some(exposed) = self.exposed_to(number, key) else { return false };
        exposed.access.writes()
            && self
                .table
                // SAFETY: as in `read_exposed`, and registered for writing.
                .while_live([&exposed.range].into_iter(), || unsafe {
                    exposed.memory.copy_from(offset, source)
                })
                .unwrap_or(false)
    }

    /// Whether the peer may read `length` bytes from `offset` on.
    pub(crate) fn may_read(&self, number: u64, key: u64, offset: u32, length: u32) -> bool {
        self.exposed_to(number, key).is_some_and(|exposed| {
            let fits = offset.checked_add(length).is_some_and(|end| end <= exposed.memory.len());
            fits && exposed.access.reads()
        })
    }

    fn exposed_to(&self, number: u64, key: u64) -> Option<&Exposed> {
        self.exposed.get(&number).filter(|exposed| exposed.key == key)
    }

    fn covers(&self, number: usize, start: *const u8, length: u32, write: bool) -> bool {
        self.local.get(&number).is_some_and(|local| {
            let allowed = if write { local.access.writes() } else { local.access.reads() };
            allowed
                && local.memory.contains(start, length)
                && self.table.while_live([&local.range].into_iter(), || ()).is_some()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_survive_the_journey_and_rubbish_is_refused() {
        let remote = Remote { number: 3, key: u64::MAX, length: 100, access: MemoryAccess::Read };
        let mut bytes = [0xff; DESCRIPTOR];
        remote.encode(&mut bytes);
        assert_eq!(Remote::decode(&bytes), Ok(remote));
        assert_eq!(remote.check(false, 50, 50), Ok(()));
        assert_eq!(remote.check(false, 50, 51), Err(WsaError::WSAEFAULT));
        assert_eq!(remote.check(false, u32::MAX, 2), Err(WsaError::WSAEFAULT));
        assert_eq!(remote.check(true, 0, 1), Err(WsaError::WSAEFAULT));
        for bad in [[0; DESCRIPTOR], [0xff; DESCRIPTOR]] {
            assert_eq!(Remote::decode(&bad), Err(WsaError::WSAEINVAL));
        }
        assert_eq!(Remote::decode(&bytes[1..]), Err(WsaError::WSAEINVAL));
    }
}
