//! Socket options and `ioctl`.

use std::ffi::{c_int, c_ulong, c_void};

use libc::{
    FIOASYNC, FIONBIO, FIONREAD, IPPROTO_TCP, SO_ATTACH_BPF, SO_ATTACH_FILTER, SO_ERROR, SO_TIMESTAMP,
    SO_TIMESTAMPING, SO_TIMESTAMPNS, SO_ZEROCOPY, SOL_SOCKET, TCP_REPAIR, TCP_ULP, TIOCOUTQ, socklen_t,
};
use rustix::io::Errno;
use wsd_switch::front::{self, Socket};
use wsd_switch::reason::Reason;

use crate::sys::{next, raw};
use crate::{errno, notice};

/// Options that the libc crate does not name.
const TCP_ZEROCOPY_RECEIVE: c_int = 35;
const SO_TIMESTAMP_NEW: c_int = 63;
const SO_TIMESTAMPNS_NEW: c_int = 64;
const SO_TIMESTAMPING_NEW: c_int = 65;
/// Requests of `ioctl` about sockets, by their numbers in linux/sockios.h.
const FIOSETOWN: c_ulong = 0x8901;
const SIOCSPGRP: c_ulong = 0x8902;
const SIOCATMARK: c_ulong = 0x8905;
const SIOCOUTQNSD: c_ulong = 0x894b;

/// # Safety
/// As getsockopt(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
) -> c_int {
    if let Some(socket) = front::find(fd) {
        if level == IPPROTO_TCP && name == TCP_ZEROCOPY_RECEIVE {
            // A connection that had to be given up: the call tells it.
            let _ = notice::leave(fd, Reason::KernelOption);
        }
        // SAFETY: the program's own pointers.
        if level == SOL_SOCKET && name == SO_ERROR && unsafe { pending_error(socket, value, length) } {
            return 0;
        }
    }
    // SAFETY: the program's call, unchanged.
    unsafe {
        next!(getsockopt(fd, level, name, value, length) or SYS_getsockopt(fd, level, name, value, length))
    }
}

/// Answers `SO_ERROR`, if the switch has an error to tell.
///
/// # Safety
/// As getsockopt(2).
unsafe extern "C" fn pending_error(socket: Socket, value: *mut c_void, length: *mut socklen_t) -> bool {
    if value.is_null() || length.is_null() {
        return false;
    }
    // SAFETY: the program's pointer.
    let room = unsafe { length.read_unaligned() } as i32;
    if room < 0 {
        return false;
    }
    let Some(error) = front::take_error(socket) else { return false };
    let bytes = error.raw_os_error().to_ne_bytes();
    let written = bytes.len().min(room as usize);
    // SAFETY: the program's buffer has `room` bytes.
    unsafe {
        value.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), written);
        length.write_unaligned(written as socklen_t);
    }
    true
}

/// # Safety
/// As setsockopt(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn setsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    length: socklen_t,
) -> c_int {
    let socket = front::find(fd);
    if socket.is_some()
        && is_kernels(level, name)
        && notice::leave(fd, Reason::KernelOption) == Err(Errno::OPNOTSUPP)
    {
        // A connection of the SAN. Of one that had to be given up the program learns from its next call on it.
        return errno::returned_int(Err(Errno::OPNOTSUPP));
    }
    // SAFETY: the program's call, unchanged.
    let result = unsafe {
        next!(setsockopt(fd, level, name, value, length) or SYS_setsockopt(fd, level, name, value, length))
    };
    if let Some(socket) = socket
        && result == 0
    {
        notice::option_changed(socket, level, name);
    }
    result
}

/// Whether the option is about something that only kernel TCP has.
fn is_kernels(level: c_int, name: c_int) -> bool {
    match level {
        SOL_SOCKET => matches!(
            name,
            SO_ZEROCOPY
                | SO_ATTACH_FILTER
                | SO_ATTACH_BPF
                | SO_TIMESTAMP
                | SO_TIMESTAMPNS
                | SO_TIMESTAMPING
                | SO_TIMESTAMP_NEW
                | SO_TIMESTAMPNS_NEW
                | SO_TIMESTAMPING_NEW
        ),
        IPPROTO_TCP => matches!(name, TCP_ULP | TCP_REPAIR),
        _ => false,
    }
}

/// # Safety
/// As sockatmark(3).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockatmark(fd: c_int) -> c_int {
    let mut answer: c_int = 0;
    // SAFETY: the request writes one int.
    match unsafe { ioctl(fd, SIOCATMARK, (&raw mut answer).expose_provenance()) } {
        -1 => -1,
        _ => answer,
    }
}

/// The one argument of ioctl(2) beside the request is declared as a number here: see the crate's rules on variadic functions.
///
/// # Safety
/// As ioctl(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn ioctl(fd: c_int, request: c_ulong, argument: usize) -> c_int {
    let Some(socket) = front::find(fd) else {
        // SAFETY: the program's call, unchanged.
        return unsafe { next!(ioctl(fd, request, argument) or SYS_ioctl(fd, request, argument)) };
    };
    // SAFETY: the program's own argument.
    if let Some(result) = unsafe { ioctl_tracked(socket, fd, request, argument) } {
        return result;
    }
    // SAFETY: the program's call, unchanged.
    let result = unsafe { next!(ioctl(fd, request, argument) or SYS_ioctl(fd, request, argument)) };
    if result == 0 && request & 0xffff_ffff == FIONBIO {
        // SAFETY: the kernel has just read an int there.
        let on = unsafe { std::ptr::with_exposed_provenance::<c_int>(argument).read_unaligned() } != 0;
        notice::nonblocking_changed(socket, on);
    }
    result
}

/// Answers what the switch knows better than the kernel.
///
/// # Safety
/// As ioctl(2).
unsafe extern "C" fn ioctl_tracked(
    socket: Socket,
    fd: c_int,
    request: c_ulong,
    argument: usize,
) -> Option<c_int> {
    // The kernel looks at 32 bits.
    let answer = match request & 0xffff_ffff {
        FIONREAD => front::readable_bytes(socket).map(|bytes| c_int::try_from(bytes).unwrap_or(c_int::MAX)),
        TIOCOUTQ | SIOCOUTQNSD => {
            front::unsent_bytes(socket).map(|bytes| c_int::try_from(bytes).unwrap_or(c_int::MAX))
        }
        SIOCATMARK => front::at_mark(socket).map(c_int::from),
        FIOASYNC | FIOSETOWN | SIOCSPGRP => {
            // Signals about arriving data come from the kernel's TCP.
            if notice::leave(fd, Reason::KernelOption) == Err(Errno::OPNOTSUPP) {
                return Some(errno::returned_int(Err(Errno::OPNOTSUPP)));
            }
            None
        }
        _ => None,
    }?;
    if argument == 0 {
        return Some(errno::returned_int(Err(Errno::FAULT)));
    }
    // SAFETY: the program's pointer to an int.
    unsafe { std::ptr::with_exposed_provenance_mut::<c_int>(argument).write_unaligned(answer) };
    Some(0)
}
