//! Spinning before sleeping. Each thread learns how long it pays: twice as long when something came within a short
//! time, half when it did not; and it stops as soon as yielding shows that another thread wants the processor.

use std::cell::Cell;

use wsd_os::atomic::pause;
use wsd_os::{clock, thread};

/// Bounds in nanoseconds.
const SHORTEST: u64 = 1_000;
const LONGEST: u64 = 50_000;
/// What came within this time would have been worth spinning for.
const SOON: u64 = 100_000;
/// Between two yields.
const YIELD_EVERY: u64 = 10_000;
/// A yield that took longer gave the processor to somebody.
const YIELD_LONG: u64 = 3_000;

thread_local! {
    static BOUND: Cell<u64> = const { Cell::new(LONGEST) };
}

/// Spins until `ready` or the bound; whether it got ready.
#[inline]
pub(crate) fn until(mut ready: impl FnMut() -> bool) -> bool {
    let bound = BOUND.get();
    let start = clock::now_ns();
    let mut next_yield = start + YIELD_EVERY;
    loop {
        for _ in 0..64 {
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

/// Learns from a wait that began at `start` (nanoseconds of [`clock::now_ns`]) and has just ended.
pub(crate) fn learn(start: u64) {
    let took = clock::now_ns().saturating_sub(start);
    let bound = BOUND.get();
    if took < SOON {
        BOUND.set((bound * 2).min(LONGEST));
    } else if took > 4 * SOON {
        BOUND.set((bound / 2).max(SHORTEST));
    }
}
