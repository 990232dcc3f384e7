//! Memory that both ends of a connection see.

use core::fmt;
use core::ptr::{self, NonNull};
use std::sync::Arc;

use super::memory::StableMemory;
use super::socket::{Socket, SocketInner};
use super::table::zero;
use super::tracer::trace;
use crate::error::WsaError;

impl Socket {
    /// `WsdAllocate`: memory of `length` bytes that the peer can map with [`map`](Self::map), given
    /// [`SharedMemory::descriptor`].
    ///
    /// # Errors
    /// `WSAEOPNOTSUPP` without the function, and what the provider answers.
    pub fn allocate(&self, length: u32) -> Result<SharedMemory, WsaError> {
        let extensions = self.inner.extensions();
        let function = extensions.allocate.ok_or(WsaError::WSAEOPNOTSUPP)?;
        extensions.free.ok_or(WsaError::WSAEOPNOTSUPP)?;
        let mut descriptor = vec![0u8; 256];
        let mut used = descriptor.len() as u32;
        let (mut start, mut errno) = (ptr::null_mut(), 0);
        // SAFETY: the entry is of a started provider; the descriptor has the given length; the others are local
        // variables.
        let result = unsafe {
            function(
                self.inner.open()?,
                length,
                &raw mut start,
                descriptor.as_mut_ptr().cast(),
                &raw mut used,
                &raw mut errno,
            )
        };
        let result = zero(result, errno)
            .and_then(|()| NonNull::new(start.cast::<u8>()).ok_or(WsaError::WSASYSCALLFAILURE));
        trace!(&self.inner.san.tracer, "WsdAllocate", result, "{:?}, {length} bytes", self.inner.descriptor);
        descriptor.truncate(used as usize);
        Ok(SharedMemory {
            socket: self.inner.clone(),
            start: result?,
            length: length as usize,
            descriptor: Some(descriptor.into_boxed_slice()),
        })
    }

    /// `WsdMap`: the memory that the peer allocated on its end of this connection.
    ///
    /// # Errors
    /// `WSAEOPNOTSUPP` without the function, `WSAEINVAL` for a descriptor that is not of this connection's peer, and
    /// what the provider answers.
    pub fn map(&self, descriptor: &[u8]) -> Result<SharedMemory, WsaError> {
        let extensions = self.inner.extensions();
        let function = extensions.map.ok_or(WsaError::WSAEOPNOTSUPP)?;
        extensions.unmap.ok_or(WsaError::WSAEOPNOTSUPP)?;
        let (mut start, mut length, mut errno) = (ptr::null_mut(), 0, 0);
        // SAFETY: the entry is of a started provider; the descriptor has the given length and is only read; the
        // others are local variables.
        let result = unsafe {
            function(
                self.inner.open()?,
                descriptor.as_ptr().cast_mut().cast(),
                u32::try_from(descriptor.len()).map_err(|_| WsaError::WSAEINVAL)?,
                &raw mut start,
                &raw mut length,
                &raw mut errno,
            )
        };
        let result = zero(result, errno)
            .and_then(|()| NonNull::new(start.cast::<u8>()).ok_or(WsaError::WSASYSCALLFAILURE));
        trace!(&self.inner.san.tracer, "WsdMap", result, "{:?}, {length} bytes", self.inner.descriptor);
        Ok(SharedMemory {
            socket: self.inner.clone(),
            start: result?,
            length: length as usize,
            descriptor: None,
        })
    }
}

/// Memory of [`Socket::allocate`] or [`Socket::map`], given back when dropped. Keeps the provider from cleaning up, so
/// that it stays mapped; after the socket has been closed its contents mean nothing any more (see
/// [`crate::extension`]).
pub struct SharedMemory {
    socket: Arc<SocketInner>,
    start: NonNull<u8>,
    length: usize,
    /// Present if this end allocated it.
    descriptor: Option<Box<[u8]>>,
}

// SAFETY: the memory is only used by copying and through atomics.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

// SAFETY: the provider keeps it mapped until it is given back, or to the last clean-up if the socket was closed before
// (see `crate::extension`); both come after the drop of this value.
unsafe impl StableMemory for SharedMemory {
    fn as_ptr(&self) -> NonNull<u8> {
        self.start
    }

    fn len(&self) -> usize {
        self.length
    }
}

impl SharedMemory {
    /// The bytes to send to the peer, if this end allocated the memory.
    pub fn descriptor(&self) -> Option<&[u8]> {
        self.descriptor.as_deref()
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        let extensions = self.socket.extensions();
        let (function, name) = match self.descriptor {
            Some(_) => (extensions.free, "WsdFree"),
            None => (extensions.unmap, "WsdUnmap"),
        };
        let (Some(function), Ok(s)) = (function, self.socket.open()) else { return };
        let mut errno = 0;
        // SAFETY: the entry is of a started provider; the memory came from it, and is not used any more.
        let result = unsafe { function(s, self.start.as_ptr().cast(), &raw mut errno) };
        trace!(
            &self.socket.san.tracer,
            name,
            zero(result, errno),
            "{:?}, {:p}",
            self.socket.descriptor,
            self.start
        );
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedMemory({:p}+{})", self.start, self.length)
    }
}
