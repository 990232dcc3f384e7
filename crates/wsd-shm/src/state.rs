//! The state of an engine, all of it under the engine's one lock, and the loop that reacts to descriptors.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use wsd_engine::{Common, Deadlines, KICK, Ranges, Tracked};
use wsd_os::Errno;
use wsd_os::doorbell::Eventfd;
use wsd_os::fd::RawFd;
use wsd_os::poll::{EpollEvent, EpollOperation};
use wsd_spi::WsaError;
use wsd_spi::provider::UpCalls;

use crate::address::{Name, OwnAddresses};
use crate::deadlines::{Awaited, LIMIT_NS};
use crate::link::Link;
use crate::socket::Socket;
use crate::swap::Handover;
use crate::wire::MAX_PACKET;

/// How many events are taken from the kernel at a time.
const EVENTS: usize = 32;
/// How often, at most, before others have their turn.
const ROUNDS: usize = 4;

/// The engine of a process. Engines of one process meet like those of two.
pub(crate) type Engine = wsd_engine::Engine<Core>;

/// An engine of this process.
///
/// # Errors
/// `WSAEPROVIDERFAILEDINIT`.
pub(crate) fn new_engine(upcalls: UpCalls) -> Result<&'static Engine, WsaError> {
    let ranges = Arc::new(Ranges::default());
    let core = Core::new(upcalls, ranges.clone()).map_err(|_| WsaError::WSAEPROVIDERFAILEDINIT)?;
    Ok(Engine::new(core, ranges))
}

/// Everything that an engine knows.
pub(crate) struct Core {
    /// Up-calls, and the epoll set.
    pub(crate) common: Common,
    /// All sockets, by their descriptor.
    pub(crate) sockets: HashMap<u32, Socket>,
    /// All ends of links, by our numbers.
    pub(crate) links: BTreeMap<u32, Link>,
    /// The sockets that listen, by name.
    pub(crate) listeners: HashMap<Name, u32>,
    /// Addresses of this host.
    pub(crate) own: OwnAddresses,
    /// Registered stretches of memory.
    pub(crate) ranges: Arc<Ranges>,
    /// Where packets are put together.
    pub(crate) output: Box<[u8]>,
    /// A descriptor that can be given up when there are no others.
    pub(crate) spare: Option<Tracked<Eventfd>>,
    /// Where packets are received.
    pub(crate) input: Vec<u8>,
    /// Links whose other end has not said who it is, oldest first.
    pub(crate) strangers: VecDeque<u32>,
    /// Links that serve no connection, oldest first.
    pub(crate) idle: VecDeque<u32>,
    /// Links that are lost and not yet ended.
    pub(crate) doomed: Vec<u32>,
    /// What has a time limit.
    pub(crate) deadlines: Deadlines<Awaited>,
    /// Sockets that are being given to other processes.
    pub(crate) handovers: BTreeMap<u32, Handover>,
    next_socket: u32,
    /// Number of the next link.
    pub(crate) next_link: u32,
    next_registration: u64,
}

/// What a descriptor in the epoll set is, as the number that the kernel gives back.
#[derive(Clone, Copy)]
pub(crate) enum Token {
    /// What wakes the engine's own thread.
    Kick,
    /// The timer of [`Deadlines`].
    Timer,
    /// The name of a listening socket.
    Listener(u32),
    /// An end of a link.
    Link(u32),
    /// The name of a socket that is being given away.
    Handover(u32),
}

impl Token {
    fn number(self) -> u64 {
        match self {
            Self::Kick => KICK,
            Self::Listener(socket) => 1 << 32 | u64::from(socket),
            Self::Link(link) => 2 << 32 | u64::from(link),
            Self::Timer => 3 << 32,
            Self::Handover(value) => 4 << 32 | u64::from(value),
        }
    }

    fn from_number(number: u64) -> Self {
        match number >> 32 {
            1 => Self::Listener(number as u32),
            2 => Self::Link(number as u32),
            3 => Self::Timer,
            4 => Self::Handover(number as u32),
            _ => Self::Kick,
        }
    }
}

impl Core {
    /// An engine without sockets.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`.
    pub(crate) fn new(upcalls: UpCalls, ranges: Arc<Ranges>) -> Result<Self, Errno> {
        Ok(Self {
            common: Common::new(upcalls)?,
            sockets: HashMap::new(),
            links: BTreeMap::new(),
            listeners: HashMap::new(),
            own: OwnAddresses::default(),
            ranges,
            output: vec![0; MAX_PACKET].into_boxed_slice(),
            spare: None,
            input: vec![0; MAX_PACKET],
            strangers: VecDeque::new(),
            idle: VecDeque::new(),
            doomed: Vec::new(),
            deadlines: Deadlines::new(LIMIT_NS, Token::Timer.number()),
            handovers: BTreeMap::new(),
            next_socket: 1,
            next_link: 1,
            next_registration: 1,
        })
    }

    /// The socket with that descriptor.
    ///
    /// # Errors
    /// `WSAENOTSOCK` (SP-013).
    pub(crate) fn socket(&mut self, id: u32) -> Result<&mut Socket, WsaError> {
        self.sockets.get_mut(&id).ok_or(WsaError::WSAENOTSOCK)
    }

    /// A descriptor that was never used before.
    pub(crate) fn new_id(&mut self) -> u32 {
        loop {
            let id = self.next_socket;
            self.next_socket = self.next_socket.wrapping_add(1).max(1);
            if !self.sockets.contains_key(&id) {
                return id;
            }
        }
    }

    /// A number for a registration that was never used before.
    pub(crate) fn new_registration(&mut self) -> u64 {
        self.next_registration += 1;
        self.next_registration
    }

    /// Starts to watch a descriptor that is to be read.
    pub(crate) fn watch_new(&self, fd: RawFd, token: Token) -> Result<(), Errno> {
        self.common.watch_new(fd, token.number())
    }

    /// Stops watching a descriptor.
    pub(crate) fn unwatch(&self, fd: RawFd) {
        self.common.unwatch(fd);
    }

    /// Changes what is watched.
    pub(crate) fn watch(
        &self,
        operation: EpollOperation,
        fd: RawFd,
        token: Token,
        events: i32,
    ) -> Result<(), Errno> {
        self.common.watch(operation, fd, token.number(), events)
    }
}

impl wsd_engine::Core for Core {
    /// Registered stretches of memory (SP-162).
    type Outside = Arc<Ranges>;

    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    fn pump(&mut self) {
        let mut events = [EpollEvent { events: 0, u64: 0 }; EVENTS];
        for _ in 0..ROUNDS {
            let count = self.common.ready(&mut events);
            for event in &events[..count] {
                match Token::from_number(event.u64) {
                    Token::Kick => {}
                    Token::Handover(value) => self.take_claimant(value),
                    Token::Timer => self.time_is_up(),
                    Token::Listener(socket) => self.take_visitors(socket),
                    Token::Link(link) => self.link_ready(link, event.events),
                }
            }
            if count < EVENTS {
                return;
            }
        }
    }

    fn tidy(&mut self) {
        self.bury();
    }

    fn end(&mut self) {
        let sockets: Vec<u32> = self.sockets.keys().copied().collect();
        for id in sockets {
            // It exists: it was there a moment ago.
            let _ = self.close(id);
        }
        self.handovers.clear();
        while let Some((id, _)) = self.links.first_key_value() {
            self.drop_link(*id);
        }
        self.own = OwnAddresses::default();
        self.deadlines.clear();
        self.common.close();
        self.spare = None;
        self.output = Box::default();
        self.input = Vec::new();
    }
}
