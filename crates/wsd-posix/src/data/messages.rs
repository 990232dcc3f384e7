//! `sendmsg`, `recvmsg` and their forms for several messages.

use std::ffi::{c_int, c_uint};
use std::time::{Duration, Instant};

use libc::{
    MSG_CMSG_CLOEXEC, MSG_DONTWAIT, MSG_ERRQUEUE, MSG_OOB, MSG_WAITFORONE, mmsghdr, msghdr, ssize_t, timespec,
};
use rustix::io::Errno;
use wsd_switch::front::{self, Socket};
use wsd_switch::reason::Reason;

use super::send_recv::fast_opened;
use crate::descriptors::pass;
use crate::process::cancel::point;
use crate::slices::{self, MOST_BUFFERS};
use crate::sys::{checked, next, raw};
use crate::wait::time;
use crate::{errno, notice};

/// # Safety
/// As recvmsg(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    match front::find(fd) {
        Some(socket) if !message.is_null() => {
            // SAFETY: the program's own arguments.
            point(|| unsafe { recvmsg_tracked(socket, fd, message, flags) })
        }
        _ => {
            // SAFETY: the program's call, unchanged.
            let result = unsafe { next!(recvmsg(fd, message, flags) or SYS_recvmsg(fd, message, flags)) };
            if result >= 0 {
                // SAFETY: the kernel has just filled the message.
                unsafe { pass::received(message) };
            }
            result
        }
    }
}

/// # Safety
/// As recvmsg(2).
unsafe extern "C" fn recvmsg_tracked(
    socket: Socket,
    fd: c_int,
    message: *mut msghdr,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the program's own arguments.
    errno::returned(unsafe { recv_message(socket, fd, &mut *message, flags) })
}

/// Receives one message.
///
/// # Safety
/// `message` must be as recvmsg(2) wants it.
unsafe fn recv_message(
    socket: Socket,
    fd: c_int,
    message: &mut msghdr,
    flags: c_int,
) -> Result<usize, Errno> {
    if message.msg_iovlen > MOST_BUFFERS {
        return Err(Errno::MSGSIZE);
    }
    let mut by_kernel = false;
    let address = &raw mut *message;
    // SAFETY: the program's buffers, and its own call with more flags.
    let received = unsafe {
        slices::with_targets(message.msg_iov, message.msg_iovlen, |targets| {
            front::recv(socket, targets, flags as u32, |_, extra| {
                by_kernel = true;
                checked(raw!(SYS_recvmsg, fd, address, flags as u32 | extra))
            })
        })
    }?;
    if !by_kernel {
        // A stream has neither addresses nor, in the switch, control messages.
        if !message.msg_name.is_null() {
            message.msg_namelen = 0;
        }
        message.msg_controllen = 0;
        message.msg_flags = flags & (MSG_CMSG_CLOEXEC | MSG_OOB);
    }
    Ok(received)
}

/// # Safety
/// As sendmsg(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    match front::find(fd) {
        Some(socket) if !message.is_null() => {
            // SAFETY: the program's own arguments.
            point(|| unsafe { sendmsg_tracked(socket, fd, message, flags) })
        }
        _ => {
            // SAFETY: the program's own message.
            unsafe { pass::sending(message) };
            // SAFETY: the program's call, unchanged.
            unsafe { next!(sendmsg(fd, message, flags) or SYS_sendmsg(fd, message, flags)) }
        }
    }
}

/// # Safety
/// As sendmsg(2).
unsafe extern "C" fn sendmsg_tracked(
    socket: Socket,
    fd: c_int,
    message: *const msghdr,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the program's own arguments.
    errno::returned(unsafe { send_message(socket, fd, &*message, flags) })
}

/// Sends one message.
///
/// # Safety
/// `message` must be as sendmsg(2) wants it.
unsafe fn send_message(socket: Socket, fd: c_int, message: &msghdr, flags: c_int) -> Result<usize, Errno> {
    if message.msg_iovlen > MOST_BUFFERS {
        return Err(Errno::MSGSIZE);
    }
    if message.msg_controllen != 0 {
        // Time stamps and the like, which only the kernel makes.
        notice::leave(fd, Reason::KernelCall)?;
    }
    let address = &raw const *message;
    // SAFETY: the program's buffers, and its own call with more flags.
    let result = unsafe {
        slices::with_sources(message.msg_iov, message.msg_iovlen, |sources| {
            front::send(socket, sources, flags as u32, |extra| {
                checked(raw!(SYS_sendmsg, fd, address, flags as u32 | extra))
            })
        })
    };
    fast_opened(socket, flags, result);
    result
}

/// # Safety
/// As recvmmsg(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn recvmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> c_int {
    match front::find(fd) {
        // The error queue is the kernel's, and so is finding a wrong time-out wrong.
        Some(socket)
            if flags & MSG_ERRQUEUE == 0
                && !messages.is_null()
                // SAFETY: null or the program's time.
                && unsafe { time::valid(timeout) } =>
        {
            // SAFETY: the program's own arguments.
            point(|| unsafe { recvmmsg_tracked(socket, fd, messages, count, flags, timeout) })
        }
        _ => {
            // SAFETY: the program's call, unchanged.
            let received = unsafe {
                next!(recvmmsg(fd, messages, count, flags, timeout)
                    or SYS_recvmmsg(fd, messages, count, flags, timeout))
            };
            for i in 0..usize::try_from(received).unwrap_or(0) {
                // SAFETY: the kernel has just filled these messages.
                unsafe { pass::received(&raw mut (*messages.add(i)).msg_hdr) };
            }
            received
        }
    }
}

/// # Safety
/// As recvmmsg(2), with a valid time-out.
unsafe extern "C" fn recvmmsg_tracked(
    socket: Socket,
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    mut flags: c_int,
    timeout: *mut timespec,
) -> c_int {
    // The flags' own bit is not known to recvmsg.
    let one = flags & MSG_WAITFORONE != 0;
    flags &= !MSG_WAITFORONE;
    // SAFETY: null or valid.
    let limit = unsafe { time::duration(timeout) }.map(|limit| (Instant::now(), limit));
    let mut received = 0;
    while received < count {
        // SAFETY: `count` messages are there.
        let message = unsafe { &mut *messages.add(received as usize) };
        // SAFETY: as recvmsg.
        match unsafe { recv_message(socket, fd, &mut message.msg_hdr, flags) } {
            Ok(length) => message.msg_len = length as c_uint,
            // What was received counts; the kernel keeps the error of a socket until the next call.
            Err(_) if received > 0 => break,
            Err(error) => return errno::returned_int(Err(error)),
        }
        received += 1;
        if one {
            flags |= MSG_DONTWAIT;
        }
        if let Some((begin, limit)) = limit {
            let left = limit.saturating_sub(begin.elapsed());
            // SAFETY: the program gave a time-out.
            unsafe { timeout.write(time::timespec(left)) };
            if left == Duration::ZERO {
                break;
            }
        }
        if message.msg_hdr.msg_flags & MSG_OOB != 0 {
            break;
        }
    }
    received as c_int
}

/// # Safety
/// As sendmmsg(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sendmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> c_int {
    match front::find(fd) {
        Some(socket) if !messages.is_null() => {
            // SAFETY: the program's own arguments.
            point(|| unsafe { sendmmsg_tracked(socket, fd, messages, count, flags) })
        }
        _ => {
            for i in 0..(count as usize).min(MOST_BUFFERS) {
                if messages.is_null() {
                    break;
                }
                // SAFETY: the program's own messages; the kernel takes at most this many.
                unsafe { pass::sending(&raw const (*messages.add(i)).msg_hdr) };
            }
            // SAFETY: the program's call, unchanged.
            unsafe { next!(sendmmsg(fd, messages, count, flags) or SYS_sendmmsg(fd, messages, count, flags)) }
        }
    }
}

/// # Safety
/// As sendmmsg(2).
unsafe extern "C" fn sendmmsg_tracked(
    socket: Socket,
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> c_int {
    let count = (count as usize).min(MOST_BUFFERS);
    let mut sent = 0;
    while sent < count {
        // SAFETY: `count` messages are there.
        let message = unsafe { &mut *messages.add(sent) };
        // SAFETY: as sendmsg.
        match unsafe { send_message(socket, fd, &message.msg_hdr, flags) } {
            Ok(length) => message.msg_len = length as c_uint,
            Err(_) if sent > 0 => break,
            Err(error) => return errno::returned_int(Err(error)),
        }
        sent += 1;
        // SAFETY: the program's list, which the send has just read.
        let whole = unsafe { slices::total(message.msg_hdr.msg_iov, message.msg_hdr.msg_iovlen) };
        if whole != Ok(message.msg_len as usize) {
            break;
        }
    }
    sent as c_int
}

/// # Safety
/// As sendmmsg(2); the C library's own name for it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __sendmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> c_int {
    // SAFETY: the program's call.
    unsafe { sendmmsg(fd, messages, count, flags) }
}
