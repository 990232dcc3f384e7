//! One-sided access for programs: the service thread's side. Exposures and transfers of a connection live beside the messages
//! in its [`Port`] and end with it, the same with mapped rings and with a pump.

use std::collections::{HashMap, VecDeque};

use wsd_session::Session;
use wsd_spi::client::{MemorySlice, RdmaRegistration, Registration, Remote, StableMemory};
use wsd_spi::{MemoryAccess, WsaError};

use super::companion::Stage;
use super::port::Port;
use super::pump::busy;
use super::thread::Service;
use crate::access::{
    Answer, Direction, ExposeError, Request, Transfer, TransferError, Unserved, What, Window, desk,
    local_access, reason,
};
use crate::stream::state::Stream;

/// Slots of transfers, above those of the pump.
pub(super) const ACCESS_SLOT: u8 = 64;
/// Pieces of one connection that the provider has at a time.
const PIECES: u8 = 8;

/// What a connection's programs access one-sidedly. Dropped after the socket was closed: a running transfer's memory is in use
/// until then.
#[derive(Default)]
pub(super) struct Access {
    /// By their numbers. Each keeps its memory, and with it the loan.
    exposures: HashMap<u64, RdmaRegistration>,
    /// Exposures that have ended, and that the provider has not given back yet.
    ended: Vec<RdmaRegistration>,
    /// In the order of the calls.
    transfers: VecDeque<Running>,
}

/// A transfer, and how far it is.
struct Running {
    transfer: Box<Transfer>,
    registration: Option<Registration>,
    /// Bytes in pieces that were started.
    begun: u32,
    /// Pieces that the provider has: slot and length.
    pieces: Vec<(u8, u32)>,
    failed: Option<TransferError>,
}

/// What a session says about windows.
#[derive(Clone, Copy)]
struct Terms {
    own_nonce: u64,
    peer_nonce: u64,
    max_rdma: u32,
}

impl Terms {
    fn of(session: &Session) -> Option<Self> {
        let agreement = session.agreement()?;
        Some(Self {
            own_nonce: session.nonce(),
            peer_nonce: agreement.peer_nonce,
            max_rdma: agreement.max_rdma.max(1),
        })
    }
}

impl Service {
    /// Takes what the program's threads have asked for, and goes on with what runs.
    pub(super) fn serve_access(&mut self) {
        let Some(desk) = desk() else { return };
        for request in desk.take() {
            self.serve_request(request);
        }
        for index in self.accessed.iter().copied().collect::<Vec<_>>() {
            if !self.go_on_with_access(index) {
                self.accessed.remove(&index);
            }
        }
        desk.looked();
    }

    fn serve_request(&mut self, request: Request) {
        let Request { index, generation, what } = request;
        if let What::Withdraw { number } = what {
            let companion = self.companions.get_mut(&index).filter(|c| c.generation == generation);
            // What has ended with its companion needs no withdrawal.
            if let Some(companion) = companion {
                companion.port.access.withdraw(number);
                self.accessed.insert(index);
            }
            return;
        }
        match (self.terms(index, generation), what) {
            (Ok(terms), What::Expose { number, memory, access, answer }) => {
                let Some(companion) = self.companions.get_mut(&index) else { return };
                let registered = match companion.port.socket() {
                    Some(socket) => {
                        socket.register_rdma_memory(&memory, access).map_err(ExposeError::Provider)
                    }
                    None => Err(ExposeError::Ended),
                };
                drop(memory);
                companion.port.access.expose(number, registered, access, terms, answer);
                self.accessed.insert(index);
            }
            (Ok(terms), What::Transfer(transfer)) => {
                if transfer.window.nonce != terms.peer_nonce {
                    return transfer.loan.settle(Err(TransferError::Stale));
                }
                let Some(companion) = self.companions.get_mut(&index) else { return };
                companion.port.access.transfers.push_back(Running::new(transfer));
                self.accessed.insert(index);
            }
            (Err(error), What::Expose { answer, memory, .. }) => {
                drop(memory);
                answer.give(Err(error.into()));
            }
            // The call found it up: it has ended since then.
            (Err(_), What::Transfer(transfer)) => transfer.loan.settle(Err(TransferError::Ended)),
            (_, What::Withdraw { .. }) => {}
        }
    }

    /// The terms of the companion, if it stands.
    fn terms(&self, index: u32, generation: u32) -> Result<Terms, Unserved> {
        let stream = Stream::at(index).filter(|stream| stream.generation == generation);
        let stream = stream.ok_or(Unserved::NotConnected)?;
        let companion = self.companions.get(&index).filter(|companion| {
            companion.generation == generation && companion.stage == Stage::Up && companion.leaving.is_none()
        });
        let terms = companion.and_then(|companion| Terms::of(companion.session.as_ref()?));
        terms.ok_or_else(|| Unserved::OnTcp(reason(&stream)))
    }

    /// Goes on with a connection's transfers; whether it has any, or exposures.
    fn go_on_with_access(&mut self, index: u32) -> bool {
        let Some(companion) = self.companions.get_mut(&index) else { return false };
        if companion.stage != Stage::Up {
            companion.port.access.end();
            if !companion.port.access.transfers.is_empty()
                && let Some(stream) = Stream::at(index)
            {
                self.take_all(&stream);
            }
        }
        let Some(companion) = self.companions.get_mut(&index) else { return false };
        let max_rdma = companion.session.as_ref().and_then(Terms::of).map_or(1, |terms| terms.max_rdma);
        let mut access = std::mem::take(&mut companion.port.access);
        access.go_on(&companion.port, max_rdma);
        let left = !access.is_empty();
        companion.port.access = access;
        left
    }
}

impl Service {
    /// Takes all completions of a companion that is over: a failed receive ends one look at them, and nobody looks again.
    fn take_all(&mut self, stream: &Stream) {
        for _ in 0..usize::from(u8::MAX) {
            let more = self.companions.get(&stream.index).is_some_and(|c| c.port.has_more());
            if !more || self.receive(stream).is_err() {
                return;
            }
        }
    }
}

impl Access {
    fn expose(
        &mut self,
        number: u64,
        registered: Result<RdmaRegistration, ExposeError>,
        access: MemoryAccess,
        terms: Terms,
        answer: Answer,
    ) {
        let registration = match registered {
            Ok(registration) => registration,
            Err(error) => return answer.give(Err(error)),
        };
        let descriptor = registration.descriptor();
        let length = length_of(registration.memory());
        match Window::new(access, terms.own_nonce, length, descriptor) {
            Some(window) => {
                self.exposures.insert(number, registration);
                answer.give(Ok(window.encode()));
            }
            None => {
                let length = descriptor.len();
                drop(registration);
                answer.give(Err(ExposeError::Descriptor(length)));
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.exposures.is_empty() && self.ended.is_empty() && self.transfers.is_empty()
    }

    /// The program wants its memory back.
    fn withdraw(&mut self, exposure: u64) {
        self.ended.extend(self.exposures.remove(&exposure));
        self.take_back();
    }

    /// Ends the peer's access to what is not exposed any more. What the provider refuses to give back stays.
    fn take_back(&mut self) {
        self.ended.retain_mut(|registration| registration.try_deregister().is_err());
    }

    /// A piece of a transfer has ended.
    pub(super) fn completed(&mut self, slot: u8, result: Result<u32, WsaError>) {
        for running in &mut self.transfers {
            if let Some(place) = running.pieces.iter().position(|(own, _)| *own == slot) {
                let (_, length) = running.pieces.swap_remove(place);
                match result {
                    Ok(bytes) if bytes == length => {}
                    Ok(_) => running.fail(TransferError::Provider(WsaError::WSASYSCALLFAILURE)),
                    Err(error) => running.fail(TransferError::of_provider(error)),
                }
                return;
            }
        }
    }

    /// Starts what has room, and settles what has ended.
    fn go_on(&mut self, port: &Port, max_rdma: u32) {
        self.take_back();
        if port.has_failed() {
            // The provider knows them no longer: the peer's access has ended with the connection (SP-123).
            self.ended.drain(..).for_each(RdmaRegistration::surrender);
        }
        let mut free: Vec<u8> = (ACCESS_SLOT..ACCESS_SLOT + PIECES)
            .filter(|slot| !self.transfers.iter().any(|running| running.has(*slot)))
            .collect();
        'all: for running in &mut self.transfers {
            while running.begins() {
                let Some(slot) = free.pop() else { break 'all };
                match running.begin_piece(port, slot, max_rdma) {
                    Ok(()) => {}
                    // A running one makes room when it ends.
                    Err(error) if busy(error) && free.len() + 1 < usize::from(PIECES) => break 'all,
                    Err(error) => {
                        free.push(slot);
                        running.fail(TransferError::of_provider(error));
                    }
                }
            }
        }
        self.transfers.retain(|running| !running.has_ended());
    }

    /// The companion is over: so are exposures, and transfers that the provider has nothing of.
    pub(super) fn end(&mut self) {
        self.ended.extend(self.exposures.drain().map(|(_, registration)| registration));
        self.take_back();
        for running in &mut self.transfers {
            running.fail(TransferError::Ended);
        }
        self.transfers.retain(|running| !running.has_ended());
    }
}

impl Running {
    fn new(transfer: Box<Transfer>) -> Self {
        Self { transfer, registration: None, begun: 0, pieces: Vec::new(), failed: None }
    }

    fn has(&self, slot: u8) -> bool {
        self.pieces.iter().any(|(own, _)| *own == slot)
    }

    /// Whether another piece is to be started.
    fn begins(&self) -> bool {
        self.failed.is_none() && self.begun < self.total()
    }

    fn total(&self) -> u32 {
        length_of(&self.transfer.memory)
    }

    fn fail(&mut self, error: TransferError) {
        self.failed.get_or_insert(error);
    }

    fn begin_piece(&mut self, port: &Port, slot: u8, max_rdma: u32) -> Result<(), WsaError> {
        let socket = port.socket().ok_or(WsaError::WSAENOTCONN)?;
        let Transfer { direction, memory, window, offset, .. } = &*self.transfer;
        let registration = match &mut self.registration {
            Some(registration) => registration,
            none => none.insert(socket.register_memory(memory, local_access(*direction))?),
        };
        let length = (length_of(memory) - self.begun).min(max_rdma);
        let segment = registration.segment(self.begun..self.begun + length).ok_or(WsaError::WSAEFAULT)?;
        let remote = Remote { descriptor: window.descriptor(), offset: offset + self.begun };
        let key = port.key(slot);
        match direction {
            Direction::Read => socket.rdma_read_notified(&[segment], remote, key)?,
            Direction::Write => socket.rdma_write_notified(&[segment], remote, key)?,
        }
        self.begun += length;
        self.pieces.push((slot, length));
        Ok(())
    }

    /// Whether the provider has nothing of it any more; then its end is settled. It is told when the memory is free.
    fn has_ended(&self) -> bool {
        let ended = self.pieces.is_empty() && !self.begins();
        if ended {
            self.transfer.loan.settle(self.failed.map_or(Ok(()), Err));
        }
        ended
    }
}

/// A slice has no more bytes than 32 bits can count.
fn length_of(memory: &MemorySlice) -> u32 {
    memory.len() as u32
}
