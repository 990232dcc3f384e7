//! Doors of a socket's life: creation, name, hand-over, end.

use core::ffi::c_int;
use core::num::NonZeroU32;

use super::{answer, bytes, descriptor, guarded, status};
use crate::address::{AddressError, SOCKADDR_IN_LEN, SOCKADDR_IN6_LEN, SockAddr};
use crate::error::WsaError;
use crate::ffi::{
    AF_INET6, DWORD, GROUP, INVALID_SOCKET, LPINT, LPWSAPROTOCOL_INFOW, SOCKADDR, SOCKET, SOCKET_ERROR,
};
use crate::provider::{Instance, SanProvider, SocketRequest};

/// `WSPSocket` (section 6.3).
pub(super) unsafe extern "system" fn socket<I: Instance>(
    af: c_int,
    kind: c_int,
    protocol: c_int,
    lpProtocolInfo: LPWSAPROTOCOL_INFOW,
    g: GROUP,
    dwFlags: DWORD,
    lpErrno: LPINT,
) -> SOCKET {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe {
        answer::<I, _>(INVALID_SOCKET, lpErrno, |started| {
            // SAFETY: NULL or a valid description.
            let protocol_info = (!lpProtocolInfo.is_null()).then(|| lpProtocolInfo.read_unaligned());
            let adopt = protocol_info.and_then(|info| NonZeroU32::new(info.dwProviderReserved));
            let request =
                SocketRequest { family: af, kind, protocol, group: g, flags: dwFlags, adopt, protocol_info };
            started.provider.socket(&request).map(|socket| socket.raw())
        })
    }
}

/// `WSPBind` (section 6.4): a name of the wrong length or of no known family is `WSAEFAULT`.
pub(super) unsafe extern "system" fn bind<I: Instance>(
    s: SOCKET,
    name: *const SOCKADDR,
    namelen: c_int,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe {
        status::<I>(lpErrno, |started| {
            let s = descriptor(s)?;
            // SAFETY: the name is as the SPI says.
            let name = address::<I::Provider>(name, namelen).map_err(|_| WsaError::WSAEFAULT)?;
            if namelen as usize != name.encoded_len() {
                return Err(WsaError::WSAEFAULT);
            }
            started.provider.bind(s, name)
        })
    }
}

/// `WSPDuplicateSocket` (section 6.19).
pub(super) unsafe extern "system" fn duplicate_socket<I: Instance>(
    s: SOCKET,
    dwProcessId: DWORD,
    lpProtocolInfo: LPWSAPROTOCOL_INFOW,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe {
        status::<I>(lpErrno, |started| {
            let s = descriptor(s)?;
            if lpProtocolInfo.is_null() {
                return Err(WsaError::WSAEFAULT);
            }
            let reserved = started.provider.duplicate_socket(s, dwProcessId)?;
            // SAFETY: not NULL, hence valid for writes.
            (&raw mut (*lpProtocolInfo).dwProviderReserved).write_unaligned(reserved.get());
            Ok(())
        })
    }
}

/// `WSPCloseSocket` (section 6.21).
pub(super) unsafe extern "system" fn close_socket<I: Instance>(s: SOCKET, lpErrno: LPINT) -> c_int {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe { status::<I>(lpErrno, |started| started.provider.close_socket(descriptor(s)?)) }
}

/// `WSPCleanup` (section 6.2).
pub(super) unsafe extern "system" fn cleanup<I: Instance>(lpErrno: LPINT) -> c_int {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe { guarded(SOCKET_ERROR, lpErrno, || I::door().leave().map(|()| 0)) }
}

/// Reads an address of the caller, of a family that the provider serves.
///
/// # Safety
/// `name` is NULL or valid for reads of `namelen` bytes.
pub(super) unsafe fn address<P: SanProvider>(
    name: *const SOCKADDR,
    namelen: c_int,
) -> Result<SockAddr, AddressError> {
    let length = usize::try_from(namelen).map_err(|_| AddressError::TooShort)?;
    if name.is_null() || length < SOCKADDR_IN_LEN {
        return Err(AddressError::TooShort);
    }
    // SAFETY: valid by the contract of this function, not NULL, not longer than given.
    let copy =
        unsafe { bytes(name.cast(), length.min(SOCKADDR_IN6_LEN)) }.map_err(|_| AddressError::TooShort)?;
    let address = SockAddr::decode(&copy)?;
    if address.family() == AF_INET6 && !P::IPV6 {
        return Err(AddressError::Family(AF_INET6 as u16));
    }
    Ok(address)
}
