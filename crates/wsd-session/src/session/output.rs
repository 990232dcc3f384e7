//! From the session to WSPSend.

use super::{Phase, Session, Suspension, WrongState};
use crate::message::{Frame, Message, encode_data, set_credits};

impl Session {
    /// The next message to hand to WSPSend, written into `buffer`; its length. `None`: nothing to send, or no
    /// credit for it (SW-110). `buffer` must hold a message of this side's `buffer_length`.
    ///
    /// Queued messages go in the order of the commands; the last credit is kept for a `Credit` message (SW-112).
    pub fn next_message(&mut self, buffer: &mut [u8]) -> Option<usize> {
        match self.phase {
            Phase::ToSpeak => self.speak(buffer),
            Phase::ToAnswer => self.answer(buffer),
            Phase::Open if self.suspension.is_silent() => None,
            Phase::Open => self.queued(buffer).or_else(|| self.credit_message(buffer)),
            Phase::AwaitAnswer | Phase::AwaitNegotiate | Phase::Failed => None,
        }
    }

    /// Whether [`Session::data_message`] would give a message now: everything queued has gone and credit is left.
    pub fn may_send_data(&self) -> bool {
        self.phase == Phase::Open
            && self.suspension == Suspension::None
            && self.outbox.is_empty()
            && self.credit.may_send()
    }

    /// Encodes bytes of the send direction, which may lie in two pieces as in a ring, as a `Data` message (SW-111)
    /// and returns its length. `None`: no credit, or queued messages go first.
    pub fn data_message(
        &mut self,
        buffer: &mut [u8],
        offset: u64,
        bytes: [&[u8]; 2],
    ) -> Result<Option<usize>, WrongState> {
        let wrong = WrongState { command: "data_message" };
        let agreement = self.pumping(wrong.command)?;
        let length = bytes[0].len().saturating_add(bytes[1].len());
        let fits =
            length > 0 && length <= agreement.max_data() && offset.checked_add(length as u64).is_some();
        if !fits || !self.send.is_flowing() {
            return Err(wrong);
        }
        if !self.may_send_data() {
            return Ok(None);
        }
        let length = encode_data(0, offset, bytes, buffer).map_err(|_| wrong)?;
        set_credits(buffer, self.credit.spend());
        Ok(Some(length))
    }

    /// SW-101: spoken once the receives are posted. Needs no credit (SW-102).
    fn speak(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if !self.credit.ready_to_announce() {
            return None;
        }
        self.own.receives = self.credit.announce();
        let message = Message::Negotiate { nonce: self.nonce, parameters: self.own.clone() };
        let length = Frame { credits: 0, message }.encode(buffer).ok()?;
        self.phase = Phase::AwaitAnswer;
        Some(length)
    }

    /// SW-103: the receives are posted before the answer goes.
    fn answer(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if !self.credit.ready_to_announce() {
            return None;
        }
        self.own.receives = self.credit.announce();
        let message = Message::Answer { nonce: self.nonce, parameters: self.own.clone() };
        let length = Frame { credits: 0, message }.encode(buffer).ok()?;
        self.credit.spend();
        self.phase = Phase::Open;
        Some(length)
    }

    fn queued(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if !self.credit.may_send() {
            return None;
        }
        let (kind, length) = self.outbox.pop_into(buffer)?;
        set_credits(buffer, self.credit.spend());
        self.suspension.sent(kind);
        Some(length)
    }

    fn credit_message(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if !self.credit.credit_due() {
            return None;
        }
        let length = Frame { credits: 0, message: Message::Credit }.encode(buffer).ok()?;
        set_credits(buffer, self.credit.spend());
        Some(length)
    }
}
