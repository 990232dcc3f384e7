//! The service thread's end of the ring that the program reads: what the peer's switch sends goes in here.

use std::collections::VecDeque;

use wsd_os::atomic::Ordering;
use wsd_os::ring::{AREA_BYTES, ProducerState};
use wsd_session::{Agreement, Direction, Piece, PumpReceiver, ReceiveStep, Session};
use wsd_spi::client::{RdmaRegistration, Registration, Remote};
use wsd_spi::{MemoryAccess, WsaError};

use super::super::port::{Port, RDMA_SLOT};
use super::memory::{PumpMemory, RingMemory};
use super::{Fault, OPERATIONS, busy};
use crate::sharing::page::Page;
use crate::wait::wake::SERVICE;

/// Slots of the RDMA reads.
const SLOT: u8 = RDMA_SLOT + OPERATIONS;
/// What the peer may send before the program has taken it: the ring grows to this size when it is needed. The peer keeps as
/// much again, and more, on its side.
const CAPACITY: usize = AREA_BYTES[1];

/// See the [module](self).
pub(super) struct Inlet {
    pub(super) memory: RingMemory,
    writer: &'static ProducerState,
    flow: Option<Flow>,
}

/// A promoted direction.
struct Flow {
    receiver: PumpReceiver,
    /// The peer's descriptor of what we read.
    source: Vec<u8>,
    /// Running RDMA reads, oldest first.
    reads: VecDeque<Read>,
    /// Where the peer may write, until it says that it has.
    exposed: Option<RdmaRegistration>,
    /// No more reads are started: the direction leaves for TCP.
    stopping: bool,
    /// The urgent mark of a byte that has not arrived. Programs may take an urgent byte as soon as they are told of it.
    mark: Option<u64>,
    /// Something for the program's readers came.
    fresh: bool,
}

struct Read {
    slot: u8,
    length: u32,
    _target: Registration,
}

impl Flow {
    fn new(receiver: PumpReceiver) -> Self {
        Self {
            receiver,
            source: Vec::new(),
            reads: VecDeque::new(),
            exposed: None,
            stopping: false,
            mark: None,
            fresh: true,
        }
    }
}

impl Inlet {
    pub(super) fn new(memory: &PumpMemory) -> Self {
        Self { memory: memory.read.clone(), writer: &memory.page.inlet, flow: None }
    }

    /// One that goes on where another process has stopped.
    pub(super) fn arrived(memory: &PumpMemory, receiver: PumpReceiver) -> Self {
        let mark = Some(memory.page.urgent[1].load(Ordering::Relaxed)).filter(|after| *after != 0);
        Self { flow: Some(Flow { mark, ..Flow::new(receiver) }), ..Self::new(memory) }
    }

    /// For the next process; `None` unless nothing large is outstanding.
    pub(super) fn depart(&self, page: &Page) -> Option<&PumpReceiver> {
        let flow = self.flow.as_ref().filter(|flow| flow.receiver.is_idle())?;
        page.urgent[1].store(flow.mark.unwrap_or(0), Ordering::Relaxed);
        Some(&flow.receiver)
    }

    /// Whether nothing large is outstanding.
    pub(super) fn is_idle(&self) -> bool {
        self.flow.as_ref().is_none_or(|flow| flow.receiver.is_idle())
    }

    /// The peer sends everything from `start` on to us.
    pub(super) fn promoted(&mut self, start: u64, agreement: &Agreement) {
        self.memory.ring().begin(self.writer, start);
        let limits = agreement.pump_limits(Direction::Receive);
        self.flow = Some(Flow::new(PumpReceiver::new(start, CAPACITY as u64, limits)));
    }

    fn flow(&mut self) -> Result<&mut Flow, Fault> {
        self.flow.as_mut().ok_or_else(Fault::early)
    }

    /// Does what can be done now; whether that was anything. `begins`: windows may be told.
    pub(super) fn turn(
        &mut self,
        session: &mut Session,
        port: &mut Port,
        begins: bool,
    ) -> Result<bool, Fault> {
        let ring = self.memory.ring();
        let Some(flow) = self.flow.as_mut().filter(|flow| !flow.stopping) else { return Ok(false) };
        ring.writable(self.writer)?;
        ring.note_reader_control(self.writer, &ring.reader_control());
        flow.receiver.taken(self.writer.known_head())?;
        let mut moved = false;
        for _ in 0..16 {
            let contiguous = self.contiguous()?;
            let Some(flow) = &mut self.flow else { break };
            let step = flow.receiver.plan(contiguous as u64);
            match step {
                ReceiveStep::Wait => break,
                ReceiveStep::Window { .. } if !begins => break,
                ReceiveStep::Read(piece) => {
                    if !self.read(piece, port)? {
                        break;
                    }
                }
                ReceiveStep::ReadDone { offset } => session.rdma_read(offset)?,
                ReceiveStep::Expose { offset, total } => self.expose(offset, total, session, port)?,
                ReceiveStep::Window { room, taken } => session.window(room, taken)?,
            }
            self.flow()?.receiver.record(step)?;
            self.publish()?;
            moved = true;
        }
        Ok(moved)
    }

    /// Room in one piece behind what has arrived or is being read.
    fn contiguous(&self) -> Result<usize, Fault> {
        let Some(flow) = &self.flow else { return Ok(0) };
        Ok(self.free(flow.receiver.fill_from(), usize::MAX)?.len)
    }

    /// Free bytes in one piece, from an offset on that is not before the published end, at most `max`.
    fn free(&self, offset: u64, max: usize) -> Result<wsd_os::ring::Span, Fault> {
        let mut staging = self.memory.ring().stage(self.writer);
        // Looks at the reader's cursor, so that `advance` is not held back by an old one.
        staging.free_spans(usize::MAX)?;
        staging.advance(usize::try_from(offset.saturating_sub(self.writer.tail())).unwrap_or(usize::MAX));
        Ok(staging.free_spans(max)?[0])
    }

    /// Makes what has arrived visible to the program.
    fn publish(&mut self) -> Result<(), Fault> {
        let Some(flow) = &self.flow else { return Ok(()) };
        let arrived = flow.receiver.received().saturating_sub(self.writer.tail());
        if arrived != 0 {
            self.set_mark()?;
            let mut staging = self.memory.ring().stage(self.writer);
            staging.free_spans(usize::MAX)?;
            staging.advance(usize::try_from(arrived).unwrap_or(usize::MAX));
            staging.publish();
            self.flow()?.fresh = true;
        }
        Ok(())
    }

    /// Sets the urgent mark if its byte has arrived: before the program can read the byte.
    fn set_mark(&mut self) -> Result<(), Fault> {
        let flow = self.flow()?;
        let received = flow.receiver.received();
        if let Some(after) = flow.mark.take_if(|after| *after <= received) {
            flow.fresh = true;
            self.memory.ring().set_urgent(after);
        }
        Ok(())
    }

    /// Grows the ring if `total` bytes, which the window allows, do not fit. Nothing may be on its way into it.
    fn make_room(&self, total: u64) -> Result<(), Fault> {
        let ring = self.memory.ring();
        while (ring.writable(self.writer)? as u64) < total {
            if !ring.grow(self.writer) {
                return Err(Fault::broken("the window is larger than the ring"));
            }
        }
        Ok(())
    }

    /// Asks the program's readers to kick the service thread; whether there is news already.
    pub(super) fn arm(&self) -> bool {
        match &self.flow {
            Some(flow) if !flow.stopping => !self.memory.ring().arm_space_wait(self.writer, SERVICE),
            _ => false,
        }
    }

    /// Whether something for the program's readers came since the last call.
    pub(super) fn take_fresh(&mut self) -> bool {
        self.flow.as_mut().is_some_and(|flow| std::mem::take(&mut flow.fresh))
    }

    /// Bytes came in a message.
    pub(super) fn on_data(&mut self, offset: u64, mut bytes: &[u8]) -> Result<(), Fault> {
        self.flow()?.receiver.on_data(offset, bytes.len())?;
        self.set_mark()?;
        let ring = self.memory.ring();
        loop {
            let written = ring.write(self.writer, bytes)?;
            bytes = &bytes[written..];
            if bytes.is_empty() {
                self.flow()?.fresh = true;
                return Ok(());
            }
            if !ring.grow(self.writer) {
                return Err(Fault::broken("the window is larger than the ring"));
            }
        }
    }

    /// The peer has exposed bytes.
    pub(super) fn on_offer(&mut self, offset: u64, total: u32, descriptor: &[u8]) -> Result<(), Fault> {
        let flow = self.flow()?;
        flow.receiver.on_offer(offset, total)?;
        flow.source = descriptor.to_vec();
        self.make_room(total.into())
    }

    /// The peer has bytes to write.
    pub(super) fn on_announce(&mut self, offset: u64, total: u32) -> Result<(), Fault> {
        self.flow()?.receiver.on_announce(offset, total)?;
        self.make_room(total.into())
    }

    /// The peer has written what it announced.
    pub(super) fn on_written(&mut self, offset: u64) -> Result<(), Fault> {
        let flow = self.flow()?;
        flow.receiver.on_written(offset)?;
        // Withdrawn before the program looks at it.
        flow.exposed = None;
        self.publish()
    }

    /// The peer's stream ends.
    pub(super) fn on_fin(&mut self, offset: u64) -> Result<(), Fault> {
        let flow = self.flow()?;
        flow.receiver.on_fin(offset)?;
        flow.fresh = true;
        self.memory.ring().set_fin(self.writer);
        Ok(())
    }

    /// The byte before `offset` is urgent.
    pub(super) fn on_urgent(&mut self, offset: u64) -> Result<(), Fault> {
        let flow = self.flow()?;
        flow.receiver.on_urgent(offset)?;
        flow.mark = Some(offset);
        self.set_mark()
    }

    /// Starts an RDMA read; false: later.
    fn read(&mut self, piece: Piece, port: &Port) -> Result<bool, Fault> {
        let span = self.free(piece.offset, piece.length as usize)?;
        let Some(flow) = &mut self.flow else { return Ok(false) };
        let free = |slot: &u8| flow.reads.iter().all(|read| read.slot != *slot);
        let Some(slot) = (SLOT..SLOT + OPERATIONS).find(free) else { return Ok(false) };
        let memory = self.memory.slice(span).ok_or(Fault::Provider)?;
        let socket = port.socket().ok_or(Fault::Provider)?;
        let started = socket.register_memory(&memory, MemoryAccess::Write).and_then(|target| {
            let segment = target.segment(0..piece.length).ok_or(WsaError::WSAEFAULT)?;
            let remote = Remote { descriptor: &flow.source, offset: piece.within };
            socket.rdma_read_notified(&[segment], remote, port.key(slot))?;
            Ok(target)
        });
        match started {
            Ok(target) => {
                flow.reads.push_back(Read { slot, length: piece.length, _target: target });
                Ok(true)
            }
            // A running one makes room when it ends.
            Err(error) if busy(error) && !flow.reads.is_empty() => Ok(false),
            Err(_) => Err(Fault::Provider),
        }
    }

    fn expose(&mut self, offset: u64, total: u32, session: &mut Session, port: &Port) -> Result<(), Fault> {
        let span = self.free(offset, total as usize)?;
        let memory = self.memory.slice(span).ok_or(Fault::Provider)?;
        let socket = port.socket().ok_or(Fault::Provider)?;
        let exposed =
            socket.register_rdma_memory(&memory, MemoryAccess::Write).map_err(|_| Fault::Provider)?;
        session.rdma_target(offset, total, exposed.descriptor())?;
        self.flow()?.exposed = Some(exposed);
        Ok(())
    }

    /// An RDMA read has ended; false: it was not one of ours.
    pub(super) fn completed(&mut self, slot: u8, result: Result<u32, WsaError>) -> Result<bool, Fault> {
        let Some(flow) = &mut self.flow else { return Ok(false) };
        let Some(place) = flow.reads.iter().position(|read| read.slot == slot) else { return Ok(false) };
        let Some(read) = flow.reads.remove(place) else { return Ok(false) };
        if result != Ok(read.length) {
            // The bytes come again by TCP.
            flow.stopping = true;
            return Err(Fault::Provider);
        }
        flow.receiver.read_completed(read.length)?;
        Ok(true)
    }

    /// The direction is to leave for TCP: whether it may now, or has to wait until reads have ended.
    pub(super) fn may_freeze(&mut self) -> bool {
        let Some(flow) = &mut self.flow else { return true };
        flow.stopping = true;
        flow.reads.is_empty()
    }

    /// Whether the direction has been waiting to leave, and may now.
    pub(super) fn waits_to_freeze(&self) -> bool {
        self.flow.as_ref().is_some_and(|flow| flow.stopping && flow.reads.is_empty())
    }

    /// The program has taken the bytes up to `at`; the rest comes again by TCP.
    pub(super) fn frozen(&mut self, at: u64) -> Result<(), Fault> {
        let Some(flow) = &mut self.flow else { return Ok(()) };
        flow.receiver.taken(at)?;
        flow.receiver.freeze()?;
        Ok(())
    }

    /// What has arrived.
    pub(super) fn received(&self) -> u64 {
        self.flow.as_ref().map_or(0, |flow| flow.receiver.received())
    }

    /// Whether the program has something to read, or to learn.
    pub(super) fn is_unread(&self) -> bool {
        let _ = self.memory.ring().writable(self.writer);
        self.writer.begun() && self.writer.known_head() != self.writer.tail()
    }

    /// Gives back what the peer could still use.
    pub(super) fn withdraw(&mut self) {
        if let Some(flow) = &mut self.flow {
            flow.exposed = None;
        }
    }
}
