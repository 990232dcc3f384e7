//! How long the making of a companion may take, with TCP first.
//!
//! No program waits for it: its data go by TCP. What a limit ends is the wait of a socket of the provider, and of its buffers, for a
//! peer that has no companion, is stopped, or says nothing. A peer that is alive has to be waited for: its service thread,
//! like this one, makes one companion after the other, each in milliseconds or more of an RDMA device, and
//! hundreds of connections may begin at a time. Who gives up meanwhile makes all that work begin anew, on a busy
//! host for ever. So time counts from when any companion of this process last came a step further.

/// A peer that has no companion is waited for no longer (nanoseconds), if nothing else comes further in this process.
pub(super) const MEET_WITHIN: u64 = 1_500_000_000;
/// The companions that have met must have agreed, then have their rings, each within this time (nanoseconds): some hundred
/// companions of a slow device, for the peer may be busy with those of other processes.
pub(super) const STEP_WITHIN: u64 = 5_000_000_000;
/// However busy this process is, a companion is made within this time (nanoseconds), or given up for now.
pub(super) const MADE_WITHIN: u64 = 30_000_000_000;

/// When companions of this process have come further.
#[derive(Debug, Default)]
pub(super) struct Patience {
    last_step: u64,
}

impl Patience {
    /// A companion has come a step further.
    pub(super) fn stepped(&mut self, now: u64) {
        self.last_step = now;
    }

    /// Until when one that begun at `begun`, and has not come further within its time, is waited for; `None`: no longer.
    pub(super) fn longer(&self, begun: u64, now: u64) -> Option<u64> {
        let until = (self.last_step + STEP_WITHIN).min(begun + MADE_WITHIN);
        (until > now).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Two hundred companions that begin at a time, of a device that makes ten in a second: the last one is waited for.
    #[test]
    fn companions_wait_for_each_other() {
        let mut patience = Patience::default();
        let begun = 100 * SECOND;
        let mut alarm = begun + STEP_WITHIN;
        for made in 1..=200 {
            let now = begun + made * SECOND / 10;
            if alarm <= now {
                alarm = patience.longer(begun, now).expect("others come further");
                assert!(alarm > now);
            }
            patience.stepped(now);
        }
    }

    #[test]
    fn silent_peer_is_given_up() {
        let mut patience = Patience::default();
        let begun = 100 * SECOND;
        assert_eq!(patience.longer(begun, begun + STEP_WITHIN), None, "nothing else happens");
        patience.stepped(begun + SECOND);
        let until = begun + SECOND + STEP_WITHIN;
        assert_eq!(patience.longer(begun, begun + STEP_WITHIN), Some(until));
        assert_eq!(patience.longer(begun, until), None);
    }

    #[test]
    fn silent_peer_of_a_busy_process_is_given_up() {
        let mut patience = Patience::default();
        let begun = 100 * SECOND;
        let end = begun + MADE_WITHIN;
        patience.stepped(end - 1);
        assert_eq!(patience.longer(begun, end - 1), Some(end));
        patience.stepped(end);
        assert_eq!(patience.longer(begun, end), None);
    }
}
