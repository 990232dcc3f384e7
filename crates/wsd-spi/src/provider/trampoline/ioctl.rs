//! The door of `WSPIoctl` (section 6.14).

use core::ffi::c_int;
use core::mem::offset_of;

use super::{bytes, descriptor, extension, output, status};
use crate::address::SockAddr;
use crate::error::WsaError;
use crate::extension::ExtensionFunction;
use crate::ffi::{
    DWORD, GUID, LPDWORD, LPINT, LPVOID, LPWSAOVERLAPPED, LPWSAOVERLAPPED_COMPLETION_ROUTINE, LPWSATHREADID,
    SIO_ADDRESS_LIST_QUERY, SIO_GET_EXTENSION_FUNCTION_POINTER, SOCKET, SOCKET_ADDRESS, SOCKET_ADDRESS_LIST,
};
use crate::provider::{Instance, SanProvider};

/// Longest input that is read, in bytes.
const LONGEST_INPUT: usize = 64 * 1024;

/// `WSPIoctl`: everything completes at once, the overlapped parameters are ignored.
pub(super) unsafe extern "system" fn ioctl<I: Instance>(
    s: SOCKET,
    dwIoControlCode: DWORD,
    lpvInBuffer: LPVOID,
    cbInBuffer: DWORD,
    lpvOutBuffer: LPVOID,
    cbOutBuffer: DWORD,
    lpcbBytesReturned: LPDWORD,
    lpOverlapped: LPWSAOVERLAPPED,
    lpCompletionRoutine: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE>,
    lpThreadId: LPWSATHREADID,
    lpErrno: LPINT,
) -> c_int {
    let _ignored = (lpOverlapped, lpCompletionRoutine, lpThreadId);
    // SAFETY: all pointers are as the SPI says.
    unsafe {
        status::<I>(lpErrno, |started| {
            if lpcbBytesReturned.is_null() {
                return Err(WsaError::WSAEFAULT);
            }
            let provider = &started.provider;
            match dwIoControlCode {
                SIO_GET_EXTENSION_FUNCTION_POINTER => {
                    let address = extension_pointer::<I>(provider, lpvInBuffer, cbInBuffer)?;
                    output(&address.to_ne_bytes(), lpvOutBuffer, cbOutBuffer as usize, lpcbBytesReturned)
                }
                SIO_ADDRESS_LIST_QUERY => {
                    let list = provider.address_list(descriptor(s)?)?;
                    let encoded = encode_address_list(&list, lpvOutBuffer.addr());
                    output(&encoded, lpvOutBuffer, cbOutBuffer as usize, lpcbBytesReturned)
                }
                code => {
                    if cbInBuffer as usize > LONGEST_INPUT {
                        return Err(WsaError::WSAEFAULT);
                    }
                    let input = bytes(lpvInBuffer.cast(), cbInBuffer as usize)?;
                    let answer = provider.ioctl(descriptor(s)?, code, &input)?;
                    output(&answer, lpvOutBuffer, cbOutBuffer as usize, lpcbBytesReturned)
                }
            }
        })
    }
}

/// The address of the extension function that the caller names by identifier (SP-100, SP-101). The socket plays no
/// part in it.
///
/// # Safety
/// `input` is NULL or valid for reads of `length` bytes.
unsafe fn extension_pointer<I: Instance>(
    provider: &I::Provider,
    input: LPVOID,
    length: DWORD,
) -> Result<usize, WsaError> {
    if input.is_null() || (length as usize) < size_of::<GUID>() {
        return Err(WsaError::WSAEFAULT);
    }
    // SAFETY: long enough, valid by the contract of this function.
    let guid = unsafe { input.cast::<GUID>().read_unaligned() };
    let function = ExtensionFunction::from_guid(&guid).ok_or(WsaError::WSAEINVAL)?;
    if provider.offers(function) {
        Ok(extension::address_of::<I>(function))
    } else {
        Err(WsaError::WSAEOPNOTSUPP)
    }
}

/// A `SOCKET_ADDRESS_LIST` for a buffer at `base`: count, entries, then the addresses that the entries point to
/// (SP-102).
fn encode_address_list(list: &[SockAddr], base: usize) -> Vec<u8> {
    let entries = offset_of!(SOCKET_ADDRESS_LIST, Address);
    let addresses = entries + list.len() * size_of::<SOCKET_ADDRESS>();
    let total: usize = addresses + list.iter().map(SockAddr::encoded_len).sum::<usize>();
    let mut buffer = vec![0; total];
    buffer[0..4].copy_from_slice(&(list.len() as c_int).to_ne_bytes());

    let mut at = addresses;
    for (index, address) in list.iter().enumerate() {
        let (encoded, length) = address.with_port(0).encode();
        let entry = entries + index * size_of::<SOCKET_ADDRESS>();
        let pointer = entry + offset_of!(SOCKET_ADDRESS, lpSockaddr);
        let size = entry + offset_of!(SOCKET_ADDRESS, iSockaddrLength);
        buffer[pointer..pointer + 8].copy_from_slice(&base.wrapping_add(at).to_ne_bytes());
        buffer[size..size + 4].copy_from_slice(&(length as c_int).to_ne_bytes());
        buffer[at..at + length].copy_from_slice(&encoded[..length]);
        at += length;
    }
    buffer
}
