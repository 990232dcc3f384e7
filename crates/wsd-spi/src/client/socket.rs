//! A socket of a provider.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use super::operation::reap;
use super::san::SanInner;
use super::table::{ExtensionTable, Functions, zero};
use super::tracer::trace;
use crate::error::WsaError;
use crate::ffi::WSAPROTOCOL_INFOW;
use crate::value::{SanSocket, SwitchSocket};

/// A socket of a provider. Closed when dropped.
///
/// All methods may be called on any thread, several at a time (SP-017); but like with file descriptors, a call that
/// begins while another thread closes the socket may find its value in use for a new one.
pub struct Socket {
    pub(super) inner: Arc<SocketInner>,
}

/// What operations, registrations and shared memory know of their socket. Does not keep it open.
pub(super) struct SocketInner {
    pub(super) san: Arc<SanInner>,
    pub(super) descriptor: SanSocket,
    handle: Option<SwitchSocket>,
    closed: AtomicBool,
}

impl SocketInner {
    /// The entries of the provider's table.
    pub(super) fn functions(&self) -> &Functions {
        self.san.functions()
    }

    /// The provider's extension functions.
    pub(super) fn extensions(&self) -> &ExtensionTable {
        &self.san.table.extensions
    }

    /// Whether `WSPCloseSocket` has been called.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The descriptor for a call.
    ///
    /// # Errors
    /// `WSAENOTSOCK` after the close: its value may be another socket by now.
    pub(super) fn open(&self) -> Result<usize, WsaError> {
        if self.is_closed() { Err(WsaError::WSAENOTSOCK) } else { Ok(self.descriptor.raw()) }
    }
}

impl Socket {
    pub(super) fn new(san: Arc<SanInner>, descriptor: SanSocket, handle: Option<SwitchSocket>) -> Self {
        let closed = AtomicBool::new(false);
        Self { inner: Arc::new(SocketInner { san, descriptor, handle, closed }) }
    }

    /// The provider's descriptor.
    pub fn descriptor(&self) -> SanSocket {
        self.inner.descriptor
    }

    /// The switch's handle, made by the [`UpCallHandler`](super::UpCallHandler) while the provider made the socket:
    /// what completions will carry. `None` if the provider made none, as at an adoption in the same process.
    pub fn handle(&self) -> Option<SwitchSocket> {
        self.inner.handle
    }

    /// `WSPDuplicateSocket`: prepares the socket for process `process_id`. The result goes to
    /// [`San::adopt`](super::San::adopt) there; here only [`close`](Self::close) is left (SP-150..152).
    ///
    /// # Errors
    /// Section 6.19.
    pub fn duplicate(&self, process_id: u32, family: i32) -> Result<WSAPROTOCOL_INFOW, WsaError> {
        let mut info = WSAPROTOCOL_INFOW::tcp_ip(family);
        let mut errno = 0;
        // SAFETY: the entry is of a started provider; both pointers are to local variables.
        let result = unsafe {
            (self.inner.functions().duplicate_socket)(
                self.inner.open()?,
                process_id,
                &raw mut info,
                &raw mut errno,
            )
        };
        let result = zero(result, errno).map(|()| info.dwProviderReserved);
        trace!(
            &self.inner.san.tracer,
            "WSPDuplicateSocket", result, "{:?}, process={process_id}", self.inner.descriptor
        );
        result.map(|_| info)
    }

    /// `WSPCloseSocket`, once: later calls of any method answer `WSAENOTSOCK`. Pending operations complete with
    /// `WSA_OPERATION_ABORTED` (SP-170).
    ///
    /// # Errors
    /// `WSAENOTSOCK` if closed, and what the provider answers; the socket counts as closed then, too.
    pub fn close(&self) -> Result<(), WsaError> {
        if self.inner.closed.swap(true, Ordering::AcqRel) {
            return Err(WsaError::WSAENOTSOCK);
        }
        let mut errno = 0;
        // SAFETY: the entry is of a started provider; `errno` is valid.
        let result =
            unsafe { (self.inner.functions().close_socket)(self.inner.descriptor.raw(), &raw mut errno) };
        let result = zero(result, errno);
        trace!(&self.inner.san.tracer, "WSPCloseSocket", result, "{:?}", self.inner.descriptor);
        reap();
        result
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({:?})", self.inner.descriptor)
    }
}
