//! Data: `WSPSend`, `WSPSendTo`, `WSPRecv`, `WSPRecvFrom`, `WSPGetOverlappedResult`, `WSPShutdown`, `WSPSendDisconnect`,
//! `WSPRecvDisconnect`.

use core::ffi::c_int;
use std::sync::Arc;

use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use super::arguments::{
    address, area, get, mode, place, put, room_for_address, socket as find, sources, targets,
};
use super::{answer, status};
use crate::operation::{Incoming, Outgoing, Sender, Work, receive_flags, send_flags};
use crate::outcome::{Outcome, Overlapped};
use crate::socket::{Direction, Mode, Socket, Submitted};

pub(super) unsafe extern "system" fn send(
    s: SOCKET,
    lpBuffers: LPWSABUF,
    dwBufferCount: DWORD,
    lpNumberOfBytesSent: LPDWORD,
    dwFlags: DWORD,
    lpOverlapped: LPWSAOVERLAPPED,
    lpCompletionRoutine: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE>,
    lpThreadId: LPWSATHREADID,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        status(lpErrno, || {
            let socket = find(s)?;
            let mode = mode(&socket, lpOverlapped, lpCompletionRoutine, lpThreadId)?;
            let flags = send_flags(dwFlags, socket.kind)? | socket.standing_flags();
            let work = Work::Send(Outgoing::new(sources(lpBuffers, dwBufferCount)?, flags, None));
            sent(&socket, work, mode, lpNumberOfBytesSent)
        })
    }
}

pub(super) unsafe extern "system" fn send_to(
    s: SOCKET,
    lpBuffers: LPWSABUF,
    dwBufferCount: DWORD,
    lpNumberOfBytesSent: LPDWORD,
    dwFlags: DWORD,
    lpTo: *const SOCKADDR,
    iTolen: c_int,
    lpOverlapped: LPWSAOVERLAPPED,
    lpCompletionRoutine: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE>,
    lpThreadId: LPWSATHREADID,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        status(lpErrno, || {
            let socket = find(s)?;
            let mode = mode(&socket, lpOverlapped, lpCompletionRoutine, lpThreadId)?;
            let flags = send_flags(dwFlags, socket.kind)? | socket.standing_flags();
            // A connection has its peer already.
            let to = match lpTo.is_null() || socket.kind.is_stream() {
                true => None,
                false => Some(address(lpTo, iTolen)?),
            };
            if to.is_some_and(|to| to.family() != socket.kind.family) {
                return Err(WsaError::WSAEAFNOSUPPORT);
            }
            let work = Work::Send(Outgoing::new(sources(lpBuffers, dwBufferCount)?, flags, to));
            sent(&socket, work, mode, lpNumberOfBytesSent)
        })
    }
}

/// # Safety
/// `bytes` is NULL or valid for writes during the call.
unsafe fn sent(socket: &Arc<Socket>, work: Work, mode: Mode, bytes: LPDWORD) -> Result<(), WsaError> {
    let overlapped = matches!(mode, Mode::Request(_));
    if bytes.is_null() && !overlapped {
        return Err(WsaError::WSAEFAULT);
    }
    match socket.submit(Direction::Out, work, mode)? {
        Submitted::Pending => Err(WsaError::WSA_IO_PENDING),
        Submitted::Done(outcome) => {
            // SAFETY: the contract is the same.
            unsafe { put(bytes, outcome.bytes) };
            Ok(())
        }
    }
}

pub(super) unsafe extern "system" fn recv(
    s: SOCKET,
    lpBuffers: LPWSABUF,
    dwBufferCount: DWORD,
    lpNumberOfBytesRecvd: LPDWORD,
    lpFlags: LPDWORD,
    lpOverlapped: LPWSAOVERLAPPED,
    lpCompletionRoutine: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE>,
    lpThreadId: LPWSATHREADID,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        status(lpErrno, || {
            let socket = find(s)?;
            let mode = mode(&socket, lpOverlapped, lpCompletionRoutine, lpThreadId)?;
            let (flags, all) = receive_flags(get(lpFlags)?, socket.kind)?;
            let work = Incoming::new(targets(lpBuffers, dwBufferCount)?, flags, all, None);
            received(&socket, Work::Receive(work), mode, lpNumberOfBytesRecvd, lpFlags)
        })
    }
}

pub(super) unsafe extern "system" fn recv_from(
    s: SOCKET,
    lpBuffers: LPWSABUF,
    dwBufferCount: DWORD,
    lpNumberOfBytesRecvd: LPDWORD,
    lpFlags: LPDWORD,
    lpFrom: *mut SOCKADDR,
    lpFromlen: LPINT,
    lpOverlapped: LPWSAOVERLAPPED,
    lpCompletionRoutine: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE>,
    lpThreadId: LPWSATHREADID,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        status(lpErrno, || {
            let socket = find(s)?;
            let mode = mode(&socket, lpOverlapped, lpCompletionRoutine, lpThreadId)?;
            let (flags, all) = receive_flags(get(lpFlags)?, socket.kind)?;
            let from = match room_for_address(lpFrom, lpFromlen, socket.kind.family)? {
                None => None,
                Some(room) => Some(Sender {
                    address: area(room.name.cast(), get(room.length)?.unsigned_abs() as usize),
                    length: place(room.length)?,
                }),
            };
            let work = Incoming::new(targets(lpBuffers, dwBufferCount)?, flags, all, from);
            received(&socket, Work::Receive(work), mode, lpNumberOfBytesRecvd, lpFlags)
        })
    }
}

/// # Safety
/// `bytes` and `flags` are NULL or valid for writes during the call.
unsafe fn received(
    socket: &Arc<Socket>,
    work: Work,
    mode: Mode,
    bytes: LPDWORD,
    flags: LPDWORD,
) -> Result<(), WsaError> {
    if bytes.is_null() && !matches!(mode, Mode::Request(_)) {
        return Err(WsaError::WSAEFAULT);
    }
    match socket.submit(Direction::In, work, mode)? {
        Submitted::Pending => Err(WsaError::WSA_IO_PENDING),
        Submitted::Done(outcome) => {
            // SAFETY: the contract is the same.
            unsafe {
                put(bytes, outcome.bytes);
                put(flags, outcome.flags);
            }
            Ok(())
        }
    }
}

pub(super) unsafe extern "system" fn get_overlapped_result(
    s: SOCKET,
    lpOverlapped: LPWSAOVERLAPPED,
    lpcbTransfer: LPDWORD,
    fWait: BOOL,
    lpdwFlags: LPDWORD,
    lpErrno: LPINT,
) -> BOOL {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        answer(lpErrno, FALSE, || {
            let socket = find(s)?;
            let overlapped = Overlapped::new(lpOverlapped).ok_or(WsaError::WSAEFAULT)?;
            if lpcbTransfer.is_null() || lpdwFlags.is_null() {
                return Err(WsaError::WSAEFAULT);
            }
            let Outcome { status, bytes, flags } = socket.result_of(overlapped, fWait != FALSE)?;
            put(lpcbTransfer, bytes);
            put(lpdwFlags, flags);
            status.map(|()| TRUE)
        })
    }
}

pub(super) unsafe extern "system" fn shutdown(s: SOCKET, how: c_int, lpErrno: LPINT) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe { status(lpErrno, || find(s)?.shutdown(how)) }
}

pub(super) unsafe extern "system" fn send_disconnect(
    s: SOCKET,
    lpOutboundDisconnectData: LPWSABUF,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe { status(lpErrno, || disconnect(s, lpOutboundDisconnectData, SD_SEND)) }
}

pub(super) unsafe extern "system" fn recv_disconnect(
    s: SOCKET,
    lpInboundDisconnectData: LPWSABUF,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe { status(lpErrno, || disconnect(s, lpInboundDisconnectData, SD_RECEIVE)) }
}

/// A shutdown with disconnect data, which TCP/IP does not have.
fn disconnect(s: SOCKET, data: LPWSABUF, how: c_int) -> Result<(), WsaError> {
    let socket = find(s)?;
    if !socket.kind.is_stream() {
        return Err(WsaError::WSAEOPNOTSUPP);
    }
    if !data.is_null() {
        return Err(WsaError::WSAENOPROTOOPT);
    }
    socket.shutdown(how)
}
