//! Sockets come and go.

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Networking::WinSock::{
    AF_INET6, FROM_PROTOCOL_INFO, INVALID_SOCKET, SD_RECEIVE, SD_SEND, SOCKET, WSABUF, WSAPROTOCOL_INFOA,
    WSAPROTOCOL_INFOW,
};
use windows_sys::core::BOOL;
use wsd_os::thread::Inside;
use wsd_switch::front;
use wsd_switch::reason::Reason;

use crate::result::{answer, done, number, tracked};
use crate::{completion, original};

/// A socket was made; what the switch has to know of it.
fn opened(socket: SOCKET, family: i32, kind: i32, protocol: i32) -> SOCKET {
    // Linux's number, by which the switch knows it.
    const INET6: i32 = 10;
    let family = if family == i32::from(AF_INET6) { INET6 } else { family };
    if socket != INVALID_SOCKET {
        front::opened(number(socket), family, kind, protocol);
    }
    socket
}

/// # Safety
/// As socket.
pub(crate) unsafe extern "system" fn socket(family: i32, kind: i32, protocol: i32) -> SOCKET {
    let inside = Inside::enter();
    // SAFETY: the program's own arguments.
    let made = unsafe { original::socket(family, kind, protocol) };
    inside.map_or(made, |_| opened(made, family, kind, protocol))
}

/// # Safety
/// As WSASocketW.
pub(crate) unsafe extern "system" fn wsa_socket_w(
    family: i32,
    kind: i32,
    protocol: i32,
    info: *const WSAPROTOCOL_INFOW,
    group: u32,
    flags: u32,
) -> SOCKET {
    let inside = Inside::enter();
    // SAFETY: the program's own arguments.
    let made = unsafe { original::WSASocketW(family, kind, protocol, info, group, flags) };
    inside.filter(|_| !described(family, info)).map_or(made, |_| opened(made, family, kind, protocol))
}

/// # Safety
/// As WSASocketA.
pub(crate) unsafe extern "system" fn wsa_socket_a(
    family: i32,
    kind: i32,
    protocol: i32,
    info: *const WSAPROTOCOL_INFOA,
    group: u32,
    flags: u32,
) -> SOCKET {
    let inside = Inside::enter();
    // SAFETY: the program's own arguments.
    let made = unsafe { original::WSASocketA(family, kind, protocol, info, group, flags) };
    inside.filter(|_| !described(family, info)).map_or(made, |_| opened(made, family, kind, protocol))
}

/// Whether the socket is what `info` says: perhaps one that another process has given here, whose history nobody knows.
fn described<T>(family: i32, info: *const T) -> bool {
    !info.is_null() || family == FROM_PROTOCOL_INFO
}

/// # Safety
/// As closesocket.
pub(crate) unsafe extern "system" fn closesocket(socket: SOCKET) -> i32 {
    let inside = Inside::enter();
    if inside.is_some() {
        front::closing(number(socket));
        completion::forget(number(socket));
    }
    // SAFETY: the program's own argument.
    unsafe { original::closesocket(socket) }
}

/// # Safety
/// As CloseHandle.
pub(crate) unsafe extern "system" fn close_handle(handle: HANDLE) -> BOOL {
    if front::find(number(handle as SOCKET)).is_some()
        && let Some(_inside) = Inside::enter()
    {
        front::closing(number(handle as SOCKET));
        completion::forget(number(handle as SOCKET));
    }
    // SAFETY: the program's own argument.
    unsafe { original::CloseHandle(handle) }
}

/// # Safety
/// As shutdown.
pub(crate) unsafe extern "system" fn shutdown(socket: SOCKET, how: i32) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel = || done(unsafe { original::shutdown(socket, how) });
    let served = tracked(socket, |found, _| front::shutdown(found, how, kernel));
    answer(served.unwrap_or_else(kernel))
}

/// # Safety
/// As WSASendDisconnect.
pub(crate) unsafe extern "system" fn send_disconnect(socket: SOCKET, data: *const WSABUF) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel = || done(unsafe { original::WSASendDisconnect(socket, data) });
    let served = tracked(socket, |found, _| front::shutdown(found, SD_SEND, kernel));
    answer(served.unwrap_or_else(kernel))
}

/// # Safety
/// As WSARecvDisconnect.
pub(crate) unsafe extern "system" fn recv_disconnect(socket: SOCKET, data: *const WSABUF) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel = || done(unsafe { original::WSARecvDisconnect(socket, data) });
    let served = tracked(socket, |found, _| front::shutdown(found, SD_RECEIVE, kernel));
    answer(served.unwrap_or_else(kernel))
}

/// Another process is about to have the socket too, and need not have the switch.
fn share(socket: SOCKET) {
    let _ = tracked(socket, |found, _| front::leave(found, Reason::PassedOn));
}

/// # Safety
/// As WSADuplicateSocketW.
pub(crate) unsafe extern "system" fn duplicate_w(
    socket: SOCKET,
    process: u32,
    info: *mut WSAPROTOCOL_INFOW,
) -> i32 {
    share(socket);
    // SAFETY: the program's own arguments.
    unsafe { original::WSADuplicateSocketW(socket, process, info) }
}

/// # Safety
/// As WSADuplicateSocketA.
pub(crate) unsafe extern "system" fn duplicate_a(
    socket: SOCKET,
    process: u32,
    info: *mut WSAPROTOCOL_INFOA,
) -> i32 {
    share(socket);
    // SAFETY: the program's own arguments.
    unsafe { original::WSADuplicateSocketA(socket, process, info) }
}

/// # Safety
/// As DuplicateHandle.
pub(crate) unsafe extern "system" fn duplicate_handle(
    from: HANDLE,
    handle: HANDLE,
    to: HANDLE,
    made: *mut HANDLE,
    access: u32,
    inherit: BOOL,
    options: u32,
) -> BOOL {
    share(handle as SOCKET);
    // SAFETY: the program's own arguments.
    unsafe { original::DuplicateHandle(from, handle, to, made, access, inherit, options) }
}
