//! The C functions: the exported `WSPStartup`, the 30 functions of the table, the extension functions.
//!
//! Safety of all of them: pointers are NULL or valid for what the SPI says about them, and memory that a call names for an
//! overlapped operation stays valid until that operation is complete.

#![allow(non_snake_case, reason = "parameters are named as in the SPI")]

mod arguments;
mod connections;
mod control;
mod data;
mod events;
mod extensions;
mod names;

use core::cell::Cell;
use core::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use wsd_spi::ffi::*;
use wsd_spi::{SPI_VERSION, WsaError};

use crate::process;
use crate::upcalls::UpCalls;

/// What `WSPStartup` says about this library.
const DESCRIPTION: &str = "wsdirect: Windows Sockets Direct for Linux";

/// Starts the library for the calling program (section 6.1 of the SPI reference, in the form for programs): 0 or the error
/// code. Each success is balanced by one `WSPCleanup`. Any thread may call it.
///
/// * `WSAVERNOTSUPPORTED`: the program asks for less than 2.2.
/// * `WSAEFAULT`: NULL, or an up-call table without handles or events (`WPUCreateSocketHandle`, `WPUCloseSocketHandle`,
///   `WPUSetEvent`, `WPUResetEvent`). Without the other functions the calls that need them answer `WSAEOPNOTSUPP`.
/// * `WSAEPROVIDERFAILEDINIT`: no descriptors or threads left.
///
/// # Safety
/// As the module says. The functions of the up-call table keep to the SPI and stay callable until the last `WSPCleanup` has
/// returned.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn WSPStartup(
    wVersionRequested: WORD,
    lpWSPData: LPWSPDATA,
    lpProtocolInfo: LPWSAPROTOCOL_INFOW,
    UpcallTable: WSPUPCALLTABLE,
    lpProcTable: LPWSPPROC_TABLE,
) -> c_int {
    if lpWSPData.is_null() || lpProcTable.is_null() || lpProtocolInfo.is_null() {
        return WsaError::WSAEFAULT.code();
    }
    if wVersionRequested.swap_bytes() < SPI_VERSION.swap_bytes() {
        return WsaError::WSAVERNOTSUPPORTED.code();
    }
    // SAFETY: the contract is the same.
    let Some(upcalls) = (unsafe { UpCalls::new(&UpcallTable) }) else {
        return WsaError::WSAEFAULT.code();
    };
    if let Err(error) = guarded(|| process::start(upcalls)) {
        return error.code();
    }
    let mut data = WSPDATA { wVersion: SPI_VERSION, wHighVersion: SPI_VERSION, ..WSPDATA::zeroed() };
    for (slot, unit) in data.szDescription[..WSPDESCRIPTION_LEN].iter_mut().zip(DESCRIPTION.encode_utf16()) {
        *slot = unit;
    }
    // SAFETY: not NULL, hence valid by the contract of this function.
    unsafe {
        lpWSPData.write(data);
        lpProcTable.write(TABLE);
    }
    0
}

/// The code of the calling thread's last failed extension function, which have no `lpErrno`. 0 if none has failed yet.
#[unsafe(no_mangle)]
pub extern "system" fn WSAGetLastError() -> c_int {
    LAST_ERROR.get()
}

thread_local! {
    static LAST_ERROR: Cell<c_int> = const { Cell::new(0) };
}

/// All 30 functions.
const TABLE: WSPPROC_TABLE = WSPPROC_TABLE {
    lpWSPAccept: Some(connections::accept),
    lpWSPAddressToString: Some(names::address_to_string),
    lpWSPAsyncSelect: Some(events::async_select),
    lpWSPBind: Some(names::bind),
    lpWSPCancelBlockingCall: Some(events::cancel_blocking_call),
    lpWSPCleanup: Some(cleanup),
    lpWSPCloseSocket: Some(connections::close_socket),
    lpWSPConnect: Some(connections::connect),
    lpWSPDuplicateSocket: Some(connections::duplicate_socket),
    lpWSPEnumNetworkEvents: Some(events::enum_network_events),
    lpWSPEventSelect: Some(events::event_select),
    lpWSPGetOverlappedResult: Some(data::get_overlapped_result),
    lpWSPGetPeerName: Some(names::get_peer_name),
    lpWSPGetSockName: Some(names::get_sock_name),
    lpWSPGetSockOpt: Some(control::get_sock_opt),
    lpWSPGetQOSByName: Some(control::get_qos_by_name),
    lpWSPIoctl: Some(control::ioctl),
    lpWSPJoinLeaf: Some(connections::join_leaf),
    lpWSPListen: Some(connections::listen),
    lpWSPRecv: Some(data::recv),
    lpWSPRecvDisconnect: Some(data::recv_disconnect),
    lpWSPRecvFrom: Some(data::recv_from),
    lpWSPSelect: Some(events::select),
    lpWSPSend: Some(data::send),
    lpWSPSendDisconnect: Some(data::send_disconnect),
    lpWSPSendTo: Some(data::send_to),
    lpWSPSetSockOpt: Some(control::set_sock_opt),
    lpWSPShutdown: Some(data::shutdown),
    lpWSPSocket: Some(connections::socket),
    lpWSPStringToAddress: Some(names::string_to_address),
};

unsafe extern "system" fn cleanup(lpErrno: LPINT) -> c_int {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe { status(lpErrno, process::clean_up) }
}

/// Runs `body`; a panic does not reach the program.
fn guarded<T>(body: impl FnOnce() -> Result<T, WsaError>) -> Result<T, WsaError> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(Err(WsaError::WSASYSCALLFAILURE))
}

/// Answers a call: what `body` gives, or `failure` with the code in `*errno`.
///
/// # Safety
/// `errno` is NULL or valid for writes.
unsafe fn answer<T>(errno: LPINT, failure: T, body: impl FnOnce() -> Result<T, WsaError>) -> T {
    match guarded(body) {
        Ok(value) => value,
        Err(error) => {
            if !errno.is_null() {
                // SAFETY: valid by the contract of this function.
                unsafe { errno.write(error.code()) };
            }
            failure
        }
    }
}

/// The same for functions that answer 0 or `SOCKET_ERROR`.
///
/// # Safety
/// As [`answer`].
unsafe fn status(errno: LPINT, body: impl FnOnce() -> Result<(), WsaError>) -> c_int {
    // SAFETY: the contract is the same.
    unsafe { answer(errno, SOCKET_ERROR, || body().map(|()| 0)) }
}

/// Answers an extension function: `TRUE`, or `FALSE` with the code for `WSAGetLastError`.
fn extension(body: impl FnOnce() -> Result<(), WsaError>) -> BOOL {
    match guarded(body) {
        Ok(()) => TRUE,
        Err(error) => {
            LAST_ERROR.set(error.code());
            FALSE
        }
    }
}
