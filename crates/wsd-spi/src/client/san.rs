//! A started provider.

use core::ffi::c_int;
use core::ops::Deref;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::operation::reap;
use super::socket::Socket;
use super::table::{Functions, Table, zero};
use super::tracer::{Tracer, trace};
use super::upcall_doors::{in_up_call, watching_handles};
use super::upcalls::UpCallTable;
use crate::error::WsaError;
use crate::extension::ExtensionFunction;
use crate::ffi::{INVALID_SOCKET, IPPROTO_TCP, SOCK_STREAM, WSA_FLAG_OVERLAPPED, WSAPROTOCOL_INFOW, WSPDATA};
use crate::value::SanSocket;

/// A started provider. Clones are the same start-up; when the last of them, and the last socket, operation and memory
/// made from it, is dropped, `WSPCleanup` is called (SW-026).
#[derive(Clone)]
pub struct San {
    inner: Arc<SanInner>,
}

/// Arguments of `WSPSocket`; [`tcp`](Self::tcp) is what a switch passes (SW-044).
#[derive(Clone)]
pub struct SocketArguments {
    /// Address family.
    pub family: i32,
    /// Socket type.
    pub kind: i32,
    /// Protocol.
    pub protocol: i32,
    /// Description; with a non-zero `dwProviderReserved` it asks for adoption (SP-041).
    pub protocol_info: Option<WSAPROTOCOL_INFOW>,
    /// Reserved.
    pub group: u32,
    /// `WSA_FLAG_*`.
    pub flags: u32,
}

impl SocketArguments {
    /// A stream socket of that family, overlapped.
    pub fn tcp(family: i32) -> Self {
        let protocol_info = Some(WSAPROTOCOL_INFOW::tcp_ip(family));
        let flags = WSA_FLAG_OVERLAPPED;
        Self { family, kind: SOCK_STREAM, protocol: IPPROTO_TCP, protocol_info, group: 0, flags }
    }
}

impl San {
    pub(super) fn new(started: Started) -> Self {
        Self { inner: Arc::new(SanInner(Some(started))) }
    }

    /// Path or name of the provider.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// What the provider says about itself (SP-031).
    pub fn description(&self) -> String {
        let text = &self.inner.data.szDescription;
        let end = text.iter().position(|unit| *unit == 0).unwrap_or(text.len());
        String::from_utf16_lossy(&text[..end])
    }

    /// Highest version of the SPI that the provider knows, major in the low byte.
    pub fn high_version(&self) -> u16 {
        self.inner.data.wHighVersion
    }

    /// Whether the provider has an extension function.
    pub fn has(&self, function: ExtensionFunction) -> bool {
        self.inner.table.extensions.has(function)
    }

    /// The raw functions, for those who want to pass bad arguments.
    pub fn table(&self) -> &Table {
        &self.inner.table
    }

    /// `WSPSocket`. If the provider answers a descriptor that it gave out before (which it may at an adoption,
    /// SP-153), the value is a second owner of it: close only one of them.
    ///
    /// # Errors
    /// Section 6.3.
    pub fn socket(&self, arguments: &SocketArguments) -> Result<Socket, WsaError> {
        let mut info = arguments.protocol_info;
        let info = info.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        let mut errno = 0;
        // SAFETY: the entry is of a started provider; the description and `errno` are local variables.
        let (descriptor, handle) = watching_handles(|| unsafe {
            (self.inner.table.functions.socket)(
                arguments.family,
                arguments.kind,
                arguments.protocol,
                info,
                arguments.group,
                arguments.flags,
                &raw mut errno,
            )
        });
        let result = made(descriptor, errno);
        trace!(
            &self.inner.tracer,
            "WSPSocket",
            result,
            "af={}, type={}, protocol={}, flags={:#x}, reserved={:#x}",
            arguments.family,
            arguments.kind,
            arguments.protocol,
            arguments.flags,
            arguments.protocol_info.map_or(0, |info| info.dwProviderReserved)
        );
        result.map(|descriptor| Socket::new(self.inner.clone(), descriptor, handle))
    }

    /// `WSPSocket` with the value of [`Socket::duplicate`] in `protocol_info`: takes over a socket of another process
    /// (SP-153).
    ///
    /// # Errors
    /// Section 6.3.
    pub fn adopt(&self, protocol_info: &WSAPROTOCOL_INFOW) -> Result<Socket, WsaError> {
        let arguments = SocketArguments::tcp(protocol_info.iAddressFamily);
        self.socket(&SocketArguments { protocol_info: Some(*protocol_info), ..arguments })
    }

    /// `WSPMemoryRegistrationCacheCallback`: mappings of `length` bytes from `address` on are about to change
    /// (SP-160). Without the function there is nothing to do.
    ///
    /// # Errors
    /// `WSAEFAULT`, `WSAEINVAL`.
    pub fn memory_is_changing(&self, address: usize, length: usize) -> Result<(), WsaError> {
        let Some(function) = self.inner.table.extensions.memory_registration_cache_callback else {
            return Ok(());
        };
        let mut errno = 0;
        // SAFETY: the entry is of a started provider; the address is only a number to it; `errno` is valid.
        let result = unsafe { function(ptr::without_provenance_mut(address), length, &raw mut errno) };
        let result = zero(result, errno);
        trace!(&self.inner.tracer, "WSPMemoryRegistrationCacheCallback", result, "{address:#x}+{length}");
        result
    }

    /// `WsdArm`: a file descriptor of the provider, always the same, that is readable as soon as
    /// [`progress`](Self::progress) has something to do, until that is called: to be called before every sleep. From the
    /// first time on, which is traced as failures are, the provider relies on being called.
    ///
    /// # Errors
    /// `WSAEOPNOTSUPP` without the function, and what the provider answers.
    pub fn arm(&self) -> Result<c_int, WsaError> {
        let function = self.inner.table.extensions.arm.ok_or(WsaError::WSAEOPNOTSUPP)?;
        let (mut descriptor, mut errno) = (-1, 0);
        // SAFETY: the entry is of a started provider; both pointers are to local variables.
        let result = unsafe { function(&raw mut descriptor, &raw mut errno) };
        let result = zero(result, errno).map(|()| descriptor);
        if result.is_err() || !self.inner.armed.swap(true, Ordering::Relaxed) {
            trace!(&self.inner.tracer, "WsdArm", result, "");
        }
        result
    }

    /// `WsdProgress`: the provider does what is to do, with up-calls on this thread. Only failures are traced.
    ///
    /// # Errors
    /// `WSAEOPNOTSUPP` without the function, and what the provider answers.
    pub fn progress(&self) -> Result<(), WsaError> {
        let function = self.inner.table.extensions.progress.ok_or(WsaError::WSAEOPNOTSUPP)?;
        let mut errno = 0;
        // SAFETY: the entry is of a started provider; `errno` is valid.
        let result = zero(unsafe { function(&raw mut errno) }, errno);
        if result.is_err() {
            trace!(&self.inner.tracer, "WsdProgress", result, "");
        }
        result
    }

    /// `WSPCleanup` now, if nothing else made from this start-up is left: the provider's answer. Otherwise `None`,
    /// and the last that is dropped does it.
    pub fn cleanup(self) -> Option<Result<(), WsaError>> {
        reap();
        let mut inner = Arc::into_inner(self.inner)?;
        inner.0.take().map(|started| started.clean_up())
    }
}

impl core::fmt::Debug for San {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "San({})", self.name())
    }
}

/// Result of a function that makes a descriptor.
pub(super) fn made(descriptor: usize, errno: c_int) -> Result<SanSocket, WsaError> {
    if descriptor == INVALID_SOCKET {
        Err(WsaError::reported(errno))
    } else {
        Ok(SanSocket::from_raw(descriptor))
    }
}

/// One successful `WSPStartupEx`.
pub(super) struct Started {
    pub(super) name: Arc<str>,
    pub(super) data: WSPDATA,
    pub(super) table: Table,
    pub(super) tracer: Option<Arc<dyn Tracer>>,
    /// `WsdArm` was called.
    pub(super) armed: AtomicBool,
    /// Given up after the clean-up.
    pub(super) _upcalls: UpCallTable,
}

impl Started {
    /// The entries of the table.
    pub(super) fn functions(&self) -> &Functions {
        &self.table.functions
    }

    fn clean_up(self) -> Result<(), WsaError> {
        let mut errno = 0;
        // SAFETY: the entry is of a provider that this value has started, and called once, here.
        let result = unsafe { (self.table.functions.cleanup)(&raw mut errno) };
        let result = zero(result, errno);
        trace!(&self.tracer, "WSPCleanup", result, "");
        result
    }
}

/// Shared by everything that is made from one start-up. Empty only while it is being dropped.
pub(super) struct SanInner(Option<Started>);

impl Deref for SanInner {
    type Target = Started;

    fn deref(&self) -> &Started {
        self.0.as_ref().expect("taken only when the last reference is dropped")
    }
}

impl Drop for SanInner {
    fn drop(&mut self) {
        let Some(started) = self.0.take() else { return };
        if in_up_call() {
            // The provider's own thread may be the one that calls up, and it would wait for itself.
            DEFERRED.lock().unwrap_or_else(PoisonError::into_inner).push(started);
        } else {
            let _ = started.clean_up();
        }
    }
}

/// Start-ups whose last reference was dropped inside an up-call.
static DEFERRED: Mutex<Vec<Started>> = Mutex::new(Vec::new());

/// See [`reap`]. Not inside an up-call.
pub(super) fn clean_up_deferred() {
    let deferred = core::mem::take(&mut *DEFERRED.lock().unwrap_or_else(PoisonError::into_inner));
    for started in deferred {
        let _ = started.clean_up();
    }
}
