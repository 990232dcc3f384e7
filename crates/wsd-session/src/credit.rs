//! When a message may be sent: credits in both directions (SW-110..112).
//!
//! Every message takes one receive that the peer has posted. The last credit is kept for `Credit` messages, so
//! that two sides that have sent all they may can still tell each other of their re-posted buffers.

use crate::negotiation::MIN_RECEIVES;

/// A peer that breaks the credit rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreditError {
    /// The peer sent more than it had credit for, or used its last credit for another message than `Credit`.
    #[error("the peer sent without credit")]
    Exceeded,
    /// The peer returned more credits than anybody can have.
    #[error("the peer returned too many credits")]
    Overflow,
}

const LIMIT: u32 = u16::MAX as u32;

/// The credits of one side of a session.
#[derive(Debug, Clone, Default)]
pub struct Credit {
    /// Messages that the peer can still take.
    available: u32,
    /// Own receives, in use or not.
    buffers: u32,
    /// Own receives posted at the moment.
    posted: u32,
    /// Of those, how many the peer knows of.
    announced: u32,
}

impl Credit {
    /// Notes `count` new receives.
    pub fn receives_posted(&mut self, count: u16) {
        self.buffers = (self.buffers + u32::from(count)).min(LIMIT);
        self.posted = (self.posted + u32::from(count)).min(self.buffers);
    }

    /// Notes that `count` used receives are posted again (SW-112).
    pub fn reposted(&mut self, count: u16) {
        self.posted = (self.posted + u32::from(count)).min(self.buffers);
    }

    /// Whether enough receives are posted to name a number in the negotiation (SW-101, SW-103).
    pub fn ready_to_announce(&self) -> bool {
        self.posted >= u32::from(MIN_RECEIVES)
    }

    /// The number of receives for the negotiation; from now on the peer may use them.
    pub fn announce(&mut self) -> u16 {
        self.announced = self.posted;
        u16::try_from(self.posted).unwrap_or(u16::MAX)
    }

    /// Takes the peer's credits, from the negotiation or from a header.
    pub fn granted(&mut self, count: u16) -> Result<(), CreditError> {
        let sum = self.available + u32::from(count);
        if sum > LIMIT {
            return Err(CreditError::Overflow);
        }
        self.available = sum;
        Ok(())
    }

    /// The peer has moved to another process, which has posted `count` receives and knows nothing of the old ones.
    pub fn renewed(&mut self, count: u16) {
        self.available = u32::from(count);
    }

    /// The credits of this side in another process, where no receive is posted yet: messages that the peer can take.
    pub fn moved(available: u16) -> Self {
        Self { available: u32::from(available), ..Self::default() }
    }

    /// A `Negotiate` has arrived, which needs no credit (SW-102).
    pub fn negotiate_arrived(&mut self) -> Result<(), CreditError> {
        self.posted = self.posted.checked_sub(1).ok_or(CreditError::Exceeded)?;
        Ok(())
    }

    /// Any other message has arrived.
    pub fn message_arrived(&mut self, is_credit: bool) -> Result<(), CreditError> {
        let needed = if is_credit { 1 } else { 2 };
        if self.announced < needed || self.posted == 0 {
            return Err(CreditError::Exceeded);
        }
        self.announced -= 1;
        self.posted -= 1;
        Ok(())
    }

    /// Whether a message other than `Credit` may go.
    pub fn may_send(&self) -> bool {
        self.available >= 2
    }

    /// Whether a `Credit` message may and should go: half of the own receives are posted and not returned.
    pub fn credit_due(&self) -> bool {
        self.available >= 1 && self.buffers > 0 && self.unreturned() >= self.buffers.div_ceil(2)
    }

    /// Uses one credit for a message that goes now and gives the credits to return in its header.
    /// The caller has asked [`Credit::may_send`] or [`Credit::credit_due`].
    pub fn spend(&mut self) -> u16 {
        self.available = self.available.saturating_sub(1);
        let returned = u16::try_from(self.unreturned()).unwrap_or(u16::MAX);
        self.announced += u32::from(returned);
        returned
    }

    /// Messages that the peer can still take, the kept one included.
    pub fn available(&self) -> u32 {
        self.available
    }

    fn unreturned(&self) -> u32 {
        self.posted - self.announced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(receives: u16, credits: u16) -> Credit {
        let mut side = Credit::default();
        side.receives_posted(receives);
        side.announce();
        side.granted(credits).expect("credits in range");
        side
    }

    /// SW-112: one credit stays for `Credit` messages.
    #[test]
    fn last_credit_is_kept() {
        let mut side = side(4, 3);
        side.spend();
        assert!(side.may_send());
        side.spend();
        assert!(!side.may_send());
        assert_eq!(side.available(), 1);
    }

    /// SW-112: credits go back when half of the buffers are unreturned, and only once.
    #[test]
    fn half_of_the_buffers_makes_a_credit_message_due() {
        let mut side = side(12, 1);
        for _ in 0..6 {
            assert!(!side.credit_due());
            side.message_arrived(false).expect("peer has credit");
            side.reposted(1);
        }
        assert!(side.credit_due());
        assert_eq!(side.spend(), 6);
        assert!(!side.credit_due());
        assert_eq!(side.spend(), 0);
    }

    /// SW-110: a message without a posted receive is the peer's fault and found.
    #[test]
    fn peer_without_credit_is_found() {
        let mut side = side(4, 4);
        for _ in 0..3 {
            side.message_arrived(false).expect("peer has credit");
            side.reposted(1);
        }
        assert_eq!(side.message_arrived(false), Err(CreditError::Exceeded));
        assert_eq!(side.message_arrived(true), Ok(()));
        assert_eq!(side.message_arrived(true), Err(CreditError::Exceeded));
    }

    #[test]
    fn too_many_credits_are_found() {
        let mut side = side(4, u16::MAX);
        assert_eq!(side.granted(1), Err(CreditError::Overflow));
    }

    /// A host that counts wrong cannot make credit out of nothing.
    #[test]
    fn reposting_more_than_there_are_changes_nothing() {
        let mut side = side(4, 4);
        side.reposted(100);
        assert_eq!(side.spend(), 0);
    }
}
