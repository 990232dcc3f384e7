//! Connections are made.

use core::ffi::c_void;

use windows_sys::Win32::Networking::WinSock::{LPCONDITIONPROC, SOCKADDR, SOCKET, WSABUF};
use wsd_os::Errno;
use wsd_os::fd::borrow;
use wsd_os::tcp;
use wsd_os::thread::outside;
use wsd_switch::front::{self, Socket};

use crate::result::{answer, done, made, number, tracked};
use crate::{events, original};

/// # Safety
/// As listen.
pub(crate) unsafe extern "system" fn listen(socket: SOCKET, backlog: i32) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel = || done(unsafe { original::listen(socket, backlog) });
    let served = tracked(socket, |found, _| kernel().inspect(|()| front::listening(found)));
    answer(served.unwrap_or_else(kernel))
}

/// # Safety
/// As connect.
pub(crate) unsafe extern "system" fn connect(socket: SOCKET, name: *const SOCKADDR, length: i32) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel = || done(unsafe { original::connect(socket, name, length) });
    answer(tracked(socket, |found, _| connected(found, outside(kernel))).unwrap_or_else(kernel))
}

/// # Safety
/// As WSAConnect.
pub(crate) unsafe extern "system" fn wsa_connect(
    socket: SOCKET,
    name: *const SOCKADDR,
    length: i32,
    caller: *const WSABUF,
    callee: *mut WSABUF,
    sqos: *const c_void,
    gqos: *const c_void,
) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel = || done(unsafe { original::WSAConnect(socket, name, length, caller, callee, sqos, gqos) });
    answer(tracked(socket, |found, _| connected(found, outside(kernel))).unwrap_or_else(kernel))
}

/// Tells the switch how a connect ended.
fn connected(socket: Socket, result: Result<(), Errno>) -> Result<(), Errno> {
    // A connect that goes on is "would block" here.
    front::connected(
        socket,
        result.map_err(|error| if error == Errno::AGAIN { Errno::INPROGRESS } else { error }),
    );
    result
}

/// # Safety
/// As accept.
pub(crate) unsafe extern "system" fn accept(socket: SOCKET, name: *mut SOCKADDR, length: *mut i32) -> SOCKET {
    // SAFETY: the program's own arguments.
    let kernel = || unsafe { original::accept(socket, name, length) };
    tracked(socket, |found, _| accepted(found, outside(kernel))).unwrap_or_else(kernel)
}

/// # Safety
/// As WSAAccept.
pub(crate) unsafe extern "system" fn wsa_accept(
    socket: SOCKET,
    name: *mut SOCKADDR,
    length: *mut i32,
    condition: LPCONDITIONPROC,
    context: usize,
) -> SOCKET {
    // The program may be asked in the middle of the call, and use sockets then: the call is not marked as ours.
    // SAFETY: the program's own arguments.
    let kernel = || unsafe { original::WSAAccept(socket, name, length, condition, context) };
    tracked(socket, |found, _| accepted(found, outside(kernel))).unwrap_or_else(kernel)
}

/// Tells the switch of a connection that was accepted.
fn accepted(listener: Socket, socket: SOCKET) -> SOCKET {
    if made(socket).is_ok() {
        front::accepted(listener, number(socket));
        if let Some(found) = front::find(number(socket)) {
            inherit(listener, found);
        }
    }
    socket
}

/// The connection that AcceptEx has made was given its listener's properties. It may have moved bytes already.
pub(crate) fn accepted_by(listener: SOCKET, socket: Socket) {
    if let Some(listener) = front::find(number(listener)) {
        front::accepted_before(socket);
        inherit(listener, socket);
    }
}

/// A connection is what its listener is.
fn inherit(listener: Socket, found: Socket) {
    front::nonblocking_changed(found, front::is_nonblocking(found) || front::is_nonblocking(listener));
    front::option_changed(found, 0, 0);
    if front::asks_for_peers()
        && let Ok(peer) = tcp::peer_name(borrow(found.descriptor()))
    {
        front::peer_known(found, peer);
    }
    events::inherit(listener, found);
}
