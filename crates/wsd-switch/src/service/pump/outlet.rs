//! The service thread's end of the ring that the program writes into: the bytes go to the peer's switch, and stay in the
//! ring until the peer's program has taken them, so that they can still go by TCP.

use std::collections::VecDeque;

use wsd_os::atomic::Ordering;
use wsd_os::ring::{ConsumerState, Ring, WriterControl};
use wsd_session::{Direction, Piece, PumpSender, SendState, SendStep, Session, Supply};
use wsd_spi::client::{RdmaRegistration, Registration, Remote, Segment};
use wsd_spi::{MemoryAccess, WsaError};

use super::super::port::{Port, RDMA_SLOT};
use super::super::scratch::{BUFFER, Scratch};
use super::memory::{PumpMemory, RingMemory};
use super::{Fault, OPERATIONS, busy};
use crate::sharing::page::Page;
use crate::wait::wake::SERVICE;

/// Slots of the RDMA writes.
const SLOT: u8 = RDMA_SLOT;

/// See the [module](self).
pub(super) struct Outlet {
    pub(super) memory: RingMemory,
    reader: &'static ConsumerState,
    flow: Option<Flow>,
}

/// A promoted direction.
struct Flow {
    sender: PumpSender,
    /// What the peer may read, until it says that it has.
    exposed: Option<RdmaRegistration>,
    /// What we write to the peer: offset of its first byte, and its memory.
    source: Option<(u64, Registration)>,
    /// The peer's descriptor of where to.
    target: Vec<u8>,
    /// Running RDMA writes: slot and length, oldest first.
    writes: VecDeque<(u8, u32)>,
    /// What the program had written and said at the last look.
    seen: Seen,
    /// The urgent mark that the peer was told of.
    urgent: u64,
    /// The sender knows the end of the stream.
    ended: bool,
    /// The peer has taken bytes: writers of the program have room.
    freed: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    readable: usize,
    control: WriterControl,
}

impl Outlet {
    pub(super) fn new(memory: &PumpMemory) -> Self {
        Self { memory: memory.written.clone(), reader: &memory.page.outlet, flow: None }
    }

    /// One that goes on where another process has stopped.
    pub(super) fn arrived(memory: &PumpMemory, sender: PumpSender) -> Self {
        let flow = Flow {
            urgent: memory.page.urgent[0].load(Ordering::Relaxed),
            ended: sender.has_end(),
            ..Flow::new(sender)
        };
        Self { flow: Some(flow), ..Self::new(memory) }
    }

    /// For the next process; `None` unless nothing large is outstanding.
    pub(super) fn depart(&self, page: &Page) -> Option<&PumpSender> {
        let flow = self.flow.as_ref().filter(|flow| flow.sender.is_idle())?;
        page.urgent[0].store(flow.urgent, Ordering::Relaxed);
        Some(&flow.sender)
    }

    /// Whether nothing large is outstanding.
    pub(super) fn is_idle(&self) -> bool {
        self.flow.as_ref().is_none_or(|flow| flow.sender.is_idle())
    }

    /// Does what can be done now; whether that was anything. `begins`: blocks may be begun.
    pub(super) fn turn(
        &mut self,
        session: &mut Session,
        port: &mut Port,
        begins: bool,
        scratch: &mut Scratch,
    ) -> Result<bool, Fault> {
        if self.flow.is_none() && !self.begin(session)? {
            return Ok(false);
        }
        let Some(flow) = &mut self.flow else { return Ok(false) };
        let ring = self.memory.ring();
        flow.seen = Seen { readable: ring.readable(self.reader)?, control: ring.writer_control() };
        if begins {
            flow.hear(session)?;
        }
        let mut moved = false;
        for _ in 0..16 {
            let may_send = port.can_send() && session.may_send_data();
            let supply = flow.supply(ring, self.reader, may_send)?;
            let step = flow.sender.plan(supply);
            if !begins && step.is_beginning() {
                break;
            }
            if !flow.take(step, (&self.memory, self.reader), session, port, scratch)? {
                break;
            }
            moved = true;
        }
        Ok(moved)
    }

    /// The direction was promoted: from now on the ring is emptied here.
    pub(super) fn begin(&mut self, session: &Session) -> Result<bool, Fault> {
        let (SendState::Promoted { start }, Some(agreement)) = (session.send_state(), session.agreement())
        else {
            return Ok(false);
        };
        if !self.memory.ring().accept_begin(self.reader, start)? {
            return Err(Fault::broken("a direction was promoted whose ring has not begun"));
        }
        let mut flow = Flow::new(PumpSender::new(start, agreement.pump_limits(Direction::Send)));
        flow.urgent = start;
        self.flow = Some(flow);
        Ok(true)
    }

    /// Asks the program's writers to kick the service thread; whether there is news already.
    pub(super) fn arm(&self) -> Result<bool, Fault> {
        let ring = self.memory.ring();
        ring.arm_data_wait(self.reader, SERVICE);
        let Some(flow) = &self.flow else { return Ok(false) };
        // The bytes that are kept are in the ring all the time, so the ring's own "news" means nothing here.
        Ok(flow.seen != Seen { readable: ring.readable(self.reader)?, control: ring.writer_control() })
    }

    /// Whether the program's writers got room since the last call.
    pub(super) fn take_freed(&mut self) -> bool {
        self.flow.as_mut().is_some_and(|flow| std::mem::take(&mut flow.freed))
    }

    /// The peer's room and progress.
    pub(super) fn on_window(&mut self, room: u64, taken: u64) -> Result<(), Fault> {
        let flow = self.flow.as_mut().ok_or_else(Fault::early)?;
        flow.sender.on_window(room, taken)?;
        let free = flow.sender.keep_from() - self.reader.head();
        if free != 0 {
            self.memory.ring().consume(self.reader, usize::try_from(free).unwrap_or(usize::MAX))?;
            flow.freed = true;
        }
        Ok(())
    }

    /// The peer has read what was exposed.
    pub(super) fn on_read(&mut self, offset: u64) -> Result<(), Fault> {
        let flow = self.flow.as_mut().ok_or_else(Fault::early)?;
        flow.sender.on_read(offset)?;
        flow.exposed = None;
        Ok(())
    }

    /// The peer has room for what was announced.
    pub(super) fn on_target(&mut self, offset: u64, total: u32, descriptor: &[u8]) -> Result<(), Fault> {
        let flow = self.flow.as_mut().ok_or_else(Fault::early)?;
        flow.sender.on_target(offset, total)?;
        flow.target = descriptor.to_vec();
        Ok(())
    }

    /// The peer takes the bytes from `at` on by TCP.
    pub(super) fn on_frozen(&mut self, at: u64) -> Result<(), Fault> {
        let flow = self.flow.as_mut().ok_or_else(Fault::early)?;
        flow.sender.on_frozen(at)?;
        flow.exposed = None;
        Ok(())
    }

    /// Whether RDMA writes run: until they have ended the peer must keep its memory exposed.
    pub(super) fn is_busy(&self) -> bool {
        self.flow.as_ref().is_some_and(|flow| !flow.writes.is_empty())
    }

    /// Whether everything, the end included, was handed over.
    pub(super) fn is_finished(&self) -> bool {
        self.flow.as_ref().is_some_and(|flow| flow.sender.is_finished())
    }

    /// What has been handed over, and what the peer's program is known to have taken.
    pub(super) fn progress(&self) -> (u64, u64) {
        self.flow.as_ref().map_or((0, 0), |flow| (flow.sender.offset(), flow.sender.keep_from()))
    }

    /// Bytes of the stream from this offset on are still in the ring.
    pub(super) fn kept_from(&self) -> u64 {
        self.reader.head()
    }

    /// An RDMA write has ended; false: it was not one of ours.
    pub(super) fn completed(&mut self, slot: u8, result: Result<u32, WsaError>) -> Result<bool, Fault> {
        let Some(flow) = &mut self.flow else { return Ok(false) };
        let Some(place) = flow.writes.iter().position(|(running, _)| *running == slot) else {
            return Ok(false);
        };
        let Some((_, length)) = flow.writes.remove(place) else { return Ok(false) };
        if result != Ok(length) {
            return Err(Fault::Provider);
        }
        flow.sender.write_completed(length)?;
        Ok(true)
    }

    /// Gives back what the peer could still use, and what no operation uses.
    pub(super) fn withdraw(&mut self) {
        if let Some(flow) = &mut self.flow {
            flow.exposed = None;
            if flow.writes.is_empty() {
                flow.source = None;
            }
        }
    }
}

impl Flow {
    fn new(sender: PumpSender) -> Self {
        Self {
            sender,
            exposed: None,
            source: None,
            target: Vec::new(),
            writes: VecDeque::new(),
            seen: Seen::default(),
            urgent: 0,
            ended: false,
            freed: false,
        }
    }

    /// The program's urgent mark, and the end of its stream.
    fn hear(&mut self, session: &mut Session) -> Result<(), Fault> {
        if !matches!(session.send_state(), SendState::Promoted { .. }) {
            return Ok(());
        }
        let control = self.seen.control;
        if let Some(after) = control.urgent
            && after > self.urgent
        {
            session.urgent(after)?;
            self.urgent = after;
        }
        if let Some(end) = control.fin
            && !self.ended
        {
            self.sender.finish(end)?;
            self.ended = true;
        }
        Ok(())
    }

    fn supply(&self, ring: Ring, reader: &ConsumerState, may_send: bool) -> Result<Supply, Fault> {
        let skip = self.skip(reader, self.sender.offset());
        let available = self.seen.readable.saturating_sub(skip);
        let mut drain = ring.drain(reader);
        drain.skip(skip)?;
        let contiguous = drain.data_spans(available)?[0].len;
        Ok(Supply { available: available as u64, contiguous: contiguous as u64, may_send })
    }

    /// How far an offset is from the first byte that is kept.
    fn skip(&self, reader: &ConsumerState, offset: u64) -> usize {
        usize::try_from(offset.saturating_sub(reader.head())).unwrap_or(usize::MAX)
    }

    /// Does a planned step; false if it has to wait.
    fn take(
        &mut self,
        step: SendStep,
        (memory, reader): (&RingMemory, &ConsumerState),
        session: &mut Session,
        port: &mut Port,
        scratch: &mut Scratch,
    ) -> Result<bool, Fault> {
        match step {
            SendStep::Wait => return Ok(false),
            SendStep::Data { offset, length } => {
                let [message, bytes] = scratch.leaving();
                let bytes = &mut bytes[..length.min(BUFFER)];
                let read = memory.ring().peek(reader, self.skip(reader, offset), bytes)?;
                if read != length {
                    return Err(Fault::broken("bytes that were written are not in the ring"));
                }
                let Some(length) = session.data_message(message, offset, [&bytes[..read], &[]])? else {
                    return Ok(false);
                };
                // A port that fails says so at the next look.
                let _ = port.send(&message[..length]);
            }
            SendStep::Offer { offset, total } => {
                let exposed = self
                    .slice(memory, reader, offset, total)
                    .and_then(|slice| port.socket()?.register_rdma_memory(&slice, MemoryAccess::Read).ok());
                let Some(exposed) = exposed else {
                    self.sender.decline(step);
                    return Ok(true);
                };
                session.rdma_offer(offset, total, exposed.descriptor())?;
                self.exposed = Some(exposed);
            }
            SendStep::Announce { offset, total } => {
                let source = self
                    .slice(memory, reader, offset, total)
                    .and_then(|slice| port.socket()?.register_memory(&slice, MemoryAccess::Read).ok());
                let Some(source) = source else {
                    self.sender.decline(step);
                    return Ok(true);
                };
                session.rdma_announce(offset, total)?;
                self.source = Some((offset, source));
            }
            SendStep::Write(piece) => {
                if !self.write(piece, port)? {
                    return Ok(false);
                }
            }
            SendStep::Written { offset } => {
                session.rdma_written(offset)?;
                self.source = None;
            }
            SendStep::Fin { offset } => session.fin(offset)?,
        }
        self.sender.record(step)?;
        Ok(true)
    }

    /// Bytes in one piece.
    fn slice(
        &self,
        memory: &RingMemory,
        reader: &ConsumerState,
        offset: u64,
        total: u32,
    ) -> Option<wsd_spi::client::MemorySlice> {
        let mut drain = memory.ring().drain(reader);
        drain.skip(self.skip(reader, offset)).ok()?;
        let [span, _] = drain.data_spans(total as usize).ok()?;
        (span.len == total as usize).then(|| memory.slice(span)).flatten()
    }

    /// Starts an RDMA write; false: later.
    fn write(&mut self, piece: Piece, port: &Port) -> Result<bool, Fault> {
        let free = |slot: &u8| self.writes.iter().all(|(running, _)| running != slot);
        let Some(slot) = (SLOT..SLOT + OPERATIONS).find(free) else { return Ok(false) };
        let segment = self.segment(piece).ok_or(Fault::Provider)?;
        let socket = port.socket().ok_or(Fault::Provider)?;
        let remote = Remote { descriptor: &self.target, offset: piece.within };
        match socket.rdma_write_notified(&[segment], remote, port.key(slot)) {
            Ok(()) => {
                self.writes.push_back((slot, piece.length));
                Ok(true)
            }
            // A running one makes room when it ends.
            Err(error) if busy(error) && !self.writes.is_empty() => Ok(false),
            Err(_) => Err(Fault::Provider),
        }
    }

    fn segment(&self, piece: Piece) -> Option<Segment> {
        let (offset, registration) = self.source.as_ref()?;
        let start = u32::try_from(piece.offset.checked_sub(*offset)?).ok()?;
        registration.segment(start..start.checked_add(piece.length)?)
    }
}
