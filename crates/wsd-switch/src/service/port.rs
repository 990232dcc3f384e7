//! A companion's SAN socket: how it meets its peer, and messages in registered buffers.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use wsd_os::ring::Ring;
use wsd_session::message::DEFAULT_RECEIVES;
use wsd_spi::client::{
    Buffer, MemoryExt, MemorySlice, Operation, Registration, SharedMemory, Socket, SocketArguments,
    StableMemory,
};
use wsd_spi::ffi::{
    AF_INET, AF_INET6, SO_DEBUG, SO_MAX_MSG_SIZE, SO_MAX_RDMA_SIZE, SO_RDMA_THRESHOLD_SIZE, SOL_SOCKET,
};
use wsd_spi::{Condition, EventMask, ExtensionFunction, MemoryAccess, SockAddr, WsaError};

mod ending;
mod handover;

use super::access::{ACCESS_SLOT, Access};
use super::lasting::ring_in;
use super::port_failure::{PortFailure, broken};
use super::proof::{Names, canonical};
use super::scratch::BUFFER;
use crate::registry::{self, Providers};
use crate::upcalls::{Done, UpCalls, event_of, key_of};

const RECEIVES: usize = DEFAULT_RECEIVES as usize;
const SENDS: usize = 8;
/// Slots of completions: below this one receives, from it on sends.
const SEND_SLOT: u8 = 16;
/// From this slot on the pump's RDMA operations.
pub(super) const RDMA_SLOT: u8 = 32;

/// What a port's socket is doing.
pub(super) enum PortState {
    /// Waiting for the peer's companion.
    Waiting,
    /// Connected.
    Connected,
    /// Over.
    Failed(PortFailure),
}

/// What the provider can do for this socket.
pub(super) struct Limits {
    pub(super) rdma_read: bool,
    pub(super) maps: bool,
    pub(super) max_message: u32,
    pub(super) threshold: u32,
    pub(super) max_rdma: u32,
    pub(super) rdma_descriptor: u16,
    pub(super) allocation_descriptor: u16,
}

/// See the [module](self). Fields are dropped in this order: memory before the socket it came from.
pub(super) struct Port {
    index: u32,
    /// Names the port in keys of operations.
    number: u64,
    upcalls: Arc<UpCalls>,
    names: Names,
    own_ring: Option<SharedMemory>,
    peer_ring: Option<SharedMemory>,
    sending: VecDeque<(Option<Operation>, usize)>,
    free_sends: Vec<usize>,
    /// Slots of notified sends that are done.
    sent: u32,
    rdma_done: VecDeque<Done>,
    messages: Option<Messages>,
    listener: Option<Socket>,
    socket: Option<Socket>,
    /// After the socket: its close ends what runs.
    pub(super) access: Access,
    /// The provider has said that it is connected.
    met: bool,
    failed: Option<WsaError>,
    /// A send failed, or a receive could not be posted: the connection is about to break, or has. What had arrived before may still
    /// be told of, by receives that are posted (SP-093, SP-187).
    broken: Option<WsaError>,
    /// Whether that is waited for.
    patient: bool,
    /// Receives that are posted.
    posted: usize,
    maps: bool,
    rdma_read: bool,
}

struct Messages {
    receive: MemorySlice,
    send: MemorySlice,
    taken: u16,
    receive_registration: Option<Registration>,
    send_registration: Option<Registration>,
}

impl Port {
    /// The companion of the end that called connect: listens on its own name (SW-043, SW-081).
    pub(super) fn listen(
        providers: &Providers,
        provider: usize,
        index: u32,
        names: Names,
        debug: bool,
    ) -> Result<Self, PortFailure> {
        let socket = companion_socket(providers, provider, names.local, debug).map_err(broken)?;
        socket.listen(1).map_err(broken)?;
        socket.event_select(Some(event_of(index)), EventMask::ACCEPT).map_err(broken)?;
        let mut port = Self::new(providers, provider, index, names)?;
        port.listener = Some(socket);
        Ok(port)
    }

    /// The companion of the end that accepted: connects to the peer's (SW-061).
    pub(super) fn connect(
        providers: &Providers,
        provider: usize,
        index: u32,
        names: Names,
        debug: bool,
    ) -> Result<Self, PortFailure> {
        let socket = companion_socket(providers, provider, names.local, debug).map_err(broken)?;
        socket.event_select(Some(event_of(index)), EventMask::CONNECT).map_err(broken)?;
        let mut port = Self::new(providers, provider, index, names)?;
        match socket.connect(&SockAddr::from(names.peer)) {
            Ok(()) | Err(WsaError::WSAEWOULDBLOCK) => {
                port.socket = Some(socket);
                Ok(port)
            }
            Err(error) => Err(PortFailure { error, meeting: true }),
        }
    }

    /// Of a connection that the provider has accepted.
    pub(super) fn accepted(
        providers: &Providers,
        provider: usize,
        index: u32,
        names: Names,
        socket: Socket,
    ) -> Result<Self, PortFailure> {
        let mut port = Self::new(providers, provider, index, names)?;
        port.socket = Some(socket);
        port.met = true;
        Ok(port)
    }

    fn new(providers: &Providers, provider: usize, index: u32, names: Names) -> Result<Self, PortFailure> {
        let started = providers.get(provider).ok_or(WsaError::WSAEINVALIDPROVIDER).map_err(broken)?;
        let has = |function| started.san.has(function);
        Ok(Self {
            index,
            number: providers.upcalls.open(index),
            upcalls: providers.upcalls.clone(),
            names,
            own_ring: None,
            peer_ring: None,
            sending: VecDeque::new(),
            free_sends: (0..SENDS).collect(),
            sent: 0,
            rdma_done: VecDeque::new(),
            messages: None,
            listener: None,
            socket: None,
            access: Access::default(),
            met: false,
            failed: None,
            broken: None,
            patient: false,
            posted: 0,
            maps: registry::maps() && has(ExtensionFunction::Allocate) && has(ExtensionFunction::Map),
            rdma_read: has(ExtensionFunction::RdmaRead),
        })
    }

    /// Looks what became of the meeting.
    pub(super) fn advance(&mut self) -> PortState {
        if let Some(error) = self.error() {
            return PortState::Failed(PortFailure { error, meeting: false });
        }
        if self.met {
            return PortState::Connected;
        }
        let event = event_of(self.index);
        if let Some(listener) = &self.listener {
            let _ = listener.enum_network_events(Some(event));
            let names = self.names;
            let accepted = listener.accept(|caller, callee| {
                let right = canonical(caller.socket_addr()) == names.peer
                    && canonical(callee.socket_addr()) == names.local;
                if right { Condition::Accept } else { Condition::Reject }
            });
            return match accepted {
                Ok((socket, _)) => {
                    self.socket = Some(socket);
                    self.listener = None;
                    self.met = true;
                    PortState::Connected
                }
                Err(_) => PortState::Waiting,
            };
        }
        let Some(socket) = &self.socket else {
            return PortState::Failed(PortFailure { error: WsaError::WSAENOTSOCK, meeting: true });
        };
        match socket.enum_network_events(Some(event)).map(|events| events.connect) {
            Ok(Some(Ok(()))) => {
                self.met = true;
                PortState::Connected
            }
            Ok(Some(Err(error))) | Err(error) => PortState::Failed(PortFailure { error, meeting: true }),
            Ok(None) => PortState::Waiting,
        }
    }

    /// Whether the connection broke.
    pub(super) fn has_failed(&self) -> bool {
        self.error().is_some()
    }

    fn error(&self) -> Option<WsaError> {
        self.failed.or(self.broken.filter(|_| !self.patient || self.posted == 0))
    }

    /// Whether nothing can be sent any more.
    pub(super) fn is_broken(&self) -> bool {
        self.failed.or(self.broken).is_some()
    }

    /// From now on the peer's last words count, however its connection ends.
    pub(super) fn be_patient(&mut self) {
        self.patient = true;
    }

    /// Whether something has arrived that was not taken.
    pub(super) fn has_more(&self) -> bool {
        self.upcalls.has_more(self.number)
    }

    /// Registers message buffers and posts the receives (SW-100, SW-101); how many.
    pub(super) fn open_messages(&mut self) -> Result<u16, PortFailure> {
        let socket = self.socket.as_ref().ok_or(WsaError::WSAENOTSOCK).map_err(broken)?;
        let region = |count: usize| -> Result<MemorySlice, WsaError> {
            let buffer: Arc<dyn StableMemory> = Arc::new(Buffer::new(count * BUFFER)?);
            MemorySlice::whole(buffer).ok_or(WsaError::WSAENOBUFS)
        };
        let (receive, send) = (region(RECEIVES).map_err(broken)?, region(SENDS).map_err(broken)?);
        let receive_registration = socket.register_memory(&receive, MemoryAccess::Write).map_err(broken)?;
        let send_registration = socket.register_memory(&send, MemoryAccess::Read).map_err(broken)?;
        let messages = Messages {
            receive,
            send,
            taken: 0,
            receive_registration: Some(receive_registration),
            send_registration: Some(send_registration),
        };
        for slot in 0..RECEIVES {
            post(socket, &messages, self.number, slot as u8).map_err(broken)?;
        }
        self.messages = Some(messages);
        self.posted = RECEIVES;
        Ok(DEFAULT_RECEIVES)
    }

    /// The provider's limits on a connected socket. Allocates this end's ring, whose descriptor's length is one of them.
    pub(super) fn limits(&self) -> Limits {
        let option = |name| self.socket.as_ref().and_then(|socket| socket.get_option_u32(name).ok());
        let descriptor =
            self.socket.as_ref().and_then(|socket| socket.rdma_descriptor_length().ok()).unwrap_or(0);
        let allocation =
            self.own_ring.as_ref().and_then(|ring| ring.descriptor().map(<[u8]>::len)).unwrap_or(0);
        Limits {
            rdma_read: self.rdma_read,
            maps: self.maps && allocation != 0,
            max_message: option(SO_MAX_MSG_SIZE).unwrap_or(u32::MAX),
            threshold: option(SO_RDMA_THRESHOLD_SIZE).unwrap_or(0),
            max_rdma: option(SO_MAX_RDMA_SIZE).unwrap_or(u32::MAX).max(1),
            rdma_descriptor: u16::try_from(descriptor).unwrap_or(0),
            allocation_descriptor: u16::try_from(allocation).unwrap_or(0),
        }
    }

    /// Copies the next message into `buffer`; its length.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Option<usize> {
        loop {
            let (slot, result) = self.upcalls.take(self.number)?;
            match slot {
                ACCESS_SLOT.. => self.access.completed(slot, result),
                RDMA_SLOT.. => self.rdma_done.push_back((slot, result)),
                SEND_SLOT.. => {
                    self.sent |= 1 << (slot - SEND_SLOT);
                    self.broken = self.broken.or(result.err());
                }
                _ => return self.received(slot, result, buffer),
            }
        }
    }

    fn received(&mut self, slot: u8, result: Result<u32, WsaError>, buffer: &mut [u8]) -> Option<usize> {
        let messages = self.messages.as_mut()?;
        self.posted -= 1;
        match result {
            Ok(bytes) => {
                let length = (bytes as usize).min(BUFFER).min(buffer.len());
                messages.receive.read(usize::from(slot) * BUFFER, &mut buffer[..length]);
                let socket = self.socket.as_ref()?;
                match post(socket, messages, self.number, slot) {
                    Ok(()) => {
                        messages.taken += 1;
                        self.posted += 1;
                    }
                    Err(error) => self.broken = Some(error),
                }
                Some(length)
            }
            Err(error) => {
                self.failed = Some(error);
                None
            }
        }
    }

    /// How many receives were posted again since the last call.
    pub(super) fn repost(&mut self) -> u16 {
        self.messages.as_mut().map_or(0, |messages| std::mem::take(&mut messages.taken))
    }

    /// Whether a buffer is free for a message. The provider is asked before the last one is taken.
    pub(super) fn can_send(&mut self) -> bool {
        if self.free_sends.len() < 2 {
            self.poll_sends();
        }
        self.messages.is_some() && !self.is_broken() && !self.free_sends.is_empty()
    }

    /// Asks the provider what became of what was sent.
    pub(super) fn poll_sends(&mut self) {
        while let Some((operation, slot)) = self.sending.front_mut() {
            match operation {
                Some(operation) => match operation.poll() {
                    Poll::Pending => break,
                    Poll::Ready(result) => self.broken = self.broken.or(result.err()),
                },
                None if self.sent & (1 << *slot) == 0 => break,
                None => self.sent &= !(1 << *slot),
            }
            self.free_sends.push(*slot);
            self.sending.pop_front();
        }
    }

    /// Whether everything was handed over to the peer's provider, or nothing ever will be.
    pub(super) fn all_sent(&mut self) -> bool {
        self.poll_sends();
        self.sending.is_empty() || self.is_broken()
    }

    /// Sends one message. A buffer must be free.
    pub(super) fn send(&mut self, message: &[u8]) -> Result<(), PortFailure> {
        let lost = || broken(WsaError::WSAENOTCONN);
        let messages = self.messages.as_ref().ok_or_else(lost)?;
        let socket = self.socket.as_ref().ok_or_else(lost)?;
        let slot = self.free_sends.pop().ok_or_else(lost)?;
        messages.send.write(slot * BUFFER, message);
        let start = (slot * BUFFER) as u32;
        let slice = messages.send.slice(start..start + message.len() as u32).ok_or_else(lost)?;
        // Sends are polled. Nobody polls while all buffers are taken, so the last one tells when it is free again; the others
        // are then, too (SP-187).
        let sent = if self.free_sends.is_empty() {
            socket.send_notified(&[slice], key_of(self.number, SEND_SLOT + slot as u8)).map(|()| None)
        } else {
            socket.send(&[slice]).map(Some)
        };
        match sent {
            Ok(operation) => {
                self.sending.push_back((operation, slot));
                Ok(())
            }
            Err(error) => {
                self.free_sends.push(slot);
                self.broken = Some(error);
                Err(broken(error))
            }
        }
    }

    /// Allocates this end's ring, once connected.
    pub(super) fn allocate_ring(&mut self) {
        if self.maps && self.own_ring.is_none() {
            self.own_ring = self.socket.as_ref().and_then(|socket| socket.allocate(Ring::BYTES as u32).ok());
        }
    }

    /// This end's ring and its descriptor for the peer.
    pub(super) fn own_ring(&self) -> Option<(Ring, &[u8])> {
        let memory = self.own_ring.as_ref()?;
        Some((ring_in(memory)?, memory.descriptor()?))
    }

    /// Maps the peer's ring.
    pub(super) fn map(&mut self, descriptor: &[u8], length: u32) -> Option<Ring> {
        if length as usize != Ring::BYTES || self.peer_ring.is_some() {
            return None;
        }
        let memory = self.socket.as_ref()?.map(descriptor).ok()?;
        let ring = ring_in(&memory)?;
        self.peer_ring = Some(memory);
        Some(ring)
    }

    /// The socket, for the pump's memory and RDMA.
    pub(super) fn socket(&self) -> Option<&Socket> {
        self.socket.as_ref().filter(|_| !self.is_broken())
    }

    /// The key of an RDMA operation, whose completion [`Port::rdma_done`] gives after [`Port::receive`] has taken it.
    pub(super) fn key(&self, slot: u8) -> u64 {
        key_of(self.number, slot)
    }

    /// The next completed RDMA operation.
    pub(super) fn rdma_done(&mut self) -> Option<Done> {
        self.rdma_done.pop_front()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.upcalls.forget(self.number);
    }
}

/// A companion's socket with its name and options: the first steps of SW-043. `debug`: SO_DEBUG, the one option that a provider
/// may get (SW-046).
pub(super) fn companion_socket(
    providers: &Providers,
    provider: usize,
    local: SocketAddr,
    debug: bool,
) -> Result<Socket, WsaError> {
    let started = providers.get(provider).ok_or(WsaError::WSAEINVALIDPROVIDER)?;
    let family = family_of(local);
    let socket = started.san.socket(&SocketArguments::tcp(family))?;
    socket.bind(&SockAddr::from(local))?;
    if debug {
        match socket.set_option(SOL_SOCKET, SO_DEBUG, &1u32.to_ne_bytes()) {
            // "If supported" (section 16).
            Ok(()) | Err(WsaError::WSAENOPROTOOPT | WsaError::WSAEINVAL) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(socket)
}

pub(super) fn family_of(name: SocketAddr) -> i32 {
    if name.is_ipv4() { AF_INET } else { AF_INET6 }
}

fn post(socket: &Socket, messages: &Messages, port: u64, slot: u8) -> Result<(), WsaError> {
    let start = u32::from(slot) * BUFFER as u32;
    let slice = messages.receive.slice(start..start + BUFFER as u32).ok_or(WsaError::WSAEFAULT)?;
    socket.recv_notified(&[slice], key_of(port, slot))
}
