//! How results come and go: Winsock's numbers, and the error that a thread has.

use windows_sys::Win32::Networking::WinSock::{
    INVALID_SOCKET, SOCKET, SOCKET_ERROR, WSAGetLastError, WSASetLastError,
};
use windows_sys::core::BOOL;
use wsd_os::Errno;
use wsd_os::thread::Inside;
use wsd_switch::front::{self, Socket};

/// A socket as the switch numbers descriptors; none if it has more bits than handles have.
#[inline]
pub(crate) fn number(socket: SOCKET) -> i32 {
    i32::try_from(socket).unwrap_or(-1)
}

/// Serves a call on a tracked socket by `serve`. `None`: the socket is not tracked, or the switch itself calls.
#[inline]
pub(crate) fn tracked<T>(socket: SOCKET, serve: impl FnOnce(Socket, &Inside) -> T) -> Option<T> {
    let found = front::find(number(socket))?;
    let inside = Inside::enter()?;
    Some(serve(found, &inside))
}

/// The error of the last call of Winsock.
pub(crate) fn last() -> Errno {
    // SAFETY: reads a number of this thread.
    Errno::from_raw_os_error(unsafe { WSAGetLastError() })
}

/// Sets the error that the program sees.
pub(crate) fn set_last(error: i32) {
    // SAFETY: writes a number of this thread.
    unsafe { WSASetLastError(error) };
}

/// What a call returned: 0, or an error.
pub(crate) fn done(result: i32) -> Result<(), Errno> {
    if result == 0 { Ok(()) } else { Err(last()) }
}

/// What a call returned: a number of bytes, or an error.
pub(crate) fn count(result: i32) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| last())
}

/// What a call returned: a socket, or an error.
pub(crate) fn made(socket: SOCKET) -> Result<SOCKET, Errno> {
    if socket == INVALID_SOCKET { Err(last()) } else { Ok(socket) }
}

/// What a call returned: not 0, or an error.
pub(crate) fn succeeded(result: BOOL) -> Result<(), Errno> {
    if result != 0 { Ok(()) } else { Err(last()) }
}

/// As a call returns it: 0 or -1, with the error set.
pub(crate) fn answer(result: Result<(), Errno>) -> i32 {
    answer_count(result.map(|()| 0))
}

/// As a call returns it: a number of bytes or -1, with the error set.
pub(crate) fn answer_count(result: Result<usize, Errno>) -> i32 {
    match result {
        Ok(bytes) => i32::try_from(bytes).unwrap_or(i32::MAX),
        Err(error) => {
            set_last(error.raw_os_error());
            SOCKET_ERROR
        }
    }
}

/// As a call returns it: a BOOL, with the error set.
pub(crate) fn answer_bool(result: Result<(), Errno>) -> BOOL {
    BOOL::from(answer(result) == 0)
}

/// The error of a transfer as Winsock names it: a blocking socket has not got anything within its time-out.
pub(crate) fn of_transfer(socket: Socket, result: Result<usize, Errno>) -> Result<usize, Errno> {
    match result {
        Err(Errno::AGAIN) if !front::is_nonblocking(socket) => Err(Errno::TIMEDOUT),
        result => result,
    }
}
