//! Bells: what wakes a thread that sleeps in the kernel on a lane. Each is a datagram socket with an abstract name made of the
//! process's random token and the lane; whoever knows the token can ring, and ringing can do no more than wake.

use wsd_os::Errno;
use wsd_os::atomic::{AtomicU32, AtomicU64, Ordering};
use wsd_os::bell::Bell;
use wsd_os::fd::BorrowedFd;
use wsd_os::memory::FdSlot;

use super::pair::LANES;

static BELLS: [FdSlot; LANES] = [const { FdSlot::new() }; LANES];
static RINGER: FdSlot = FdSlot::new();
/// Lanes taken by a set or by a thread that polls; lane 0 always is.
static TAKEN: AtomicU32 = AtomicU32::new(1);
static TOKEN: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// Lanes up to this one keep their bells when nobody has them: making one costs a few system calls.
const KEPT: u32 = 2;

/// This process's token.
pub(crate) fn token() -> [u64; 2] {
    [TOKEN[0].load(Ordering::Relaxed), TOKEN[1].load(Ordering::Relaxed)]
}

/// Takes a token for this process.
pub(crate) fn start() -> Result<(), Errno> {
    set_token(draw()?);
    Ok(())
}

/// Draws a token.
pub(crate) fn draw() -> Result<[u64; 2], Errno> {
    let random = u128::from_ne_bytes(wsd_os::random::bytes::<16>()?);
    Ok([random as u64, (random >> 64) as u64])
}

fn set_token(token: [u64; 2]) {
    for (word, half) in TOKEN.iter().zip(token) {
        word.store(half, Ordering::Relaxed);
    }
}

/// In the child of a fork: bells of its own, by the token that its parent has drawn for it. Lanes of inherited sets stay taken.
#[cfg(target_os = "linux")]
pub(crate) fn restart_in_child(token: [u64; 2]) {
    for bell in &BELLS {
        bell.forget();
    }
    RINGER.forget();
    // Lanes of threads that stayed behind are free; sets have given theirs up.
    TAKEN.store(1, Ordering::Release);
    set_token(token);
}

/// Makes the bells that are kept, so that what a process holds does not depend on how its threads happen to wait.
pub(crate) fn make_kept() {
    for lane in 0..=KEPT {
        let _ = bell(lane);
    }
}

/// Takes a free lane, makes its bell. `None`: none is free, or no bell can be made.
pub(crate) fn take_lane() -> Option<u32> {
    let mut taken = TAKEN.load(Ordering::Relaxed);
    loop {
        let lane = (!taken).trailing_zeros();
        if lane as usize >= LANES {
            return None;
        }
        match TAKEN.compare_exchange_weak(taken, taken | (1 << lane), Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => {
                if bell(lane).is_some() {
                    return Some(lane);
                }
                drop_lane(lane);
                return None;
            }
            Err(now) => taken = now,
        }
    }
}

/// Gives a lane back.
pub(crate) fn drop_lane(lane: u32) {
    if lane > KEPT
        && let Some(bell) = BELLS.get(lane as usize)
    {
        bell.close();
    }
    TAKEN.fetch_and(!(1 << lane), Ordering::AcqRel);
}

/// The bell of a lane, made at first use.
pub(crate) fn bell(lane: u32) -> Option<BorrowedFd<'static>> {
    BELLS.get(lane as usize)?.get_or_make(|| Bell::bind(token(), lane)).ok()
}

/// Silences a lane's bell.
pub(crate) fn drain(lane: u32) {
    if let Some(bell) = bell(lane) {
        Bell::drain(bell);
    }
}

/// Rings a lane's bell of the process with this token. Never blocks; a bell that is ringing already, or is gone, is fine.
pub(crate) fn ring(token: [u64; 2], lane: u32) {
    if let Ok(ringer) = RINGER.get_or_make(Bell::ringer) {
        Bell::ring(ringer, token, lane);
    }
}

/// Rings a lane's bell of this process.
pub(crate) fn ring_own(lane: u32) {
    ring(token(), lane);
}
