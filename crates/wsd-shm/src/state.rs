//! The state of an engine, all of it under the engine's one lock, and the loop that reacts to descriptors.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use wsd_os::Errno;
use wsd_os::doorbell::Eventfd;
use wsd_os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use wsd_os::poll::{EpollEvent, EpollOperation, epoll_create, epoll_ctl, epoll_pwait};
use wsd_spi::WsaError;
use wsd_spi::provider::UpCalls;

use crate::action::Actions;
use crate::address::{Name, OwnAddresses};
use crate::deadlines::Deadlines;
use crate::descriptors::Tracked;
use crate::link::Link;
use crate::ranges::Ranges;
use crate::socket::Socket;
use crate::swap::Handover;
use crate::wire::MAX_PACKET;

/// How many events are taken from the kernel at a time.
const EVENTS: usize = 32;
/// How often, at most, before others have their turn.
const ROUNDS: usize = 4;

/// Everything that an engine knows.
pub(crate) struct Core {
    /// The switch.
    pub(crate) upcalls: UpCalls,
    /// What is to be called up when the lock has been released.
    pub(crate) actions: Actions,
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
    /// Whether the engine has ended.
    pub(crate) ended: bool,
    /// The thread that makes the up-calls that are due.
    pub(crate) settling: Option<u32>,
    /// Wakes the engine's own thread.
    pub(crate) kick: Option<Tracked<Eventfd>>,
    /// A descriptor that can be given up when there are no others.
    pub(crate) spare: Option<Tracked<Eventfd>>,
    /// Until the engine ends.
    epoll: Option<Tracked<OwnedFd>>,
    /// Where packets are received.
    pub(crate) input: Vec<u8>,
    /// Links whose other end has not said who it is, oldest first.
    pub(crate) strangers: VecDeque<u32>,
    /// Links that serve no connection, oldest first.
    pub(crate) idle: VecDeque<u32>,
    /// Links that are lost and not yet ended.
    pub(crate) doomed: Vec<u32>,
    /// What has a time limit.
    pub(crate) deadlines: Deadlines,
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
            Self::Kick => 0,
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
            upcalls,
            actions: Actions::default(),
            sockets: HashMap::new(),
            links: BTreeMap::new(),
            listeners: HashMap::new(),
            own: OwnAddresses::default(),
            ranges,
            output: vec![0; MAX_PACKET].into_boxed_slice(),
            ended: false,
            settling: None,
            kick: None,
            spare: None,
            epoll: Some(Tracked::new(epoll_create()?)),
            input: vec![0; MAX_PACKET],
            strangers: VecDeque::new(),
            idle: VecDeque::new(),
            doomed: Vec::new(),
            deadlines: Deadlines::default(),
            handovers: BTreeMap::new(),
            next_socket: 1,
            next_link: 1,
            next_registration: 1,
        })
    }

    /// The descriptor that is readable while [`pump`](Self::pump) has something to do.
    pub(crate) fn epoll_fd(&self) -> RawFd {
        self.epoll.as_ref().map_or(-1, |epoll| epoll.as_raw_fd())
    }

    /// Closes all sockets and links. Nothing can be done any more, except for the up-calls that are due.
    pub(crate) fn end(&mut self) {
        let sockets: Vec<u32> = self.sockets.keys().copied().collect();
        for id in sockets {
            // It exists: it was there a moment ago.
            let _ = self.close(id);
        }
        self.handovers.clear();
        while let Some((id, _)) = self.links.first_key_value() {
            self.drop_link(*id);
        }
        self.ended = true;
        self.own = OwnAddresses::default();
        self.deadlines = Deadlines::default();
        self.epoll = None;
        self.spare = None;
        self.output = Box::default();
        self.input = Vec::new();
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
        self.watch(EpollOperation::Add, fd, token, libc::EPOLLIN)
    }

    /// Stops watching a descriptor.
    pub(crate) fn unwatch(&self, fd: RawFd) {
        // A descriptor that is not in the set is not watched.
        let _ = self.watch(EpollOperation::Delete, fd, Token::Kick, 0);
    }

    /// Changes what is watched.
    pub(crate) fn watch(
        &self,
        operation: EpollOperation,
        fd: RawFd,
        token: Token,
        events: i32,
    ) -> Result<(), Errno> {
        let event = EpollEvent { events: events as u32, u64: token.number() };
        let epoll = self.epoll.as_ref().ok_or(Errno::BADF)?;
        epoll_ctl(epoll.as_fd(), operation, fd, event)
    }

    /// Does what the descriptors ask for, without blocking. A bounded amount: call again while the set is readable.
    pub(crate) fn pump(&mut self) {
        let mut events = [EpollEvent { events: 0, u64: 0 }; EVENTS];
        for _ in 0..ROUNDS {
            let count = epoll_pwait(self.epoll_fd(), &mut events, Some(core::time::Duration::ZERO), None);
            let count = count.unwrap_or(0);
            for event in &events[..count] {
                match Token::from_number(event.u64) {
                    Token::Kick => {
                        if let Some(kick) = &self.kick {
                            kick.drain();
                        }
                    }
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
}
