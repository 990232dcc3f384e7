//! The sending end of a pump.

use super::{Piece, Progress, PumpError, PumpLimits, expect};
use crate::message::{DecodeError, EncodeError};
use crate::negotiation::RdmaVariant;
use crate::wire::{Reader, Writer};

/// What the host has to send at the moment, seen from [`PumpSender::offset`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supply {
    /// Bytes in the program's ring.
    pub available: u64,
    /// Those of them that lie in one piece.
    pub contiguous: u64,
    /// [`Session::may_send_data`](crate::Session::may_send_data).
    pub may_send: bool,
}

/// What to do next for a send direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendStep {
    /// Nothing until bytes, credit, a window or an answer come.
    Wait,
    /// [`Session::data_message`](crate::Session::data_message) with these bytes.
    Data {
        /// Offset of the first.
        offset: u64,
        /// Their number.
        length: usize,
    },
    /// Expose these bytes for reading, then [`Session::rdma_offer`](crate::Session::rdma_offer).
    Offer {
        /// Offset of the first.
        offset: u64,
        /// Their number.
        total: u32,
    },
    /// [`Session::rdma_announce`](crate::Session::rdma_announce) with these bytes.
    Announce {
        /// Offset of the first.
        offset: u64,
        /// Their number.
        total: u32,
    },
    /// WSPRdmaWrite; [`PumpSender::write_completed`] when it has ended.
    Write(Piece),
    /// [`Session::rdma_written`](crate::Session::rdma_written): all writes have ended.
    Written {
        /// Offset of the transfer.
        offset: u64,
    },
    /// [`Session::fin`](crate::Session::fin): everything before it has been sent.
    Fin {
        /// The final offset.
        offset: u64,
    },
}

impl SendStep {
    /// Whether it begins a block, or ends the stream: what an end that is to be suspended does not do.
    pub fn is_beginning(&self) -> bool {
        matches!(self, Self::Data { .. } | Self::Offer { .. } | Self::Announce { .. } | Self::Fin { .. })
    }
}

/// The outstanding large transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Large {
    Offered { offset: u64, total: u32 },
    Announced { offset: u64, total: u32 },
    Writing(Progress),
}

/// Decides what a send direction sends. Bytes below [`PumpSender::keep_from`] may be freed.
#[derive(Debug, Clone)]
pub struct PumpSender {
    limits: PumpLimits,
    sent: u64,
    room: u64,
    taken: u64,
    large: Option<Large>,
    plain_until: u64,
    end: Option<u64>,
    fin_sent: bool,
    frozen: bool,
}

impl PumpSender {
    /// Starts at S. Nothing is sent before the receiver's first `Window`.
    pub fn new(start: u64, limits: PumpLimits) -> Self {
        Self {
            limits,
            sent: start,
            room: start,
            taken: start,
            large: None,
            plain_until: start,
            end: None,
            fin_sent: false,
            frozen: false,
        }
    }

    /// Offset of the first byte that has not been handed over; an outstanding large transfer begins here.
    pub fn offset(&self) -> u64 {
        self.sent
    }

    /// The receiver's program has taken all before this offset: bytes from here on are kept, so that a demotion can
    /// write them to TCP. (A host that will never demote need keep only those from [`PumpSender::offset`] on.)
    pub fn keep_from(&self) -> u64 {
        self.taken
    }

    /// Whether all up to the end and the end itself have been handed over.
    pub fn is_finished(&self) -> bool {
        self.fin_sent
    }

    /// The program has shut down sending with `offset` bytes written (SW-160).
    pub fn finish(&mut self, offset: u64) -> Result<(), PumpError> {
        let handed_over = match self.large {
            Some(Large::Offered { offset, total } | Large::Announced { offset, total }) => {
                offset + u64::from(total)
            }
            Some(Large::Writing(progress)) => progress.end(),
            None => self.sent,
        };
        if self.end.is_some() || offset < handed_over {
            return Err(PumpError::OutOfStep("finish"));
        }
        self.end = Some(offset);
        Ok(())
    }

    /// What to do next.
    pub fn plan(&self, supply: Supply) -> SendStep {
        if self.frozen {
            return SendStep::Wait;
        }
        if let Some(large) = &self.large {
            return self.plan_large(large);
        }
        if self.end == Some(self.sent) {
            return if self.fin_sent { SendStep::Wait } else { SendStep::Fin { offset: self.sent } };
        }
        let end = self.end.map_or(self.room, |end| end.min(self.room));
        let available = supply.available.min(end - self.sent);
        let block = u32::try_from(available.min(supply.contiguous)).unwrap_or(u32::MAX);
        let is_large = block > self.limits.threshold && self.sent >= self.plain_until;
        match self.limits.variant {
            Some(RdmaVariant::Read) if is_large => SendStep::Offer { offset: self.sent, total: block },
            Some(RdmaVariant::Write) if is_large => SendStep::Announce { offset: self.sent, total: block },
            _ if available > 0 && supply.may_send => {
                let length = usize::try_from(available).unwrap_or(usize::MAX).min(self.limits.max_data);
                SendStep::Data { offset: self.sent, length }
            }
            _ => SendStep::Wait,
        }
    }

    fn plan_large(&self, large: &Large) -> SendStep {
        match large {
            Large::Offered { .. } | Large::Announced { .. } => SendStep::Wait,
            Large::Writing(progress) if progress.is_complete() => {
                SendStep::Written { offset: progress.offset }
            }
            Large::Writing(progress) => {
                progress.piece(u64::from(self.limits.max_rdma)).map_or(SendStep::Wait, SendStep::Write)
            }
        }
    }

    /// The planned step is done: its message has been taken by the session, or its operation issued.
    pub fn record(&mut self, step: SendStep) -> Result<(), PumpError> {
        match (step, self.large) {
            (SendStep::Wait, _) => {}
            (SendStep::Data { offset, length }, None) => {
                expect(self.sent, offset)?;
                self.sent = self.check_end(offset, length as u64)?;
            }
            (SendStep::Offer { offset, total }, None) => {
                expect(self.sent, offset)?;
                self.check_end(offset, u64::from(total))?;
                self.large = Some(Large::Offered { offset, total });
            }
            (SendStep::Announce { offset, total }, None) => {
                expect(self.sent, offset)?;
                self.check_end(offset, u64::from(total))?;
                self.large = Some(Large::Announced { offset, total });
            }
            (SendStep::Write(piece), Some(Large::Writing(mut progress))) => {
                progress.issue(piece)?;
                self.large = Some(Large::Writing(progress));
            }
            (SendStep::Written { offset }, Some(Large::Writing(progress))) if progress.is_complete() => {
                expect(progress.offset, offset)?;
                self.sent = progress.end();
                self.large = None;
            }
            (SendStep::Fin { offset }, None) if self.end == Some(self.sent) && !self.fin_sent => {
                expect(self.sent, offset)?;
                self.fin_sent = true;
            }
            _ => return Err(PumpError::OutOfStep("step")),
        }
        Ok(())
    }

    /// Instead of a planned `Offer` or `Announce`: there is no memory for it, its bytes go in messages (SW-115).
    pub fn decline(&mut self, step: SendStep) {
        if let SendStep::Offer { offset, total } | SendStep::Announce { offset, total } = step {
            self.plain_until = self.plain_until.max(offset.saturating_add(u64::from(total)));
        }
    }

    /// An issued write of this length has ended well.
    pub fn write_completed(&mut self, length: u32) -> Result<(), PumpError> {
        match &mut self.large {
            Some(Large::Writing(progress)) => progress.complete(length),
            _ => Err(PumpError::OutOfStep("write completion")),
        }
    }

    /// The peer has read what was offered: its memory may be withdrawn (SW 10.2, step 5).
    pub fn on_read(&mut self, offset: u64) -> Result<(), PumpError> {
        let Some(Large::Offered { offset: offered, total }) = self.large else {
            return Err(PumpError::OutOfStep("read"));
        };
        expect(offered, offset)?;
        self.sent = offered + u64::from(total);
        self.large = None;
        Ok(())
    }

    /// The peer has exposed room for what was announced, or for a first part of it.
    pub fn on_target(&mut self, offset: u64, total: u32) -> Result<(), PumpError> {
        let Some(Large::Announced { offset: announced, total: most }) = self.large else {
            return Err(PumpError::OutOfStep("target"));
        };
        expect(announced, offset)?;
        if total == 0 || total > most {
            return Err(PumpError::OutOfStep("target"));
        }
        self.large = Some(Large::Writing(Progress::new(offset, total)));
        Ok(())
    }

    /// The peer's room and progress.
    pub fn on_window(&mut self, room: u64, taken: u64) -> Result<(), PumpError> {
        if room < self.room || taken < self.taken || taken > self.sent || taken > room {
            return Err(PumpError::Window);
        }
        self.room = room;
        self.taken = taken;
        Ok(())
    }

    /// The peer has frozen the direction: nothing more is sent, bytes from `at` on go by TCP. An offer is over.
    pub fn on_frozen(&mut self, at: u64) -> Result<(), PumpError> {
        if self.frozen || at < self.taken || at > self.sent {
            return Err(PumpError::Window);
        }
        self.frozen = true;
        if matches!(self.large, Some(Large::Offered { .. } | Large::Announced { .. })) {
            self.large = None;
        }
        Ok(())
    }

    /// Whether RDMA writes are running: while they are, the direction must not be demoted.
    pub fn is_busy(&self) -> bool {
        matches!(&self.large, Some(Large::Writing(progress)) if progress.is_running())
    }

    /// Whether the end of the stream is known.
    pub fn has_end(&self) -> bool {
        self.end.is_some()
    }

    /// Whether no large transfer is outstanding.
    pub fn is_idle(&self) -> bool {
        self.large.is_none()
    }

    /// For the next process (section 8); false: a transfer is outstanding, or the direction is frozen.
    pub(crate) fn put(&self, out: &mut Writer<'_>) -> Result<bool, EncodeError> {
        for offset in [self.sent, self.room, self.taken, self.plain_until] {
            out.put(&offset.to_le_bytes())?;
        }
        out.put(&[u8::from(self.end.is_some()), u8::from(self.fin_sent)])?;
        out.put(&self.end.unwrap_or(0).to_le_bytes())?;
        Ok(self.is_idle() && !self.frozen)
    }

    /// See [`PumpSender::put`].
    pub(crate) fn take(limits: PumpLimits, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (sent, room, taken, plain_until) = (input.u64()?, input.u64()?, input.u64()?, input.u64()?);
        let (has_end, fin_sent, end) = (input.u8()?, input.u8()?, input.u64()?);
        let end = (has_end != 0).then_some(end);
        let in_order = taken <= sent && sent <= room && end.is_none_or(|end| sent <= end);
        let ended = fin_sent == 0 || end == Some(sent);
        if has_end > 1 || fin_sent > 1 || !in_order || !ended {
            return Err(DecodeError::OutOfRange("sender"));
        }
        let fin_sent = fin_sent != 0;
        Ok(Self { limits, sent, room, taken, large: None, plain_until, end, fin_sent, frozen: false })
    }

    fn check_end(&self, offset: u64, length: u64) -> Result<u64, PumpError> {
        let end = offset.checked_add(length).ok_or(PumpError::OutOfStep("length"))?;
        if end > self.room { Err(PumpError::BeyondWindow { end, room: self.room }) } else { Ok(end) }
    }
}
