//! Doors of memory registration (section 6.16, 6.17, 6.20).

use core::ffi::c_int;
use core::ptr;

use super::{DescriptorBytes, answer, descriptor, known_descriptor, probe, status, store};
use crate::error::WsaError;
use crate::ffi::{DWORD, HANDLE, LPDWORD, LPINT, LPVOID, SIZE_T, SOCKET};
use crate::provider::{Instance, MAX_DESCRIPTOR_LEN, MemoryRange, SanProvider};
use crate::value::{MemoryAccess, RegistrationHandle};

/// `WSPRegisterMemory`.
pub(super) unsafe extern "system" fn register_memory<I: Instance>(
    s: SOCKET,
    lpBuffer: LPVOID,
    dwBufferLength: DWORD,
    dwFlags: DWORD,
    lpErrno: LPINT,
) -> HANDLE {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe {
        answer::<I, _>(ptr::null_mut(), lpErrno, |started| {
            let s = descriptor(s)?;
            let access = MemoryAccess::from_flags(dwFlags).ok_or(WsaError::WSAEINVAL)?;
            let memory = MemoryRange::new(lpBuffer, dwBufferLength)?;
            let handle = started.provider.register_memory(s, memory, access)?;
            Ok(ptr::without_provenance_mut(handle.raw()))
        })
    }
}

/// `WSPDeregisterMemory`: NULL is an unknown handle, `WSAEINVAL`.
pub(super) unsafe extern "system" fn deregister_memory<I: Instance>(
    s: SOCKET,
    handle: HANDLE,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe {
        status::<I>(lpErrno, |started| {
            let s = descriptor(s)?;
            let handle = RegistrationHandle::from_raw(handle.addr()).ok_or(WsaError::WSAEINVAL)?;
            started.provider.deregister_memory(s, handle)
        })
    }
}

/// `WSPRegisterRdmaMemory`: answers the length probe before anything else (SP-120).
pub(super) unsafe extern "system" fn register_rdma_memory<I: Instance>(
    s: SOCKET,
    lpBuffer: LPVOID,
    dwBufferLength: DWORD,
    dwFlags: DWORD,
    lpRdmaBufferDescriptor: LPVOID,
    lpdwDescriptorLength: LPDWORD,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: all pointers are as the SPI says.
    unsafe {
        status::<I>(lpErrno, |started| {
            let length = I::Provider::RDMA_DESCRIPTOR_LEN;
            probe(lpdwDescriptorLength, length)?;
            let s = descriptor(s)?;
            if lpRdmaBufferDescriptor.is_null() && length != 0 {
                return Err(WsaError::WSAEFAULT);
            }
            let access = MemoryAccess::from_flags(dwFlags).ok_or(WsaError::WSAEINVAL)?;
            let memory = MemoryRange::new(lpBuffer, dwBufferLength)?;
            let mut room: DescriptorBytes = [0; MAX_DESCRIPTOR_LEN];
            started.provider.register_rdma_memory(s, memory, access, &mut room[..length])?;
            ptr::copy_nonoverlapping(room.as_ptr(), lpRdmaBufferDescriptor.cast::<u8>(), length);
            store(lpdwDescriptorLength, length as DWORD);
            Ok(())
        })
    }
}

/// `WSPDeregisterRdmaMemory`: a wrong length is `WSAEINVAL` (SP-124).
pub(super) unsafe extern "system" fn deregister_rdma_memory<I: Instance>(
    s: SOCKET,
    lpRdmaBufferDescriptor: LPVOID,
    dwDescriptorLength: DWORD,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: all pointers are as the SPI says.
    unsafe {
        status::<I>(lpErrno, |started| {
            let s = descriptor(s)?;
            let mut room: DescriptorBytes = [0; MAX_DESCRIPTOR_LEN];
            let length = I::Provider::RDMA_DESCRIPTOR_LEN;
            let bytes = known_descriptor(lpRdmaBufferDescriptor, dwDescriptorLength, length, &mut room)?;
            started.provider.deregister_rdma_memory(s, bytes)
        })
    }
}

/// `WSPMemoryRegistrationCacheCallback`.
pub(super) unsafe extern "system" fn memory_registration_cache_callback<I: Instance>(
    lpvAddress: LPVOID,
    Size: SIZE_T,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe {
        status::<I>(lpErrno, |started| {
            started.provider.memory_registration_cache_callback(lpvAddress.addr(), Size)
        })
    }
}
