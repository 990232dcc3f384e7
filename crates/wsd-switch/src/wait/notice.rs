//! Something changed about a connection: whoever of this process waits for it in a set must look again.

use super::{pair, sets, watchers};
use crate::service::kick;

/// News of a connection from this process itself (promotion, death, shutdown).
pub(crate) fn changed(index: u32) {
    watchers::news(index);
    sets::wake_pollers();
}

/// Takes what peers reported for a lane and passes it to the sets concerned.
pub(crate) fn take_lane(lane: u32) {
    pair::take(lane, watchers::news);
}

/// The service thread's lane: it, and those who had no lane of their own. From now on peers ring its bell.
pub(crate) fn take_for_others() {
    pair::sleeping(0);
    pair::take(0, |index| {
        watchers::news(index);
        sets::wake_parked();
        kick::kick(index);
    });
}
