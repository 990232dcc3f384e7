//! `poll` and `ppoll`.

use std::ffi::{c_int, c_ulong};
use std::ptr;
use std::time::Duration;

use libc::{pollfd, sigset_t, size_t, timespec};
use wsd_switch::front::{self, Outcome, PollFd, SignalMask};

use super::time;
use crate::errno;
use crate::process::cancel::point;
use crate::real::NEXT;
use crate::sys::{next, raw, returned_int};

/// More entries than any process has descriptors: the kernel refuses it.
const ABSURD: c_ulong = 1 << 26;

/// The result if the switch serves the call.
///
/// # Safety
/// As poll(2).
pub(crate) unsafe extern "C" fn served(
    fds: *mut pollfd,
    count: c_ulong,
    timeout: Option<Duration>,
    mask: Option<&SignalMask>,
) -> Option<c_int> {
    if fds.is_null() || count == 0 || count > ABSURD {
        return None;
    }
    // SAFETY: the program's entries; PollFd has the layout of pollfd.
    let fds = unsafe { std::slice::from_raw_parts_mut(fds.cast::<PollFd>(), count as usize) };
    match front::poll(fds, timeout, mask) {
        Outcome::Served(result) => Some(errno::returned_int(result)),
        Outcome::Pass => None,
    }
}

/// # Safety
/// As poll(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn poll(fds: *mut pollfd, count: c_ulong, timeout: c_int) -> c_int {
    // SAFETY: the program's own arguments.
    if let Some(result) = point(|| unsafe { served(fds, count, time::of_milliseconds(timeout), None) }) {
        return result;
    }
    match NEXT.poll.get() {
        // SAFETY: the program's call, unchanged.
        Some(next) => unsafe { next(fds, count, timeout) },
        None => {
            let limit = time::of_milliseconds(timeout).map(time::timespec);
            let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
            // SAFETY: the same call by its newer name.
            returned_int(unsafe { raw!(SYS_ppoll, fds, count, limit, 0, 0) })
        }
    }
}

/// # Safety
/// As poll(2); the C library's own name for it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __poll(fds: *mut pollfd, count: c_ulong, timeout: c_int) -> c_int {
    // SAFETY: the program's call.
    unsafe { poll(fds, count, timeout) }
}

/// Whether an array of `size` bytes has no room for `count` entries.
fn too_small(count: c_ulong, size: size_t) -> bool {
    size / size_of::<pollfd>() < count as usize
}

/// # Safety
/// As poll(2); `size` is that of the array.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __poll_chk(
    fds: *mut pollfd,
    count: c_ulong,
    timeout: c_int,
    size: size_t,
) -> c_int {
    if too_small(count, size)
        && let Some(refuse) = NEXT.__poll_chk.get()
    {
        // SAFETY: the program's call, unchanged: it ends the program.
        return unsafe { refuse(fds, count, timeout, size) };
    }
    // SAFETY: the program's call.
    unsafe { poll(fds, count, timeout) }
}

/// # Safety
/// As ppoll(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn ppoll(
    fds: *mut pollfd,
    count: c_ulong,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the program's own arguments.
    if let Some(result) = point(|| unsafe { ppoll_served(fds, count, timeout, mask) }) {
        return result;
    }
    // SAFETY: the program's call, unchanged.
    unsafe { next!(ppoll(fds, count, timeout, mask) or SYS_ppoll(fds, count, timeout, mask, 8)) }
}

/// The result of a `ppoll` if the switch serves it.
///
/// # Safety
/// As ppoll(2).
pub(crate) unsafe extern "C" fn ppoll_served(
    fds: *mut pollfd,
    count: c_ulong,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> Option<c_int> {
    // SAFETY: the caller's promise.
    unsafe {
        if !time::valid(timeout) {
            return None;
        }
        served(fds, count, time::duration(timeout), time::mask(mask))
    }
}

/// # Safety
/// As ppoll(2); `size` is that of the array.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __ppoll_chk(
    fds: *mut pollfd,
    count: c_ulong,
    timeout: *const timespec,
    mask: *const sigset_t,
    size: size_t,
) -> c_int {
    if too_small(count, size)
        && let Some(refuse) = NEXT.__ppoll_chk.get()
    {
        // SAFETY: the program's call, unchanged: it ends the program.
        return unsafe { refuse(fds, count, timeout, mask, size) };
    }
    // SAFETY: the program's call.
    unsafe { ppoll(fds, count, timeout, mask) }
}
