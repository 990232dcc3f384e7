//! The functions of a started provider.

use core::ffi::c_int;
use std::sync::Arc;

use super::startup::StartupError;
use super::tracer::{Tracer, trace};
use crate::error::WsaError;
use crate::extension::{
    ExtensionFunction, LPFN_WSDALLOCATE, LPFN_WSDARM, LPFN_WSDFREE, LPFN_WSDMAP, LPFN_WSDPROGRESS,
    LPFN_WSDUNMAP,
};
use crate::ffi::*;

/// All functions of a started provider, raw. Calling one is unsafe: whoever does keeps to the SPI himself, and
/// a `WSPCleanup` or `WSPCloseSocket` made here is not known to the safe side.
#[derive(Clone, Copy)]
pub struct Table {
    /// What `WSPStartupEx` wrote.
    pub procs: WSPPROC_TABLE,
    /// What `SIO_GET_EXTENSION_FUNCTION_POINTER` gave.
    pub extensions: ExtensionTable,
    pub(super) functions: Functions,
}

/// The extension functions of a started provider.
#[derive(Clone, Copy, Debug)]
pub struct ExtensionTable {
    /// Mandatory.
    pub register_memory: LPFN_WSPREGISTERMEMORY,
    /// Mandatory.
    pub deregister_memory: LPFN_WSPDEREGISTERMEMORY,
    /// Mandatory.
    pub register_rdma_memory: LPFN_WSPREGISTERRDMAMEMORY,
    /// Mandatory.
    pub deregister_rdma_memory: LPFN_WSPDEREGISTERRDMAMEMORY,
    /// Mandatory.
    pub rdma_write: LPFN_WSPRDMAWRITE,
    /// Optional.
    pub rdma_read: Option<LPFN_WSPRDMAREAD>,
    /// Optional.
    pub memory_registration_cache_callback: Option<LPFN_WSPMEMORYREGISTRATIONCACHECALLBACK>,
    /// Ours, optional.
    pub allocate: Option<LPFN_WSDALLOCATE>,
    /// Ours, optional.
    pub free: Option<LPFN_WSDFREE>,
    /// Ours, optional.
    pub map: Option<LPFN_WSDMAP>,
    /// Ours, optional.
    pub unmap: Option<LPFN_WSDUNMAP>,
    /// Ours, optional.
    pub arm: Option<LPFN_WSDARM>,
    /// Ours, optional.
    pub progress: Option<LPFN_WSDPROGRESS>,
}

/// A type of function pointers.
///
/// # Safety
/// The type is a function pointer.
unsafe trait FunctionPointer: Copy {}

macro_rules! function_pointers {
    ($($name:ident),*) => {
        $(
            // SAFETY: it is one.
            unsafe impl FunctionPointer for $name {}
        )*
    };
}

function_pointers!(
    LPFN_WSPREGISTERMEMORY,
    LPFN_WSPDEREGISTERMEMORY,
    LPFN_WSPREGISTERRDMAMEMORY,
    LPFN_WSPDEREGISTERRDMAMEMORY,
    LPFN_WSPRDMAWRITE,
    LPFN_WSPMEMORYREGISTRATIONCACHECALLBACK,
    LPFN_WSDALLOCATE,
    LPFN_WSDMAP,
    LPFN_WSDARM,
    LPFN_WSDPROGRESS
);

impl ExtensionTable {
    /// Asks for all of them. Any answer but a pointer means that an optional function is missing.
    ///
    /// # Errors
    /// The first mandatory function that is missing (SW-022).
    pub(super) fn ask(ioctl: LPWSPIOCTL, tracer: &Option<Arc<dyn Tracer>>) -> Result<Self, StartupError> {
        let ask = Asker { ioctl, tracer };
        // SAFETY: every identifier is asked for with the type of its function.
        unsafe {
            Ok(Self {
                register_memory: ask.mandatory(ExtensionFunction::RegisterMemory)?,
                deregister_memory: ask.mandatory(ExtensionFunction::DeregisterMemory)?,
                register_rdma_memory: ask.mandatory(ExtensionFunction::RegisterRdmaMemory)?,
                deregister_rdma_memory: ask.mandatory(ExtensionFunction::DeregisterRdmaMemory)?,
                rdma_write: ask.mandatory(ExtensionFunction::RdmaWrite)?,
                rdma_read: ask.optional(ExtensionFunction::RdmaRead),
                memory_registration_cache_callback: ask
                    .optional(ExtensionFunction::MemoryRegistrationCacheCallback),
                allocate: ask.optional(ExtensionFunction::Allocate),
                free: ask.optional(ExtensionFunction::Free),
                map: ask.optional(ExtensionFunction::Map),
                unmap: ask.optional(ExtensionFunction::Unmap),
                arm: ask.optional(ExtensionFunction::Arm),
                progress: ask.optional(ExtensionFunction::Progress),
            })
        }
    }

    /// Whether the provider has a function.
    pub fn has(&self, function: ExtensionFunction) -> bool {
        match function {
            ExtensionFunction::RdmaRead => self.rdma_read.is_some(),
            ExtensionFunction::MemoryRegistrationCacheCallback => {
                self.memory_registration_cache_callback.is_some()
            }
            ExtensionFunction::Allocate => self.allocate.is_some(),
            ExtensionFunction::Free => self.free.is_some(),
            ExtensionFunction::Map => self.map.is_some(),
            ExtensionFunction::Unmap => self.unmap.is_some(),
            ExtensionFunction::Arm => self.arm.is_some(),
            ExtensionFunction::Progress => self.progress.is_some(),
            mandatory => mandatory.is_mandatory(),
        }
    }
}

struct Asker<'a> {
    ioctl: LPWSPIOCTL,
    tracer: &'a Option<Arc<dyn Tracer>>,
}

impl Asker<'_> {
    /// # Safety
    /// `F` is the type of the function.
    unsafe fn mandatory<F: FunctionPointer>(&self, function: ExtensionFunction) -> Result<F, StartupError> {
        // SAFETY: the contract is the same.
        unsafe { self.pointer(function) }
            .map_err(|error| StartupError::MissingExtension(function.name(), error))
    }

    /// # Safety
    /// `F` is the type of the function.
    unsafe fn optional<F: FunctionPointer>(&self, function: ExtensionFunction) -> Option<F> {
        // SAFETY: the contract is the same.
        unsafe { self.pointer(function) }.ok()
    }

    /// # Safety
    /// `F` is the type of the function.
    unsafe fn pointer<F: FunctionPointer>(&self, function: ExtensionFunction) -> Result<F, WsaError> {
        const { assert!(size_of::<F>() == size_of::<usize>()) };
        let mut guid = function.guid();
        let (mut pointer, mut written, mut errno) = (0usize, 0, 0);
        // SAFETY: the entry is of a started provider; all pointers are to local variables of the given lengths. The
        // socket is none, since it is to be ignored (SP-100).
        let result = unsafe {
            (self.ioctl)(
                INVALID_SOCKET,
                SIO_GET_EXTENSION_FUNCTION_POINTER,
                (&raw mut guid).cast(),
                size_of::<GUID>() as DWORD,
                (&raw mut pointer).cast(),
                size_of::<usize>() as DWORD,
                &raw mut written,
                core::ptr::null_mut(),
                None,
                core::ptr::null_mut(),
                &raw mut errno,
            )
        };
        let result: Result<usize, WsaError> = match result {
            0 if pointer != 0 => Ok(pointer),
            0 => Err(WsaError::WSAEOPNOTSUPP),
            _ => Err(WsaError::reported(errno)),
        };
        trace!(self.tracer, "WSPIoctl", result, "SIO_GET_EXTENSION_FUNCTION_POINTER, {}", function.name());
        // SAFETY: not NULL, of the size of a pointer, and of that type by the contract of this function.
        result.map(|pointer| unsafe { core::mem::transmute_copy::<usize, F>(&pointer) })
    }
}

/// The 17 required entries.
#[derive(Clone, Copy)]
pub(super) struct Functions {
    pub(super) accept: LPWSPACCEPT,
    pub(super) bind: LPWSPBIND,
    pub(super) cleanup: LPWSPCLEANUP,
    pub(super) close_socket: LPWSPCLOSESOCKET,
    pub(super) connect: LPWSPCONNECT,
    pub(super) duplicate_socket: LPWSPDUPLICATESOCKET,
    pub(super) enum_network_events: LPWSPENUMNETWORKEVENTS,
    pub(super) event_select: LPWSPEVENTSELECT,
    pub(super) get_overlapped_result: LPWSPGETOVERLAPPEDRESULT,
    pub(super) get_sock_opt: LPWSPGETSOCKOPT,
    pub(super) get_qos_by_name: LPWSPGETQOSBYNAME,
    pub(super) ioctl: LPWSPIOCTL,
    pub(super) listen: LPWSPLISTEN,
    pub(super) recv: LPWSPRECV,
    pub(super) send: LPWSPSEND,
    pub(super) set_sock_opt: LPWSPSETSOCKOPT,
    pub(super) socket: LPWSPSOCKET,
}

impl Functions {
    /// The entries of a table, if all are there.
    pub(super) fn of(table: &WSPPROC_TABLE) -> Option<Self> {
        Some(Self {
            accept: table.lpWSPAccept?,
            bind: table.lpWSPBind?,
            cleanup: table.lpWSPCleanup?,
            close_socket: table.lpWSPCloseSocket?,
            connect: table.lpWSPConnect?,
            duplicate_socket: table.lpWSPDuplicateSocket?,
            enum_network_events: table.lpWSPEnumNetworkEvents?,
            event_select: table.lpWSPEventSelect?,
            get_overlapped_result: table.lpWSPGetOverlappedResult?,
            get_sock_opt: table.lpWSPGetSockOpt?,
            get_qos_by_name: table.lpWSPGetQOSByName?,
            ioctl: table.lpWSPIoctl?,
            listen: table.lpWSPListen?,
            recv: table.lpWSPRecv?,
            send: table.lpWSPSend?,
            set_sock_opt: table.lpWSPSetSockOpt?,
            socket: table.lpWSPSocket?,
        })
    }
}

/// Result of a function that returns 0 or `SOCKET_ERROR`.
pub(super) fn zero(result: c_int, errno: c_int) -> Result<(), WsaError> {
    if result == SOCKET_ERROR { Err(WsaError::reported(errno)) } else { Ok(()) }
}
