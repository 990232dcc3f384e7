//! Commands of the host for a direction without mapping (SW-111..118, SW-125, SW-160). What to say when is
//! decided by [`PumpSender`](crate::PumpSender) and [`PumpReceiver`](crate::PumpReceiver).

use super::commands::{legal, refuse_if};
use super::{ReceiveState, Session, WrongState};
use crate::message::Message;
use crate::negotiation::{Agreement, RdmaVariant};

impl Session {
    /// Bytes of the send direction are exposed for reading (SW 10.2, step 2).
    pub fn rdma_offer(&mut self, offset: u64, total: u32, descriptor: &[u8]) -> Result<(), WrongState> {
        const COMMAND: &str = "rdma_offer";
        self.check_send(RdmaVariant::Read, COMMAND)?;
        self.may_begin(COMMAND)?;
        self.check_block(offset, total, COMMAND)?;
        self.check_descriptor(descriptor, COMMAND)?;
        self.queue(Message::RdmaOffer { offset, total, descriptor }, COMMAND)
    }

    /// Bytes of the send direction wait to be written (SW 10.3, step 1).
    pub fn rdma_announce(&mut self, offset: u64, total: u32) -> Result<(), WrongState> {
        const COMMAND: &str = "rdma_announce";
        self.check_send(RdmaVariant::Write, COMMAND)?;
        self.may_begin(COMMAND)?;
        self.check_block(offset, total, COMMAND)?;
        self.queue(Message::RdmaAnnounce { offset, total }, COMMAND)
    }

    /// Announced bytes of the send direction have been written (SW 10.3, step 4).
    pub fn rdma_written(&mut self, offset: u64) -> Result<(), WrongState> {
        const COMMAND: &str = "rdma_written";
        self.check_send(RdmaVariant::Write, COMMAND)?;
        self.queue(Message::RdmaDone { offset, written: true }, COMMAND)
    }

    /// Room for announced bytes of the receive direction is exposed (SW 10.3, step 2).
    pub fn rdma_target(&mut self, offset: u64, total: u32, descriptor: &[u8]) -> Result<(), WrongState> {
        const COMMAND: &str = "rdma_target";
        self.check_receive(Some(RdmaVariant::Write), COMMAND)?;
        self.check_block(offset, total, COMMAND)?;
        self.check_descriptor(descriptor, COMMAND)?;
        self.queue(Message::RdmaTarget { offset, total, descriptor }, COMMAND)
    }

    /// Offered bytes of the receive direction have been read (SW 10.2, step 4).
    pub fn rdma_read(&mut self, offset: u64) -> Result<(), WrongState> {
        const COMMAND: &str = "rdma_read";
        self.check_receive(Some(RdmaVariant::Read), COMMAND)?;
        self.queue(Message::RdmaDone { offset, written: false }, COMMAND)
    }

    /// The receive direction has room up to `room`, and the program has taken all up to `taken`.
    pub fn window(&mut self, room: u64, taken: u64) -> Result<(), WrongState> {
        const COMMAND: &str = "window";
        self.check_receive(None, COMMAND)?;
        self.may_begin(COMMAND)?;
        refuse_if(taken > room, COMMAND)?;
        self.queue_latest(Message::Window { room, taken }, COMMAND)
    }

    /// The send direction ends at `offset`, and everything before it has been sent (SW-160).
    pub fn fin(&mut self, offset: u64) -> Result<(), WrongState> {
        const COMMAND: &str = "fin";
        self.pumping(COMMAND)?;
        self.may_begin(COMMAND)?;
        legal(self.send.finish(offset), COMMAND)?;
        self.queue(Message::Fin { offset }, COMMAND)
    }

    /// The byte before `offset` of the send direction is urgent (SW-125). Overtakes the bytes, as TCP's pointer does.
    pub fn urgent(&mut self, offset: u64) -> Result<(), WrongState> {
        const COMMAND: &str = "urgent";
        self.pumping(COMMAND)?;
        self.may_begin(COMMAND)?;
        refuse_if(!self.send.is_flowing() || offset == 0, COMMAND)?;
        self.queue_latest(Message::Urgent { offset }, COMMAND)
    }

    /// Talking, and without mapping.
    pub(super) fn pumping(&self, command: &'static str) -> Result<&Agreement, WrongState> {
        let agreement = self.talking(command)?;
        refuse_if(agreement.mapping, command)?;
        Ok(agreement)
    }

    fn check_send(&self, variant: RdmaVariant, command: &'static str) -> Result<(), WrongState> {
        let agreed = self.pumping(command)?.send_variant == Some(variant);
        refuse_if(!agreed || !self.send.is_flowing(), command)
    }

    fn check_receive(&self, variant: Option<RdmaVariant>, command: &'static str) -> Result<(), WrongState> {
        let agreement = self.pumping(command)?;
        let agreed = variant.is_none() || agreement.receive_variant == variant;
        let promoted = matches!(self.receive.state(), ReceiveState::Promoted { .. });
        refuse_if(!agreed || !promoted, command)
    }

    fn check_block(&self, offset: u64, total: u32, command: &'static str) -> Result<(), WrongState> {
        refuse_if(total == 0 || offset.checked_add(u64::from(total)).is_none(), command)
    }

    fn check_descriptor(&self, descriptor: &[u8], command: &'static str) -> Result<(), WrongState> {
        refuse_if(descriptor.len() != usize::from(self.own.rdma_descriptor_length), command)
    }
}
