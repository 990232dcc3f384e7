//! The pump: a connection over a provider that has only the documented functions, so that the peer does not see our memory
//! (session protocol, section 6).
//!
//! The program writes into and reads from rings as ever, but both lie in this family's own memory, and the service thread
//! is the other end of both: the [`outlet`] empties the one, the [`inlet`] fills the other, with messages and RDMA. So
//! there is one data path, in `stream`.

mod end;
mod exit;
mod inlet;
mod lockstep;
mod memory;
mod mend;
mod outlet;
mod pace;

use wsd_os::clock;
use wsd_os::ring::Violation;
use wsd_session::{
    Event, PumpError, PumpReceiver, PumpSender, ReceiveState, Session, Suspension, WrongState, pack,
};
use wsd_spi::WsaError;

use super::companion::Stage;
use super::port::Port;
use super::scratch::Scratch;
use super::steps::{Failure, Step, fail};
use super::thread::Service;
use crate::family::{Attach, First};
use crate::reason::Reason;
use crate::sharing;
use crate::sharing::page::Page;
use crate::stream::state::Stream;
use crate::trace;
use crate::wait::spin;
use crate::wait::wake::wake;

#[cfg(target_os = "linux")]
pub(crate) use exit::restart_in_child;
pub(crate) use exit::{Unsettled, settle};

use end::Closing;
pub(super) use end::Farewell;
use inlet::Inlet;
pub(super) use memory::PumpMemory;
use mend::Mend;
pub(super) use mend::{LONGEST_PAUSE, put_off};
use outlet::Outlet;
use pace::Pace;

/// RDMA operations of one direction that run at a time.
const OPERATIONS: u8 = 4;
/// Rounds of one look before other connections have their turn.
const ROUNDS: usize = 16;

/// Both directions of a connection.
pub(super) struct Pump {
    memory: PumpMemory,
    outlet: Outlet,
    inlet: Inlet,
    closing: Closing,
    /// The promotion of both directions.
    pace: Pace,
    /// When both directions were promoted together (monotonic nanoseconds).
    settled: Option<u64>,
    /// The companion is gone, and the streams are going back to TCP.
    mend: Option<Mend>,
    _unsettled: Unsettled,
}

/// Why a pump cannot go on.
#[derive(Debug)]
pub(super) enum Fault {
    /// The peer broke the protocol, or memory is damaged: the connection is lost.
    Broken(String),
    /// The provider refused or failed an operation. The bytes are kept, so the stream goes back to TCP.
    Provider,
}

impl Fault {
    fn broken(what: &str) -> Self {
        Self::Broken(what.to_owned())
    }

    /// A message about a direction that is not promoted. The session has excluded that.
    fn early() -> Self {
        Self::broken("a message came before its direction was promoted")
    }
}

impl From<PumpError> for Fault {
    fn from(error: PumpError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Self {
        Self::Broken(violation.to_string())
    }
}

impl From<WrongState> for Fault {
    fn from(error: WrongState) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Whether an operation may be tried again when another one has ended.
pub(super) fn busy(error: WsaError) -> bool {
    matches!(error, WsaError::WSAENOBUFS | WsaError::WSAEWOULDBLOCK)
}

impl Pump {
    /// Rings for both directions. `None`: no memory.
    fn new() -> Option<Self> {
        let memory = PumpMemory::new()?;
        let (outlet, inlet) = (Outlet::new(&memory), Inlet::new(&memory));
        Some(Self::with(memory, outlet, inlet))
    }

    fn with(memory: PumpMemory, outlet: Outlet, inlet: Inlet) -> Self {
        Self {
            memory,
            outlet,
            inlet,
            closing: Closing::default(),
            pace: Pace::default(),
            settled: None,
            mend: None,
            _unsettled: Unsettled::new(),
        }
    }

    /// A pump that goes on where another process has stopped.
    pub(super) fn arrived(memory: PumpMemory, sender: PumpSender, receiver: PumpReceiver) -> Self {
        let (outlet, inlet) = (Outlet::arrived(&memory, sender), Inlet::arrived(&memory, receiver));
        Self::with(memory, outlet, inlet)
    }

    /// What the next process needs to know, but for what is in the memory. `None`: not now.
    pub(super) fn depart(&self, session: &Session) -> Option<Vec<u8>> {
        let page = self.memory.page;
        pack(session, self.outlet.depart(page)?, self.inlet.depart(page)?).ok()
    }

    /// What the processes that share the connection have in common.
    pub(super) fn page(&self) -> &'static Page {
        self.memory.page
    }

    /// The memory of a pump that has departed.
    pub(super) fn into_memory(self) -> PumpMemory {
        self.memory
    }

    /// Whether no large transfer of this end's is outstanding.
    pub(super) fn has_sent_all(&self) -> bool {
        self.outlet.is_idle()
    }

    /// Whether no large transfer is outstanding.
    pub(super) fn is_idle(&self) -> bool {
        self.outlet.is_idle() && self.inlet.is_idle()
    }

    fn turn(
        &mut self,
        session: &mut Session,
        port: &mut Port,
        begins: bool,
        scratch: &mut Scratch,
    ) -> Result<bool, Fault> {
        while let Some((slot, result)) = port.rdma_done() {
            if !self.inlet.completed(slot, result)? {
                self.outlet.completed(slot, result)?;
            }
        }
        Ok(self.inlet.turn(session, port, begins)? | self.outlet.turn(session, port, begins, scratch)?)
    }

    fn on_event(&mut self, session: &Session, event: Event<'_>) -> Result<(), Fault> {
        match event {
            Event::Promoted { start } => {
                let agreement = session.agreement().ok_or_else(Fault::early)?;
                self.inlet.promoted(start, agreement);
                Ok(())
            }
            Event::Data { offset, bytes } => self.inlet.on_data(offset, bytes),
            Event::RdmaOffered { offset, total, descriptor } => {
                self.inlet.on_offer(offset, total, descriptor)
            }
            Event::RdmaAnnounced { offset, total } => self.inlet.on_announce(offset, total),
            Event::RdmaWritten { offset } => self.inlet.on_written(offset),
            Event::Fin { offset } => self.inlet.on_fin(offset),
            Event::Urgent { offset } => self.inlet.on_urgent(offset),
            Event::Window { room, taken } => self.outlet.on_window(room, taken),
            Event::RdmaRead { offset } => self.outlet.on_read(offset),
            Event::RdmaTarget { offset, total, descriptor } => {
                self.outlet.on_target(offset, total, descriptor)
            }
            Event::Frozen { at } => self.outlet.on_frozen(at),
            _ => Err(Fault::broken("a message that belongs to mapped rings")),
        }
    }

    /// As the reader, before a direction leaves for TCP: whether it may now. If not it does so when its reads have ended.
    pub(super) fn may_freeze(&mut self) -> bool {
        self.inlet.may_freeze()
    }

    /// As the reader: the direction has left for TCP at `at`.
    pub(super) fn frozen(&mut self, at: u64) -> Step {
        self.inlet.frozen(at).map_err(|fault| broken(&fault))
    }

    /// As the writer of a direction that the peer has frozen: whether its bytes may go to TCP, or writes still run.
    pub(super) fn may_rewind(&self) -> bool {
        !self.outlet.is_busy()
    }

    /// Before the companion is closed (SW-161), and when the peer needs nothing of it any more.
    pub(super) fn withdraw(&mut self) {
        self.inlet.withdraw();
        self.outlet.withdraw();
    }

    /// As the reader: the peer has put everything into TCP.
    pub(super) fn demoted(&mut self) {
        self.inlet.withdraw();
    }

    /// Mappings that end with this value.
    pub(super) fn ranges(&self) -> [(usize, usize); 2] {
        [self.inlet.memory.range(), self.outlet.memory.range()]
    }
}

fn broken(fault: &Fault) -> Failure {
    if let Fault::Broken(what) = fault {
        trace::note(format_args!("pump: {what}"));
    }
    fail(Reason::NegotiationFailed)
}

impl Service {
    /// Both ends are proven and share no memory: rings of our own take the place of mapped ones.
    pub(super) fn open_pump(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let channel = stream.channel().map_err(|_| fail(Reason::NoMemory))?;
        let mut pump = Pump::new().ok_or(fail(Reason::NoMemory))?;
        // No pair: sleepers at the other end of the rings are this process's own service thread.
        pump.memory.show(channel);
        let first = stream.record.first() != First::No;
        if let Some(memory) = pump.memory.take_fd().filter(|_| first) {
            sharing::keep_memory(channel, memory);
        }
        companion.pump = Some(pump);
        companion.port.be_patient();
        Ok(())
    }

    /// SAN first: both directions begin at once, since what the peer says next may be about either.
    pub(super) fn begin_pump(&mut self, stream: &Stream) -> Step {
        let lost = || fail(Reason::NegotiationFailed);
        let companion = self.companions.get_mut(&stream.index).ok_or_else(lost)?;
        let session = companion.session.as_ref().ok_or_else(lost)?;
        let agreement = session.agreement().ok_or_else(lost)?;
        let pump = companion.pump.as_mut().ok_or_else(lost)?;
        pump.outlet.memory.ring().begin(&stream.record.send.ring, 0);
        // Now: the peer's first window may have arrived together with its last word of the negotiation.
        pump.outlet.begin(session).map_err(|fault| broken(&fault))?;
        pump.inlet.promoted(0, agreement);
        self.open_page(stream);
        Ok(())
    }

    /// What the peer says about bytes.
    pub(super) fn pump_event(&mut self, stream: &Stream, event: Event<'_>) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let (Some(session), Some(pump)) = (&companion.session, &mut companion.pump) else {
            return Err(fail(Reason::NegotiationFailed));
        };
        pump.on_event(session, event).or_else(|fault| self.pump_fault(stream, &fault))
    }

    /// Moves bytes as far as it goes now.
    pub(super) fn pump(&mut self, stream: &Stream) -> Step {
        for _ in 0..ROUNDS {
            let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
            let (Stage::Up, Some(session), Some(pump)) =
                (companion.stage, companion.session.as_mut(), companion.pump.as_mut())
            else {
                return Ok(());
            };
            let begins = companion.leaving.is_none() && session.suspension() == Suspension::None;
            let moved = match pump.turn(session, &mut companion.port, begins, &mut self.scratch) {
                Ok(moved) => moved,
                Err(fault) => {
                    self.wake_program(stream);
                    return self.pump_fault(stream, &fault);
                }
            };
            let promoted = matches!(session.receive_state(), ReceiveState::Promoted { .. });
            if promoted && pump.inlet.waits_to_freeze() {
                self.freeze(stream)?;
            }
            let queued = self.has_queued(stream.index);
            if self.wake_program(stream) | moved {
                self.has_moved();
            }
            self.transmit(stream)?;
            if self.companions.get(&stream.index).is_some_and(|companion| companion.port.is_broken()) {
                if self.fails_over(stream.index) {
                    self.break_off(stream, Reason::CompanionLost);
                } else {
                    self.await_last_words(stream.index);
                }
                return Ok(());
            }
            // Bytes waited for a queued message to go first, and nothing else would call for them once it has gone.
            let moved = moved || (queued && !self.has_queued(stream.index));
            let Some(pump) = self.companions.get(&stream.index).and_then(|companion| companion.pump.as_ref())
            else {
                return Ok(());
            };
            if !begins {
                // What the program does is looked at when blocks may be begun again.
                if moved {
                    continue;
                }
                return Ok(());
            }
            let news = pump.inlet.arm() | pump.outlet.arm().map_err(|fault| broken(&fault))?;
            if !moved && !news {
                return Ok(());
            }
        }
        super::kick::kick(stream.index);
        Ok(())
    }

    /// Whether messages of the connection's session wait to be sent.
    fn has_queued(&self, index: u32) -> bool {
        let session = self.companions.get(&index).and_then(|companion| companion.session.as_ref());
        session.is_some_and(wsd_session::Session::has_queued)
    }

    /// Bytes were moved: the next ones may come soon.
    fn has_moved(&mut self) {
        spin::learn(self.moved);
        self.moved = clock::now_ns();
    }

    /// Wakes the program's threads for which something came; whether that were bytes.
    fn wake_program(&mut self, stream: &Stream) -> bool {
        let Some(pump) = self.companions.get_mut(&stream.index).and_then(|companion| companion.pump.as_mut())
        else {
            return false;
        };
        let Ok(channel) = stream.channel() else { return false };
        let (fresh, freed) = (pump.inlet.take_fresh(), pump.outlet.take_freed());
        if fresh {
            let ring = pump.inlet.memory.ring();
            wake(ring.take_data_wait(), ring.data_wait_word(), channel, stream.index);
        }
        if freed {
            let ring = pump.outlet.memory.ring();
            wake(ring.take_space_wait(), ring.space_wait_word(), channel, stream.index);
        }
        fresh
    }

    fn pump_fault(&mut self, stream: &Stream, fault: &Fault) -> Step {
        match fault {
            Fault::Broken(_) => Err(broken(fault)),
            Fault::Provider if self.fails_over(stream.index) => {
                self.break_off(stream, Reason::CompanionLost);
                Ok(())
            }
            // There is no TCP to go back to.
            Fault::Provider if stream.record.first() != First::No => Err(fail(Reason::ProviderFailed)),
            Fault::Provider => {
                trace::note(format_args!("connection {}: the provider failed; back to TCP", stream.index));
                if stream.record.change_attach(Attach::Attached, Attach::Leaving) {
                    stream.record.set_reason(Some(Reason::ProviderFailed));
                }
                super::kick::kick(stream.index);
                Ok(())
            }
        }
    }
}
