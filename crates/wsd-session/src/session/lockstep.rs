//! Promoting both directions together, so that each end knows where in the peer's TCP stream a fail-over would begin (section 10).
//!
//! The connecting end fixes its offset first, the listening end answers with its own, and the connecting end settles. Nothing
//! goes by the companion before that, and an end that has said its offset writes nothing until it knows how it ends.

use super::commands::refuse_if;
use super::direction::Illegal;
use super::{Event, ProtocolError, ReceiveState, Role, SendState, Session, WrongState};
use crate::message::{Kind, Message};

/// How far the promotion of both directions is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lockstep {
    /// No end has fixed its offset, as far as this one knows.
    #[default]
    Open,
    /// Connecting end: its own is fixed.
    Fixed {
        /// Where its stream leaves TCP.
        own: u64,
    },
    /// Listening end: the peer's is fixed.
    Asked {
        /// Where the peer's stream leaves TCP.
        peer: u64,
    },
    /// Both are fixed; the connecting end has yet to settle.
    Both {
        /// Where the own stream leaves TCP.
        own: u64,
        /// Where the peer's does.
        peer: u64,
    },
    /// Both directions are promoted.
    Settled {
        /// Where the own stream has left TCP.
        own: u64,
        /// Where the peer's has.
        peer: u64,
    },
}

/// What an end whose companion has died may conclude of the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Both streams go on by TCP as if nothing had been.
    Plain,
    /// The own stream goes on by TCP at `own`. In the peer's there is a frame at `peer`, or it goes on there.
    Unsure {
        /// Where the own stream was fixed.
        own: u64,
        /// Where the peer's was.
        peer: u64,
    },
    /// A frame stands in the own stream at `own`, and in the peer's at `peer` (or, if `may_be_plain`, it goes on there).
    Promoted {
        /// Where the own stream has left TCP.
        own: u64,
        /// Where the peer's has.
        peer: u64,
        /// The peer may not know that the promotion was settled.
        may_be_plain: bool,
    },
}

impl Session {
    /// How often an end may put its next word off because its program still reads.
    pub const READINGS: u8 = 10;

    /// How far the promotion of both directions is; always open unless the session can fail over.
    pub fn lockstep(&self) -> Lockstep {
        self.lockstep
    }

    /// Whether [`Session::promoted`] would be legal: the other end's turn is over, and both have agreed to receive.
    pub fn may_fix(&self) -> bool {
        let consents =
            self.send.state() == SendState::Consented && self.receive.state() == ReceiveState::Agreed;
        let turn = match self.role {
            Role::Connecting => self.lockstep == Lockstep::Open,
            Role::Listening => matches!(self.lockstep, Lockstep::Asked { .. }),
        };
        consents && turn && !self.heard.bye && !self.heard.reset
    }

    /// This end's offset is fixed; the peer is told.
    pub(super) fn fix(&mut self, own: u64, command: &'static str) -> Result<(), WrongState> {
        refuse_if(!self.may_fix(), command)?;
        self.queue(Message::Promoted { start: own }, command)?;
        self.turn_to(match self.lockstep {
            Lockstep::Asked { peer } => Lockstep::Both { own, peer },
            _ => Lockstep::Fixed { own },
        });
        Ok(())
    }

    /// Connecting end, both offsets fixed: promotes both directions. From now on bytes may be sent.
    pub fn settle(&mut self) -> Result<(), WrongState> {
        const COMMAND: &str = "settle";
        self.talking(COMMAND)?;
        let Lockstep::Both { own, peer } = self.lockstep else {
            return Err(WrongState { command: COMMAND });
        };
        refuse_if(self.role != Role::Connecting, COMMAND)?;
        self.queue(Message::Settled, COMMAND)?;
        self.both_promoted(own, peer).map_err(|_| WrongState { command: COMMAND })
    }

    /// Whose turn it is tells that its program still reads from TCP what it has to: the peer waits anew for the next word. At most
    /// [`Session::READINGS`] times in a turn.
    pub fn reading(&mut self) -> Result<(), WrongState> {
        const COMMAND: &str = "reading";
        self.talking(COMMAND)?;
        refuse_if(!self.is_to_read() || self.heard.bye || self.readings >= Self::READINGS, COMMAND)?;
        self.queue(Message::Reading, COMMAND)?;
        self.readings += 1;
        Ok(())
    }

    /// Whose turn it is takes both offsets back: the streams stay on TCP, the consents stand, and the connecting end may fix anew.
    pub fn step_back(&mut self) -> Result<(), WrongState> {
        const COMMAND: &str = "step_back";
        self.talking(COMMAND)?;
        refuse_if(!self.is_to_read(), COMMAND)?;
        self.queue(Message::Refuse { reason: 0 }, COMMAND)?;
        self.turn_to(Lockstep::Open);
        Ok(())
    }

    /// What this end may conclude when the companion has died.
    pub fn standing(&self) -> Standing {
        match self.lockstep {
            Lockstep::Settled { own, peer } => {
                Standing::Promoted { own, peer, may_be_plain: self.role == Role::Connecting }
            }
            // Who says goodbye in between has not settled.
            Lockstep::Both { own, peer } if self.role == Role::Listening && !self.heard.bye => {
                Standing::Unsure { own, peer }
            }
            _ => Standing::Plain,
        }
    }

    /// `Promoted`, `Reading`, `Refuse` and `Settled` of a session that can fail over; `None`: not about the lockstep.
    pub(super) fn lockstep_message<'a>(
        &mut self,
        kind: Kind,
        message: &Message<'a>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        let out_of_order = ProtocolError::OutOfOrder(kind);
        let event = match (message, self.lockstep, self.role) {
            (Message::Promoted { start }, Lockstep::Open, Role::Listening)
                if self.receive.state() == ReceiveState::Agreed
                    && self.send.state() == SendState::Consented =>
            {
                self.turn_to(Lockstep::Asked { peer: *start });
                Event::Promoted { start: *start }
            }
            (Message::Promoted { start }, Lockstep::Fixed { own }, Role::Connecting) => {
                self.turn_to(Lockstep::Both { own, peer: *start });
                Event::Promoted { start: *start }
            }
            (Message::Settled, Lockstep::Both { own, peer }, Role::Listening) => {
                self.both_promoted(own, peer).map_err(|_| out_of_order)?;
                Event::Settled
            }
            (Message::Reading, Lockstep::Fixed { .. }, Role::Connecting)
            | (Message::Reading, Lockstep::Both { .. }, Role::Listening)
                if self.readings < Self::READINGS =>
            {
                self.readings += 1;
                Event::Reading
            }
            (Message::Refuse { .. }, Lockstep::Fixed { .. }, Role::Connecting)
            | (Message::Refuse { .. }, Lockstep::Both { .. }, Role::Listening) => {
                self.turn_to(Lockstep::Open);
                Event::SteppedBack
            }
            (Message::Refuse { .. }, Lockstep::Open, _) => return Ok(None),
            _ => return Err(out_of_order),
        };
        Ok(Some(event))
    }

    /// Whether it is this end's turn, and its program has to have read TCP up to the peer's offset.
    fn is_to_read(&self) -> bool {
        match self.lockstep {
            Lockstep::Asked { .. } => true,
            Lockstep::Both { .. } => self.role == Role::Connecting,
            _ => false,
        }
    }

    fn turn_to(&mut self, next: Lockstep) {
        self.lockstep = next;
        self.readings = 0;
    }

    fn both_promoted(&mut self, own: u64, peer: u64) -> Result<(), Illegal> {
        self.send.promote(own)?;
        self.receive.promoted(peer)?;
        self.turn_to(Lockstep::Settled { own, peer });
        Ok(())
    }
}
