//! Stopping both ends so that one of them can move to another process, and going on (section 8).
//!
//! The end that moves begins no block once it has said `Suspend`, and serves what the peer has begun. The peer finishes, answers,
//! and is silent. So nothing is on its way in either direction when the answer arrives, and all that the moving end knows of the
//! session can be packed.

use super::commands::refuse_if;
use super::{Event, ProtocolError, ReceiveState, Role, SendState, Session, WrongState};
use crate::message::{Kind, Message};
use crate::negotiation::SHARING_VERSION;

/// How far a session is with a suspension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Suspension {
    /// There is none.
    #[default]
    None,
    /// This end has said `Suspend`.
    Asking,
    /// The peer has answered: this end may move, or resume.
    Quiet,
    /// The peer has said `Suspend`: this end finishes what it has begun.
    Asked,
    /// `Suspended` waits for credit.
    Answering,
    /// `Suspended` has gone: this end is silent until `Resume`.
    Held,
}

impl Suspension {
    /// Whether nothing may be sent.
    pub(super) fn is_silent(self) -> bool {
        matches!(self, Self::Quiet | Self::Held)
    }

    /// A message has gone.
    pub(super) fn sent(&mut self, kind: Kind) {
        if kind == Kind::Suspended && *self == Self::Answering {
            *self = Self::Held;
        }
    }

    /// The program aborts the connection: what has not been said need not be. What has, binds.
    pub(super) fn forget(&mut self) {
        if !self.is_silent() {
            *self = Self::None;
        }
    }

    /// Whether the peer may say this now.
    pub(super) fn allows(self, kind: Kind) -> bool {
        let begins = matches!(
            kind,
            Kind::Data | Kind::RdmaOffer | Kind::RdmaAnnounce | Kind::Fin | Kind::Urgent | Kind::Window
        );
        match self {
            Self::None | Self::Asking => true,
            Self::Quiet => false,
            Self::Asked | Self::Answering => !begins,
            // What ends the connection may have crossed the answer, and so may credits.
            Self::Held => matches!(kind, Kind::Resume | Kind::Reset | Kind::Bye | Kind::Credit),
        }
    }
}

impl Session {
    /// How far a suspension is.
    pub fn suspension(&self) -> Suspension {
        self.suspension
    }

    /// Whether this end of the session can ever move: a session that is the connection, without mapping, between two
    /// switches that know how.
    pub fn can_move(&self) -> bool {
        self.agreement
            .as_ref()
            .is_some_and(|agreed| agreed.san_first && !agreed.mapping && agreed.version >= SHARING_VERSION)
    }

    /// This end is about to move (SW-183, step 3). Legal once both directions have begun, while neither end has ended and no
    /// other suspension runs. The host has finished its own large transfers and begins no block from now on; it goes on
    /// serving those of the peer.
    pub fn suspend(&mut self) -> Result<(), WrongState> {
        const COMMAND: &str = "suspend";
        self.talking(COMMAND)?;
        let begun = matches!(self.send_state(), SendState::Promoted { .. })
            && matches!(self.receive_state(), ReceiveState::Promoted { .. });
        let ends = self.heard.reset || self.heard.bye;
        refuse_if(!self.can_move() || !begun || ends || self.suspension != Suspension::None, COMMAND)?;
        self.queue(Message::Suspend, COMMAND)?;
        self.suspension = Suspension::Asking;
        Ok(())
    }

    /// The answer to [`Event::Suspending`] (step 4): no large transfer of either direction is outstanding.
    pub fn suspended(&mut self) -> Result<(), WrongState> {
        const COMMAND: &str = "suspended";
        self.talking(COMMAND)?;
        refuse_if(self.suspension != Suspension::Asked, COMMAND)?;
        self.queue(Message::Suspended, COMMAND)?;
        self.suspension = Suspension::Answering;
        Ok(())
    }

    /// The session goes on, here or where it was unpacked, with the receives that are posted now (step 10).
    pub fn resume(&mut self) -> Result<(), WrongState> {
        const COMMAND: &str = "resume";
        self.alive(COMMAND)?;
        refuse_if(self.suspension != Suspension::Quiet || !self.credit.ready_to_announce(), COMMAND)?;
        let receives = self.credit.announce();
        self.outbox.push_first(Message::Resume { receives }).map_err(|_| WrongState { command: COMMAND })?;
        self.suspension = Suspension::None;
        Ok(())
    }

    /// No block is begun, and no window told, while a suspension runs.
    pub(super) fn may_begin(&self, command: &'static str) -> Result<(), WrongState> {
        refuse_if(self.suspension != Suspension::None, command)
    }

    pub(super) fn suspension_message<'a>(
        &mut self,
        kind: Kind,
        message: Message<'a>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        if !self.can_move() || !self.both_proven() {
            return Err(ProtocolError::OutOfOrder(kind));
        }
        match (message, self.suspension) {
            // Of two that cross, the connecting end's counts, and the other end knows it.
            (Message::Suspend, Suspension::Asking) if self.role == Role::Connecting => Ok(None),
            (Message::Suspend, Suspension::None | Suspension::Asking) => {
                self.suspension = Suspension::Asked;
                Ok(Some(Event::Suspending))
            }
            (Message::Suspended, Suspension::Asking) => {
                self.suspension = Suspension::Quiet;
                Ok(Some(Event::Suspended))
            }
            (Message::Resume { receives }, Suspension::Held) => {
                self.suspension = Suspension::None;
                self.credit.renewed(receives);
                Ok(Some(Event::Resumed))
            }
            _ => Err(ProtocolError::OutOfOrder(kind)),
        }
    }
}
