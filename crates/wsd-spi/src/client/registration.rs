//! Registered memory.

use core::fmt;
use core::ops::Range;
use core::ptr;
use std::sync::Arc;

use super::memory::{MemorySlice, StableMemory};
use super::socket::{Socket, SocketInner};
use super::table::zero;
use super::tracer::trace;
use crate::error::WsaError;
use crate::value::{MemoryAccess, RegistrationHandle};

/// Longest descriptor that is tried without asking for the length, in bytes.
const USUAL_DESCRIPTOR: usize = 256;
/// Longest descriptor that is taken: the session protocol has 16 bits for its length.
const LONGEST_DESCRIPTOR: usize = u16::MAX as usize;

impl Socket {
    /// `WSPRegisterMemory`: makes memory usable for messages and for the local side of RDMA on this socket. It is
    /// kept alive until it is deregistered.
    ///
    /// # Errors
    /// Section 6.16.
    pub fn register_memory(
        &self,
        memory: &MemorySlice,
        access: MemoryAccess,
    ) -> Result<Registration, WsaError> {
        let mut errno = 0;
        // SAFETY: the entry is of a started provider; the memory lives as long as the registration.
        let handle = unsafe {
            (self.inner.extensions().register_memory)(
                self.inner.open()?,
                memory.start().cast(),
                memory.len() as u32,
                access.flags(),
                &raw mut errno,
            )
        };
        let result = RegistrationHandle::from_raw(handle.addr()).ok_or_else(|| WsaError::reported(errno));
        trace!(
            &self.inner.san.tracer,
            "WSPRegisterMemory", result, "{:?}, {memory:?}, {access:?}", self.inner.descriptor
        );
        let held = Held { socket: self.inner.clone(), memory: memory.clone(), ended: false };
        result.map(|handle| Registration { held, handle })
    }

    /// `WSPRegisterRdmaMemory`: lets the peer of this socket read or write memory. It is kept alive until it is
    /// deregistered.
    ///
    /// # Errors
    /// Section 6.17.
    pub fn register_rdma_memory(
        &self,
        memory: &MemorySlice,
        access: MemoryAccess,
    ) -> Result<RdmaRegistration, WsaError> {
        let mut descriptor = vec![0u8; USUAL_DESCRIPTOR];
        let result = match self.try_register_rdma(memory, access, &mut descriptor) {
            Err((WsaError::WSAEFAULT, needed))
                if (USUAL_DESCRIPTOR + 1..=LONGEST_DESCRIPTOR).contains(&needed) =>
            {
                descriptor.resize(needed, 0);
                self.try_register_rdma(memory, access, &mut descriptor)
            }
            result => result,
        };
        let used = result.map_err(|(error, _)| error)?;
        descriptor.truncate(used);
        let held = Held { socket: self.inner.clone(), memory: memory.clone(), ended: false };
        Ok(RdmaRegistration { held, descriptor: descriptor.into_boxed_slice() })
    }

    /// The length of descriptors, or the error with the length needed.
    fn try_register_rdma(
        &self,
        memory: &MemorySlice,
        access: MemoryAccess,
        descriptor: &mut [u8],
    ) -> Result<usize, (WsaError, usize)> {
        let mut length = descriptor.len() as u32;
        let mut errno = 0;
        // SAFETY: the entry is of a started provider; the memory lives as long as the registration; the descriptor
        // has the given length.
        let result = unsafe {
            (self.inner.extensions().register_rdma_memory)(
                self.inner.open().map_err(|error| (error, 0))?,
                memory.start().cast(),
                memory.len() as u32,
                access.flags(),
                descriptor.as_mut_ptr().cast(),
                &raw mut length,
                &raw mut errno,
            )
        };
        let result = zero(result, errno).map(|()| length);
        trace!(
            &self.inner.san.tracer,
            "WSPRegisterRdmaMemory",
            result,
            "{:?}, {memory:?}, {access:?}, descriptor of {}",
            self.inner.descriptor,
            descriptor.len()
        );
        result.map(|length| length as usize).map_err(|error| (error, length as usize))
    }

    /// `WSPRegisterRdmaMemory` with length 0: the length of this provider's descriptors in bytes (SP-120, SW-024).
    ///
    /// # Errors
    /// What the provider answers instead of the length.
    pub fn rdma_descriptor_length(&self) -> Result<usize, WsaError> {
        let (mut length, mut errno) = (0, 0);
        // SAFETY: the entry is of a started provider, which looks at nothing but the length (SP-120).
        let result = unsafe {
            (self.inner.extensions().register_rdma_memory)(
                self.inner.open()?,
                ptr::null_mut(),
                0,
                MemoryAccess::Read.flags(),
                ptr::null_mut(),
                &raw mut length,
                &raw mut errno,
            )
        };
        let result = zero(result, errno);
        trace!(
            &self.inner.san.tracer,
            "WSPRegisterRdmaMemory", result, "{:?}, length probe: {length}", self.inner.descriptor
        );
        match result {
            Err(WsaError::WSAEFAULT) if length != 0 => Ok(length as usize),
            Err(error) => Err(error),
            Ok(()) => Err(WsaError::WSASYSCALLFAILURE),
        }
    }
}

/// Memory that a provider may use until its registration ends. If a provider refuses to end it while the socket is
/// open, the memory is never freed.
struct Held {
    socket: Arc<SocketInner>,
    memory: MemorySlice,
    ended: bool,
}

impl Held {
    /// Ends the registration with `call`, once. A closed socket has ended it already (section 14).
    fn end(&mut self, call: impl FnOnce(&Self, usize) -> Result<(), WsaError>) -> Result<(), WsaError> {
        let result = self.try_end(call);
        if result.is_err() && !self.ended {
            self.ended = true;
            core::mem::forget(self.memory.clone());
        }
        result
    }

    /// As [`Held::end`], but a refusal changes nothing.
    fn try_end(&mut self, call: impl FnOnce(&Self, usize) -> Result<(), WsaError>) -> Result<(), WsaError> {
        if self.ended {
            return Ok(());
        }
        let result = self.socket.open().and_then(|s| call(self, s));
        self.ended = result.is_ok() || self.socket.is_closed();
        result
    }
}

/// Memory registered for one socket. Deregistered when dropped.
pub struct Registration {
    held: Held,
    handle: RegistrationHandle,
}

impl Registration {
    /// The provider's handle.
    pub fn handle(&self) -> RegistrationHandle {
        self.handle
    }

    /// The memory.
    pub fn memory(&self) -> &MemorySlice {
        &self.held.memory
    }

    /// The bytes in `range` as the local side of an RDMA operation; `None` if they are not all registered.
    pub fn segment(&self, range: Range<u32>) -> Option<Segment> {
        Some(Segment { slice: self.held.memory.slice(range)?, handle: self.handle })
    }

    /// Ends it without a call: the provider has given the memory back by itself, as WSPDuplicateSocket does (SP-150).
    pub fn surrender(mut self) {
        self.held.ended = true;
    }

    /// `WSPDeregisterMemory`. Dropping does the same and ignores the answer.
    ///
    /// # Errors
    /// `WSAEINVAL` if in use, `WSAENOTSOCK` if the socket is closed.
    pub fn deregister(mut self) -> Result<(), WsaError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), WsaError> {
        let handle = self.handle;
        self.held.end(|Held { socket, memory, .. }, s| {
            let mut errno = 0;
            // SAFETY: the entry is of a started provider; the handle is only a number; `errno` is valid.
            let result = unsafe {
                (socket.extensions().deregister_memory)(
                    s,
                    ptr::without_provenance_mut(handle.raw()),
                    &raw mut errno,
                )
            };
            let result = zero(result, errno);
            trace!(
                &socket.san.tracer,
                "WSPDeregisterMemory", result, "{:?}, {memory:?}, {handle:?}", socket.descriptor
            );
            result
        })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registration({:?}, {:?})", self.handle, self.held.memory)
    }
}

/// Memory that the peer may use. Deregistered when dropped.
pub struct RdmaRegistration {
    held: Held,
    descriptor: Box<[u8]>,
}

impl RdmaRegistration {
    /// The bytes to send to the peer.
    pub fn descriptor(&self) -> &[u8] {
        &self.descriptor
    }

    /// The memory.
    pub fn memory(&self) -> &MemorySlice {
        &self.held.memory
    }

    /// `WSPDeregisterRdmaMemory`: the peer's access ends (SP-123). Dropping does the same and ignores the answer.
    ///
    /// # Errors
    /// `WSAEINVAL` if in use, `WSAENOTSOCK` if the socket is closed.
    pub fn deregister(mut self) -> Result<(), WsaError> {
        self.end()
    }

    /// As [`deregister`](Self::deregister), but a refusal changes nothing.
    ///
    /// # Errors
    /// As [`deregister`](Self::deregister).
    pub fn try_deregister(&mut self) -> Result<(), WsaError> {
        let descriptor = &mut self.descriptor;
        self.held.try_end(|held, s| conceal(held, s, descriptor))
    }

    /// Ends it without a call: the connection has ended, and with it the peer's access (SP-123).
    pub fn surrender(mut self) {
        self.held.ended = true;
    }

    fn end(&mut self) -> Result<(), WsaError> {
        let descriptor = &mut self.descriptor;
        self.held.end(|held, s| conceal(held, s, descriptor))
    }
}

/// `WSPDeregisterRdmaMemory`.
fn conceal(held: &Held, s: usize, descriptor: &mut [u8]) -> Result<(), WsaError> {
    let Held { socket, memory, .. } = held;
    let mut errno = 0;
    // SAFETY: the entry is of a started provider; the descriptor has the given length; `errno` is valid.
    let result = unsafe {
        (socket.extensions().deregister_rdma_memory)(
            s,
            descriptor.as_mut_ptr().cast(),
            descriptor.len() as u32,
            &raw mut errno,
        )
    };
    let result = zero(result, errno);
    trace!(&socket.san.tracer, "WSPDeregisterRdmaMemory", result, "{:?}, {memory:?}", socket.descriptor);
    result
}

impl Drop for RdmaRegistration {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl fmt::Debug for RdmaRegistration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RdmaRegistration({:?}, descriptor {:02x?})", self.held.memory, self.descriptor)
    }
}

/// Registered bytes, as the local side of an RDMA operation.
#[derive(Clone, Debug)]
pub struct Segment {
    slice: MemorySlice,
    handle: RegistrationHandle,
}

impl Segment {
    /// The bytes.
    pub fn slice(&self) -> &MemorySlice {
        &self.slice
    }

    /// The handle of their registration.
    pub fn handle(&self) -> RegistrationHandle {
        self.handle
    }
}
