//! The receiving end of a pump.

use super::{Piece, Progress, PumpError, PumpLimits, expect};
use crate::message::{DecodeError, EncodeError};
use crate::negotiation::RdmaVariant;
use crate::wire::{Reader, Writer};

/// Progress that is reported at the latest: the sender's ring, which keeps what is not reported, is at least as
/// large.
const REPORT: u64 = 16 * 1024;

/// What to do next for a receive direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiveStep {
    /// Nothing until something arrives or the program takes bytes.
    Wait,
    /// WSPRdmaRead; [`PumpReceiver::read_completed`] when it has ended.
    Read(Piece),
    /// [`Session::rdma_read`](crate::Session::rdma_read): all reads have ended.
    ReadDone {
        /// Offset of the transfer.
        offset: u64,
    },
    /// Expose this room of the ring, then [`Session::rdma_target`](crate::Session::rdma_target).
    Expose {
        /// Offset of the first byte.
        offset: u64,
        /// Number of bytes.
        total: u32,
    },
    /// [`Session::window`](crate::Session::window).
    Window {
        /// Offset up to which there is room.
        room: u64,
        /// Offset up to which the program has taken bytes.
        taken: u64,
    },
}

/// The outstanding large transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Large {
    Reading(Progress),
    Announced { offset: u64, total: u32 },
    Exposed { offset: u64, total: u32 },
}

/// Checks what a receive direction gets and says where it goes. The program may take bytes below
/// [`PumpReceiver::received`].
#[derive(Debug, Clone)]
pub struct PumpReceiver {
    limits: PumpLimits,
    start: u64,
    capacity: u64,
    received: u64,
    taken: u64,
    told_room: u64,
    told_taken: u64,
    large: Option<Large>,
    end: Option<u64>,
    urgent: Option<u64>,
    frozen: bool,
}

impl PumpReceiver {
    /// Starts at S with a ring of `capacity` bytes.
    pub fn new(start: u64, capacity: u64, limits: PumpLimits) -> Self {
        Self {
            limits,
            start,
            capacity,
            received: start,
            taken: start,
            told_room: start,
            told_taken: start,
            large: None,
            end: None,
            urgent: None,
            frozen: false,
        }
    }

    /// Offset up to which the stream has arrived.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Where the next bytes of the ring go: for the `contiguous` of [`PumpReceiver::plan`].
    pub fn fill_from(&self) -> u64 {
        match self.large {
            Some(Large::Reading(progress)) => progress.offset + u64::from(progress.issued),
            _ => self.received,
        }
    }

    /// The final offset, once known: end of stream when the program has taken all up to it (SW-160).
    pub fn end(&self) -> Option<u64> {
        self.end
    }

    /// Offset after the newest urgent byte (SW-125).
    pub fn urgent(&self) -> Option<u64> {
        self.urgent
    }

    /// Bytes came in a `Data` message: they belong into the ring at `offset`.
    pub fn on_data(&mut self, offset: u64, length: usize) -> Result<(), PumpError> {
        self.received = self.check_block(offset, length as u64)?;
        Ok(())
    }

    /// The peer has exposed bytes for reading.
    pub fn on_offer(&mut self, offset: u64, total: u32) -> Result<(), PumpError> {
        self.check_variant(RdmaVariant::Read)?;
        self.check_block(offset, u64::from(total))?;
        self.large = Some(Large::Reading(Progress::new(offset, total)));
        Ok(())
    }

    /// The peer has bytes to write.
    pub fn on_announce(&mut self, offset: u64, total: u32) -> Result<(), PumpError> {
        self.check_variant(RdmaVariant::Write)?;
        self.check_block(offset, u64::from(total))?;
        self.large = Some(Large::Announced { offset, total });
        Ok(())
    }

    /// The peer has written what was exposed: the memory may be withdrawn (SW 10.3, step 5).
    pub fn on_written(&mut self, offset: u64) -> Result<(), PumpError> {
        let Some(Large::Exposed { offset: exposed, total }) = self.large else {
            return Err(PumpError::OutOfStep("written"));
        };
        expect(exposed, offset)?;
        self.received = exposed + u64::from(total);
        self.large = None;
        Ok(())
    }

    /// The stream ends.
    pub fn on_fin(&mut self, offset: u64) -> Result<(), PumpError> {
        if self.large.is_some() || self.end.is_some() {
            return Err(PumpError::OutOfStep("fin"));
        }
        expect(self.received, offset)?;
        self.end = Some(offset);
        Ok(())
    }

    /// The byte before `offset` is urgent; it may not have arrived yet.
    pub fn on_urgent(&mut self, offset: u64) -> Result<(), PumpError> {
        if offset <= self.urgent.unwrap_or(self.start) || self.end.is_some() {
            return Err(PumpError::OutOfStep("urgent"));
        }
        self.urgent = Some(offset);
        Ok(())
    }

    /// The program has taken all bytes up to `offset`.
    pub fn taken(&mut self, offset: u64) -> Result<(), PumpError> {
        if offset < self.taken || offset > self.received {
            return Err(PumpError::Window);
        }
        self.taken = offset;
        Ok(())
    }

    /// What to do next, where `contiguous` is the room of the ring in one piece from
    /// [`PumpReceiver::fill_from`] on.
    pub fn plan(&self, contiguous: u64) -> ReceiveStep {
        if self.frozen {
            return ReceiveStep::Wait;
        }
        match self.plan_large(contiguous) {
            ReceiveStep::Wait => self.plan_window(),
            step => step,
        }
    }

    fn plan_large(&self, contiguous: u64) -> ReceiveStep {
        match &self.large {
            Some(Large::Reading(progress)) if progress.is_complete() => {
                ReceiveStep::ReadDone { offset: progress.offset }
            }
            Some(Large::Reading(progress)) => {
                let most = contiguous.min(u64::from(self.limits.max_rdma));
                progress.piece(most).map_or(ReceiveStep::Wait, ReceiveStep::Read)
            }
            Some(Large::Announced { offset, total }) if contiguous > 0 => {
                let most = u32::try_from(contiguous).unwrap_or(u32::MAX);
                ReceiveStep::Expose { offset: *offset, total: most.min(*total) }
            }
            _ => ReceiveStep::Wait,
        }
    }

    /// A window is told when it is worth a message or the sender may be waiting for it.
    fn plan_window(&self) -> ReceiveStep {
        let room = self.taken.saturating_add(self.capacity);
        let worth = (self.capacity / 4).clamp(1, REPORT);
        let promised = match self.large {
            Some(Large::Reading(progress)) => progress.end(),
            Some(Large::Announced { offset, total } | Large::Exposed { offset, total }) => {
                offset + u64::from(total)
            }
            None => self.received,
        };
        let waiting = promised == self.told_room && room > self.told_room;
        let news = self.taken - self.told_taken >= worth;
        if self.end.is_none() && (waiting || news) {
            ReceiveStep::Window { room, taken: self.taken }
        } else {
            ReceiveStep::Wait
        }
    }

    /// The planned step is done: its message has been taken by the session, or its operation issued.
    pub fn record(&mut self, step: ReceiveStep) -> Result<(), PumpError> {
        match (step, self.large) {
            (ReceiveStep::Wait, _) => {}
            (ReceiveStep::Read(piece), Some(Large::Reading(mut progress))) => {
                progress.issue(piece)?;
                self.large = Some(Large::Reading(progress));
            }
            (ReceiveStep::ReadDone { offset }, Some(Large::Reading(progress))) if progress.is_complete() => {
                expect(progress.offset, offset)?;
                self.received = progress.end();
                self.large = None;
            }
            (
                ReceiveStep::Expose { offset, total },
                Some(Large::Announced { offset: announced, total: most }),
            ) => {
                expect(announced, offset)?;
                if total == 0 || total > most {
                    return Err(PumpError::OutOfStep("expose"));
                }
                self.large = Some(Large::Exposed { offset, total });
            }
            (ReceiveStep::Window { room, taken }, _) => {
                if room < self.told_room || taken < self.told_taken {
                    return Err(PumpError::Window);
                }
                (self.told_room, self.told_taken) = (room, taken);
            }
            _ => return Err(PumpError::OutOfStep("step")),
        }
        Ok(())
    }

    /// An issued read of this length has ended well.
    pub fn read_completed(&mut self, length: u32) -> Result<(), PumpError> {
        match &mut self.large {
            Some(Large::Reading(progress)) => progress.complete(length),
            _ => Err(PumpError::OutOfStep("read completion")),
        }
    }

    /// Stops for a demotion and returns H: what the program has taken. The rest comes again by TCP. Fails with
    /// [`PumpError::Busy`] while reads run; exposed room stays exposed until the peer has demoted.
    pub fn freeze(&mut self) -> Result<u64, PumpError> {
        if matches!(&self.large, Some(Large::Reading(progress)) if progress.is_running()) {
            return Err(PumpError::Busy);
        }
        self.frozen = true;
        Ok(self.taken)
    }

    /// Whether no large transfer is outstanding.
    pub fn is_idle(&self) -> bool {
        self.large.is_none()
    }

    /// For the next process (section 8); false: a transfer is outstanding, or the direction is frozen.
    pub(crate) fn put(&self, out: &mut Writer<'_>) -> Result<bool, EncodeError> {
        let offsets = [self.start, self.capacity, self.received, self.taken, self.told_room, self.told_taken];
        for offset in offsets {
            out.put(&offset.to_le_bytes())?;
        }
        out.put(&[u8::from(self.end.is_some()), u8::from(self.urgent.is_some())])?;
        out.put(&self.end.unwrap_or(0).to_le_bytes())?;
        out.put(&self.urgent.unwrap_or(0).to_le_bytes())?;
        Ok(self.is_idle() && !self.frozen)
    }

    /// See [`PumpReceiver::put`].
    pub(crate) fn take(limits: PumpLimits, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (start, capacity) = (input.u64()?, input.u64()?);
        let (received, taken) = (input.u64()?, input.u64()?);
        let (told_room, told_taken) = (input.u64()?, input.u64()?);
        let (has_end, has_urgent) = (input.u8()?, input.u8()?);
        let (end, urgent) = (input.u64()?, input.u64()?);
        let end = (has_end != 0).then_some(end);
        let in_order = start <= told_taken
            && told_taken <= taken
            && taken <= received
            && received <= told_room
            && told_room - told_taken <= capacity;
        if has_end > 1 || has_urgent > 1 || !in_order || end.is_some_and(|end| end != received) {
            return Err(DecodeError::OutOfRange("receiver"));
        }
        let urgent = (has_urgent != 0).then_some(urgent);
        let (large, frozen) = (None, false);
        Ok(Self {
            limits,
            start,
            capacity,
            received,
            taken,
            told_room,
            told_taken,
            large,
            end,
            urgent,
            frozen,
        })
    }

    fn check_variant(&self, variant: RdmaVariant) -> Result<(), PumpError> {
        if self.limits.variant == Some(variant) {
            Ok(())
        } else {
            Err(PumpError::OutOfStep("large transfer"))
        }
    }

    /// A block continues the stream and fits the window; its end.
    fn check_block(&self, offset: u64, length: u64) -> Result<u64, PumpError> {
        if self.large.is_some() || self.end.is_some() || length == 0 {
            return Err(PumpError::OutOfStep("block"));
        }
        expect(self.received, offset)?;
        let end = offset.checked_add(length).ok_or(PumpError::OutOfStep("length"))?;
        if end > self.told_room {
            return Err(PumpError::BeyondWindow { end, room: self.told_room });
        }
        Ok(end)
    }
}
