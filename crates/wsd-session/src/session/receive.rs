//! From WSPRecv to events: every message passes the codec, the credits and the states, in this order.

use super::direction::{Arrival, Illegal};
use super::{Direction, Event, Phase, ProtocolError, Session};
use crate::message::{Flow, Frame, Kind, Message};
use crate::negotiation::{Agreement, Parameters, RdmaVariant};

type Outcome<'a> = Result<Option<Event<'a>>, ProtocolError>;

impl Session {
    /// Takes one received message. At most one event comes of it; `None` for credits and for what crossed a
    /// demotion. After an error the session is dead: the companion is to be closed.
    pub fn receive<'a>(&mut self, bytes: &'a [u8]) -> Outcome<'a> {
        if self.phase == Phase::Failed {
            return Err(ProtocolError::Dead);
        }
        let outcome = self.take(bytes);
        if outcome.is_err() {
            self.phase = Phase::Failed;
            self.outbox.clear();
        }
        outcome
    }

    fn take<'a>(&mut self, bytes: &'a [u8]) -> Outcome<'a> {
        let longest = self.agreement.as_ref().map_or(self.own.buffer_length, |agreed| agreed.message_length);
        if bytes.len() > usize::from(longest) {
            return Err(ProtocolError::TooLong(bytes.len()));
        }
        let Frame { credits, message } = Frame::decode(bytes)?;
        let kind = message.kind();
        match (self.phase, message) {
            (Phase::AwaitNegotiate, Message::Negotiate { nonce, parameters }) => {
                self.credit.negotiate_arrived()?;
                self.negotiated(parameters, nonce, Phase::ToAnswer)
            }
            (Phase::AwaitAnswer, Message::Answer { nonce, parameters }) => {
                self.credit.message_arrived(false)?;
                self.negotiated(parameters, nonce, Phase::Open)
            }
            (Phase::Open, message) => {
                self.credit.message_arrived(kind == Kind::Credit)?;
                self.credit.granted(credits)?;
                self.open_message(kind, message)
            }
            _ => Err(ProtocolError::OutOfOrder(kind)),
        }
    }

    /// SW-107: what both have said decides.
    fn negotiated<'a>(&mut self, peer: Parameters, nonce: u64, next: Phase) -> Outcome<'a> {
        self.credit.granted(peer.receives)?;
        self.agreement = Some(Agreement::new(&self.own, peer, nonce));
        self.phase = next;
        Ok(Some(Event::Negotiated))
    }

    fn open_message<'a>(&mut self, kind: Kind, message: Message<'a>) -> Outcome<'a> {
        let after_end = matches!(kind, Kind::Credit)
            || (kind == Kind::Demoted && !self.heard.reset)
            || (kind == Kind::Bye && !self.heard.bye);
        if ((self.heard.bye || self.heard.reset) && !after_end) || !self.suspension.allows(kind) {
            return Err(ProtocolError::OutOfOrder(kind));
        }
        match message {
            Message::Proven if self.heard.proven || !self.stream_proof.peer_may_be_proven() => {
                Err(ProtocolError::OutOfOrder(kind))
            }
            Message::Proven => {
                self.heard.proven = true;
                self.open_pump_first();
                Ok(Some(Event::PeerProven))
            }
            Message::Reset => {
                self.heard.reset = true;
                Ok(Some(Event::Reset))
            }
            Message::Bye => {
                self.heard.bye = true;
                Ok(Some(Event::Bye))
            }
            Message::Credit => Ok(None),
            Message::Suspend | Message::Suspended | Message::Resume { .. } => {
                self.suspension_message(kind, message)
            }
            Message::StreamMarks(_) | Message::StreamProof(_) => self.stream_message(kind, message),
            Message::DemoteRequest { .. } | Message::Frozen { .. } | Message::Demoted { .. }
                if self.never_demotes() =>
            {
                Err(ProtocolError::OutOfOrder(kind))
            }
            Message::Promoted { .. } | Message::Settled | Message::Reading | Message::Refuse { .. }
                if self.fails_over() =>
            {
                match self.lockstep_message(kind, &message)? {
                    None => self.path_message(kind, message),
                    event => Ok(event),
                }
            }
            Message::DemoteRequest { flow } => self.demote_request_arrived(kind, flow),
            Message::Negotiate { .. } | Message::Answer { .. } => Err(ProtocolError::OutOfOrder(kind)),
            Message::RingOffer { .. }
            | Message::RingReady { .. }
            | Message::Propose { .. }
            | Message::Consent
            | Message::Refuse { .. }
            | Message::Promoted { .. }
            | Message::Frozen { .. }
            | Message::Demoted { .. } => self.path_message(kind, message),
            _ => self.pump_message(kind, message),
        }
    }

    fn fails_over(&self) -> bool {
        self.agreement.as_ref().is_some_and(|agreed| agreed.fails_over())
    }

    /// Rings, promotion, demotion: sections 4 and 5.
    fn path_message<'a>(&mut self, kind: Kind, message: Message<'a>) -> Outcome<'a> {
        let agreed = |what: fn(&Agreement) -> bool| self.agreement.as_ref().is_some_and(what);
        let (mapping, san_first) = (agreed(|agreed| agreed.mapping), agreed(|agreed| agreed.san_first));
        let proven = self.both_proven();
        let demand = |legal: bool| if legal { Ok(()) } else { Err(ProtocolError::OutOfOrder(kind)) };
        let illegal = |illegal| refusal(kind, illegal);
        let event = match message {
            Message::RingOffer { flow, length, notify_slot, descriptor } => {
                demand(mapping && proven && flow == self.flow(Direction::Receive))?;
                self.check_descriptor_of(kind, descriptor)?;
                self.receive.ring_offered().map_err(illegal)?;
                Event::RingOffered { length, notify_slot, descriptor }
            }
            _ if san_first && kind != Kind::RingReady => return Err(ProtocolError::OutOfOrder(kind)),
            Message::RingReady { flow } => {
                demand(flow == self.flow(Direction::Send))?;
                self.send.ring_is_ready().map_err(illegal)?;
                if san_first {
                    self.send.open();
                }
                Event::RingReady
            }
            Message::Propose { flow } => {
                demand(proven && flow == self.flow(Direction::Receive))?;
                self.receive.proposed(mapping).map_err(illegal)?;
                Event::Proposed
            }
            Message::Consent => {
                self.send.consented().map_err(illegal)?;
                Event::Consented
            }
            Message::Refuse { reason } => {
                self.send.refused().map_err(illegal)?;
                Event::Refused { reason }
            }
            Message::Promoted { start } => {
                demand(!mapping)?;
                self.receive.promoted(start).map_err(illegal)?;
                Event::Promoted { start }
            }
            Message::Frozen { at } => {
                self.send.frozen(at).map_err(illegal)?;
                Event::Frozen { at }
            }
            Message::Demoted { at } => match self.receive.demoted(at).map_err(illegal)? {
                true => Event::Demoted { at },
                false => Event::Declined,
            },
            _ => return Err(ProtocolError::OutOfOrder(kind)),
        };
        Ok(Some(event))
    }

    /// Both sides may ask, and the answer to an earlier event may already be on its way: what comes too late is
    /// no fault.
    fn demote_request_arrived<'a>(&self, kind: Kind, flow: Flow) -> Outcome<'a> {
        use super::SendState::{Consented, Promoted};
        if flow == self.flow(Direction::Receive) {
            let arrival = self.receive.demote_requested().map_err(|illegal| refusal(kind, illegal))?;
            return Ok(deliver(arrival, Event::DemoteRequested { direction: Direction::Receive }));
        }
        let current = matches!(self.send.state(), Consented | Promoted { .. });
        Ok(current.then_some(Event::DemoteRequested { direction: Direction::Send }))
    }

    /// Bytes and their control without mapping. Offsets are the pump's to check.
    fn pump_message<'a>(&mut self, kind: Kind, message: Message<'a>) -> Outcome<'a> {
        let agreement = self.agreement.as_ref().filter(|agreed| !agreed.mapping);
        let Some(agreement) = agreement else { return Err(ProtocolError::OutOfOrder(kind)) };
        let (send_variant, receive_variant) = (agreement.send_variant, agreement.receive_variant);
        let illegal = |illegal| refusal(kind, illegal);
        let demand = |legal: bool| if legal { Ok(()) } else { Err(ProtocolError::OutOfOrder(kind)) };
        let (arrival, event) = match message {
            Message::Data { offset, bytes } => {
                (self.receive.arrival().map_err(illegal)?, Event::Data { offset, bytes })
            }
            Message::RdmaOffer { offset, total, descriptor } => {
                demand(receive_variant == Some(RdmaVariant::Read))?;
                self.check_descriptor_of(kind, descriptor)?;
                let event = Event::RdmaOffered { offset, total, descriptor };
                (self.receive.arrival().map_err(illegal)?, event)
            }
            Message::RdmaAnnounce { offset, total } => {
                demand(receive_variant == Some(RdmaVariant::Write))?;
                (self.receive.arrival().map_err(illegal)?, Event::RdmaAnnounced { offset, total })
            }
            Message::RdmaDone { offset, written: true } => {
                demand(receive_variant == Some(RdmaVariant::Write))?;
                (self.receive.arrival().map_err(illegal)?, Event::RdmaWritten { offset })
            }
            Message::RdmaDone { offset, written: false } => {
                demand(send_variant == Some(RdmaVariant::Read) && self.send.is_promoted())?;
                (Arrival::Deliver, Event::RdmaRead { offset })
            }
            Message::RdmaTarget { offset, total, descriptor } => {
                demand(send_variant == Some(RdmaVariant::Write) && self.send.is_promoted())?;
                self.check_descriptor_of(kind, descriptor)?;
                (Arrival::Deliver, Event::RdmaTarget { offset, total, descriptor })
            }
            Message::Window { room, taken } => {
                demand(self.send.is_promoted())?;
                (Arrival::Deliver, Event::Window { room, taken })
            }
            Message::Fin { offset } => (self.receive.finish(offset).map_err(illegal)?, Event::Fin { offset }),
            Message::Urgent { offset } => {
                (self.receive.arrival().map_err(illegal)?, Event::Urgent { offset })
            }
            _ => return Err(ProtocolError::OutOfOrder(kind)),
        };
        Ok(deliver(arrival, event))
    }

    /// SW-107: the lengths of descriptors are negotiated.
    fn check_descriptor_of(&self, kind: Kind, descriptor: &[u8]) -> Result<(), ProtocolError> {
        let negotiated = self.agreement.as_ref().map(|agreed| match kind {
            Kind::RingOffer => agreed.peer.allocation_descriptor_length,
            _ => agreed.peer.rdma_descriptor_length,
        });
        if negotiated.map(usize::from) == Some(descriptor.len()) {
            Ok(())
        } else {
            Err(ProtocolError::DescriptorLength(kind))
        }
    }
}

fn deliver(arrival: Arrival, event: Event<'_>) -> Option<Event<'_>> {
    (arrival == Arrival::Deliver).then_some(event)
}

fn refusal(kind: Kind, illegal: Illegal) -> ProtocolError {
    match illegal {
        Illegal::State => ProtocolError::OutOfOrder(kind),
        Illegal::Offset => ProtocolError::Offset(kind),
    }
}
