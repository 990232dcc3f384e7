//! `epoll`.

use std::ffi::c_int;
use std::time::Duration;

use libc::{EPOLL_CTL_DEL, epoll_event, sigset_t, timespec};
use rustix::io::Errno;
use wsd_switch::front::{self, EpollEvent, Outcome, SignalMask};

use super::time;
use crate::process::cancel::point;
use crate::sys::{next, raw};
use crate::{errno, notice};

/// The kernel's own limit (`EP_MAX_EVENTS`).
const MOST_EVENTS: c_int = c_int::MAX / size_of::<epoll_event>() as c_int;

/// # Safety
/// As epoll_ctl(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn epoll_ctl(
    set: c_int,
    operation: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    if front::find(fd).is_none() {
        notice::watched(fd);
        // SAFETY: the program's call, unchanged.
        return unsafe {
            next!(epoll_ctl(set, operation, fd, event) or SYS_epoll_ctl(set, operation, fd, event))
        };
    }
    // SAFETY: the program's own arguments.
    unsafe { tracked(set, operation, fd, event) }
}

/// `epoll_ctl` for a socket that the switch tracks.
///
/// # Safety
/// As epoll_ctl(2).
unsafe extern "C" fn tracked(set: c_int, operation: c_int, fd: c_int, event: *mut epoll_event) -> c_int {
    let given = match operation {
        EPOLL_CTL_DEL => None,
        // SAFETY: null or the program's event; EpollEvent has its layout.
        _ => match unsafe { event.cast::<EpollEvent>().as_ref() } {
            Some(event) => Some(*event),
            None => return errno::returned_int(Err(Errno::FAULT)),
        },
    };
    let result = notice::epoll_ctl(set, operation, fd, given, |event| {
        wsd_os::poll::epoll_ctl_raw(set, operation, fd, event)
    });
    errno::returned_int(result.map(|()| 0))
}

/// The result if the switch serves the call.
///
/// # Safety
/// As epoll_wait(2).
pub(crate) unsafe extern "C" fn served(
    set: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: Option<Duration>,
    mask: Option<&SignalMask>,
) -> Option<c_int> {
    if events.is_null() || !(1..=MOST_EVENTS).contains(&most) {
        return None;
    }
    // SAFETY: the program's array; EpollEvent has the layout of epoll_event.
    let events = unsafe { std::slice::from_raw_parts_mut(events.cast::<EpollEvent>(), most as usize) };
    match front::epoll_wait(set, events, timeout, mask) {
        Outcome::Served(result) => Some(errno::returned_int(result)),
        Outcome::Pass => None,
    }
}

/// # Safety
/// As epoll_wait(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn epoll_wait(
    set: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: c_int,
) -> c_int {
    // SAFETY: the program's own arguments.
    if let Some(result) = point(|| unsafe { served(set, events, most, time::of_milliseconds(timeout), None) })
    {
        return result;
    }
    // SAFETY: the program's call, unchanged.
    unsafe {
        next!(epoll_wait(set, events, most, timeout) or SYS_epoll_pwait(set, events, most, timeout, 0, 8))
    }
}

/// # Safety
/// As epoll_pwait(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn epoll_pwait(
    set: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: c_int,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the program's own arguments.
    let served =
        point(|| unsafe { served(set, events, most, time::of_milliseconds(timeout), time::mask(mask)) });
    if let Some(result) = served {
        return result;
    }
    // SAFETY: the program's call, unchanged.
    unsafe {
        next!(epoll_pwait(set, events, most, timeout, mask) or SYS_epoll_pwait(set, events, most, timeout, mask, 8))
    }
}

/// # Safety
/// As epoll_pwait2(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn epoll_pwait2(
    set: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the program's own arguments.
    if let Some(result) = point(|| unsafe { pwait2_served(set, events, most, timeout, mask) }) {
        return result;
    }
    // SAFETY: the program's call, unchanged.
    unsafe {
        next!(epoll_pwait2(set, events, most, timeout, mask) or SYS_epoll_pwait2(set, events, most, timeout, mask, 8))
    }
}

/// The result of an `epoll_pwait2` if the switch serves it.
///
/// # Safety
/// As epoll_pwait2(2).
pub(crate) unsafe extern "C" fn pwait2_served(
    set: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> Option<c_int> {
    // SAFETY: the caller's promise.
    unsafe {
        if !time::valid(timeout) {
            return None;
        }
        served(set, events, most, time::duration(timeout), time::mask(mask))
    }
}
