//! Doors of our own extension functions, and the addresses of all extension functions.

use core::ffi::c_int;
use core::ptr::{self, NonNull};

use super::{DescriptorBytes, bytes, descriptor, memory, probe, status, store, transfer};
use crate::error::WsaError;
use crate::extension::{
    ExtensionFunction, LPFN_WSDALLOCATE, LPFN_WSDARM, LPFN_WSDFREE, LPFN_WSDMAP, LPFN_WSDPROGRESS,
    LPFN_WSDUNMAP,
};
use crate::ffi::{
    DWORD, LPDWORD, LPFN_WSPDEREGISTERMEMORY, LPFN_WSPDEREGISTERRDMAMEMORY,
    LPFN_WSPMEMORYREGISTRATIONCACHECALLBACK, LPFN_WSPRDMAREAD, LPFN_WSPRDMAWRITE, LPFN_WSPREGISTERMEMORY,
    LPFN_WSPREGISTERRDMAMEMORY, LPINT, LPVOID, SOCKET,
};
use crate::provider::{Instance, MAX_DESCRIPTOR_LEN, SanProvider};

/// Address of the door of an extension function.
pub(super) fn address_of<I: Instance>(function: ExtensionFunction) -> usize {
    match function {
        ExtensionFunction::RegisterMemory => memory::register_memory::<I> as LPFN_WSPREGISTERMEMORY as usize,
        ExtensionFunction::DeregisterMemory => {
            memory::deregister_memory::<I> as LPFN_WSPDEREGISTERMEMORY as usize
        }
        ExtensionFunction::RegisterRdmaMemory => {
            memory::register_rdma_memory::<I> as LPFN_WSPREGISTERRDMAMEMORY as usize
        }
        ExtensionFunction::DeregisterRdmaMemory => {
            memory::deregister_rdma_memory::<I> as LPFN_WSPDEREGISTERRDMAMEMORY as usize
        }
        ExtensionFunction::RdmaWrite => transfer::rdma_write::<I> as LPFN_WSPRDMAWRITE as usize,
        ExtensionFunction::RdmaRead => transfer::rdma_read::<I> as LPFN_WSPRDMAREAD as usize,
        ExtensionFunction::MemoryRegistrationCacheCallback => {
            memory::memory_registration_cache_callback::<I> as LPFN_WSPMEMORYREGISTRATIONCACHECALLBACK
                as usize
        }
        ExtensionFunction::Allocate => allocate::<I> as LPFN_WSDALLOCATE as usize,
        ExtensionFunction::Free => free::<I> as LPFN_WSDFREE as usize,
        ExtensionFunction::Map => map::<I> as LPFN_WSDMAP as usize,
        ExtensionFunction::Unmap => unmap::<I> as LPFN_WSDUNMAP as usize,
        ExtensionFunction::Arm => arm::<I> as LPFN_WSDARM as usize,
        ExtensionFunction::Progress => progress::<I> as LPFN_WSDPROGRESS as usize,
    }
}

/// `WsdAllocate`.
unsafe extern "system" fn allocate<I: Instance>(
    s: SOCKET,
    dwLength: DWORD,
    lplpBuffer: *mut LPVOID,
    lpDescriptor: LPVOID,
    lpdwDescriptorLength: LPDWORD,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: all pointers are as the interface says.
    unsafe {
        status::<I>(lpErrno, |started| {
            let length = I::Provider::ALLOCATION_DESCRIPTOR_LEN;
            probe(lpdwDescriptorLength, length)?;
            let s = descriptor(s)?;
            if lplpBuffer.is_null() || (lpDescriptor.is_null() && length != 0) {
                return Err(WsaError::WSAEFAULT);
            }
            let mut room: DescriptorBytes = [0; MAX_DESCRIPTOR_LEN];
            let memory = started.provider.allocate(s, dwLength, &mut room[..length])?;
            ptr::copy_nonoverlapping(room.as_ptr(), lpDescriptor.cast::<u8>(), length);
            store(lpdwDescriptorLength, length as DWORD);
            store(lplpBuffer, memory.as_ptr().cast());
            Ok(())
        })
    }
}

/// `WsdFree`: NULL is not allocated memory, `WSAEINVAL`.
unsafe extern "system" fn free<I: Instance>(s: SOCKET, lpBuffer: LPVOID, lpErrno: LPINT) -> c_int {
    // SAFETY: `lpErrno` is as the interface says.
    unsafe {
        status::<I>(lpErrno, |started| {
            let s = descriptor(s)?;
            started.provider.free(s, NonNull::new(lpBuffer.cast()).ok_or(WsaError::WSAEINVAL)?)
        })
    }
}

/// `WsdMap`: a descriptor longer than any is `WSAEINVAL`.
unsafe extern "system" fn map<I: Instance>(
    s: SOCKET,
    lpDescriptor: LPVOID,
    dwDescriptorLength: DWORD,
    lplpBuffer: *mut LPVOID,
    lpdwLength: LPDWORD,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: all pointers are as the interface says.
    unsafe {
        status::<I>(lpErrno, |started| {
            let s = descriptor(s)?;
            if lplpBuffer.is_null() || lpdwLength.is_null() {
                return Err(WsaError::WSAEFAULT);
            }
            if dwDescriptorLength as usize > MAX_DESCRIPTOR_LEN {
                return Err(WsaError::WSAEINVAL);
            }
            let bytes = bytes(lpDescriptor.cast(), dwDescriptorLength as usize)?;
            let mapping = started.provider.map(s, &bytes)?;
            store(lplpBuffer, mapping.memory.as_ptr().cast());
            store(lpdwLength, mapping.length);
            Ok(())
        })
    }
}

/// `WsdUnmap`: NULL is not mapped memory, `WSAEINVAL`.
unsafe extern "system" fn unmap<I: Instance>(s: SOCKET, lpBuffer: LPVOID, lpErrno: LPINT) -> c_int {
    // SAFETY: `lpErrno` is as the interface says.
    unsafe {
        status::<I>(lpErrno, |started| {
            let s = descriptor(s)?;
            started.provider.unmap(s, NonNull::new(lpBuffer.cast()).ok_or(WsaError::WSAEINVAL)?)
        })
    }
}

/// `WsdArm`.
unsafe extern "system" fn arm<I: Instance>(lpDescriptor: LPINT, lpErrno: LPINT) -> c_int {
    // SAFETY: both pointers are as the interface says.
    unsafe {
        status::<I>(lpErrno, |started| {
            if lpDescriptor.is_null() {
                return Err(WsaError::WSAEFAULT);
            }
            store(lpDescriptor, started.provider.arm()?);
            Ok(())
        })
    }
}

/// `WsdProgress`.
unsafe extern "system" fn progress<I: Instance>(lpErrno: LPINT) -> c_int {
    // SAFETY: `lpErrno` is as the interface says.
    unsafe { status::<I>(lpErrno, |started| started.provider.progress_all()) }
}
