//! Bits of a ring's wait words, and acting on them.

use wsd_os::atomic::{AtomicU32, Ordering};
use wsd_os::futex;

use super::{notice, pair};
use crate::service::kick;
use crate::stream::channel::Channel;

/// A thread sleeps on the wait word itself.
pub(crate) const SLEEPER: u32 = 1;
/// The other end's service thread pumps this ring.
pub(crate) const SERVICE: u32 = 2;
/// Lane k has bit `8 + k`.
pub(crate) const LANE_SHIFT: u32 = 8;

/// The wait-word bit of a lane.
pub(crate) const fn lane_bit(lane: u32) -> u32 {
    1 << (LANE_SHIFT + lane)
}

/// Wakes those who left `bits` in the wait word of a ring of connection `index`.
#[inline]
pub(crate) fn wake(bits: u32, word: &AtomicU32, channel: &Channel, index: u32) {
    if bits != 0 {
        wake_some(bits, word, channel, index);
    }
}

#[cold]
fn wake_some(bits: u32, word: &AtomicU32, channel: &Channel, index: u32) {
    if bits & SLEEPER != 0 {
        let _ = futex::wake(word, i32::MAX as u32);
    }
    if bits & SERVICE != 0 {
        kick::kick(index);
    }
    let lanes = bits >> LANE_SHIFT;
    if lanes == 0 {
        return;
    }
    if channel.pair.load(Ordering::Acquire) != 0 {
        pair::notify(channel, lanes);
    } else {
        // Both sides of the ring are in this family: the service thread wakes its own program.
        notice::changed(index);
    }
}
