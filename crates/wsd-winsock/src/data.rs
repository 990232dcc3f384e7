//! `send`, `recv` and their forms with a name, which means nothing on a stream.

use std::io::{IoSlice, IoSliceMut};

use windows_sys::Win32::Networking::WinSock::{MSG_OOB, MSG_PEEK, MSG_WAITALL, SOCKADDR, SOCKET};
use wsd_os::Errno;
use wsd_os::thread::outside;
use wsd_switch::front::{self, Event, Socket, Way};

use crate::original;
use crate::result::{answer_count, count, of_transfer, tracked};

/// Linux's values of the flags, by which the switch knows them.
mod known {
    pub(super) const OOB: u32 = 0x1;
    pub(super) const PEEK: u32 = 0x2;
    pub(super) const WAITALL: u32 = 0x100;
    pub(super) const NOSIGNAL: u32 = 0x4000;
}

/// As the switch knows them.
pub(crate) fn flags_of(flags: u32) -> u32 {
    let one = |flag: i32, known| if flags & flag as u32 != 0 { known } else { 0 };
    one(MSG_OOB, known::OOB) | one(MSG_PEEK, known::PEEK) | one(MSG_WAITALL, known::WAITALL) | known::NOSIGNAL
}

/// Sends on a tracked socket, behind the operations that are pending.
pub(crate) fn send_tracked(
    socket: Socket,
    data: &[IoSlice<'_>],
    flags: u32,
    mut kernel: impl FnMut() -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let send = |_turn| front::send(socket, data, flags_of(flags), |_| outside(&mut kernel));
    let result = of_transfer(socket, front::turn(socket, Way::Send).and_then(send));
    if result == Err(Errno::AGAIN) {
        front::enable(socket, Event::Write);
    }
    result
}

/// Receives on a tracked socket, behind the operations that are pending.
pub(crate) fn recv_tracked(
    socket: Socket,
    data: &mut [IoSliceMut<'_>],
    flags: u32,
    mut kernel: impl FnMut() -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let recv = |_turn| front::recv(socket, data, flags_of(flags), |_, _| outside(&mut kernel));
    let result = of_transfer(socket, front::turn(socket, Way::Receive).and_then(recv));
    front::enable(socket, Event::Read);
    result
}

/// What the program sends.
///
/// # Safety
///
/// `length` bytes can be read, for `'a`.
unsafe fn source<'a>(data: *const u8, length: i32) -> Result<IoSlice<'a>, Errno> {
    let length = usize::try_from(length).map_err(|_| Errno::FAULT)?;
    match data.is_null() {
        true if length != 0 => Err(Errno::FAULT),
        true => Ok(IoSlice::new(&[])),
        // SAFETY: the contract.
        false => Ok(IoSlice::new(unsafe { core::slice::from_raw_parts(data, length) })),
    }
}

/// Where the program receives.
///
/// # Safety
///
/// `length` bytes can be written by the caller alone, for `'a`.
unsafe fn target<'a>(data: *mut u8, length: i32) -> Result<IoSliceMut<'a>, Errno> {
    let length = usize::try_from(length).map_err(|_| Errno::FAULT)?;
    match data.is_null() {
        true if length != 0 => Err(Errno::FAULT),
        true => Ok(IoSliceMut::new(&mut [])),
        // SAFETY: the contract.
        false => Ok(IoSliceMut::new(unsafe { core::slice::from_raw_parts_mut(data, length) })),
    }
}

/// # Safety
/// As send.
pub(crate) unsafe extern "system" fn send(socket: SOCKET, data: *const u8, length: i32, flags: i32) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel = || unsafe { original::send(socket, data, length, flags) };
    let serve = |found| {
        // SAFETY: the program's buffer.
        unsafe { source(data, length) }
            .and_then(|data| send_tracked(found, &[data], flags as u32, || count(kernel())))
    };
    tracked(socket, |found, _| answer_count(serve(found))).unwrap_or_else(kernel)
}

/// # Safety
/// As recv.
pub(crate) unsafe extern "system" fn recv(socket: SOCKET, data: *mut u8, length: i32, flags: i32) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel = || unsafe { original::recv(socket, data, length, flags) };
    let serve = |found| {
        // SAFETY: the program's buffer.
        unsafe { target(data, length) }
            .and_then(|data| recv_tracked(found, &mut [data], flags as u32, || count(kernel())))
    };
    tracked(socket, |found, _| answer_count(serve(found))).unwrap_or_else(kernel)
}

/// # Safety
/// As sendto.
pub(crate) unsafe extern "system" fn sendto(
    socket: SOCKET,
    data: *const u8,
    length: i32,
    flags: i32,
    name: *const SOCKADDR,
    name_length: i32,
) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel = || unsafe { original::sendto(socket, data, length, flags, name, name_length) };
    let serve = |found| {
        // SAFETY: the program's buffer.
        unsafe { source(data, length) }
            .and_then(|data| send_tracked(found, &[data], flags as u32, || count(kernel())))
    };
    tracked(socket, |found, _| answer_count(serve(found))).unwrap_or_else(kernel)
}

/// # Safety
/// As recvfrom.
pub(crate) unsafe extern "system" fn recvfrom(
    socket: SOCKET,
    data: *mut u8,
    length: i32,
    flags: i32,
    name: *mut SOCKADDR,
    name_length: *mut i32,
) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel = || unsafe { original::recvfrom(socket, data, length, flags, name, name_length) };
    let serve = |found| {
        // SAFETY: the program's buffer.
        unsafe { target(data, length) }
            .and_then(|data| recv_tracked(found, &mut [data], flags as u32, || count(kernel())))
    };
    tracked(socket, |found, _| answer_count(serve(found))).unwrap_or_else(kernel)
}
