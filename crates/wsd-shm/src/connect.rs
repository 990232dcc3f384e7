//! From two names to a connection: listening, connecting, accepting, refusing, closing.
//!
//! A connecting socket finds its peer by the listener's name. Several sockets may listen at one address, of one or of
//! several processes: it asks one after the other, until one accepts. The connection to that name becomes the link of the two
//! engines; unless they have one already, as the listener's process number suggests: then the wish goes by that link,
//! and if the listener turns out to be in another engine of that process (`NotHere`), by a link of its own after all. The same if
//! the listener has gone to another process since (`Moved`, or `NotHere` if that process had not heard of the wish when it went).
//! Two processes that connect to each other at the same time make two links; each connection stays with its own.

use std::collections::VecDeque;

use wsd_engine::{Core as _, Door, backlog_limit};
use wsd_os::Errno;
use wsd_os::link;
use wsd_spi::provider::Accepted;
use wsd_spi::{SanSocket, SockAddr, SwitchSocket, WsaError};

use crate::address::{Name, in_family};
use crate::deadlines::Awaited;
use crate::registrations::Registrations;
use crate::socket::{Listening, Request, Search, Socket, State, Wire};
use crate::state::{Core, Token};
use crate::wire::{Ending, Kind, Packet, Refusal};

impl Core {
    /// `WSPBind`.
    pub(crate) fn bind(&mut self, id: u32, name: SockAddr) -> Result<(), WsaError> {
        let socket = self.socket(id)?;
        if name.family() != socket.family {
            return Err(WsaError::WSAEFAULT);
        }
        if socket.state != State::Fresh {
            return Err(WsaError::WSAEINVAL);
        }
        if !self.own.contains(&name)? {
            return Err(WsaError::WSAEADDRNOTAVAIL);
        }
        let socket = self.socket(id)?;
        socket.local = Some(name);
        socket.state = State::Bound;
        Ok(())
    }

    /// `WSPListen`.
    pub(crate) fn listen(&mut self, id: u32, backlog: i32) -> Result<(), WsaError> {
        let limit = backlog_limit(backlog);
        let socket = self.socket(id)?;
        match (socket.state, socket.local) {
            (State::Listening, _) => self.set_backlog(id, limit),
            (State::Connected | State::Broken(_), _) => Err(WsaError::WSAEISCONN),
            (State::Bound, Some(local)) if local.port() != 0 => {
                let (name, door) = open_door(&local)?;
                self.watch_new(door.raw_fd(), Token::Listener(id)).map_err(listen_error)?;
                self.keep_spare();
                self.listeners.insert(name, id);
                let socket = self.socket(id)?;
                socket.listening = Some(Listening { name, door, backlog: limit, requests: VecDeque::new() });
                socket.state = State::Listening;
                Ok(())
            }
            _ => Err(WsaError::WSAEINVAL),
        }
    }

    /// A second `WSPListen` (SP-072).
    fn set_backlog(&mut self, id: u32, limit: usize) -> Result<(), WsaError> {
        let listening = self.socket(id)?.listening.as_mut().ok_or(WsaError::WSAEINVAL)?;
        listening.backlog = limit;
        for request in listening.requests.split_off(limit.min(listening.requests.len())) {
            self.refuse(&request, Refusal::Refused);
        }
        Ok(())
    }

    /// `WSPConnect`: `WSAEWOULDBLOCK` if the result follows.
    pub(crate) fn connect(&mut self, id: u32, peer: SockAddr) -> Result<(), WsaError> {
        let socket = self.socket(id)?;
        match socket.state {
            State::Bound => {}
            State::Connecting => return Err(WsaError::WSAEALREADY),
            State::Connected | State::Broken(_) => return Err(WsaError::WSAEISCONN),
            _ => return Err(WsaError::WSAEINVAL),
        }
        if peer.family() != socket.family {
            return Err(WsaError::WSAEAFNOSUPPORT);
        }
        if peer.port() == 0 || peer.is_wildcard() {
            return Err(WsaError::WSAEADDRNOTAVAIL);
        }
        // A wildcard becomes the address by which this host reaches itself there.
        socket.local =
            socket.local.map(|local| if local.is_wildcard() { peer.with_port(local.port()) } else { local });
        socket.peer = Some(peer);
        socket.search = Search::default();
        self.knock(id, peer, true)?;
        Err(WsaError::WSAEWOULDBLOCK)
    }

    /// Finds the next listener, and asks it. `may_guess`: a link that exists may be the right one.
    fn knock(&mut self, id: u32, peer: SockAddr, may_guess: bool) -> Result<(), WsaError> {
        let search = self.socket(id)?.search;
        let (position, end) = Name::candidates(&peer)
            .enumerate()
            .skip(search.position)
            .map(|(position, name)| (position, link::Link::connect(&name.bytes())))
            .find(|(_, result)| !matches!(result, Err(Errno::CONNREFUSED)))
            // Nobody listens here; somebody may by TCP (SP-067).
            .ok_or(if search.refused { WsaError::WSAECONNREFUSED } else { WsaError::WSAETIMEDOUT })?;
        let end = end.map_err(|error| match error {
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS => WsaError::WSAENOBUFS,
            _ => WsaError::WSAETIMEDOUT,
        })?;
        let pid = end.peer_credentials().map_or(0, |peer| peer.pid);
        let known = self.links.iter().rev().find(|(_, link)| link.pid == pid && link.open && !link.lost);
        let (link, guessed) = match known.filter(|_| may_guess && pid != 0) {
            Some((link, _)) => (*link, true),
            None => {
                let link = self.add_link(end, pid, true).map_err(|_| WsaError::WSAENOBUFS)?;
                self.say(link, Packet::hello());
                (link, false)
            }
        };
        let socket = self.socket(id)?;
        let local = socket.local.ok_or(WsaError::WSAEINVAL)?;
        socket.state = State::Connecting;
        socket.wire = Some(Wire { link, remote: 0, guessed });
        socket.search.position = position;
        self.use_link(link, id);
        self.say(link, Packet::connect(id, position as u32, &local, &peer));
        self.limit_time(Awaited::Connection(id));
        Ok(())
    }

    /// A peer wants to connect to the listener that it found at that position.
    pub(crate) fn hear_connect(&mut self, request: Request, position: u32) {
        let Request { caller, callee, .. } = request;
        let name = Name::candidates(&callee).nth(position as usize);
        let found = name.and_then(|name| self.listeners.get(&name).copied());
        let socket = found.and_then(|id| self.sockets.get_mut(&id));
        let Some((listening, events, family)) =
            socket.and_then(|socket| Some((socket.listening.as_mut()?, &mut socket.events, socket.family)))
        else {
            return self.refuse(&request, Refusal::NotHere);
        };
        // SP-071: at once, and without a signal.
        if listening.requests.len() >= listening.backlog {
            return self.refuse(&request, Refusal::Refused);
        }
        let (caller, callee) = (in_family(caller, family), in_family(callee, family));
        listening.requests.push_back(Request { caller, callee, ..request });
        events.accept(self.common.upcalls);
    }

    /// Takes the oldest request of a listener (SP-075).
    pub(crate) fn take_request(&mut self, id: u32) -> Result<Request, WsaError> {
        let socket = self.socket(id)?;
        let Some(listening) = socket.listening.as_mut() else { return Err(WsaError::WSAEINVAL) };
        if listening.requests.is_empty() {
            // Perhaps it has arrived and nobody has looked.
            self.pump();
        }
        let listening = self.socket(id)?.listening.as_mut().ok_or(WsaError::WSAEINVAL)?;
        listening.requests.pop_front().ok_or(WsaError::WSAEWOULDBLOCK)
    }

    /// Makes the event of a listener ready for the next request (SP-080).
    pub(crate) fn rearm(&mut self, id: u32) {
        let upcalls = self.common.upcalls;
        if let Ok(socket) = self.socket(id)
            && let Some(listening) = &socket.listening
        {
            socket.events.rearm(!listening.requests.is_empty(), upcalls);
        }
    }

    /// Puts a request back to the head of the queue (SP-079).
    pub(crate) fn defer(&mut self, id: u32, request: Request) {
        self.rearm(id);
        let listening = self.sockets.get_mut(&id).and_then(|socket| socket.listening.as_mut());
        match listening {
            Some(listening) => listening.requests.push_front(request),
            None => self.refuse(&request, Refusal::Refused),
        }
    }

    /// Tells the peer that it is not wanted.
    pub(crate) fn refuse(&mut self, request: &Request, why: Refusal) {
        self.say(request.link, Packet::new(Kind::Refuse, request.remote, 0, why as u32));
    }

    /// Makes the socket of an accepted request, and tells the peer (SP-077).
    pub(crate) fn accept(
        &mut self,
        listener: u32,
        request: Request,
        id: u32,
        handle: SwitchSocket,
    ) -> Result<Accepted, WsaError> {
        self.rearm(listener);
        let Some((family, debug)) = self
            .sockets
            .get(&listener)
            .filter(|socket| socket.state == State::Listening)
            .map(|socket| (socket.family, socket.debug))
        else {
            self.refuse(&request, Refusal::Refused);
            self.common.actions.close(handle);
            return Err(WsaError::WSAENOTSOCK);
        };
        if !self.use_link(request.link, id) {
            self.common.actions.close(handle);
            return Err(WsaError::WSAECONNRESET);
        }
        let mut socket = Socket::new(handle, family, Registrations::new(self.ranges.clone()));
        socket.state = State::Connected;
        socket.debug = debug;
        socket.local = Some(request.callee);
        socket.peer = Some(request.caller);
        socket.wire = Some(Wire { link: request.link, remote: request.remote, guessed: false });
        self.sockets.insert(id, socket);
        self.say(request.link, Packet::new(Kind::Accept, request.remote, id, 0));
        Ok(Accepted { socket: SanSocket::from_raw(id as usize), peer: request.caller })
    }

    /// The peer has accepted.
    pub(crate) fn hear_accept(&mut self, link: u32, id: u32, remote: u32) {
        let upcalls = self.common.upcalls;
        match self.sockets.get_mut(&id) {
            Some(socket)
                if socket.state == State::Connecting && socket.wire.is_some_and(|wire| wire.link == link) =>
            {
                socket.wire = Some(Wire { link, remote, guessed: false });
                socket.state = State::Connected;
                socket.events.connect(Ok(()), upcalls);
            }
            // Closed meanwhile.
            _ => self.say(link, Packet::new(Kind::Close, remote, 0, Ending::Closed as u32)),
        }
    }

    /// The peer has refused.
    pub(crate) fn hear_refuse(&mut self, link: u32, id: u32, why: Refusal) {
        let Some(socket) = self.sockets.get(&id) else { return };
        if socket.state != State::Connecting || socket.wire.is_none_or(|wire| wire.link != link) {
            return;
        }
        match why {
            // Not found by the link, or gone since: closed, which is found out by looking again, or given to another process.
            Refusal::NotHere | Refusal::Moved => self.knock_again(id),
            Refusal::Refused => self.knock_at_next(id),
            Refusal::Failed => self.not_connected(id, WsaError::WSAETIMEDOUT),
        }
    }

    /// The listener that was found does not want the connection: perhaps another one at that address does.
    fn knock_at_next(&mut self, id: u32) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.search.position += 1;
        socket.search.refused = true;
        self.knock_anew(id, true);
    }

    /// The listener is not where the wish to connect went.
    pub(crate) fn knock_again(&mut self, id: u32) {
        self.knock_anew(id, false);
    }

    fn knock_anew(&mut self, id: u32, may_guess: bool) {
        self.leave_link(id);
        let Some(peer) = self.sockets.get(&id).and_then(|socket| socket.peer) else { return };
        if let Err(error) = self.knock(id, peer, may_guess) {
            self.not_connected(id, error);
        }
    }

    /// A connect has failed: the socket is as it was before.
    pub(crate) fn not_connected(&mut self, id: u32, error: WsaError) {
        self.leave_link(id);
        let upcalls = self.common.upcalls;
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.state = State::Bound;
            socket.events.connect(Err(error), upcalls);
        }
    }

    /// The peer does not want to connect any more.
    pub(crate) fn hear_withdraw(&mut self, link: u32, remote: u32) {
        for id in self.listeners.values() {
            if let Some(listening) = self.sockets.get_mut(id).and_then(|socket| socket.listening.as_mut()) {
                listening.requests.retain(|request| (request.link, request.remote) != (link, remote));
            }
        }
        // A connection that was accepted meanwhile is closed when the peer has heard of it.
    }

    /// A socket has nothing to do with its link any more.
    pub(crate) fn leave_link(&mut self, id: u32) {
        let Some(wire) = self.sockets.get_mut(&id).and_then(|socket| {
            socket.flow.in_turn = false;
            socket.wire.take()
        }) else {
            return;
        };
        let Some(link) = self.links.get_mut(&wire.link) else { return };
        link.sockets.remove(&id);
        link.senders.retain(|sender| *sender != id);
        match (link.sockets.is_empty(), link.dedicated) {
            (true, true) => self.drop_dedicated(wire.link),
            (true, false) => self.is_idle(wire.link),
            (false, _) => {}
        }
    }

    /// The link of a socket has ended.
    pub(crate) fn link_lost(&mut self, id: u32) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        match (socket.state, socket.wire) {
            // The link may have been closed for other reasons than the listener.
            (State::Connecting, Some(wire)) if wire.guessed => self.knock_again(id),
            (State::Connecting, _) => self.not_connected(id, WsaError::WSAETIMEDOUT),
            _ => {
                socket.wire = None;
                socket.flow.in_turn = false;
                self.broken(id, WsaError::WSAECONNRESET, None);
            }
        }
    }

    /// A connection is over: everything pending ends with `error`, the operation `culprit` with `WSAEFAULT`; the peer
    /// has no access any more. Messages that have arrived can still be received.
    pub(crate) fn broken(&mut self, id: u32, error: WsaError, culprit: Option<u32>) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if socket.state != State::Connected {
            return;
        }
        socket.state = State::Broken(error);
        socket.memory.conceal_all();
        socket.flow.fail(error, culprit, &mut socket.memory, &mut self.common.actions);
    }

    /// Ends a connection because the rules were broken, and tells the peer.
    pub(crate) fn abort(&mut self, id: u32, culprit: Option<u32>) {
        if let Some(wire) = self.sockets.get(&id).and_then(|socket| socket.wire) {
            self.say(wire.link, Packet::new(Kind::Close, wire.remote, 0, Ending::Aborted as u32));
        }
        self.broken(id, WsaError::WSAECONNABORTED, culprit);
    }

    /// `WSPCloseSocket` (SP-170).
    pub(crate) fn close(&mut self, id: u32) -> Result<(), WsaError> {
        let socket = self.socket(id)?;
        let (state, wire, listening) = (socket.state, socket.wire, socket.listening.take());
        match (state, wire) {
            (State::SwappedOut, _) => {}
            (State::Connecting, Some(wire)) => self.say(wire.link, Packet::new(Kind::Withdraw, 0, id, 0)),
            (_, Some(wire)) => {
                self.say(wire.link, Packet::new(Kind::Close, wire.remote, 0, Ending::Closed as u32));
            }
            _ => {}
        }
        self.give_back_all(id);
        self.leave_link(id);
        if let Some(listening) = listening {
            // SP-172.
            self.unwatch(listening.door.raw_fd());
            self.listeners.remove(&listening.name);
            for request in &listening.requests {
                self.refuse(request, Refusal::Refused);
            }
        }
        if let Some(mut socket) = self.sockets.remove(&id) {
            socket.flow.fail(
                WsaError::WSA_OPERATION_ABORTED,
                None,
                &mut socket.memory,
                &mut self.common.actions,
            );
            socket.memory.clear();
            self.common.actions.close(socket.handle);
        }
        Ok(())
    }
}

/// The first door at this address that is free.
fn open_door(local: &SockAddr) -> Result<(Name, Door), WsaError> {
    Name::of(local)
        .places()
        .map(|name| (name, Door::open(&name.bytes())))
        .find(|(_, door)| !matches!(door, Err(Errno::ADDRINUSE)))
        .map_or(Err(WsaError::WSAEADDRINUSE), |(name, door)| Ok((name, door.map_err(listen_error)?)))
}

fn listen_error(error: Errno) -> WsaError {
    match error {
        Errno::MFILE | Errno::NFILE => WsaError::WSAEMFILE,
        _ => WsaError::WSAENOBUFS,
    }
}
