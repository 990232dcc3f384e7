//! Data of one socket on their way: what is to be sent, what may be received, what has arrived early.

use std::collections::VecDeque;

use wsd_spi::WsaError;
use wsd_spi::provider::Overlapped;

use crate::registrations::{Registrations, Remote, Uses};
use wsd_engine::Actions;

/// Most operations of one kind that wait on a socket.
pub(crate) const MAX_PENDING: usize = 4096;
/// Most messages, and bytes of messages, that arrive before a buffer is posted (SP-021).
const MAX_EARLY: usize = 1024;
const MAX_EARLY_BYTES: usize = 4 << 20;

/// Data of one socket.
#[derive(Default)]
pub(crate) struct Flow {
    /// Operations that have not been sent wholly, in order.
    pub(crate) outgoing: VecDeque<Outgoing>,
    /// RDMA writes that have been sent and not confirmed, in order.
    pub(crate) unconfirmed: VecDeque<Outgoing>,
    /// The RDMA read whose data are awaited. Nothing is sent meanwhile (SP-022).
    pub(crate) reading: Option<Outgoing>,
    /// Reads of the peer that are to be answered.
    pub(crate) answers: VecDeque<Answer>,
    /// Posted receives, in order.
    pub(crate) receives: VecDeque<Posted>,
    /// Whether the socket waits for its turn to send.
    pub(crate) in_turn: bool,
    /// The peer is moving to another process: nothing is sent meanwhile.
    pub(crate) paused: bool,
    early: VecDeque<Box<[u8]>>,
    early_bytes: usize,
    next_operation: u32,
}

/// A posted receive.
pub(crate) struct Posted {
    /// The request.
    pub(crate) overlapped: Overlapped,
    /// Its registrations.
    pub(crate) uses: Uses,
}

/// A send, an RDMA write or an RDMA read.
pub(crate) struct Outgoing {
    /// The request.
    pub(crate) overlapped: Overlapped,
    /// Its registrations.
    pub(crate) uses: Uses,
    /// What it is.
    pub(crate) what: What,
    /// Its number, for the peer's answer.
    pub(crate) number: u32,
    /// How many bytes are done.
    pub(crate) done: u32,
}

/// What an operation is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// One message.
    Send,
    /// To the peer's memory at that offset.
    Write(Remote, u32),
    /// From the peer's memory at that offset.
    Read(Remote, u32),
}

/// A read of the peer that is being answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// The peer's number of the operation.
    pub(crate) operation: u32,
    /// The exposed memory.
    pub(crate) number: u64,
    pub(crate) key: u64,
    pub(crate) offset: u32,
    /// How many bytes are wanted, and sent.
    pub(crate) length: u32,
    pub(crate) done: u32,
}

impl Outgoing {
    /// How many bytes it moves.
    pub(crate) fn total(&self) -> u32 {
        self.overlapped.buffers().total()
    }
}

impl Flow {
    /// A number for an operation.
    pub(crate) fn number(&mut self) -> u32 {
        self.next_operation = self.next_operation.wrapping_add(1);
        self.next_operation
    }

    /// Whether there is something to send now.
    pub(crate) fn has_more(&self) -> bool {
        !self.paused && (!self.answers.is_empty() || (self.reading.is_none() && !self.outgoing.is_empty()))
    }

    /// Keeps a message that arrived before a buffer was posted. False if there are too many.
    pub(crate) fn keep_early(&mut self, message: &[u8]) -> bool {
        if self.early.len() >= MAX_EARLY || self.early_bytes + message.len() > MAX_EARLY_BYTES {
            return false;
        }
        self.early_bytes += message.len();
        self.early.push_back(message.into());
        true
    }

    /// The messages that arrived early, oldest first.
    pub(crate) fn early(&self) -> impl Iterator<Item = &[u8]> {
        self.early.iter().map(|message| &**message)
    }

    /// The oldest message that arrived early.
    pub(crate) fn take_early(&mut self) -> Option<Box<[u8]>> {
        let message = self.early.pop_front()?;
        self.early_bytes -= message.len();
        Some(message)
    }

    /// Whether an operation has been begun and not ended, at either end.
    pub(crate) fn is_under_way(&self) -> bool {
        let begun = self.outgoing.front().is_some_and(|operation| operation.done != 0);
        begun || !self.unconfirmed.is_empty() || self.reading.is_some() || !self.answers.is_empty()
    }

    /// Whether messages arrived early.
    pub(crate) fn has_early(&self) -> bool {
        !self.early.is_empty()
    }

    /// Completes everything that is pending with `error`; the operation `culprit` with `WSAEFAULT`.
    pub(crate) fn fail(
        &mut self,
        error: WsaError,
        culprit: Option<u32>,
        memory: &mut Registrations,
        actions: &mut Actions,
    ) {
        for posted in self.receives.drain(..) {
            memory.end(posted.uses);
            actions.complete(posted.overlapped, Err(error), 0);
        }
        let sent = self.unconfirmed.drain(..).chain(self.reading.take());
        for operation in sent.chain(self.outgoing.drain(..)) {
            let own = culprit == Some(operation.number);
            memory.end(operation.uses);
            actions.complete(operation.overlapped, Err(if own { WsaError::WSAEFAULT } else { error }), 0);
        }
        self.answers.clear();
    }
}
