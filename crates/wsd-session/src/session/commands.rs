//! Commands of the host about proof, rings, promotion, demotion and the end.

use super::direction::Illegal;
use super::{Direction, ReceiveState, SendState, Session, WrongState};
use crate::message::Message;
use crate::negotiation::Agreement;

impl Session {
    /// The proof of section 3 or 9 holds for this side. Once.
    pub fn proven(&mut self) -> Result<(), WrongState> {
        const COMMAND: &str = "proven";
        self.talking(COMMAND)?;
        refuse_if(self.said.proven || !self.stream_proof.allows_proven(), COMMAND)?;
        self.queue(Message::Proven, COMMAND)?;
        self.said.proven = true;
        self.open_pump_first();
        Ok(())
    }

    /// SAN first without mapping: both directions begin when both sides have said `Proven` (section 7, 3).
    pub(super) fn open_pump_first(&mut self) {
        let begins = self.agreement.as_ref().is_some_and(|agreed| agreed.san_first && !agreed.mapping);
        if begins && self.both_proven() {
            self.send.open();
            self.receive.open();
        }
    }

    /// Offers the ring of the send direction, or a larger one while the direction is on TCP. Needs mapping and
    /// both proofs; the descriptor has the negotiated length.
    pub fn offer_ring(&mut self, length: u32, notify_slot: u32, descriptor: &[u8]) -> Result<(), WrongState> {
        const COMMAND: &str = "offer_ring";
        let mapping = self.talking(COMMAND)?.mapping;
        let sized = descriptor.len() == usize::from(self.own.allocation_descriptor_length) && length > 0;
        refuse_if(!mapping || !sized || !self.both_proven() || self.peer_is_gone(), COMMAND)?;
        legal(self.send.offer_ring(), COMMAND)?;
        let flow = self.flow(Direction::Send);
        self.queue(Message::RingOffer { flow, length, notify_slot, descriptor }, COMMAND)
    }

    /// The offered ring of the receive direction is mapped.
    pub fn ring_ready(&mut self) -> Result<(), WrongState> {
        const COMMAND: &str = "ring_ready";
        self.talking(COMMAND)?;
        legal(self.receive.ring_is_ready(), COMMAND)?;
        if self.is_san_first() {
            self.receive.open();
        }
        let flow = self.flow(Direction::Receive);
        self.queue(Message::RingReady { flow }, COMMAND)
    }

    /// Asks for consent to promote the send direction (section 4, step 1).
    pub fn propose(&mut self) -> Result<(), WrongState> {
        const COMMAND: &str = "propose";
        let mapping = self.talking(COMMAND)?.mapping;
        refuse_if(!self.both_proven() || self.peer_is_gone(), COMMAND)?;
        legal(self.send.propose(mapping), COMMAND)?;
        let flow = self.flow(Direction::Send);
        self.queue(Message::Propose { flow }, COMMAND)
    }

    /// Agrees to the peer's proposal, at once or after a [`Session::refuse`] (step 2).
    pub fn consent(&mut self) -> Result<(), WrongState> {
        const COMMAND: &str = "consent";
        self.talking(COMMAND)?;
        legal(self.receive.consent(), COMMAND)?;
        self.queue(Message::Consent, COMMAND)
    }

    /// Cannot agree now; the proposal stands and [`Session::consent`] may follow at any time.
    pub fn refuse(&mut self, reason: u8) -> Result<(), WrongState> {
        const COMMAND: &str = "refuse";
        self.talking(COMMAND)?;
        legal(self.receive.refuse(), COMMAND)?;
        self.queue(Message::Refuse { reason }, COMMAND)
    }

    /// The send direction goes over the companion from `start` on (step 3). Without mapping this is a message;
    /// with mapping it only tells the session, and must do so *before* `start` is published in the ring. In a session that can
    /// fail over the offset is only fixed: see [`Lockstep`](super::Lockstep).
    pub fn promoted(&mut self, start: u64) -> Result<(), WrongState> {
        const COMMAND: &str = "promoted";
        let agreement = self.talking(COMMAND)?;
        let (mapping, fail_over) = (agreement.mapping, agreement.fails_over());
        refuse_if(self.peer_is_gone(), COMMAND)?;
        if fail_over {
            return self.fix(start, COMMAND);
        }
        legal(self.send.promote(start), COMMAND)?;
        if mapping { Ok(()) } else { self.queue(Message::Promoted { start }, COMMAND) }
    }

    /// With mapping: `start` of the receive direction's ring has been seen (step 4).
    pub fn start_seen(&mut self, start: u64) -> Result<(), WrongState> {
        const COMMAND: &str = "start_seen";
        let mapping = self.talking(COMMAND)?.mapping;
        refuse_if(!mapping, COMMAND)?;
        legal(self.receive.promoted(start), COMMAND)
    }

    /// Asks the peer for its part in the demotion of a direction (section 5). `Send`, promoted: the peer shall
    /// freeze it. `Receive`, agreed or promoted: the consent is withdrawn; a direction that turns out to be
    /// promoted comes back as a request to freeze it.
    pub fn demote_request(&mut self, direction: Direction) -> Result<(), WrongState> {
        const COMMAND: &str = "demote_request";
        self.talking(COMMAND)?;
        refuse_if(self.never_demotes(), COMMAND)?;
        let legal = match direction {
            Direction::Send => matches!(self.send.state(), SendState::Promoted { .. }),
            Direction::Receive => {
                matches!(self.receive.state(), ReceiveState::Agreed | ReceiveState::Promoted { .. })
            }
        };
        refuse_if(!legal, COMMAND)?;
        let flow = self.flow(direction);
        self.queue_once(Message::DemoteRequest { flow }, COMMAND)
    }

    /// The receive direction is frozen: its bytes from `at` on are taken by TCP (section 5, step 1).
    pub fn frozen(&mut self, at: u64) -> Result<(), WrongState> {
        const COMMAND: &str = "frozen";
        self.talking(COMMAND)?;
        refuse_if(self.never_demotes(), COMMAND)?;
        legal(self.receive.freeze(at), COMMAND)?;
        self.queue(Message::Frozen { at }, COMMAND)
    }

    /// All bytes of the send direction from `at` on are in TCP: the end of a demotion, `at` as frozen (step 2), or
    /// the peer's consent is declined, `at` being the bytes written so far. Also legal after [`Session::bye`].
    pub fn demoted(&mut self, at: u64) -> Result<(), WrongState> {
        const COMMAND: &str = "demoted";
        self.alive(COMMAND)?;
        refuse_if(self.said.reset || self.never_demotes(), COMMAND)?;
        legal(self.send.demote(at), COMMAND)?;
        self.queue(Message::Demoted { at }, COMMAND)
    }

    /// The program has aborted the connection: what waits is thrown away (SW-161). Only [`Session::bye`] follows.
    pub fn reset(&mut self) -> Result<(), WrongState> {
        const COMMAND: &str = "reset";
        self.talking(COMMAND)?;
        self.outbox.clear();
        self.queue(Message::Reset, COMMAND)?;
        self.suspension.forget();
        self.said.reset = true;
        Ok(())
    }

    /// The program has closed, its own bytes have all been sent, and the peer's ring is no longer needed (SW-161).
    /// After this only [`Session::demoted`].
    pub fn bye(&mut self) -> Result<(), WrongState> {
        const COMMAND: &str = "bye";
        self.alive(COMMAND)?;
        refuse_if(self.said.bye, COMMAND)?;
        self.queue(Message::Bye, COMMAND)?;
        self.said.bye = true;
        Ok(())
    }

    /// Whether the session is the connection itself, of which no direction ever changes its path (section 7).
    pub(super) fn is_san_first(&self) -> bool {
        self.agreement.as_ref().is_some_and(|agreed| agreed.san_first)
    }

    /// Whether the messages of section 5 are out of order: SAN first, and where a return to TCP is a fail-over (section 10).
    pub(super) fn never_demotes(&self) -> bool {
        self.agreement.as_ref().is_some_and(|agreed| agreed.san_first || agreed.fails_over())
    }

    /// Negotiated and not failed.
    pub(super) fn alive(&self, command: &'static str) -> Result<&Agreement, WrongState> {
        refuse_if(self.has_failed(), command)?;
        self.agreement.as_ref().ok_or(WrongState { command })
    }

    /// Alive, and neither `Reset` nor `Bye` said.
    pub(super) fn talking(&self, command: &'static str) -> Result<&Agreement, WrongState> {
        refuse_if(self.said.reset || self.said.bye, command)?;
        self.alive(command)
    }

    /// Nobody reads there any more: nothing new is started.
    fn peer_is_gone(&self) -> bool {
        self.heard.reset || self.heard.bye
    }

    pub(super) fn queue(&mut self, message: Message<'_>, command: &'static str) -> Result<(), WrongState> {
        self.outbox.push(message).map_err(|_| WrongState { command })
    }

    fn queue_once(&mut self, message: Message<'_>, command: &'static str) -> Result<(), WrongState> {
        self.outbox.push_unless_waiting(message).map_err(|_| WrongState { command })
    }

    pub(super) fn queue_latest(
        &mut self,
        message: Message<'_>,
        command: &'static str,
    ) -> Result<(), WrongState> {
        self.outbox.push_latest(message).map_err(|_| WrongState { command })
    }
}

pub(super) fn refuse_if(wrong: bool, command: &'static str) -> Result<(), WrongState> {
    if wrong { Err(WrongState { command }) } else { Ok(()) }
}

pub(super) fn legal<T>(change: Result<T, Illegal>, command: &'static str) -> Result<T, WrongState> {
    change.map_err(|_| WrongState { command })
}
