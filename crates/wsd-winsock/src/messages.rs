//! `WSASend` and `WSARecv`, and what comes to them.

use std::io::{IoSlice, IoSliceMut};

use windows_sys::Win32::Networking::WinSock::{
    LPWSAOVERLAPPED_COMPLETION_ROUTINE, SOCKADDR, SOCKET, WSABUF, WSAMSG,
};
use windows_sys::Win32::System::IO::OVERLAPPED;
use wsd_os::Errno;
use wsd_switch::front::{self, Way};

use crate::data::{recv_tracked, send_tracked};
use crate::notice::Routine;
use crate::original;
use crate::overlapped::Transfer;
use crate::result::{answer, done, number, tracked};

/// What the program sends.
///
/// # Safety
///
/// `count` buffers, which can be read, for `'a`.
pub(crate) unsafe fn sources<'a>(buffers: *const WSABUF, count: u32) -> Result<Vec<IoSlice<'a>>, Errno> {
    if buffers.is_null() {
        return Err(Errno::FAULT);
    }
    // SAFETY: the contract.
    let buffers = unsafe { core::slice::from_raw_parts(buffers, count as usize) };
    let of = |buffer: &WSABUF| match (buffer.buf.is_null(), buffer.len) {
        (_, 0) => Ok(IoSlice::new(&[])),
        (true, _) => Err(Errno::FAULT),
        // SAFETY: the contract.
        (false, len) => Ok(IoSlice::new(unsafe { core::slice::from_raw_parts(buffer.buf, len as usize) })),
    };
    buffers.iter().map(of).collect()
}

/// Where the program receives.
///
/// # Safety
///
/// `count` buffers, which can be written by the caller alone, for `'a`.
pub(crate) unsafe fn targets<'a>(buffers: *const WSABUF, count: u32) -> Result<Vec<IoSliceMut<'a>>, Errno> {
    if buffers.is_null() {
        return Err(Errno::FAULT);
    }
    // SAFETY: the contract.
    let buffers = unsafe { core::slice::from_raw_parts(buffers, count as usize) };
    let of = |buffer: &WSABUF| match (buffer.buf.is_null(), buffer.len) {
        (_, 0) => Ok(IoSliceMut::new(&mut [])),
        (true, _) => Err(Errno::FAULT),
        (false, len) => {
            // SAFETY: the contract.
            Ok(IoSliceMut::new(unsafe { core::slice::from_raw_parts_mut(buffer.buf, len as usize) }))
        }
    };
    buffers.iter().map(of).collect()
}

/// # Safety
/// As WSASend.
pub(crate) unsafe extern "system" fn wsa_send(
    socket: SOCKET,
    buffers: *const WSABUF,
    count: u32,
    sent: *mut u32,
    flags: u32,
    overlapped: *mut OVERLAPPED,
    routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel =
        |sent| unsafe { original::WSASend(socket, buffers, count, sent, flags, overlapped, routine) };
    if !overlapped.is_null() {
        let begin = |found| {
            // SAFETY: the program's own arguments, which are the operation's until it is over.
            unsafe {
                Transfer::new(found, Way::Send, buffers, count, flags, overlapped, Routine::Winsock(routine))
            }
            .and_then(|transfer| transfer.begin(found))
        };
        // SAFETY: the program's place for it.
        let begun =
            tracked(socket, |found, _| answer(begin(found).map(|bytes| unsafe { told(sent, bytes) })));
        return begun.unwrap_or_else(|| kernel(sent));
    }
    let by_kernel = || {
        let mut bytes = 0;
        done(kernel(&raw mut bytes)).map(|()| bytes as usize)
    };
    let serve = |found| {
        // SAFETY: the program's buffers.
        unsafe { sources(buffers, count) }.and_then(|data| send_tracked(found, &data, flags, by_kernel))
    };
    // SAFETY: the program's place for it.
    let served = tracked(socket, |found, _| answer(serve(found).map(|bytes| unsafe { told(sent, bytes) })));
    served.unwrap_or_else(|| kernel(sent))
}

/// # Safety
/// As WSARecv.
pub(crate) unsafe extern "system" fn wsa_recv(
    socket: SOCKET,
    buffers: *const WSABUF,
    count: u32,
    received: *mut u32,
    flags: *mut u32,
    overlapped: *mut OVERLAPPED,
    routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel =
        |received| unsafe { original::WSARecv(socket, buffers, count, received, flags, overlapped, routine) };
    if !overlapped.is_null() {
        let begin = |found| {
            // SAFETY: the program's place for them, or null.
            let wanted = unsafe { flags.as_ref() }.copied().ok_or(Errno::FAULT)?;
            // SAFETY: the program's own arguments, which are the operation's until it is over.
            unsafe {
                Transfer::new(
                    found,
                    Way::Receive,
                    buffers,
                    count,
                    wanted,
                    overlapped,
                    Routine::Winsock(routine),
                )
            }
            .and_then(|transfer| transfer.begin(found))
        };
        // SAFETY: the program's place for it.
        let begun =
            tracked(socket, |found, _| answer(begin(found).map(|bytes| unsafe { told(received, bytes) })));
        return begun.unwrap_or_else(|| kernel(received));
    }
    let by_kernel = || {
        let mut bytes = 0;
        done(kernel(&raw mut bytes)).map(|()| bytes as usize)
    };
    let serve = |found| {
        // SAFETY: the program's place for them, or null.
        let wanted = unsafe { flags.as_ref() }.copied().ok_or(Errno::FAULT)?;
        // SAFETY: the program's buffers.
        let mut data = unsafe { targets(buffers, count) }?;
        recv_tracked(found, &mut data, wanted, by_kernel)
    };
    // SAFETY: the program's place for it.
    let served =
        tracked(socket, |found, _| answer(serve(found).map(|bytes| unsafe { told(received, bytes) })));
    served.unwrap_or_else(|| kernel(received))
}

/// # Safety
/// As WSASendTo; a name means nothing on a stream.
pub(crate) unsafe extern "system" fn wsa_send_to(
    socket: SOCKET,
    buffers: *const WSABUF,
    count: u32,
    sent: *mut u32,
    flags: u32,
    name: *const SOCKADDR,
    name_length: i32,
    overlapped: *mut OVERLAPPED,
    routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
) -> i32 {
    // SAFETY: the program's own arguments.
    unsafe {
        if is_stream(socket) {
            return wsa_send(socket, buffers, count, sent, flags, overlapped, routine);
        }
        original::WSASendTo(socket, buffers, count, sent, flags, name, name_length, overlapped, routine)
    }
}

/// # Safety
/// As WSARecvFrom; a name means nothing on a stream.
pub(crate) unsafe extern "system" fn wsa_recv_from(
    socket: SOCKET,
    buffers: *const WSABUF,
    count: u32,
    received: *mut u32,
    flags: *mut u32,
    name: *mut SOCKADDR,
    name_length: *mut i32,
    overlapped: *mut OVERLAPPED,
    routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
) -> i32 {
    // SAFETY: the program's own arguments.
    unsafe {
        if is_stream(socket) {
            return wsa_recv(socket, buffers, count, received, flags, overlapped, routine);
        }
        original::WSARecvFrom(socket, buffers, count, received, flags, name, name_length, overlapped, routine)
    }
}

/// # Safety
/// As WSASendMsg; there is no control data on a stream.
pub(crate) unsafe extern "system" fn wsa_send_msg(
    socket: SOCKET,
    message: *const WSAMSG,
    flags: u32,
    sent: *mut u32,
    overlapped: *mut OVERLAPPED,
    routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
) -> i32 {
    // SAFETY: the program's own arguments.
    unsafe {
        if is_stream(socket)
            && let Some(message) = message.as_ref()
        {
            return wsa_send(
                socket,
                message.lpBuffers,
                message.dwBufferCount,
                sent,
                flags,
                overlapped,
                routine,
            );
        }
        original::WSASendMsg(socket, message, flags, sent, overlapped, routine)
    }
}

/// Whether the switch tracks the socket.
pub(crate) fn is_stream(socket: SOCKET) -> bool {
    front::find(number(socket)).is_some()
}

/// Tells the program how much was moved.
///
/// # Safety
///
/// `place` is null, or can be written.
pub(crate) unsafe fn told(place: *mut u32, bytes: usize) {
    if !place.is_null() {
        // SAFETY: the contract.
        unsafe { place.write_unaligned(bytes as u32) };
    }
}
