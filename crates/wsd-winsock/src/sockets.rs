//! Sockets come and go.

use windows_sys::Win32::Foundation::{DUPLICATE_CLOSE_SOURCE, HANDLE};
use windows_sys::Win32::Networking::WinSock::{
    AF_INET6, FROM_PROTOCOL_INFO, INVALID_SOCKET, SD_RECEIVE, SD_SEND, SOCKET, WSA_FLAG_REGISTERED_IO,
    WSABUF, WSAPROTOCOL_INFOA, WSAPROTOCOL_INFOW,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcessId, GetProcessId};
use windows_sys::core::BOOL;
use wsd_os::Errno;
use wsd_os::thread::Inside;
use wsd_switch::front::{self, Socket, Which};
use wsd_switch::reason::Reason;

use crate::result::{answer, done, number, tracked};
use crate::{events, original, ports, staged, turns};

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
    inside.filter(|_| !strange(family, info, flags)).map_or(made, |_| opened(made, family, kind, protocol))
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
    inside.filter(|_| !strange(family, info, flags)).map_or(made, |_| opened(made, family, kind, protocol))
}

/// Whether the socket is what `info` says, perhaps one that another process has given here, whose history nobody knows; or is made for
/// registered I/O, whose bytes nobody sees.
fn strange<T>(family: i32, info: *const T, flags: u32) -> bool {
    !info.is_null() || family == FROM_PROTOCOL_INFO || flags & WSA_FLAG_REGISTERED_IO != 0
}

/// A socket is about to be connected, or accepted into. Whether the connection that it had before has been forgotten now.
pub(crate) fn begins_anew(socket: SOCKET) -> bool {
    let anew = Inside::enter().is_some_and(|_inside| front::begins_anew(number(socket)));
    if anew && let Some(found) = front::find(number(socket)) {
        events::renew(found);
    }
    anew
}

/// The number is about to mean nothing any more.
fn closing(socket: i32) {
    front::closing(socket);
    staged::cancel(socket, Which::All);
    ports::forget(socket);
    events::forget(socket);
}

/// # Safety
/// As closesocket.
pub(crate) unsafe extern "system" fn closesocket(socket: SOCKET) -> i32 {
    // The close itself may wait, with routines of the program running meanwhile: it is not marked as ours.
    if let Some(_inside) = Inside::enter() {
        closing(number(socket));
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
        closing(number(handle as SOCKET));
    }
    // SAFETY: the program's own argument.
    unsafe { original::CloseHandle(handle) }
}

/// Ends directions, the sending one behind what is still to be sent.
fn shut(
    socket: Socket,
    how: i32,
    kernel: impl FnMut() -> Result<(), Errno> + Send + 'static,
) -> Result<(), Errno> {
    if how == SD_RECEIVE {
        front::shutdown(socket, how, kernel)
    } else {
        turns::shutdown(socket, how, kernel)
    }
}

/// # Safety
/// As shutdown.
pub(crate) unsafe extern "system" fn shutdown(socket: SOCKET, how: i32) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel = move || done(unsafe { original::shutdown(socket, how) });
    let served = tracked(socket, |found, _| shut(found, how, kernel));
    answer(served.unwrap_or_else(kernel))
}

/// # Safety
/// As WSASendDisconnect; TCP sends no data with it.
pub(crate) unsafe extern "system" fn send_disconnect(socket: SOCKET, data: *const WSABUF) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel = || done(unsafe { original::WSASendDisconnect(socket, data) });
    // SAFETY: a number only.
    let alone = move || done(unsafe { original::WSASendDisconnect(socket, core::ptr::null()) });
    let served = tracked(socket, |found, _| shut(found, SD_SEND, alone));
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

/// Whether a handle of a process is one of this process.
fn is_this(process: HANDLE) -> bool {
    // SAFETY: both only return numbers; one that is no handle has no process.
    unsafe { GetProcessId(process) == GetCurrentProcessId() }
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
    let socket = handle as SOCKET;
    let ours = front::find(number(socket)).is_some() && is_this(from);
    if ours {
        // With nowhere to go it is only closed.
        if !to.is_null() {
            share(socket);
        }
        if options & DUPLICATE_CLOSE_SOURCE != 0
            && let Some(_inside) = Inside::enter()
        {
            closing(number(socket));
        }
    }
    // SAFETY: the program's own arguments.
    unsafe { original::DuplicateHandle(from, handle, to, made, access, inherit, options) }
}
