//! The state of an engine, all of it under the engine's one lock, and the loop that reacts to descriptors.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use wsd_os::Errno;
use wsd_os::doorbell::Eventfd;
use wsd_os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use wsd_os::link;
use wsd_os::poll::{EpollEvent, EpollOperation, epoll_create, epoll_ctl, epoll_pwait};
use wsd_spi::WsaError;
use wsd_spi::provider::UpCalls;

use crate::action::Actions;
use crate::address::{Name, OwnAddresses};
use crate::descriptors::Tracked;
use crate::link::{Link, Sent};
use crate::ranges::Ranges;
use crate::socket::Socket;
use crate::wire::{MAX_PACKET, Packet};

/// Most links that have been accepted and have not said who they are; the oldest goes.
const MAX_STRANGERS: usize = 64;
/// How many packets of one link, and connections of one listener, are taken before others have their turn.
const TURN: usize = 64;
/// How many events are taken from the kernel at a time.
const EVENTS: usize = 32;

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
    /// Until the engine ends.
    epoll: Option<Tracked<OwnedFd>>,
    input: Vec<u8>,
    strangers: VecDeque<u32>,
    /// Links that are lost and not yet ended.
    doomed: Vec<u32>,
    next_socket: u32,
    next_link: u32,
    next_registration: u64,
}

/// What a descriptor in the epoll set is, as the number that the kernel gives back.
#[derive(Clone, Copy)]
enum Token {
    Kick,
    Listener(u32),
    Link(u32),
}

impl Token {
    fn number(self) -> u64 {
        match self {
            Self::Kick => 0,
            Self::Listener(socket) => 1 << 32 | u64::from(socket),
            Self::Link(link) => 2 << 32 | u64::from(link),
        }
    }

    fn from_number(number: u64) -> Self {
        match number >> 32 {
            1 => Self::Listener(number as u32),
            2 => Self::Link(number as u32),
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
            epoll: Some(Tracked::new(epoll_create()?)),
            input: vec![0; MAX_PACKET],
            strangers: VecDeque::new(),
            doomed: Vec::new(),
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
        while let Some((id, _)) = self.links.first_key_value() {
            self.drop_link(*id);
        }
        self.ended = true;
        self.own = OwnAddresses::default();
        self.epoll = None;
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

    /// Starts to watch a listener.
    pub(crate) fn watch_listener(&self, socket: u32, fd: RawFd) -> Result<(), Errno> {
        self.watch(EpollOperation::Add, fd, Token::Listener(socket), libc::EPOLLIN)
    }

    /// Starts to watch what wakes the engine's own thread.
    pub(crate) fn watch_kick(&self, fd: RawFd) -> Result<(), Errno> {
        self.watch(EpollOperation::Add, fd, Token::Kick, libc::EPOLLIN)
    }

    /// Stops watching a descriptor.
    pub(crate) fn unwatch(&self, fd: RawFd) {
        // A descriptor that is not in the set is not watched.
        let _ = self.watch(EpollOperation::Delete, fd, Token::Kick, 0);
    }

    fn watch(&self, operation: EpollOperation, fd: RawFd, token: Token, events: i32) -> Result<(), Errno> {
        let event = EpollEvent { events: events as u32, u64: token.number() };
        let epoll = self.epoll.as_ref().ok_or(Errno::BADF)?;
        epoll_ctl(epoll.as_fd(), operation, fd, event)
    }

    /// Adds an end of a link.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub(crate) fn add_link(&mut self, end: link::Link, pid: u32, open: bool) -> Result<u32, Errno> {
        let id = self.next_link;
        self.next_link = self.next_link.wrapping_add(1).max(1);
        let link = Link::new(end, pid, open);
        self.watch(EpollOperation::Add, link.raw_fd(), Token::Link(id), libc::EPOLLIN)?;
        self.links.insert(id, link);
        if !open {
            self.strangers.push_back(id);
            if self.strangers.len() > MAX_STRANGERS
                && let Some(oldest) = self.strangers.pop_front()
            {
                self.drop_link(oldest);
            }
        }
        Ok(id)
    }

    /// The peer of a link has said who it is.
    pub(crate) fn open_link(&mut self, id: u32) {
        self.strangers.retain(|stranger| *stranger != id);
        if let Some(link) = self.links.get_mut(&id) {
            link.open = true;
        }
    }

    /// Says something to the peer of a link, if there still is one.
    pub(crate) fn say(&mut self, link: u32, packet: Packet) {
        self.say_with(link, packet, None);
    }

    /// As [`say`](Self::say), with a descriptor.
    pub(crate) fn say_with(&mut self, id: u32, packet: Packet, memory: Option<OwnedFd>) {
        if let Some(link) = self.links.get_mut(&id) {
            link.say(packet, memory);
            self.want_write(id);
        }
    }

    /// Lets a socket send when it is its turn, now if possible.
    pub(crate) fn sends(&mut self, id: u32) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let Some(wire) = socket.wire else { return };
        let Some(link) = self.links.get_mut(&wire.link) else { return };
        if !socket.flow.in_turn && socket.flow.has_more() {
            socket.flow.in_turn = true;
            link.senders.push_back(id);
        }
        if !link.waits_to_write {
            self.flush(wire.link);
        }
    }

    /// Sends what a link can take.
    fn flush(&mut self, id: u32) {
        for _ in 0..TURN {
            let Some(link) = self.links.get_mut(&id) else { return };
            if link.flush() != Sent::Yes {
                break;
            }
            let Some(sender) = link.senders.pop_front() else { break };
            if self.send_next(sender) == Sent::Later {
                if let Some(link) = self.links.get_mut(&id) {
                    link.senders.push_front(sender);
                }
                break;
            }
        }
        self.want_write(id);
    }

    /// Waits for readiness to write exactly as long as something waits to be sent.
    fn want_write(&mut self, id: u32) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.lost && !self.doomed.contains(&id) {
            self.doomed.push(id);
        }
        let wanted = link.has_more();
        if wanted == link.waits_to_write {
            return;
        }
        link.waits_to_write = wanted;
        let fd = link.raw_fd();
        let events = if wanted { libc::EPOLLIN | libc::EPOLLOUT } else { libc::EPOLLIN };
        // Cannot fail for a descriptor that is in the set.
        let _ = self.watch(EpollOperation::Modify, fd, Token::Link(id), events);
    }

    /// Does what the descriptors ask for, without blocking. A bounded amount: call again while the set is readable.
    pub(crate) fn pump(&mut self) {
        let mut events = [EpollEvent { events: 0, u64: 0 }; EVENTS];
        loop {
            let count = epoll_pwait(self.epoll_fd(), &mut events, Some(core::time::Duration::ZERO), None);
            let count = count.unwrap_or(0);
            for event in &events[..count] {
                match Token::from_number(event.u64) {
                    Token::Kick => {
                        if let Some(kick) = &self.kick {
                            kick.drain();
                        }
                    }
                    Token::Listener(socket) => self.take_visitors(socket),
                    Token::Link(link) => self.link_ready(link, event.events),
                }
            }
            if count < EVENTS {
                return;
            }
        }
    }

    /// Accepts processes that connect to a listener's name.
    fn take_visitors(&mut self, socket: u32) {
        for _ in 0..TURN {
            let listening = self.sockets.get(&socket).and_then(|socket| socket.listening.as_ref());
            let Some(listening) = listening else { return };
            // Out of descriptors: whoever waits is taken later, or gives up.
            let Ok(end) = listening.door.accept() else { return };
            let pid = end.peer_credentials().map_or(0, |peer| peer.pid);
            if let Ok(link) = self.add_link(end, pid, false) {
                // Most have spoken already.
                self.read_link(link);
            }
        }
    }

    fn link_ready(&mut self, id: u32, events: u32) {
        self.read_link(id);
        if events & libc::EPOLLOUT as u32 != 0 {
            self.flush(id);
        }
    }

    /// Reads what has arrived by a link; ends the link if it has ended, or its peer breaks the rules.
    pub(crate) fn read_link(&mut self, id: u32) {
        let mut input = std::mem::take(&mut self.input);
        for _ in 0..TURN {
            let Some(link) = self.links.get_mut(&id) else { break };
            match link.receive(&mut input) {
                Ok(None) if link.lost => self.drop_link(id),
                Ok(None) => break,
                Ok(Some((length, memory))) => {
                    if self.hear(id, &input[..length], memory).is_none() {
                        self.drop_link(id);
                    }
                }
                Err(_) => self.drop_link(id),
            }
        }
        self.input = input;
    }

    /// Ends the links by which nothing can be sent any more, when all that had arrived by them has been read.
    pub(crate) fn bury(&mut self) {
        while let Some(id) = self.doomed.pop() {
            self.read_link(id);
        }
    }

    /// Ends a link: the peer is gone, or has to go.
    pub(crate) fn drop_link(&mut self, id: u32) {
        let Some(link) = self.links.remove(&id) else { return };
        if !link.open {
            self.strangers.retain(|stranger| *stranger != id);
        }
        self.unwatch(link.raw_fd());
        let (listeners, sockets) =
            (self.listeners.values().copied().collect::<Vec<_>>(), link.sockets.clone());
        drop(link);
        for listener in listeners {
            if let Some(listening) = self.sockets.get_mut(&listener).and_then(|it| it.listening.as_mut()) {
                listening.requests.retain(|request| request.link != id);
            }
        }
        for socket in sockets {
            self.link_lost(socket);
        }
    }
}
