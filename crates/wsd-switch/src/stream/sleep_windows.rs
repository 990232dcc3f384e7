//! Sleeping until the peer has moved its end of a ring. A word in shared memory wakes nobody in another process, so the peer rings the
//! bell of a lane, as for threads in poll.

use wsd_os::Errno;
use wsd_os::ring::Ring;

use super::channel::Channel;
use super::readiness::{IN, OUT};
use super::state::Stream;
use crate::wait::{Timeout, sets};

/// Until something may be received.
pub(super) fn for_data(stream: &Stream, _: &Channel, _: Ring, timeout: &Timeout) -> Result<(), Errno> {
    sets::wait_for(stream, IN, timeout)
}

/// Until something may be sent.
pub(super) fn for_space(stream: &Stream, _: &Channel, _: Ring, timeout: &Timeout) -> Result<(), Errno> {
    sets::wait_for(stream, OUT, timeout)
}
