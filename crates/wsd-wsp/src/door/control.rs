//! Options and control codes: `WSPGetSockOpt`, `WSPSetSockOpt`, `WSPIoctl`, `WSPGetQOSByName`.

use core::ffi::{c_char, c_int};

use wsd_spi::ffi::*;
use wsd_spi::{SockAddr, WsaError};

use super::arguments::{bytes, get, mode, put, socket as find};
use super::{answer, extensions, status};
use crate::ioctl::Answer;
use crate::options::{Given, Value};
use crate::outcome::Outcome;
use crate::process;
use crate::socket::Mode;

pub(super) unsafe extern "system" fn get_sock_opt(
    s: SOCKET,
    level: c_int,
    optname: c_int,
    optval: *mut c_char,
    optlen: LPINT,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        status(lpErrno, || {
            let socket = find(s)?;
            let room = get(optlen)?;
            let value = socket.option(level, optname)?;
            match value {
                Value::Number(value) => fill(optval, optlen, room, value),
                Value::Linger(value) => fill(optval, optlen, room, value),
                Value::Socket(value) => fill(optval, optlen, room, value),
                Value::Protocol(value) => fill(optval, optlen, room, *value),
            }
        })
    }
}

/// Writes an option's value; too little room is `WSAEFAULT` with the length that is needed (SP-051).
///
/// # Safety
/// NULL, or valid: `room` bytes at `place`.
unsafe fn fill<T>(place: *mut c_char, length: LPINT, room: i32, value: T) -> Result<(), WsaError> {
    // SAFETY: the contract is the same; `length` was read already.
    unsafe { put(length, size_of::<T>() as INT) };
    if place.is_null() || !usize::try_from(room).is_ok_and(|room| room >= size_of::<T>()) {
        return Err(WsaError::WSAEFAULT);
    }
    // SAFETY: not NULL and long enough.
    unsafe { place.cast::<T>().write_unaligned(value) };
    Ok(())
}

pub(super) unsafe extern "system" fn set_sock_opt(
    s: SOCKET,
    level: c_int,
    optname: c_int,
    optval: LPCSTR,
    optlen: c_int,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        status(lpErrno, || {
            let socket = find(s)?;
            let value = bytes(optval.cast(), optlen)?;
            socket.set_option(level, optname, &Given(value))
        })
    }
}

pub(super) unsafe extern "system" fn ioctl(
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
    // SAFETY: pointers are as the SPI says.
    unsafe {
        status(lpErrno, || {
            process::running()?;
            let input = bytes(lpvInBuffer.cast::<u8>().cast_const(), cbInBuffer as usize)?;
            if dwIoControlCode == SIO_GET_EXTENSION_FUNCTION_POINTER {
                // Of no socket in particular (SP-100).
                let function = extensions::function(input)?;
                return write(lpvOutBuffer, cbOutBuffer, lpcbBytesReturned, &function.to_ne_bytes());
            }
            let socket = find(s)?;
            let mode = mode(&socket, lpOverlapped, lpCompletionRoutine, lpThreadId)?;
            match socket.control(dwIoControlCode, input)? {
                Answer::Nothing => put(lpcbBytesReturned, 0),
                Answer::Number(number) => {
                    write(lpvOutBuffer, cbOutBuffer, lpcbBytesReturned, &number.to_ne_bytes())?;
                }
                Answer::Address(address) => {
                    let (bytes, length) = address.encode();
                    write(lpvOutBuffer, cbOutBuffer, lpcbBytesReturned, &bytes[..length])?;
                }
                Answer::Addresses(list) => {
                    write(lpvOutBuffer, cbOutBuffer, lpcbBytesReturned, &address_list(&list, lpvOutBuffer))?;
                }
            }
            if let Mode::Request(request) = mode {
                // All of them are done at once: this is how an overlapped one ends.
                let bytes = lpcbBytesReturned.as_ref().map_or(0, |bytes| *bytes as usize);
                request.complete(Outcome::done(bytes), &socket.process.upcalls);
            }
            Ok(())
        })
    }
}

/// Writes what a control code answers; too little room is `WSAEFAULT` with the length that is needed (SP-102).
///
/// # Safety
/// NULL, or valid: `room` bytes at `place`.
unsafe fn write(place: LPVOID, room: DWORD, length: LPDWORD, value: &[u8]) -> Result<(), WsaError> {
    if length.is_null() {
        return Err(WsaError::WSAEFAULT);
    }
    // SAFETY: not NULL, hence valid by the contract of this function.
    unsafe { length.write(value.len() as DWORD) };
    if place.is_null() || (room as usize) < value.len() {
        return Err(WsaError::WSAEFAULT);
    }
    // SAFETY: not NULL and long enough.
    unsafe { place.cast::<u8>().copy_from_nonoverlapping(value.as_ptr(), value.len()) };
    Ok(())
}

/// A `SOCKET_ADDRESS_LIST` as it will lie at `place`: the count, the pointers and lengths, the addresses.
fn address_list(list: &[SockAddr], place: LPVOID) -> Vec<u8> {
    let head = core::mem::offset_of!(SOCKET_ADDRESS_LIST, Address) + list.len() * size_of::<SOCKET_ADDRESS>();
    let mut bytes = vec![0; core::mem::offset_of!(SOCKET_ADDRESS_LIST, Address)];
    bytes[..4].copy_from_slice(&(list.len() as u32).to_ne_bytes());
    let mut at = place.addr() + head;
    for address in list {
        bytes.extend(at.to_ne_bytes());
        bytes.extend((address.encoded_len() as u64).to_ne_bytes());
        at += address.encoded_len();
    }
    for address in list {
        bytes.extend(&address.encode().0[..address.encoded_len()]);
    }
    bytes
}

pub(super) unsafe extern "system" fn get_qos_by_name(
    s: SOCKET,
    _lpQOSName: LPWSABUF,
    _lpQOS: LPQOS,
    lpErrno: LPINT,
) -> BOOL {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        answer(lpErrno, FALSE, || {
            find(s)?;
            // No provider here has quality of service (SP-191).
            Err(WsaError::WSAEOPNOTSUPP)
        })
    }
}
