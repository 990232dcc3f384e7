//! Reading a call's arguments, once, into types that cannot be wrong.

use core::ffi::c_char;
use core::slice;
use std::io::{IoSlice, IoSliceMut};

use wsd_spi::ffi::*;
use wsd_spi::{AddressError, SOCKADDR_IN6_LEN, SockAddr, WsaError};

use crate::operation::{Sources, Targets};
use crate::outcome::{Overlapped, Request, Routine};
use crate::place::Place;
use crate::process;
use crate::socket::{Mode, Socket};
use crate::upcalls::ThreadId;

/// Buffers that one call may name.
const MAX_BUFFERS: u32 = 65_536;

/// The address behind `name`.
///
/// # Errors
/// `WSAEFAULT`: NULL or too short. `WSAEAFNOSUPPORT`: another family.
///
/// # Safety
/// NULL, or valid for reads of `length` bytes.
pub(super) unsafe fn address(name: *const SOCKADDR, length: i32) -> Result<SockAddr, WsaError> {
    let length = usize::try_from(length).map_err(|_| WsaError::WSAEFAULT)?;
    if name.is_null() {
        return Err(WsaError::WSAEFAULT);
    }
    // SAFETY: not NULL, hence valid by the contract of this function.
    let bytes = unsafe { slice::from_raw_parts(name.cast::<u8>(), length.min(SOCKADDR_IN6_LEN)) };
    SockAddr::decode(bytes).map_err(|error| match error {
        AddressError::TooShort => WsaError::WSAEFAULT,
        AddressError::Family(_) => WsaError::WSAEAFNOSUPPORT,
    })
}

/// Whether there is room for an address of `family`: both NULL (if the call allows that), or neither and long enough.
///
/// # Errors
/// `WSAEFAULT`, with the length that is needed in `*length` if that is all that is wrong.
///
/// # Safety
/// NULL, or valid; `*length` bytes at `name`.
pub(super) unsafe fn room_for_address(
    name: *mut SOCKADDR,
    length: LPINT,
    family: i32,
) -> Result<Option<Room>, WsaError> {
    if name.is_null() && length.is_null() {
        return Ok(None);
    }
    if name.is_null() || length.is_null() {
        return Err(WsaError::WSAEFAULT);
    }
    let needed = if family == AF_INET6 { SOCKADDR_IN6_LEN } else { wsd_spi::SOCKADDR_IN_LEN };
    // SAFETY: not NULL, hence valid by the contract of this function.
    let given = unsafe { length.read() };
    if usize::try_from(given).is_ok_and(|given| given >= needed) {
        return Ok(Some(Room { name, length }));
    }
    // SAFETY: as above.
    unsafe { length.write(needed as i32) };
    Err(WsaError::WSAEFAULT)
}

/// Room for an address, checked to be long enough.
pub(super) struct Room {
    pub(super) name: *mut SOCKADDR,
    pub(super) length: LPINT,
}

impl Room {
    /// Writes an address of the family for which there is room.
    pub(super) fn fill(&self, address: SockAddr) {
        let (bytes, length) = address.encode();
        // SAFETY: checked by `room_for_address`, under its contract; the call has not returned yet.
        unsafe {
            self.name.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), length);
            self.length.write(length as i32);
        }
    }
}

/// The buffers of a send or receive: `(start, length)` of each, none with a NULL start and a length.
///
/// # Safety
/// NULL, or `count` structures.
unsafe fn pieces(buffers: LPWSABUF, count: DWORD) -> Result<Vec<(*mut c_char, usize)>, WsaError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if count > MAX_BUFFERS {
        return Err(WsaError::WSAEINVAL);
    }
    if buffers.is_null() {
        return Err(WsaError::WSAEFAULT);
    }
    // SAFETY: not NULL, hence valid by the contract of this function. Captured here (SP-087).
    let buffers = unsafe { slice::from_raw_parts(buffers, count as usize) };
    if buffers.iter().any(|buffer| buffer.buf.is_null() && buffer.len > 0) {
        return Err(WsaError::WSAEFAULT);
    }
    let filled = buffers.iter().filter(|buffer| buffer.len > 0);
    Ok(filled.map(|buffer| (buffer.buf, buffer.len as usize)).collect())
}

/// Buffers to send from.
///
/// # Safety
/// NULL, or `count` structures whose buffers stay valid and unchanged until the operation is done.
pub(super) unsafe fn sources(buffers: LPWSABUF, count: DWORD) -> Result<Sources, WsaError> {
    // SAFETY: the contract is the same; none of the pieces is NULL, and their lifetime is the operation's.
    unsafe {
        let pieces = pieces(buffers, count)?.into_iter();
        Ok(pieces.map(|(start, length)| IoSlice::new(slice::from_raw_parts(start.cast(), length))).collect())
    }
}

/// Buffers to receive into.
///
/// # Safety
/// NULL, or `count` structures whose buffers are the callee's until the operation is done.
pub(super) unsafe fn targets(buffers: LPWSABUF, count: DWORD) -> Result<Targets, WsaError> {
    // SAFETY: as above.
    unsafe {
        let pieces = pieces(buffers, count)?.into_iter();
        Ok(pieces.map(|(start, length)| area(start.cast(), length)).collect())
    }
}

/// A part of the program's memory that an operation fills; empty for NULL.
///
/// # Safety
/// NULL, or `length` bytes that are the callee's until the operation is done.
pub(super) unsafe fn area(start: *mut u8, length: usize) -> IoSliceMut<'static> {
    if start.is_null() || length == 0 {
        return IoSliceMut::new(&mut []);
    }
    // SAFETY: not NULL, hence valid by the contract of this function.
    IoSliceMut::new(unsafe { slice::from_raw_parts_mut(start, length) })
}

/// How the program wants an operation on `socket` done. A socket made without `WSA_FLAG_OVERLAPPED` ignores
/// `lpOverlapped`.
///
/// # Errors
/// `WSAEINVAL`: a completion routine without a thread to run it. `WSAEOPNOTSUPP`: the program cannot run one.
///
/// # Safety
/// Pointers are NULL or valid; the overlapped structure until the operation is done.
pub(super) unsafe fn mode(
    socket: &Socket,
    overlapped: LPWSAOVERLAPPED,
    routine: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE>,
    thread: LPWSATHREADID,
) -> Result<Mode, WsaError> {
    // SAFETY: the contract is the same.
    let Some(overlapped) = (unsafe { Overlapped::new(overlapped) }).filter(|_| socket.overlapped) else {
        return Ok(Mode::Call);
    };
    let routine = match routine {
        None => None,
        Some(_) if !socket.process.upcalls.queues_apcs() => return Err(WsaError::WSAEOPNOTSUPP),
        Some(_) if thread.is_null() => return Err(WsaError::WSAEINVAL),
        // SAFETY: not NULL, hence valid by the contract of this function.
        Some(function) => Some(Routine { function, thread: ThreadId::new(unsafe { thread.read() }) }),
    };
    Ok(Mode::Request(Request::new(overlapped, routine)))
}

/// Bytes of the program that a call reads.
///
/// # Errors
/// `WSAEFAULT`: NULL with a length, or a negative length.
///
/// # Safety
/// NULL, or valid for reads until `'a` ends.
pub(super) unsafe fn bytes<'a, L: TryInto<usize>>(start: *const u8, length: L) -> Result<&'a [u8], WsaError> {
    let length = length.try_into().map_err(|_| WsaError::WSAEFAULT)?;
    if length == 0 {
        return Ok(&[]);
    }
    if start.is_null() {
        return Err(WsaError::WSAEFAULT);
    }
    // SAFETY: not NULL, hence valid by the contract of this function.
    Ok(unsafe { slice::from_raw_parts(start, length) })
}

/// Writes `value` where the program wants it, if it does.
///
/// # Safety
/// NULL, or valid for writes.
pub(super) unsafe fn put<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: not NULL, hence valid by the contract of this function.
        unsafe { place.write(value) };
    }
}

/// The value behind a pointer that a call needs.
///
/// # Errors
/// `WSAEFAULT`: NULL.
///
/// # Safety
/// NULL, or valid for reads.
pub(super) unsafe fn get<T: Copy>(place: *const T) -> Result<T, WsaError> {
    // SAFETY: NULL or valid by the contract of this function.
    unsafe { place.as_ref() }.copied().ok_or(WsaError::WSAEFAULT)
}

/// A place that an operation fills when it is done.
///
/// # Safety
/// NULL, or valid until the operation is done.
pub(super) unsafe fn place<T: Copy>(pointer: *mut T) -> Result<Place<T>, WsaError> {
    // SAFETY: the contract is the same.
    unsafe { Place::new(pointer) }.ok_or(WsaError::WSAEFAULT)
}

/// Connect data and flow specifications, which TCP/IP has none of.
///
/// # Errors
/// `WSAEPROTONOSUPPORT`: data for the peer. `WSAEOPNOTSUPP`: a flow specification.
///
/// # Safety
/// NULL, or valid.
pub(super) unsafe fn no_connect_data(
    caller: LPWSABUF,
    callee: LPWSABUF,
    socket_qos: LPQOS,
    group_qos: LPQOS,
) -> Result<(), WsaError> {
    // SAFETY: NULL or valid by the contract of this function.
    if unsafe { caller.as_ref() }.is_some_and(|data| data.len > 0) {
        return Err(WsaError::WSAEPROTONOSUPPORT);
    }
    if !socket_qos.is_null() || !group_qos.is_null() {
        return Err(WsaError::WSAEOPNOTSUPP);
    }
    // SAFETY: as above: the peer has sent none.
    if let Some(data) = unsafe { callee.as_mut() } {
        data.len = 0;
    }
    Ok(())
}

/// The socket behind a descriptor; see [`process::find`].
pub(super) fn socket(handle: SOCKET) -> Result<std::sync::Arc<Socket>, WsaError> {
    process::find(handle)
}
