//! `sendfile` to a tracked socket: the file's bytes go the way that the socket's other bytes go.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;

use libc::{SEEK_CUR, SEEK_SET, off64_t, size_t, ssize_t};
use rustix::io::Errno;
use wsd_switch::front::{self, Socket};

use crate::errno;
use crate::slices::{self, MOST};
use crate::sys::{checked, next, raw};

/// How much of the file is read at a time.
const CHUNK: usize = 64 * 1024;

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
#[inline(never)]
unsafe fn send_from(
    socket: Socket,
    to: c_int,
    from: c_int,
    begin: off64_t,
    count: usize,
) -> (usize, Result<(), Errno>) {
    let mut chunk = MaybeUninit::<[u8; CHUNK]>::uninit();
    let data: *mut c_void = chunk.as_mut_ptr().cast();
    let mut sent = 0;
    while sent < count {
        let wanted = CHUNK.min(count - sent);
        // SAFETY: `chunk` has room for `wanted` bytes.
        let step = checked(unsafe { raw!(SYS_pread64, from, data, wanted, begin + sent as off64_t) })
            .map_err(|error| if error == Errno::SPIPE { Errno::INVAL } else { error })
            // SAFETY: the kernel has just filled `got` bytes.
            .and_then(|got| Ok((got, unsafe { slices::source(data, got) }?)));
        let (got, source) = match step {
            Ok((0, _)) => break,
            Ok(step) => step,
            Err(error) => return (sent, Err(error)),
        };
        let result = front::send(socket, &[source], 0, |extra| {
            // SAFETY: sends what was read.
            checked(unsafe { raw!(SYS_sendto, to, data, got, extra, 0, 0) })
        });
        match result {
            Ok(some) => {
                sent += some;
                if some < got {
                    break;
                }
            }
            Err(error) => return (sent, Err(error)),
        }
    }
    (sent, Ok(()))
}
