//! Spinning before sleeping. Each thread learns how long it pays: twice as long when something came within a short
//! time, half when it did not; and it stops as soon as yielding shows that another thread wants the processor.

use std::cell::Cell;

use wsd_os::atomic::{AtomicU64, Ordering, pause};
use wsd_os::{clock, thread};

use crate::config::Spin;
use crate::stream::channel::Channel;

/// Bounds in nanoseconds; the upper one is configured.
const SHORTEST: u64 = 1_000;
static LONGEST: AtomicU64 = AtomicU64::new(50_000);
/// Looks between two looks at the clock.
const LOOKS: u32 = 16;
/// Between two yields.
const YIELD_EVERY: u64 = 10_000;
/// A yield that took longer gave the processor to somebody.
const YIELD_LONG: u64 = 3_000;

thread_local! {
    static BOUND: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// As the configuration says.
pub(crate) fn settle(spin: Spin) {
    LONGEST.store(spin.nanoseconds(), Ordering::Relaxed);
}

fn longest() -> u64 {
    LONGEST.load(Ordering::Relaxed)
}

/// How long this thread spins.
fn bound() -> u64 {
    BOUND.get().min(longest())
}

/// What came within this time would have been worth spinning for.
fn soon() -> u64 {
    2 * longest()
}

/// Spins until `ready` or the bound; whether it got ready.
#[inline]
pub(crate) fn until(mut ready: impl FnMut() -> bool) -> bool {
    let bound = bound();
    let start = clock::now_ns();
    let mut next_yield = start + YIELD_EVERY;
    loop {
        for _ in 0..LOOKS {
            if ready() {
                return true;
            }
            pause();
        }
        let now = clock::now_ns();
        if now.saturating_sub(start) > bound {
            return false;
        }
        if now > next_yield {
            thread::yield_now();
            let after = clock::now_ns();
            if after.saturating_sub(now) > YIELD_LONG {
                return ready();
            }
            next_yield = after + YIELD_EVERY;
        }
    }
}

/// As [`until`], for news in a ring of this connection. Those of a pump are brought by this process's service thread, perhaps on
/// the same processor: it is let run at once.
#[inline]
pub(crate) fn for_ring(channel: &Channel, mut ready: impl FnMut() -> bool) -> bool {
    if !channel.is_pumped() {
        return until(ready);
    }
    work_until(clock::now_ns(), u64::MAX, || {
        (0..LOOKS).any(|_| {
            pause();
            ready()
        })
    })
}

/// As [`until`], where every look is work of its own that takes system calls, and may be for a thread that has to run first: others are
/// let run after each. What is looked for was there last at `since`; nothing is looked for after `end`.
pub(crate) fn work_until(since: u64, end: u64, mut look: impl FnMut() -> bool) -> bool {
    let bound = bound();
    let mut before = clock::now_ns();
    while before.saturating_sub(since) < bound && before < end {
        if look() {
            return true;
        }
        thread::yield_now();
        let now = clock::now_ns();
        if now.saturating_sub(before) > soon() {
            return look();
        }
        before = now;
    }
    false
}

/// Whether [`work_until`] still looks for what was there last at `since`.
pub(crate) fn expects(since: u64) -> bool {
    clock::now_ns().saturating_sub(since) < bound()
}

/// Learns from a wait that began at `start` (nanoseconds of [`clock::now_ns`]) and has just ended. What came within the bound needs
/// no longer one.
pub(crate) fn learn(start: u64) {
    let took = clock::now_ns().saturating_sub(start);
    let bound = bound();
    if took > 4 * soon() {
        BOUND.set((bound / 2).max(SHORTEST));
    } else if took < soon() && took > bound {
        BOUND.set((bound * 2).max(SHORTEST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was there long ago is not looked for, nor anything after the end; what was there just now is.
    #[test]
    fn work_is_looked_for_while_it_is_expected() {
        let mut looks = 0;
        let mut look = || {
            looks += 1;
            true
        };
        let later = clock::now_ns() + 1_000_000_000;
        assert!(!work_until(0, u64::MAX, &mut look));
        assert!(!work_until(later, 0, &mut look));
        assert!(work_until(later, u64::MAX, &mut look));
        assert_eq!(looks, 1);
        assert!(expects(later) && !expects(0));
    }
}
