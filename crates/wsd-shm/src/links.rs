//! The links of an engine: from the first word of a stranger to the end of a peer.

use wsd_os::Errno;
use wsd_os::fd::OwnedFd;
use wsd_os::link;
use wsd_os::poll::{EPOLLIN, EPOLLOUT, EpollOperation};

use crate::link::{Link, Sent};
use crate::state::{Core, Token};
use crate::wire::Packet;
use wsd_engine::Tracked;

/// Most links that have been accepted and have not said who they are; the oldest goes.
const MAX_STRANGERS: usize = 64;
/// Most links that serve no connection; the oldest goes. Whoever was about to use it makes a new one.
const MAX_IDLE: usize = 256;
/// How many packets of one link, and connections of one listener, are taken before others have their turn.
const TURN: usize = 64;

impl Core {
    /// Adds an end of a link.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub(crate) fn add_link(&mut self, end: link::Link, pid: u32, open: bool) -> Result<u32, Errno> {
        let id = self.next_link;
        self.next_link = self.next_link.wrapping_add(1).max(1);
        let link = Link::new(end, pid, open);
        self.watch_new(link.raw_fd(), Token::Link(id))?;
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
            self.is_idle(id);
        }
    }

    /// A link serves no connection; there may be too many of these.
    pub(crate) fn is_idle(&mut self, id: u32) {
        self.idle.push_back(id);
        if self.idle.len() > MAX_IDLE
            && let Some(oldest) = self.idle.iter().copied().find(|id| !self.is_asked_by(*id))
        {
            self.drop_link(oldest);
        }
    }

    /// A socket uses a link from now on. False if there is no such link.
    pub(crate) fn use_link(&mut self, id: u32, socket: u32) -> bool {
        let Some(link) = self.links.get_mut(&id) else { return false };
        if link.sockets.is_empty() {
            self.idle.retain(|idle| *idle != id);
        }
        link.sockets.insert(socket);
        true
    }

    /// Whether a request from that link waits for an answer.
    fn is_asked_by(&self, id: u32) -> bool {
        let mut listening = self.sockets.values().filter_map(|socket| socket.listening.as_ref());
        listening.any(|listening| listening.requests.iter().any(|request| request.link == id))
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
        let events = if wanted { EPOLLIN | EPOLLOUT } else { EPOLLIN };
        // Cannot fail for a descriptor that is in the set.
        let _ = self.watch(EpollOperation::Modify, fd, Token::Link(id), events);
    }

    /// Accepts processes that connect to a listener's name.
    pub(crate) fn take_visitors(&mut self, socket: u32) {
        for _ in 0..TURN {
            let listening = self.sockets.get(&socket).and_then(|socket| socket.listening.as_ref());
            let Some(listening) = listening else { return };
            let end = match listening.door.let_in() {
                Ok(end) => end,
                Err(Errno::MFILE | Errno::NFILE) if self.turn_away(socket) => continue,
                Err(_) => return,
            };
            let pid = end.peer_credentials().map_or(0, |peer| peer.pid);
            if let Ok(link) = self.add_link(end, pid, false) {
                // Most have spoken already.
                self.read_link(link);
            }
        }
    }

    /// Out of descriptors: uses the spare one to let the next visitor in and out again, since whoever waits keeps the
    /// listener readable. False if that was not possible either.
    fn turn_away(&mut self, socket: u32) -> bool {
        if self.spare.take().is_none() {
            return false;
        }
        let listening = self.sockets.get(&socket).and_then(|socket| socket.listening.as_ref());
        let turned_away = listening.is_some_and(|listening| listening.door.let_in().is_ok());
        self.keep_spare();
        turned_away
    }

    /// Keeps a descriptor for [`turn_away`](Self::turn_away).
    pub(crate) fn keep_spare(&mut self) {
        if self.spare.is_none() {
            self.spare = wsd_os::doorbell::Eventfd::new().ok().map(Tracked::new);
        }
    }

    /// A link is readable or writable.
    pub(crate) fn link_ready(&mut self, id: u32, events: u32) {
        self.read_link(id);
        if events & EPOLLOUT as u32 != 0 {
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
        self.strangers.retain(|stranger| *stranger != id);
        self.idle.retain(|idle| *idle != id);
        self.unwatch(link.raw_fd());
        let (listeners, sockets) =
            (self.listeners.values().copied().collect::<Vec<_>>(), link.sockets.clone());
        drop(link);
        self.handovers.retain(|_, handover| !handover.needs_link(id));
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
