//! Time: nanoseconds for time-outs and statistics, and a very cheap tick for bounding spins.

use core::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::atomic::{AtomicU64, Ordering};

/// Nanoseconds of `CLOCK_MONOTONIC`, the same clock in all processes of the host.
///
/// No system call where the kernel offers a vDSO (clock_gettime(2)). Wraps after 584 years.
#[inline]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}

/// [`now_ns`] as a [`Duration`] since an arbitrary start (boot).
pub fn now() -> Duration {
    Duration::from_nanos(now_ns())
}

/// A counter that is read in a few nanoseconds and counts up at a constant rate of its own: the time stamp counter on
/// x86-64, the virtual counter on aarch64. Compare only values taken close to each other; use [`ticks_per_us`] for
/// the rate.
#[inline(always)]
pub fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: RDTSC exists on every x86-64 processor and touches only the result registers.
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
    #[cfg(target_arch = "aarch64")]
    {
        let count: u64;
        // SAFETY: Linux lets user space read CNTVCT_EL0; the instruction only writes the named register.
        unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) count, options(nomem, nostack)) };
        count
    }
}

/// How many [`ticks`] make a microsecond, at least 1.
///
/// Measured once per process, in about 20 microseconds, at the first call; an estimate good to some per cent, as
/// befits the bound of a spin.
pub fn ticks_per_us() -> u64 {
    static RATE: AtomicU64 = AtomicU64::new(0);
    let known = RATE.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    let (start_ns, start) = (now_ns(), ticks());
    let mut elapsed;
    loop {
        crate::atomic::pause();
        elapsed = now_ns().wrapping_sub(start_ns);
        if elapsed >= 20_000 {
            break;
        }
    }
    let rate = (ticks().wrapping_sub(start).saturating_mul(1000) / elapsed).max(1);
    RATE.store(rate, Ordering::Relaxed);
    rate
}

/// `duration` as the `timespec` that the kernel takes; durations beyond `i64::MAX` seconds become that.
pub(crate) fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_advances_by_the_time_slept() {
        let start = now_ns();
        std::thread::sleep(Duration::from_millis(20));
        let passed = now_ns() - start;
        assert!((20_000_000..5_000_000_000).contains(&passed), "{passed}");
    }

    #[test]
    fn ticks_measure_microseconds() {
        let rate = ticks_per_us();
        let start = ticks();
        std::thread::sleep(Duration::from_millis(50));
        let us = (ticks() - start) / rate;
        assert!((25_000..2_000_000).contains(&us), "{us} us at {rate} ticks per us");
    }
}
