//! Sleeping until the peer has moved its end of a ring: on the ring's own word.

use std::time::Duration;

use wsd_os::Errno;
use wsd_os::atomic::{AtomicU32, Ordering};
use wsd_os::futex;
use wsd_os::ring::Ring;

use super::channel::Channel;
use super::gate::State;
use super::state::Stream;
use crate::family::layout::Common;
use crate::family::record::{PEER_GONE, SHUT};
use crate::wait::Timeout;
use crate::wait::wake::SLEEPER;

/// Until something may be received.
pub(super) fn for_data(
    stream: &Stream,
    channel: &Channel,
    ring: Ring,
    timeout: &Timeout,
) -> Result<(), Errno> {
    let side = &stream.record.recv;
    let change = side.common.change.load(Ordering::Acquire);
    let sleep = {
        let _guard = side.common.hold()?;
        let control = ring.writer_control();
        ring.note_writer_control(&side.ring, &control);
        side.common.gate().state() == State::San
            // A later promotion has another ring.
            && channel.recv.load() == Some(ring)
            && !side.common.flagged(PEER_GONE | SHUT)
            && control.fin.is_none()
            && !control.reset
            && ring.arm_data_wait(&side.ring, SLEEPER)
    };
    if sleep {
        let word = ring.data_wait_word();
        let seen = word.load(Ordering::Acquire);
        if seen & SLEEPER != 0 {
            let still = || side.common.gate().state() == State::San && !ring.has_data_hint(&side.ring);
            side.common.sleep((word, seen), change, timeout.left()?, still)?;
        }
    }
    Ok(())
}

/// Until something may be sent.
pub(super) fn for_space(
    stream: &Stream,
    channel: &Channel,
    ring: Ring,
    timeout: &Timeout,
) -> Result<(), Errno> {
    let side = &stream.record.send;
    let change = side.common.change.load(Ordering::Acquire);
    let sleep = {
        let _guard = side.common.hold()?;
        let control = ring.reader_control();
        ring.note_reader_control(&side.ring, &control);
        side.common.gate().state() == State::San
            && channel.send.load() == Some(ring)
            && !side.common.flagged(SHUT | PEER_GONE)
            && !control.closed
            && control.frozen_at.is_none()
            && ring.arm_space_wait(&side.ring, SLEEPER)
    };
    if sleep {
        let word = ring.space_wait_word();
        let seen = word.load(Ordering::Acquire);
        if seen & SLEEPER != 0 {
            let still = || side.common.gate().state() == State::San && !ring.space_hint(&side.ring);
            side.common.sleep((word, seen), change, timeout.left()?, still)?;
        }
    }
    Ok(())
}

impl Common {
    /// Sleeps until the peer wakes `word`, which holds `seen`, or [`Common::announce_change`] is called after `change` was
    /// read. `still` is asked after the sleeper is counted.
    fn sleep(
        &self,
        word: (&AtomicU32, u32),
        change: u32,
        timeout: Option<Duration>,
        still: impl FnOnce() -> bool,
    ) -> Result<(), Errno> {
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let result = if still() { futex::wait_two(word, (&self.change, change), timeout) } else { Ok(()) };
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        match result {
            Err(Errno::INTR) => Err(Errno::INTR),
            Err(Errno::TIMEDOUT) => Err(Errno::AGAIN),
            _ => Ok(()),
        }
    }
}
