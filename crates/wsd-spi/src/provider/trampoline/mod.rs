//! The doors: one C function per entry of the interface, generic over the provider.
//!
//! Safety of all of them: pointers are NULL or valid for what the SPI says about them, which
//! [`startup_ex`](super::startup_ex) demands of whoever gets the table.

#![allow(non_snake_case, clippy::too_many_arguments, reason = "names and parameters are those of the SPI")]

mod connection;
mod extension;
mod ioctl;
mod memory;
mod options;
mod result;
mod socket;
mod transfer;

use core::ptr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::door::Started;
use super::{Instance, MAX_DESCRIPTOR_LEN};
use crate::error::WsaError;
use crate::ffi::{DWORD, INT, LPDWORD, LPINT, LPVOID, SOCKET, SOCKET_ERROR, WSPPROC_TABLE};
use crate::value::SanSocket;

/// The whole table: the 17 entries of a SAN provider (SP-001).
pub(super) const fn proc_table<I: Instance>() -> WSPPROC_TABLE {
    let mut table = WSPPROC_TABLE::empty();
    table.lpWSPAccept = Some(connection::accept::<I>);
    table.lpWSPBind = Some(socket::bind::<I>);
    table.lpWSPCleanup = Some(socket::cleanup::<I>);
    table.lpWSPCloseSocket = Some(socket::close_socket::<I>);
    table.lpWSPConnect = Some(connection::connect::<I>);
    table.lpWSPDuplicateSocket = Some(socket::duplicate_socket::<I>);
    table.lpWSPEnumNetworkEvents = Some(connection::enum_network_events::<I>);
    table.lpWSPEventSelect = Some(connection::event_select::<I>);
    table.lpWSPGetOverlappedResult = Some(result::get_overlapped_result::<I>);
    table.lpWSPGetSockOpt = Some(options::get_sock_opt::<I>);
    table.lpWSPGetQOSByName = Some(options::get_qos_by_name::<I>);
    table.lpWSPIoctl = Some(ioctl::ioctl::<I>);
    table.lpWSPListen = Some(connection::listen::<I>);
    table.lpWSPRecv = Some(transfer::recv::<I>);
    table.lpWSPSend = Some(transfer::send::<I>);
    table.lpWSPSetSockOpt = Some(options::set_sock_opt::<I>);
    table.lpWSPSocket = Some(socket::socket::<I>);
    table
}

/// Runs `body` with the running provider: its value, or `failure` with the code in `*errno`.
///
/// # Safety
/// `errno` is NULL or valid for writes.
unsafe fn answer<I: Instance, T>(
    failure: T,
    errno: LPINT,
    body: impl FnOnce(&'static Started<I::Provider>) -> Result<T, WsaError>,
) -> T {
    // SAFETY: the contract is the same.
    unsafe { guarded(failure, errno, || body(I::door().started()?)) }
}

/// As [`answer`], without a provider.
///
/// # Safety
/// `errno` is NULL or valid for writes.
unsafe fn guarded<T>(failure: T, errno: LPINT, body: impl FnOnce() -> Result<T, WsaError>) -> T {
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or(Err(WsaError::WSASYSCALLFAILURE));
    result.unwrap_or_else(|error| {
        // SAFETY: NULL or valid by the contract of this function.
        unsafe { store(errno, error.code()) };
        failure
    })
}

/// As [`answer`], for functions that return 0 or `SOCKET_ERROR`.
///
/// # Safety
/// `errno` is NULL or valid for writes.
unsafe fn status<I: Instance>(
    errno: LPINT,
    body: impl FnOnce(&'static Started<I::Provider>) -> Result<(), WsaError>,
) -> INT {
    // SAFETY: the contract is the same.
    unsafe { answer::<I, _>(SOCKET_ERROR, errno, |started| body(started).map(|()| 0)) }
}

/// The provider's descriptor, if it can be one (SP-013).
fn descriptor(s: SOCKET) -> Result<SanSocket, WsaError> {
    let socket = SanSocket::from_raw(s);
    if socket == SanSocket::INVALID { Err(WsaError::WSAENOTSOCK) } else { Ok(socket) }
}

/// Writes `value` if there is a place for it.
///
/// # Safety
/// `target` is NULL or valid for writes.
unsafe fn store<T>(target: *mut T, value: T) {
    if !target.is_null() {
        // SAFETY: valid by the contract of this function.
        unsafe { target.write_unaligned(value) };
    }
}

/// A copy of `length` bytes of the caller.
///
/// # Safety
/// `start` is NULL or valid for reads of `length` bytes.
unsafe fn bytes(start: *const u8, length: usize) -> Result<Vec<u8>, WsaError> {
    if length == 0 {
        return Ok(Vec::new());
    }
    if start.is_null() {
        return Err(WsaError::WSAEFAULT);
    }
    let mut copy = vec![0; length];
    // SAFETY: valid by the contract of this function; the copy is as long.
    unsafe { ptr::copy_nonoverlapping(start, copy.as_mut_ptr(), length) };
    Ok(copy)
}

/// Writes a result to a buffer of the caller if it fits, and its length to `*written` in either case.
///
/// # Safety
/// `target` is NULL or valid for writes of `room` bytes; `written` is valid for writes.
unsafe fn output(value: &[u8], target: LPVOID, room: usize, written: *mut DWORD) -> Result<(), WsaError> {
    // SAFETY: valid by the contract of this function.
    unsafe { store(written, value.len() as DWORD) };
    if value.is_empty() {
        return Ok(());
    }
    if target.is_null() || room < value.len() {
        return Err(WsaError::WSAEFAULT);
    }
    // SAFETY: the target has room by the contract of this function.
    unsafe { ptr::copy_nonoverlapping(value.as_ptr(), target.cast::<u8>(), value.len()) };
    Ok(())
}

/// Answers the length probe of descriptors (SP-120): `WSAEFAULT` with the needed length in `*length` if that is too
/// short.
///
/// # Safety
/// `length` is NULL or valid.
unsafe fn probe(length: LPDWORD, needed: usize) -> Result<(), WsaError> {
    if length.is_null() {
        return Err(WsaError::WSAEFAULT);
    }
    // SAFETY: valid by the contract of this function.
    unsafe {
        if (length.read_unaligned() as usize) < needed {
            length.write_unaligned(needed as DWORD);
            return Err(WsaError::WSAEFAULT);
        }
    }
    Ok(())
}

/// Room for a descriptor on the stack.
type DescriptorBytes = [u8; MAX_DESCRIPTOR_LEN];

/// A copy of the caller's descriptor, which has to have `needed` bytes.
///
/// # Safety
/// `start` is NULL or valid for reads of `length` bytes.
unsafe fn known_descriptor(
    start: LPVOID,
    length: DWORD,
    needed: usize,
    room: &mut DescriptorBytes,
) -> Result<&[u8], WsaError> {
    if length as usize != needed {
        return Err(WsaError::WSAEINVAL);
    }
    if start.is_null() && needed != 0 {
        return Err(WsaError::WSAEFAULT);
    }
    let target = &mut room[..needed];
    // SAFETY: valid by the contract of this function; the target is as long.
    unsafe { ptr::copy_nonoverlapping(start.cast::<u8>(), target.as_mut_ptr(), needed) };
    Ok(target)
}
