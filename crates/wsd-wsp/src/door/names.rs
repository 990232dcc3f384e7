//! Names: `WSPBind`, `WSPGetSockName`, `WSPGetPeerName`, `WSPAddressToString`, `WSPStringToAddress`.

use core::ffi::c_int;

use wsd_spi::ffi::*;
use wsd_spi::{SockAddr, WsaError};

use super::arguments::{address, get, put, room_for_address, socket as find};
use super::status;
use crate::{convert, process};

/// Characters of the longest text that can be an address.
const MAX_TEXT: usize = 128;

pub(super) unsafe extern "system" fn bind(
    s: SOCKET,
    name: *const SOCKADDR,
    namelen: c_int,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        status(lpErrno, || {
            let socket = find(s)?;
            // A family that is not the socket's is WSAEFAULT, whichever it is.
            let name = address(name, namelen).map_err(|_| WsaError::WSAEFAULT)?;
            socket.bind(name)
        })
    }
}

pub(super) unsafe extern "system" fn get_sock_name(
    s: SOCKET,
    name: *mut SOCKADDR,
    namelen: LPINT,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        status(lpErrno, || {
            let socket = find(s)?;
            let room = room_for_address(name, namelen, socket.kind.family)?.ok_or(WsaError::WSAEFAULT)?;
            room.fill(socket.local_name()?);
            Ok(())
        })
    }
}

pub(super) unsafe extern "system" fn get_peer_name(
    s: SOCKET,
    name: *mut SOCKADDR,
    namelen: LPINT,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        status(lpErrno, || {
            let socket = find(s)?;
            let room = room_for_address(name, namelen, socket.kind.family)?.ok_or(WsaError::WSAEFAULT)?;
            room.fill(socket.peer_name()?);
            Ok(())
        })
    }
}

pub(super) unsafe extern "system" fn address_to_string(
    lpsaAddress: *mut SOCKADDR,
    dwAddressLength: DWORD,
    _lpProtocolInfo: LPWSAPROTOCOL_INFOW,
    lpszAddressString: LPWSTR,
    lpdwAddressStringLength: LPDWORD,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        status(lpErrno, || {
            process::running()?;
            let length = i32::try_from(dwAddressLength).map_err(|_| WsaError::WSAEFAULT)?;
            let address = address(lpsaAddress, length).map_err(|error| match error {
                WsaError::WSAEAFNOSUPPORT => WsaError::WSAEINVAL,
                error => error,
            })?;
            let text: Vec<u16> = convert::to_text(address).encode_utf16().chain([0]).collect();
            let room = get(lpdwAddressStringLength)?;
            put(lpdwAddressStringLength, text.len() as DWORD);
            if lpszAddressString.is_null() || (room as usize) < text.len() {
                return Err(WsaError::WSAEFAULT);
            }
            lpszAddressString.copy_from_nonoverlapping(text.as_ptr(), text.len());
            Ok(())
        })
    }
}

pub(super) unsafe extern "system" fn string_to_address(
    AddressString: LPWSTR,
    AddressFamily: INT,
    _lpProtocolInfo: LPWSAPROTOCOL_INFOW,
    lpAddress: *mut SOCKADDR,
    lpAddressLength: LPINT,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        status(lpErrno, || {
            process::running()?;
            let address: SockAddr = convert::from_text(&text(AddressString)?, AddressFamily)?;
            let room = room_for_address(lpAddress, lpAddressLength, AddressFamily)?;
            room.ok_or(WsaError::WSAEFAULT)?.fill(address);
            Ok(())
        })
    }
}

/// A NUL-terminated text.
///
/// # Errors
/// `WSAEFAULT`: NULL. `WSAEINVAL`: no text, or longer than any address.
///
/// # Safety
/// NULL, or valid for reads up to the NUL.
unsafe fn text(start: *const WCHAR) -> Result<String, WsaError> {
    if start.is_null() {
        return Err(WsaError::WSAEFAULT);
    }
    let mut units = Vec::new();
    for index in 0..MAX_TEXT {
        // SAFETY: no NUL has come so far, so this one is still valid.
        match unsafe { start.add(index).read() } {
            0 => return String::from_utf16(&units).map_err(|_| WsaError::WSAEINVAL),
            unit => units.push(unit),
        }
    }
    Err(WsaError::WSAEINVAL)
}
