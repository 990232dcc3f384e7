//! `sendfile` to a tracked socket: the file's bytes go the way that the socket's other bytes go.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;

use libc::{SEEK_CUR, SEEK_SET, off64_t, size_t, ssize_t};
use rustix::io::Errno;
use wsd_switch::front::{self, Socket};

use crate::errno;
use crate::slices::{self, MOST};
use crate::sys::{checked, next, raw};

/// How much of the file is read at a time for a connection that is in a ring.
const CHUNK: usize = 64 * 1024;
/// How much the kernel sends at a time, so that a connection can leave TCP in the middle of a long file.
const STRETCH: usize = 1024 * 1024;

/// # Safety
/// As sendfile(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sendfile64(
    to: c_int,
    from: c_int,
    offset: *mut off64_t,
    count: size_t,
) -> ssize_t {
    match front::find(to) {
        // SAFETY: the program's own arguments.
        Some(socket) if count != 0 => unsafe { sendfile_tracked(socket, to, from, offset, count) },
        // SAFETY: the program's call, unchanged.
        _ => unsafe { next!(sendfile64(to, from, offset, count) or SYS_sendfile(to, from, offset, count)) },
    }
}

/// # Safety
/// As sendfile(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sendfile(
    to: c_int,
    from: c_int,
    offset: *mut off64_t,
    count: size_t,
) -> ssize_t {
    // SAFETY: the same function, where off_t has 64 bits.
    unsafe { sendfile64(to, from, offset, count) }
}

/// # Safety
/// As sendfile(2).
unsafe extern "C" fn sendfile_tracked(
    socket: Socket,
    to: c_int,
    from: c_int,
    offset: *mut off64_t,
    count: usize,
) -> ssize_t {
    // SAFETY: the program's own arguments.
    errno::returned(unsafe { copy(socket, to, from, offset, count.min(MOST)) })
}

/// # Safety
/// As sendfile(2).
unsafe fn copy(
    socket: Socket,
    to: c_int,
    from: c_int,
    offset: *mut off64_t,
    count: usize,
) -> Result<usize, Errno> {
    let begin = if offset.is_null() {
        // SAFETY: moves nothing. What has no position cannot be sent from, as in the kernel.
        checked(unsafe { raw!(SYS_lseek, from, 0, SEEK_CUR) })
            .map_err(|error| if error == Errno::SPIPE { Errno::INVAL } else { error })? as off64_t
    } else {
        // SAFETY: the program's pointer.
        unsafe { offset.read() }
    };
    if begin < 0 {
        return Err(Errno::INVAL);
    }
    // SAFETY: `from` is only read.
    let (sent, result) = unsafe { send_from(socket, to, from, begin, count) };
    let end = begin + sent as off64_t;
    if !offset.is_null() {
        // SAFETY: the program's pointer.
        unsafe { offset.write(end) };
    } else if sent > 0 {
        // SAFETY: sets the position, as sendfile does.
        checked(unsafe { raw!(SYS_lseek, from, end, SEEK_SET) })?;
    }
    if sent > 0 { Ok(sent) } else { result.map(|()| 0) }
}

/// Sends `count` bytes of `from` from `begin` on, fewer at the end of the file or when the socket takes no more. Returns how
/// many, and what stopped it.
///
/// # Safety
/// `from` must be a descriptor to read from.
unsafe fn send_from(
    socket: Socket,
    to: c_int,
    from: c_int,
    begin: off64_t,
    count: usize,
) -> (usize, Result<(), Errno>) {
    let mut sent = 0;
    while sent < count {
        let mut at = begin + sent as off64_t;
        let stretch = STRETCH.min(count - sent);
        // SAFETY: `at` is a local variable.
        let by_kernel = || checked(unsafe { raw!(SYS_sendfile, to, from, &raw mut at, stretch) });
        let step = match front::send_by_kernel(socket, by_kernel) {
            Some(result) => result.map(|some| (some, stretch)),
            // SAFETY: the caller's promise.
            None => unsafe { send_chunk(socket, to, from, at, CHUNK.min(count - sent)) },
        };
        match step {
            Ok((some, wanted)) => {
                sent += some;
                if some < wanted || some == 0 {
                    break;
                }
            }
            Err(error) => return (sent, Err(error)),
        }
    }
    (sent, Ok(()))
}

/// Sends a piece of `from` that is read first. Returns how much was sent, and how much there was.
///
/// # Safety
/// `from` must be a descriptor to read from; `wanted` at most `CHUNK`.
#[inline(never)]
unsafe fn send_chunk(
    socket: Socket,
    to: c_int,
    from: c_int,
    at: off64_t,
    wanted: usize,
) -> Result<(usize, usize), Errno> {
    let mut chunk = MaybeUninit::<[u8; CHUNK]>::uninit();
    let data: *mut c_void = chunk.as_mut_ptr().cast();
    // SAFETY: `chunk` has room for `wanted` bytes.
    let got = checked(unsafe { raw!(SYS_pread64, from, data, wanted, at) })
        .map_err(|error| if error == Errno::SPIPE { Errno::INVAL } else { error })?;
    if got == 0 {
        return Ok((0, 0));
    }
    // SAFETY: the kernel has just filled `got` bytes.
    let source = unsafe { slices::source(data, got) }?;
    let sent = front::send(socket, &[source], 0, |extra| {
        // SAFETY: sends what was read.
        checked(unsafe { raw!(SYS_sendto, to, data, got, extra, 0, 0) })
    })?;
    Ok((sent, got))
}
