//! Time-outs in the forms that the calls have.

use std::ffi::c_int;
use std::time::Duration;

use libc::{sigset_t, timespec, timeval};
use wsd_switch::front::SignalMask;

const NANOS: i64 = 1_000_000_000;
const MICROS: i64 = 1_000_000;

/// Whether the kernel would accept the time-out.
///
/// # Safety
/// Null (no limit) or a readable time.
pub(crate) unsafe fn valid(time: *const timespec) -> bool {
    // SAFETY: the caller's promise.
    time.is_null() || unsafe { (*time).tv_sec >= 0 && (0..NANOS).contains(&(*time).tv_nsec) }
}

/// The time as a duration, `None` for no limit.
///
/// # Safety
/// Null or a [`valid`] time.
pub(crate) unsafe fn duration(time: *const timespec) -> Option<Duration> {
    if time.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let time = unsafe { time.read() };
    Some(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// A duration as a `timespec`.
pub(crate) fn timespec(duration: Duration) -> timespec {
    timespec { tv_sec: duration.as_secs() as i64, tv_nsec: i64::from(duration.subsec_nanos()) }
}

/// A `select` time-out: `Err` if the C library refuses it.
///
/// # Safety
/// Null (no limit) or a readable time.
pub(crate) unsafe fn of_timeval(time: *const timeval) -> Result<Option<Duration>, ()> {
    if time.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    let time = unsafe { time.read() };
    if time.tv_sec < 0 || time.tv_usec < 0 {
        return Err(());
    }
    let seconds = (time.tv_sec as u64).saturating_add((time.tv_usec / MICROS) as u64);
    Ok(Some(Duration::new(seconds, (time.tv_usec % MICROS) as u32 * 1000)))
}

/// A duration as a `timeval`.
pub(crate) fn timeval(duration: Duration) -> timeval {
    timeval { tv_sec: duration.as_secs() as i64, tv_usec: i64::from(duration.subsec_micros()) }
}

/// A number of milliseconds; negative means no limit.
pub(crate) fn of_milliseconds(time: c_int) -> Option<Duration> {
    u64::try_from(time).ok().map(Duration::from_millis)
}

/// A signal mask as the kernel has it.
///
/// # Safety
/// Null or a readable set, which begins with the kernel's 64 bits.
pub(crate) unsafe fn mask<'a>(mask: *const sigset_t) -> Option<&'a SignalMask> {
    // SAFETY: the caller's promise.
    unsafe { mask.cast::<SignalMask>().as_ref() }
}
