//! Doors of making connections and of the events that tell about them.

use core::cell::Cell;
use core::ffi::c_int;
use core::ptr;

use super::socket::address;
use super::{answer, bytes, descriptor, status};
use crate::address::{AddressError, SOCKADDR_IN_LEN, SockAddr};
use crate::error::WsaError;
use crate::ffi::{
    DWORD_PTR, FD_ACCEPT, FD_ACCEPT_BIT, FD_CONNECT, FD_CONNECT_BIT, INVALID_SOCKET, LONG, LPCONDITIONPROC,
    LPINT, LPQOS, LPWSABUF, LPWSANETWORKEVENTS, SOCKADDR, SOCKET, WSAEVENT,
};
use crate::provider::{ConditionFunction, ConnectExtras, Instance, SanProvider};
use crate::value::{Event, EventMask};

/// Longest connect data that is read, in bytes.
const LONGEST_CALLER_DATA: usize = 4096;

/// `WSPConnect` (section 6.8).
pub(super) unsafe extern "system" fn connect<I: Instance>(
    s: SOCKET,
    name: *const SOCKADDR,
    namelen: c_int,
    lpCallerData: LPWSABUF,
    lpCalleeData: LPWSABUF,
    lpSQOS: LPQOS,
    lpGQOS: LPQOS,
    lpErrno: LPINT,
) -> c_int {
    let _reserved = lpGQOS;
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe {
        status::<I>(lpErrno, |started| {
            let s = descriptor(s)?;
            // SAFETY: the name is as the SPI says.
            let name = address::<I::Provider>(name, namelen).map_err(|error| match error {
                AddressError::TooShort => WsaError::WSAEFAULT,
                AddressError::Family(_) => WsaError::WSAEAFNOSUPPORT,
            })?;
            // SAFETY: NULL or a valid buffer description, with its bytes.
            let caller_data = if lpCallerData.is_null() { Vec::new() } else { caller_data(lpCallerData)? };
            // SAFETY: NULL or valid.
            let qos = if lpSQOS.is_null() { None } else { Some(lpSQOS.read_unaligned()) };
            if !lpCalleeData.is_null() {
                // SAFETY: valid; no data comes back from the peer.
                (&raw mut (*lpCalleeData).len).write_unaligned(0);
            }
            if caller_data.is_empty() && qos.is_none() {
                started.provider.connect(s, name)
            } else {
                started.provider.connect_with(s, name, ConnectExtras { caller_data, qos })
            }
        })
    }
}

/// The bytes of connect data.
///
/// # Safety
/// `data` is valid, with the bytes that it describes.
unsafe fn caller_data(data: LPWSABUF) -> Result<Vec<u8>, WsaError> {
    // SAFETY: by the contract of this function.
    let (buf, length) = unsafe { ((*data).buf, (*data).len as usize) };
    if length > LONGEST_CALLER_DATA {
        return Err(WsaError::WSAEFAULT);
    }
    // SAFETY: as above.
    unsafe { bytes(buf.cast(), length) }
}

/// `WSPListen` (section 6.9).
pub(super) unsafe extern "system" fn listen<I: Instance>(s: SOCKET, backlog: c_int, lpErrno: LPINT) -> c_int {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe { status::<I>(lpErrno, |started| started.provider.listen(descriptor(s)?, backlog)) }
}

/// `WSPAccept` (section 6.10).
pub(super) unsafe extern "system" fn accept<I: Instance>(
    s: SOCKET,
    addr: *mut SOCKADDR,
    addrlen: LPINT,
    lpfnCondition: Option<LPCONDITIONPROC>,
    dwCallbackData: DWORD_PTR,
    lpErrno: LPINT,
) -> SOCKET {
    // SAFETY: all pointers are as the SPI says.
    unsafe {
        answer::<I, _>(INVALID_SOCKET, lpErrno, |started| {
            let s = descriptor(s)?;
            let function = lpfnCondition.ok_or(WsaError::WSAEFAULT)?;
            let room = room_for_address(addr, addrlen)?;
            let needed = Cell::new(0);
            let condition = ConditionFunction::new(function, dwCallbackData, room, &needed);
            let accepted = started.provider.accept(s, condition).map_err(|error| match needed.get() {
                0 => error,
                length => {
                    addrlen.write_unaligned(length as c_int);
                    WsaError::WSAEFAULT
                }
            })?;
            if !addr.is_null() {
                write_address(&accepted.peer, addr, room, addrlen);
            }
            Ok(accepted.socket.raw())
        })
    }
}

/// Length of the caller's buffer for the peer's address; without a buffer, as long as any address.
///
/// # Safety
/// `addrlen` is NULL or valid for reads.
unsafe fn room_for_address(addr: *mut SOCKADDR, addrlen: LPINT) -> Result<usize, WsaError> {
    if addr.is_null() {
        return Ok(usize::MAX);
    }
    if addrlen.is_null() {
        return Err(WsaError::WSAEFAULT);
    }
    // SAFETY: not NULL, hence valid by the contract of this function.
    let room = usize::try_from(unsafe { addrlen.read_unaligned() }).unwrap_or(0);
    if room < SOCKADDR_IN_LEN { Err(WsaError::WSAEFAULT) } else { Ok(room) }
}

/// Writes as much of an address as there is room for, and its whole length.
///
/// # Safety
/// `addr` is valid for writes of `room` bytes, `addrlen` for writes.
unsafe fn write_address(address: &SockAddr, addr: *mut SOCKADDR, room: usize, addrlen: LPINT) {
    let (encoded, length) = address.encode();
    // SAFETY: both are valid by the contract of this function.
    unsafe {
        ptr::copy_nonoverlapping(encoded.as_ptr(), addr.cast::<u8>(), length.min(room));
        addrlen.write_unaligned(length as c_int);
    }
}

/// `WSPEventSelect` (section 6.6): other events than `FD_ACCEPT` and `FD_CONNECT`, and events without an event
/// object, are `WSAEINVAL`.
pub(super) unsafe extern "system" fn event_select<I: Instance>(
    s: SOCKET,
    hEventObject: WSAEVENT,
    lNetworkEvents: LONG,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe {
        status::<I>(lpErrno, |started| {
            let s = descriptor(s)?;
            let mask = EventMask::from_bits(lNetworkEvents).ok_or(WsaError::WSAEINVAL)?;
            let event = if mask.is_empty() {
                None
            } else {
                Some(Event::from_handle(hEventObject).ok_or(WsaError::WSAEINVAL)?)
            };
            started.provider.event_select(s, event, mask)
        })
    }
}

/// `WSPEnumNetworkEvents` (section 6.7): writes error codes only where the event has occurred (SP-061).
pub(super) unsafe extern "system" fn enum_network_events<I: Instance>(
    s: SOCKET,
    hEventObject: WSAEVENT,
    lpNetworkEvents: LPWSANETWORKEVENTS,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: all pointers are as the SPI says.
    unsafe {
        status::<I>(lpErrno, |started| {
            let s = descriptor(s)?;
            if lpNetworkEvents.is_null() {
                return Err(WsaError::WSAEFAULT);
            }
            let record = started.provider.enum_network_events(s, Event::from_handle(hEventObject))?;
            let mut occurred = 0;
            let entries =
                [(FD_ACCEPT, FD_ACCEPT_BIT, record.accept), (FD_CONNECT, FD_CONNECT_BIT, record.connect)];
            for (mask, bit, result) in entries {
                if let Some(result) = result {
                    occurred |= mask;
                    // SAFETY: the record is valid for writes; `bit` is an index of its array.
                    (&raw mut (*lpNetworkEvents).iErrorCode[bit]).write_unaligned(WsaError::code_of(result));
                }
            }
            (&raw mut (*lpNetworkEvents).lNetworkEvents).write_unaligned(occurred);
            Ok(())
        })
    }
}
