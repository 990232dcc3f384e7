//! Functions beyond the table: the 7 of Windows Sockets Direct and 6 optional ones of ours.
//!
//! All are obtained with `WSPIoctl(SIO_GET_EXTENSION_FUNCTION_POINTER)` and their [`GUID`]. `WSAEOPNOTSUPP` means
//! that the provider does not have the function and the switch does without, exactly as for `WSPRdmaRead`.
//!
//! # Our functions
//!
//! *Shared memory.* [`LPFN_WSDALLOCATE`] gives memory that the peer of a connection can see; its descriptor, a few
//! opaque bytes, is carried to the peer by the switch; there [`LPFN_WSDMAP`] turns it into a local pointer to the
//! same memory (coherent, no copying). Allocated and mapped memory are valid until given back with
//! [`LPFN_WSDFREE`] or [`LPFN_WSDUNMAP`], or until `WSPCloseSocket` of the own socket, also after the peer died.
//! After that the address range is never returned to the operating system before the last `WSPCleanup`: a stray read
//! sees unrelated bytes or zeros, never a fault.
//!
//! *Progress without threads.* After the first successful [`LPFN_WSDARM`] the provider runs no thread of its own: the
//! switch calls [`LPFN_WSDPROGRESS`], as often as it likes, and `WsdArm` before it sleeps. `WsdArm` gives a descriptor
//! that is readable (level-triggered) as soon as `WsdProgress` has something to do, until that is called. So a
//! provider need not ask its device for interrupts while the switch looks by itself. Up-calls come on the thread that
//! calls either.
//!
//! All return 0, or `SOCKET_ERROR` with the code in `*lpErrno`, and may be called on any thread.

#![allow(non_camel_case_types, non_snake_case, clippy::upper_case_acronyms)]

use core::ffi::c_int;

use crate::ffi::{
    DWORD, GUID, LPDWORD, LPINT, LPVOID, SOCKET, WSAID_DEREGISTERMEMORY, WSAID_DEREGISTERRDMAMEMORY,
    WSAID_MEMORYREGISTRATIONCACHECALLBACK, WSAID_RDMAREAD, WSAID_RDMAWRITE, WSAID_REGISTERMEMORY,
    WSAID_REGISTERRDMAMEMORY,
};

/// Identifier of `WsdAllocate`.
pub const WSAID_WSDALLOCATE: GUID = GUID::from_parts(0x5E7D_A5F6, 0x1EAE, 0x4F9F, 0xAA0C_3EFC_A7AB_C8EA);
/// Identifier of `WsdFree`.
pub const WSAID_WSDFREE: GUID = GUID::from_parts(0x1F9B_DABF, 0x3E08, 0x4728, 0xB934_8B30_764A_3438);
/// Identifier of `WsdMap`.
pub const WSAID_WSDMAP: GUID = GUID::from_parts(0xC458_4A19, 0x1034, 0x4575, 0xBB01_F20D_7301_5939);
/// Identifier of `WsdUnmap`.
pub const WSAID_WSDUNMAP: GUID = GUID::from_parts(0xFA65_79D3, 0x2E0E, 0x48E2, 0xAF30_7900_618C_079D);
/// Identifier of `WsdArm`.
pub const WSAID_WSDARM: GUID = GUID::from_parts(0xB5B4_C773, 0x9AF9, 0x4AD0, 0xB300_3883_6A61_AB6B);
/// Identifier of `WsdProgress`.
pub const WSAID_WSDPROGRESS: GUID = GUID::from_parts(0xB0D6_3963, 0xDC77, 0x4366, 0x9371_A5F2_E1F8_0B92);

/// `WsdAllocate`: memory of at least `dwLength` bytes, page-aligned, contents unspecified, that the peer connected
/// to `s` can map. `*lplpBuffer` receives its address, `lpDescriptor` its descriptor; the descriptor's length is
/// probed as for `WSPRegisterRdmaMemory` (SP-120): too short, and the answer is `WSAEFAULT` with the needed length
/// in `*lpdwDescriptorLength`, before anything else is looked at.
pub type LPFN_WSDALLOCATE = unsafe extern "system" fn(
    s: SOCKET,
    dwLength: DWORD,
    lplpBuffer: *mut LPVOID,
    lpDescriptor: LPVOID,
    lpdwDescriptorLength: LPDWORD,
    lpErrno: LPINT,
) -> c_int;

/// `WsdFree`: gives memory of `WsdAllocate` back. `WSAEINVAL` if `lpBuffer` did not come from there on this socket.
pub type LPFN_WSDFREE = unsafe extern "system" fn(s: SOCKET, lpBuffer: LPVOID, lpErrno: LPINT) -> c_int;

/// `WsdMap`: the peer's allocated memory as a local pointer, with its length in bytes. `WSAEINVAL` for a descriptor
/// that is not of this connection's peer.
pub type LPFN_WSDMAP = unsafe extern "system" fn(
    s: SOCKET,
    lpDescriptor: LPVOID,
    dwDescriptorLength: DWORD,
    lplpBuffer: *mut LPVOID,
    lpdwLength: LPDWORD,
    lpErrno: LPINT,
) -> c_int;

/// `WsdUnmap`: ends a mapping. `WSAEINVAL` if `lpBuffer` did not come from `WsdMap` on this socket.
pub type LPFN_WSDUNMAP = unsafe extern "system" fn(s: SOCKET, lpBuffer: LPVOID, lpErrno: LPINT) -> c_int;

/// `WsdArm`: process-wide, before every sleep. Stores a pollable file descriptor, always the same, owned by the provider
/// until the last `WSPCleanup`, that is readable as soon as `WsdProgress` has something to do, until that is called.
pub type LPFN_WSDARM = unsafe extern "system" fn(lpDescriptor: LPINT, lpErrno: LPINT) -> c_int;

/// `WsdProgress`: process-wide. Does what is to do (accepts, arrivals, completions, up-calls on the calling thread)
/// and never blocks.
pub type LPFN_WSDPROGRESS = unsafe extern "system" fn(lpErrno: LPINT) -> c_int;

/// Every function that is obtained by identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExtensionFunction {
    /// Mandatory.
    RegisterMemory,
    /// Mandatory.
    DeregisterMemory,
    /// Mandatory.
    RegisterRdmaMemory,
    /// Mandatory.
    DeregisterRdmaMemory,
    /// Mandatory.
    RdmaWrite,
    /// Optional.
    RdmaRead,
    /// Required if the provider caches registrations.
    MemoryRegistrationCacheCallback,
    /// Ours, optional.
    Allocate,
    /// Ours, optional; goes with `Allocate`.
    Free,
    /// Ours, optional; goes with `Allocate`.
    Map,
    /// Ours, optional; goes with `Allocate`.
    Unmap,
    /// Ours, optional.
    Arm,
    /// Ours, optional; goes with `Arm`.
    Progress,
}

impl ExtensionFunction {
    /// All of them, in the order in which a client asks for them.
    pub const ALL: [Self; 13] = [
        Self::RegisterMemory,
        Self::DeregisterMemory,
        Self::RegisterRdmaMemory,
        Self::DeregisterRdmaMemory,
        Self::RdmaWrite,
        Self::RdmaRead,
        Self::MemoryRegistrationCacheCallback,
        Self::Allocate,
        Self::Free,
        Self::Map,
        Self::Unmap,
        Self::Arm,
        Self::Progress,
    ];

    /// Whether a provider without it is not used at all (section 4).
    pub const fn is_mandatory(self) -> bool {
        matches!(
            self,
            Self::RegisterMemory
                | Self::DeregisterMemory
                | Self::RegisterRdmaMemory
                | Self::DeregisterRdmaMemory
                | Self::RdmaWrite
        )
    }

    /// Its identifier.
    pub const fn guid(self) -> GUID {
        match self {
            Self::RegisterMemory => WSAID_REGISTERMEMORY,
            Self::DeregisterMemory => WSAID_DEREGISTERMEMORY,
            Self::RegisterRdmaMemory => WSAID_REGISTERRDMAMEMORY,
            Self::DeregisterRdmaMemory => WSAID_DEREGISTERRDMAMEMORY,
            Self::RdmaWrite => WSAID_RDMAWRITE,
            Self::RdmaRead => WSAID_RDMAREAD,
            Self::MemoryRegistrationCacheCallback => WSAID_MEMORYREGISTRATIONCACHECALLBACK,
            Self::Allocate => WSAID_WSDALLOCATE,
            Self::Free => WSAID_WSDFREE,
            Self::Map => WSAID_WSDMAP,
            Self::Unmap => WSAID_WSDUNMAP,
            Self::Arm => WSAID_WSDARM,
            Self::Progress => WSAID_WSDPROGRESS,
        }
    }

    /// Its name in the SPI.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RegisterMemory => "WSPRegisterMemory",
            Self::DeregisterMemory => "WSPDeregisterMemory",
            Self::RegisterRdmaMemory => "WSPRegisterRdmaMemory",
            Self::DeregisterRdmaMemory => "WSPDeregisterRdmaMemory",
            Self::RdmaWrite => "WSPRdmaWrite",
            Self::RdmaRead => "WSPRdmaRead",
            Self::MemoryRegistrationCacheCallback => "WSPMemoryRegistrationCacheCallback",
            Self::Allocate => "WsdAllocate",
            Self::Free => "WsdFree",
            Self::Map => "WsdMap",
            Self::Unmap => "WsdUnmap",
            Self::Arm => "WsdArm",
            Self::Progress => "WsdProgress",
        }
    }

    /// The function with that identifier.
    pub fn from_guid(guid: &GUID) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.guid() == *guid)
    }
}
