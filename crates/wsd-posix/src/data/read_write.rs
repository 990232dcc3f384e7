//! `read`, `write` and their vector forms.

use std::ffi::{c_int, c_long, c_void};

use libc::{MSG_DONTWAIT, SYS_recvmsg, SYS_sendmsg, iovec, msghdr, off64_t, size_t, ssize_t};
use rustix::io::Errno;
use wsd_switch::front::{self, Socket};

use crate::process::cancel::point;
use crate::slices::{self, MOST_BUFFERS};
use crate::sys::{self, call, checked, next, raw};
use crate::{errno, real};

/// `preadv2`'s offset that means "the current position", and all its flags that mean something (or nothing) on sockets.
const CURRENT: off64_t = -1;
const RWF_NOWAIT: c_int = 8;
const RWF_KNOWN: c_int = 0x1f;
/// The addresses that a program has, in bytes: no buffer is longer.
const ADDRESSES: usize = 1 << 47;

/// # Safety
/// As read(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn read(fd: c_int, data: *mut c_void, length: size_t) -> ssize_t {
    match front::find(fd) {
        // A socket's read of nothing does nothing.
        Some(socket) if length != 0 => {
            // SAFETY: the program's own arguments.
            point(|| unsafe { read_tracked(socket, fd, data, length) })
        }
        // SAFETY: the program's call, unchanged.
        _ => unsafe { next!(read(fd, data, length) or SYS_read(fd, data, length)) },
    }
}

/// # Safety
/// As read(2).
unsafe extern "C" fn read_tracked(socket: Socket, fd: c_int, data: *mut c_void, length: usize) -> ssize_t {
    if length > ADDRESSES {
        return errno::returned(Err(Errno::FAULT));
    }
    // SAFETY: the program's buffer.
    errno::returned(unsafe { slices::target(data, length) }.and_then(|target| {
        front::recv(socket, &mut [target], 0, |_, extra| {
            checked(match extra {
                // SAFETY: the program's own call.
                0 => unsafe { raw!(SYS_read, fd, data, length) },
                // SAFETY: the same with flags.
                _ => unsafe { raw!(SYS_recvfrom, fd, data, length, extra, 0, 0) },
            })
        })
    }))
}

/// # Safety
/// As read(2); `size` is that of the buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __read_chk(
    fd: c_int,
    data: *mut c_void,
    length: size_t,
    size: size_t,
) -> ssize_t {
    if length > size
        && let Some(refuse) = real::NEXT.__read_chk.get()
    {
        // SAFETY: the program's call, unchanged: it ends the program.
        return unsafe { refuse(fd, data, length, size) };
    }
    // SAFETY: the program's call.
    unsafe { read(fd, data, length) }
}

/// # Safety
/// As write(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn write(fd: c_int, data: *const c_void, length: size_t) -> ssize_t {
    match front::find(fd) {
        // SAFETY: the program's own arguments.
        Some(socket) => point(|| unsafe { write_tracked(socket, fd, data, length) }),
        // SAFETY: the program's call, unchanged.
        None => unsafe { next!(write(fd, data, length) or SYS_write(fd, data, length)) },
    }
}

/// # Safety
/// As read(2); the C library's own name for it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __read(fd: c_int, data: *mut c_void, length: size_t) -> ssize_t {
    // SAFETY: the program's call.
    unsafe { read(fd, data, length) }
}

/// # Safety
/// As write(2); the C library's own name for it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __write(fd: c_int, data: *const c_void, length: size_t) -> ssize_t {
    // SAFETY: the program's call.
    unsafe { write(fd, data, length) }
}

/// # Safety
/// As write(2).
unsafe extern "C" fn write_tracked(socket: Socket, fd: c_int, data: *const c_void, length: usize) -> ssize_t {
    if length > ADDRESSES {
        return errno::returned(Err(Errno::FAULT));
    }
    // SAFETY: the program's buffer.
    errno::returned(unsafe { slices::source(data, length) }.and_then(|source| {
        front::send(socket, &[source], 0, |extra| {
            checked(match extra {
                // SAFETY: the program's own call.
                0 => unsafe { raw!(SYS_write, fd, data, length) },
                // SAFETY: the same with flags.
                _ => unsafe { raw!(SYS_sendto, fd, data, length, extra, 0, 0) },
            })
        })
    }))
}

/// Whether the call moves anything; the kernel knows best what to do with one that does not, or is wrong.
///
/// # Safety
/// `list` must be null or point at `count` entries.
unsafe fn moves(list: *const iovec, count: c_int) -> bool {
    // SAFETY: the caller's promise.
    (1..=MOST_BUFFERS as c_int).contains(&count)
        && matches!(unsafe { slices::total(list, count as usize) }, Ok(1..))
}

/// # Safety
/// As readv(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn readv(fd: c_int, list: *const iovec, count: c_int) -> ssize_t {
    match front::find(fd) {
        // SAFETY: the program's own arguments; `moves` checked them.
        Some(socket) if unsafe { moves(list, count) } => point(|| unsafe {
            recv_list(socket, fd, list, count as usize, 0, || raw!(SYS_readv, fd, list, count))
        }),
        // SAFETY: the program's call, unchanged.
        _ => unsafe { next!(readv(fd, list, count) or SYS_readv(fd, list, count)) },
    }
}

/// # Safety
/// As writev(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn writev(fd: c_int, list: *const iovec, count: c_int) -> ssize_t {
    match front::find(fd) {
        // SAFETY: the program's own arguments; `moves` checked them.
        Some(socket) if unsafe { moves(list, count) } => point(|| unsafe {
            send_list(socket, fd, list, count as usize, 0, || raw!(SYS_writev, fd, list, count))
        }),
        // SAFETY: the program's call, unchanged.
        _ => unsafe { next!(writev(fd, list, count) or SYS_writev(fd, list, count)) },
    }
}

/// # Safety
/// As preadv2(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn preadv2(
    fd: c_int,
    list: *const iovec,
    count: c_int,
    offset: off64_t,
    flags: c_int,
) -> ssize_t {
    match front::find(fd) {
        // SAFETY: the program's own arguments; `moves` checked them.
        Some(socket) if offset == CURRENT && flags & !RWF_KNOWN == 0 && unsafe { moves(list, count) } => {
            // SAFETY: the program's own arguments; `moves` checked them.
            point(|| unsafe {
                recv_list(socket, fd, list, count as usize, message_flags(flags), || {
                    raw!(SYS_preadv2, fd, list, count, offset, 0, flags)
                })
            })
        }
        // SAFETY: the program's call, unchanged.
        _ => unsafe {
            next!(preadv2(fd, list, count, offset, flags) or SYS_preadv2(fd, list, count, offset, 0, flags))
        },
    }
}

/// # Safety
/// As preadv2(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn preadv64v2(
    fd: c_int,
    list: *const iovec,
    count: c_int,
    offset: off64_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the same function, where off_t has 64 bits.
    unsafe { preadv2(fd, list, count, offset, flags) }
}

/// # Safety
/// As pwritev2(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn pwritev2(
    fd: c_int,
    list: *const iovec,
    count: c_int,
    offset: off64_t,
    flags: c_int,
) -> ssize_t {
    match front::find(fd) {
        // SAFETY: the program's own arguments; `moves` checked them.
        Some(socket) if offset == CURRENT && flags & !RWF_KNOWN == 0 && unsafe { moves(list, count) } => {
            // SAFETY: the program's own arguments; `moves` checked them.
            point(|| unsafe {
                send_list(socket, fd, list, count as usize, message_flags(flags), || {
                    raw!(SYS_pwritev2, fd, list, count, offset, 0, flags)
                })
            })
        }
        // SAFETY: the program's call, unchanged.
        _ => unsafe {
            next!(pwritev2(fd, list, count, offset, flags) or SYS_pwritev2(fd, list, count, offset, 0, flags))
        },
    }
}

/// # Safety
/// As pwritev2(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn pwritev64v2(
    fd: c_int,
    list: *const iovec,
    count: c_int,
    offset: off64_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the same function, where off_t has 64 bits.
    unsafe { pwritev2(fd, list, count, offset, flags) }
}

/// What `preadv2`'s flags are as flags of `recv`.
fn message_flags(flags: c_int) -> u32 {
    if flags & RWF_NOWAIT != 0 { MSG_DONTWAIT as u32 } else { 0 }
}

/// Receives through the switch; `plain` is the program's own call.
///
/// # Safety
/// `list` must have `count` valid entries, at most `MOST_BUFFERS`.
unsafe extern "C" fn recv_list(
    socket: Socket,
    fd: c_int,
    list: *const iovec,
    count: usize,
    flags: u32,
    plain: impl Fn() -> isize,
) -> ssize_t {
    // SAFETY: the caller's promise; `recvmsg` is made with the program's buffers.
    errno::returned(unsafe {
        slices::with_targets(list, count, |targets| {
            front::recv(socket, targets, flags, |_, extra| {
                with_flags(SYS_recvmsg, fd, list, count, flags, extra, &plain)
            })
        })
    })
}

/// Sends through the switch; `plain` is the program's own call.
///
/// # Safety
/// `list` must have `count` valid entries, at most `MOST_BUFFERS`.
unsafe extern "C" fn send_list(
    socket: Socket,
    fd: c_int,
    list: *const iovec,
    count: usize,
    flags: u32,
    plain: impl Fn() -> isize,
) -> ssize_t {
    // SAFETY: the caller's promise; `sendmsg` is made with the program's buffers.
    errno::returned(unsafe {
        slices::with_sources(list, count, |sources| {
            front::send(socket, sources, flags, |extra| {
                with_flags(SYS_sendmsg, fd, list, count, flags, extra, &plain)
            })
        })
    })
}

/// The program's own call, or, if the switch wants flags that it has no place for, `message` with those: `recvmsg` or `sendmsg`.
///
/// # Safety
/// `list` must have `count` entries that are valid for the call.
unsafe fn with_flags(
    message: c_long,
    fd: c_int,
    list: *const iovec,
    count: usize,
    own: u32,
    extra: u32,
    plain: impl Fn() -> isize,
) -> Result<usize, Errno> {
    if extra == 0 {
        return checked(plain());
    }
    // SAFETY: msghdr is a C struct of numbers and pointers, for which zero is a value.
    let mut header: msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = list.cast_mut();
    header.msg_iovlen = count as _;
    let arguments = [fd as usize, (&raw mut header).expose_provenance(), (own | extra) as usize];
    // SAFETY: the header describes the program's buffers, and has no names and no control data.
    checked(unsafe { call(message, sys::arguments(arguments)) })
}
