//! Time for time-outs.

use core::time::Duration;
use std::sync::OnceLock;

use windows_sys::Win32::System::Performance::{QueryPerformanceCounter, QueryPerformanceFrequency};

/// Nanoseconds of a clock that never goes back, the same one in all processes of the host.
pub fn now_ns() -> u64 {
    static FREQUENCY: OnceLock<u64> = OnceLock::new();
    let frequency = *FREQUENCY.get_or_init(|| read(QueryPerformanceFrequency).max(1));
    let ticks = u128::from(read(QueryPerformanceCounter));
    (ticks * 1_000_000_000 / u128::from(frequency)) as u64
}

/// [`now_ns`] as a [`Duration`] since an arbitrary start.
pub fn now() -> Duration {
    Duration::from_nanos(now_ns())
}

fn read(function: unsafe extern "system" fn(*mut i64) -> i32) -> u64 {
    let mut value = 0;
    // SAFETY: fills in a live variable; never fails since Windows XP.
    unsafe { function(&raw mut value) };
    value as u64
}
