//! Something changed about a connection: whoever of this process waits for it in a set must look again.

use super::{epoll, pair, sets};
use crate::service::kick;

/// News of a connection from this process itself (promotion, death, shutdown).
pub(crate) fn changed(index: u32) {
    epoll::news(index);
    sets::wake_pollers();
}

/// Takes what peers reported for a lane and passes it to the sets concerned.
pub(crate) fn take_lane(lane: u32) {
    pair::take(lane, epoll::news);
}

/// The service thread's lane: it, and those who had no lane of their own. From now on peers ring its bell.
pub(crate) fn take_for_others() {
    pair::sleeping(0);
    pair::take(0, |index| {
        epoll::news(index);
        sets::wake_parked();
        kick::kick(index);
    });
}
