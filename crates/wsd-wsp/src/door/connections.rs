//! Sockets and connections: `WSPSocket`, `WSPListen`, `WSPAccept`, `WSPConnect`, `WSPJoinLeaf`, `WSPDuplicateSocket`,
//! `WSPCloseSocket`.

use core::ffi::{c_char, c_int};
use core::ptr;

use wsd_spi::ffi::*;
use wsd_spi::{Condition, SockAddr, WsaError};

use super::arguments::{address, no_connect_data, room_for_address, socket as find};
use super::{answer, status};
use crate::socket::Socket;
use crate::{catalog, process};

/// Flags of `WSPSocket` that mean something here, or may be ignored: access rights, inheritance, multipoint roles.
const KNOWN_FLAGS: u32 = WSA_FLAG_OVERLAPPED
    | WSA_FLAG_MULTIPOINT_C_LEAF
    | WSA_FLAG_MULTIPOINT_D_LEAF
    | WSA_FLAG_NO_HANDLE_INHERIT;

pub(super) unsafe extern "system" fn socket(
    af: c_int,
    r#type: c_int,
    protocol: c_int,
    lpProtocolInfo: LPWSAPROTOCOL_INFOW,
    g: GROUP,
    dwFlags: DWORD,
    lpErrno: LPINT,
) -> SOCKET {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        answer(lpErrno, INVALID_SOCKET, || {
            let info = lpProtocolInfo.as_ref();
            let running = process::running()?;
            let kind = catalog::kind(af, r#type, protocol, info)?;
            let socket = match info.map_or(0, |info| info.dwProviderReserved) {
                0 if dwFlags & !KNOWN_FLAGS != 0 || g != 0 => return Err(WsaError::WSAEINVAL),
                0 => Socket::create(running, kind, dwFlags & WSA_FLAG_OVERLAPPED != 0)?,
                value => Socket::adopt(running, kind, value)?,
            };
            Ok(socket.handle().raw())
        })
    }
}

pub(super) unsafe extern "system" fn listen(s: SOCKET, backlog: c_int, lpErrno: LPINT) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe { status(lpErrno, || find(s)?.listen(backlog)) }
}

pub(super) unsafe extern "system" fn accept(
    s: SOCKET,
    addr: *mut SOCKADDR,
    addrlen: LPINT,
    lpfnCondition: Option<LPCONDITIONPROC>,
    dwCallbackData: DWORD_PTR,
    lpErrno: LPINT,
) -> SOCKET {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        answer(lpErrno, INVALID_SOCKET, || {
            let listener = find(s)?;
            let room = room_for_address(addr, addrlen, listener.kind.family)?;
            let mut ask = |peer: SockAddr, local: SockAddr| match lpfnCondition {
                Some(function) => condition(function, peer, local, dwCallbackData),
                None => Condition::Accept,
            };
            let (socket, peer) = listener.accept(&mut ask)?;
            if let Some(room) = room {
                room.fill(peer);
            }
            Ok(socket.handle().raw())
        })
    }
}

/// Asks the program's condition function. What TCP/IP does not have is NULL (SP-076).
///
/// # Safety
/// The function is as the SPI says.
unsafe fn condition(
    function: LPCONDITIONPROC,
    peer: SockAddr,
    local: SockAddr,
    data: DWORD_PTR,
) -> Condition {
    let (mut peer, peer_length) = peer.encode();
    let (mut local, local_length) = local.encode();
    let mut caller = WSABUF { len: peer_length as u32, buf: peer.as_mut_ptr().cast::<c_char>() };
    let mut callee = WSABUF { len: local_length as u32, buf: local.as_mut_ptr().cast::<c_char>() };
    let mut group = 0;
    let (none, no_qos) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the contract is the same; what it gets lives until it returns.
    let answer = unsafe {
        function(&raw mut caller, none, no_qos, no_qos, &raw mut callee, none, &raw mut group, data)
    };
    Condition::from_code(answer)
}

pub(super) unsafe extern "system" fn connect(
    s: SOCKET,
    name: *const SOCKADDR,
    namelen: c_int,
    lpCallerData: LPWSABUF,
    lpCalleeData: LPWSABUF,
    lpSQOS: LPQOS,
    lpGQOS: LPQOS,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        status(lpErrno, || {
            let socket = find(s)?;
            let peer = address(name, namelen)?;
            no_connect_data(lpCallerData, lpCalleeData, lpSQOS, lpGQOS)?;
            socket.connect(peer)
        })
    }
}

pub(super) unsafe extern "system" fn join_leaf(
    s: SOCKET,
    name: *const SOCKADDR,
    namelen: c_int,
    lpCallerData: LPWSABUF,
    lpCalleeData: LPWSABUF,
    lpSQOS: LPQOS,
    lpGQOS: LPQOS,
    dwFlags: DWORD,
    lpErrno: LPINT,
) -> SOCKET {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        answer(lpErrno, INVALID_SOCKET, || {
            let socket = find(s)?;
            let group = address(name, namelen)?;
            no_connect_data(lpCallerData, lpCalleeData, lpSQOS, lpGQOS)?;
            socket.join(group, dwFlags)?;
            // Without a root the leaf is the socket itself.
            Ok(s)
        })
    }
}

pub(super) unsafe extern "system" fn duplicate_socket(
    s: SOCKET,
    dwProcessId: DWORD,
    lpProtocolInfo: LPWSAPROTOCOL_INFOW,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        status(lpErrno, || {
            let socket = find(s)?;
            if lpProtocolInfo.is_null() {
                return Err(WsaError::WSAEFAULT);
            }
            let value = socket.offer(dwProcessId)?;
            let mut info = catalog::protocol_info(socket.kind);
            info.dwProviderReserved = value;
            lpProtocolInfo.write(info);
            Ok(())
        })
    }
}

pub(super) unsafe extern "system" fn close_socket(s: SOCKET, lpErrno: LPINT) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe { status(lpErrno, || find(s)?.close()) }
}
