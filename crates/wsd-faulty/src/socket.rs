//! One socket: the inner provider's, the switch's handle, and the memory that the switch has registered.

use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use wsd_spi::client::{
    MemorySlice, RdmaRegistration, Registration, Remote, Segment, SharedMemory, Socket, StableMemory, Table,
};
use wsd_spi::ffi::{FALSE, WSAOVERLAPPED, WSS_OPERATION_IN_PROGRESS};
use wsd_spi::provider::{MemoryRange, RemoteBuffer, UserBuffer, UserBuffers};
use wsd_spi::{Event, MemoryAccess, RegistrationHandle, SwitchSocket, WsaError};

use crate::inner::lock;

/// Descriptors of all kinds: one byte of length, then the inner provider's.
pub(crate) const DESCRIPTOR: usize = 128;

/// See the [module](self).
pub(crate) struct Companion {
    pub(crate) socket: Socket,
    pub(crate) handle: SwitchSocket,
    /// Another process has it now.
    pub(crate) given: AtomicBool,
    registered: Mutex<HashMap<RegistrationHandle, Arc<Registration>>>,
    exposed: Mutex<HashMap<Vec<u8>, RdmaRegistration>>,
    shared: Mutex<HashMap<usize, SharedMemory>>,
    connecting: Mutex<Connecting>,
    sent: AtomicU64,
}

/// The meeting, as far as only this provider knows of it.
#[derive(Default)]
struct Connecting {
    event: Option<Event>,
    /// The first look at a listener was had.
    looked: bool,
    answer: Option<WsaError>,
}

/// Memory of the switch.
struct UserMemory {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: only an address; whoever uses it copies.
unsafe impl Send for UserMemory {}
// SAFETY: as above.
unsafe impl Sync for UserMemory {}

// SAFETY: values are kept by registrations and operations of the inner provider only, which end before those of the switch
// do; until then the switch keeps the memory mapped (section 14). The switch, too, only copies.
unsafe impl StableMemory for UserMemory {
    fn as_ptr(&self) -> NonNull<u8> {
        self.start
    }

    fn len(&self) -> usize {
        self.length
    }
}

fn slice_of(start: *mut u8, length: u32) -> Result<MemorySlice, WsaError> {
    let start = NonNull::new(start).ok_or(WsaError::WSAEFAULT)?;
    let memory: Arc<dyn StableMemory> = Arc::new(UserMemory { start, length: length as usize });
    MemorySlice::whole(memory).ok_or(WsaError::WSAEFAULT)
}

/// The buffers of a message.
pub(crate) fn slices(buffers: &UserBuffers) -> Result<Vec<MemorySlice>, WsaError> {
    let used = buffers.segments().iter().filter(|buffer| !buffer.is_empty());
    used.map(|buffer| slice_of(buffer.as_ptr(), buffer.len())).collect()
}

/// Packs a descriptor of the inner provider.
fn pack(inner: &[u8], descriptor: &mut [u8]) -> Result<(), WsaError> {
    if inner.len() >= descriptor.len() {
        return Err(WsaError::WSASYSCALLFAILURE);
    }
    descriptor.fill(0);
    descriptor[0] = inner.len() as u8;
    descriptor[1..=inner.len()].copy_from_slice(inner);
    Ok(())
}

fn unpack(descriptor: &[u8]) -> Result<&[u8], WsaError> {
    let (length, rest) = descriptor.split_first().ok_or(WsaError::WSAEINVAL)?;
    rest.get(..usize::from(*length)).ok_or(WsaError::WSAEINVAL)
}

/// A piece of an RDMA operation.
pub(crate) struct Part {
    segment: Segment,
    offset: u32,
}

impl Companion {
    pub(crate) fn new(socket: Socket, handle: SwitchSocket) -> Self {
        let (registered, exposed, shared) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (given, connecting, sent) = (AtomicBool::default(), Mutex::default(), AtomicU64::new(0));
        Self { socket, handle, given, registered, exposed, shared, connecting, sent }
    }

    /// The number of the message that is about to be sent.
    pub(crate) fn next_message(&self) -> u64 {
        self.sent.fetch_add(1, Ordering::Relaxed)
    }

    /// The event of FD_CONNECT or FD_ACCEPT.
    pub(crate) fn answers_to(&self, event: Option<Event>) {
        lock(&self.connecting).event = event;
    }

    /// Records how a connect has ended; the event to set.
    pub(crate) fn answer(&self, error: WsaError) -> Option<Event> {
        let mut connecting = lock(&self.connecting);
        connecting.answer = Some(error);
        connecting.event
    }

    /// The event of a listener of which nothing was accepted yet; once.
    pub(crate) fn first_look(&self) -> Option<Event> {
        let mut connecting = lock(&self.connecting);
        if std::mem::replace(&mut connecting.looked, true) { None } else { connecting.event }
    }

    /// Takes the record.
    pub(crate) fn take_answer(&self) -> Option<WsaError> {
        lock(&self.connecting).answer.take()
    }

    pub(crate) fn register(
        &self,
        memory: &MemoryRange,
        access: MemoryAccess,
    ) -> Result<RegistrationHandle, WsaError> {
        let slice = slice_of(memory.as_ptr(), memory.len())?;
        let registration = self.socket.register_memory(&slice, access)?;
        let handle = registration.handle();
        lock(&self.registered).insert(handle, Arc::new(registration));
        Ok(handle)
    }

    pub(crate) fn deregister(&self, handle: RegistrationHandle) -> Result<(), WsaError> {
        let registration = lock(&self.registered).remove(&handle).ok_or(WsaError::WSAEINVAL)?;
        Arc::into_inner(registration).ok_or(WsaError::WSAEINVAL)?.deregister()
    }

    pub(crate) fn expose(
        &self,
        memory: &MemoryRange,
        access: MemoryAccess,
        descriptor: &mut [u8],
    ) -> Result<(), WsaError> {
        let slice = slice_of(memory.as_ptr(), memory.len())?;
        let exposed = self.socket.register_rdma_memory(&slice, access)?;
        pack(exposed.descriptor(), descriptor)?;
        lock(&self.exposed).insert(descriptor.to_vec(), exposed);
        Ok(())
    }

    pub(crate) fn conceal(&self, descriptor: &[u8]) -> Result<(), WsaError> {
        let exposed = lock(&self.exposed).remove(descriptor).ok_or(WsaError::WSAEINVAL)?;
        exposed.deregister()
    }

    /// The parts of an RDMA operation, none longer than `most`.
    pub(crate) fn parts(&self, buffers: &UserBuffers, offset: u32, most: u32) -> Result<Vec<Part>, WsaError> {
        let (mut parts, mut offset) = (Vec::new(), offset);
        for buffer in buffers.segments() {
            let (registration, start) = self.registration_of(buffer)?;
            let mut done = 0;
            while done < buffer.len() {
                let length = most.max(1).min(buffer.len() - done);
                let range = start + done..start + done + length;
                parts.push(Part { segment: registration.segment(range).ok_or(WsaError::WSAEFAULT)?, offset });
                done += length;
                offset = offset.checked_add(length).ok_or(WsaError::WSAEINVAL)?;
            }
        }
        Ok(parts)
    }

    fn registration_of(&self, buffer: &UserBuffer) -> Result<(Arc<Registration>, u32), WsaError> {
        let handle = buffer.handle().ok_or(WsaError::WSAEFAULT)?;
        let registration = lock(&self.registered).get(&handle).cloned().ok_or(WsaError::WSAEFAULT)?;
        let start = buffer.as_ptr().addr().checked_sub(registration.memory().start().addr());
        let start = start.and_then(|start| u32::try_from(start).ok()).ok_or(WsaError::WSAEFAULT)?;
        Ok((registration, start))
    }

    /// Starts one part.
    pub(crate) fn rdma(
        &self,
        part: &Part,
        remote: RemoteBuffer<'_>,
        write: bool,
        key: u64,
    ) -> Result<(), WsaError> {
        let remote = Remote { descriptor: unpack(remote.descriptor)?, offset: part.offset };
        let segments = std::slice::from_ref(&part.segment);
        if write {
            self.socket.rdma_write_notified(segments, remote, key)
        } else {
            self.socket.rdma_read_notified(segments, remote, key)
        }
    }

    /// Has the inner provider check the socket's state, and make progress if a request is `pending`, by asking it for the result
    /// of a request that it never got.
    ///
    /// # Errors
    /// Those of `SanProvider::progress`.
    pub(crate) fn progress(&self, table: &Table, pending: bool) -> Result<(), WsaError> {
        let function = table.procs.lpWSPGetOverlappedResult.ok_or(WsaError::WSASYSCALLFAILURE)?;
        let internal = if pending { WSS_OPERATION_IN_PROGRESS } else { 0 };
        let mut request = WSAOVERLAPPED { Internal: internal, ..WSAOVERLAPPED::zeroed() };
        let (mut bytes, mut flags, mut errno) = (0, 0, 0);
        // SAFETY: the entry is of a started provider; all pointers are to local variables, and a provider keeps none of a request
        // that was not submitted.
        let done = unsafe {
            function(
                self.socket.descriptor().raw(),
                &raw mut request,
                &raw mut bytes,
                FALSE,
                &raw mut flags,
                &raw mut errno,
            )
        };
        match WsaError::reported(errno) {
            _ if done != FALSE => Ok(()),
            WsaError::WSA_IO_INCOMPLETE => Ok(()),
            error => Err(error),
        }
    }

    pub(crate) fn allocate(&self, length: u32, descriptor: &mut [u8]) -> Result<NonNull<u8>, WsaError> {
        let memory = self.socket.allocate(length)?;
        pack(memory.descriptor().ok_or(WsaError::WSASYSCALLFAILURE)?, descriptor)?;
        Ok(self.share(memory))
    }

    pub(crate) fn map(&self, descriptor: &[u8]) -> Result<(NonNull<u8>, u32), WsaError> {
        let memory = self.socket.map(unpack(descriptor)?)?;
        let length = memory.len() as u32;
        Ok((self.share(memory), length))
    }

    fn share(&self, memory: SharedMemory) -> NonNull<u8> {
        let start = memory.as_ptr();
        lock(&self.shared).insert(start.addr().get(), memory);
        start
    }

    pub(crate) fn unshare(&self, start: NonNull<u8>) -> Result<(), WsaError> {
        let memory = lock(&self.shared).remove(&start.addr().get());
        memory.map(drop).ok_or(WsaError::WSAEINVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_packed_with_their_length() {
        let mut descriptor = [0xFF; DESCRIPTOR];
        pack(&[1, 2, 3], &mut descriptor).expect("short");
        assert_eq!(unpack(&descriptor), Ok(&[1, 2, 3][..]));
        assert_eq!(pack(&[0; DESCRIPTOR], &mut descriptor), Err(WsaError::WSASYSCALLFAILURE));
        assert_eq!(unpack(&[5, 1]), Err(WsaError::WSAEINVAL));
    }
}
