//! From two names to a connection: listening, connecting, accepting, refusing, closing.

use std::io;

use wsd_engine::{MAX_BACKLOG, backlog_limit};
use wsd_spi::provider::Accepted;
use wsd_spi::{SanSocket, SockAddr, SwitchSocket, WsaError};

use crate::flow::Culprit;
use crate::greeting::{Greeting, LENGTH, Refusal};
use crate::rdma::{DeviceKey, Event, EventKind, Identifier};
use crate::socket::{Rejoining, Request, Socket, State};
use crate::state::{Awaited, Core, MEETING};

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
        let (channel, own) = self.channel()?;
        if !own.contains(&name, channel)? {
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
            (State::Listening, _) => {
                // SP-072.
                socket.backlog = limit;
                let excess = socket.requests.split_off(limit.min(socket.requests.len()));
                excess.iter().for_each(|request| request.id.reject(&Refusal::Refused.bytes()));
                Ok(())
            }
            (State::Connected | State::Broken(_), _) => Err(WsaError::WSAEISCONN),
            (State::Bound, Some(local)) if local.port() != 0 => {
                let listener = Identifier::new(self.channel()?.0, id).map_err(listen_error)?;
                listener.bind(local.into()).map_err(listen_error)?;
                listener.listen(MAX_BACKLOG as i32).map_err(listen_error)?;
                let socket = self.socket(id)?;
                socket.id = Some(listener);
                socket.backlog = limit;
                socket.state = State::Listening;
                Ok(())
            }
            _ => Err(WsaError::WSAEINVAL),
        }
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
        let local = socket.local.ok_or(WsaError::WSAEINVAL)?;
        let identifier = self.look_for(id, local, peer)?;
        let socket = self.socket(id)?;
        socket.peer = Some(peer);
        socket.id = Some(identifier);
        socket.state = State::Connecting;
        self.limit_time(Awaited::Connection(id));
        Err(WsaError::WSAEWOULDBLOCK)
    }

    /// Begins to look for a peer.
    pub(crate) fn look_for(
        &mut self,
        id: u32,
        local: SockAddr,
        peer: SockAddr,
    ) -> Result<Identifier, WsaError> {
        let identifier = self.bound(id, local).map_err(connect_error)?;
        identifier.resolve(peer.into()).map_err(connect_error)?;
        Ok(identifier)
    }

    /// An identifier that can connect from that address. Not from its port, since several connections share an
    /// application's port: the greeting tells it. With the wildcard address the kernel chooses address and port.
    fn bound(&mut self, id: u32, local: SockAddr) -> io::Result<Identifier> {
        let channel = self.channel.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let mut identifier = Identifier::new(channel, id)?;
        if !local.is_wildcard() {
            self.ports.bind_shared(&identifier, local)?;
            // There a port and the peer's name belong to one connection only.
            if identifier.device().is_some_and(DeviceKey::is_iwarp) {
                identifier = Identifier::new(channel, id)?;
                self.ports.bind_own(&identifier, local)?;
            }
        }
        Ok(identifier)
    }

    /// Something is waited for from now on.
    pub(crate) fn limit_time(&mut self, awaited: Awaited) {
        self.forget_answered();
        self.deadlines.add(awaited, &self.common);
    }

    fn forget_answered(&mut self) {
        let (sockets, handovers) = (&self.sockets, &self.handovers);
        self.deadlines.forget(|awaited| match awaited {
            Awaited::Connection(id) => {
                sockets.get(id).is_some_and(|socket| socket.state == State::Connecting)
            }
            Awaited::Claimant(value) => handovers.contains_key(value),
        });
    }

    /// The timer has run out: no answer says nothing about TCP (SP-067).
    pub(crate) fn time_is_up(&mut self) {
        self.deadlines.time_is_up();
        while let Some(awaited) = self.deadlines.expired() {
            match awaited {
                Awaited::Connection(id) => {
                    if self.sockets.get(&id).is_some_and(|socket| socket.state == State::Connecting) {
                        self.not_connected(id, WsaError::WSAETIMEDOUT);
                    }
                }
                Awaited::Claimant(value) => self.end_handover(value),
            }
        }
        self.forget_answered();
        self.deadlines.arm(&self.common);
    }

    /// Reacts to what rdma_cm tells.
    pub(crate) fn hear(&mut self, event: Event) {
        if let Some(new) = event.new {
            return match event.datum {
                MEETING => self.hear_rejoin(new, &event.data),
                listener => self.hear_request(listener, new, &event.data),
            };
        }
        let id = event.datum;
        let known = self
            .sockets
            .get(&id)
            .filter(|socket| socket.id.as_ref().is_some_and(|identifier| identifier.key() == event.key));
        match known.map(|socket| socket.state) {
            Some(State::Connecting) => {
                if let Err(error) = self.go_on_connecting(id, &event) {
                    self.not_connected(id, error);
                }
            }
            Some(State::Connected | State::SwappedOut) => match event.kind {
                EventKind::Disconnected | EventKind::Failed | EventKind::Rejected => {
                    // What has arrived comes first.
                    self.poll_devices();
                    self.broken(id, WsaError::WSAECONNRESET, None);
                }
                EventKind::DeviceRemoved => self.broken(id, WsaError::WSAECONNABORTED, None),
                _ => {}
            },
            Some(_) => {}
            None if event.kind == EventKind::Other => {}
            // The end of a connection that has been given away, or a request that waits and has been withdrawn.
            None => {
                for socket in self.sockets.values_mut() {
                    socket.requests.retain(|request| request.id.key() != event.key);
                }
                // That it is established may be said late, and is no end.
                if event.kind != EventKind::Established {
                    self.hear_of_handover(event.key);
                }
                if event.kind == EventKind::DeviceRemoved {
                    self.meetings.retain(|_, listener| listener.key() != event.key);
                }
            }
        }
    }

    /// The next step of a connect.
    fn go_on_connecting(&mut self, id: u32, event: &Event) -> Result<(), WsaError> {
        let socket = self.socket(id)?;
        let (Some(identifier), Some(local)) = (socket.id.take(), socket.local) else { return Ok(()) };
        let step = match event.kind {
            EventKind::AddressResolved => identifier.resolve_route().map_err(connect_error),
            EventKind::RouteResolved => {
                let rejoining = socket.rejoining.take();
                let step = self.new_connection(&identifier, id).and_then(|mut connection| {
                    let from = connection.meeting;
                    let greeting = match rejoining {
                        None => Greeting::Connect { port: local.port(), from },
                        Some(Rejoining { peer: to, counts, early }) => {
                            connection.flow.go_on(early, counts);
                            Greeting::Rejoin { from, to, arrived: counts[0] }
                        }
                    };
                    identifier.connect(&connection.parameters(greeting))?;
                    Ok(connection)
                });
                step.map_err(connect_error).map(|connection| {
                    if let Some(socket) = self.sockets.get_mut(&id) {
                        socket.connection = Some(connection);
                    }
                })
            }
            EventKind::Response => {
                self.established(id, &identifier, local, &event.data).map_err(connect_error)
            }
            EventKind::Rejected => match (Refusal::said(&event.data), socket.peer) {
                (Refusal::Refused, _) => Err(WsaError::WSAECONNREFUSED),
                (Refusal::Moved, Some(peer)) => return self.connect_again(id, identifier, local, peer),
                _ => Err(WsaError::WSAETIMEDOUT),
            },
            EventKind::Other => Ok(()),
            _ => Err(WsaError::WSAETIMEDOUT),
        };
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.id = Some(identifier);
        }
        step
    }

    /// The listener is in another process now.
    fn connect_again(
        &mut self,
        id: u32,
        old: Identifier,
        local: SockAddr,
        peer: SockAddr,
    ) -> Result<(), WsaError> {
        if let Some(connection) = self.socket(id)?.connection.take() {
            self.drop_connection(connection);
        }
        drop(old);
        let identifier = self.look_for(id, local, peer)?;
        self.socket(id)?.id = Some(identifier);
        Ok(())
    }

    /// The peer has accepted.
    fn established(
        &mut self,
        id: u32,
        identifier: &Identifier,
        local: SockAddr,
        answer: &[u8; LENGTH],
    ) -> io::Result<()> {
        let upcalls = self.common.upcalls;
        let Some(Greeting::Answer { from }) = Greeting::decode(answer) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let Some(socket) = self.sockets.get_mut(&id) else { return Ok(()) };
        let connection = socket.connection.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        connection.pair.as_ref().ok_or(io::ErrorKind::NotConnected)?.ready(identifier)?;
        connection.peer = from;
        identifier.establish()?;
        if let (true, Some(name)) = (local.is_wildcard(), identifier.local()) {
            socket.local = Some(SockAddr::from(name).with_port(local.port()));
        }
        socket.state = State::Connected;
        socket.events.connect(Ok(()), upcalls);
        self.probe_from_now_on();
        Ok(())
    }

    /// A connect has failed: the socket is as it was before.
    fn not_connected(&mut self, id: u32, error: WsaError) {
        let upcalls = self.common.upcalls;
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let connection = socket.connection.take();
        let identifier = socket.id.take();
        socket.state = State::Bound;
        socket.events.connect(Err(error), upcalls);
        if let Some(connection) = connection {
            self.drop_connection(connection);
        }
        drop(identifier);
    }

    /// A peer wants to connect.
    fn hear_request(&mut self, listener: u32, id: Identifier, data: &[u8; LENGTH]) {
        let upcalls = self.common.upcalls;
        let refuse = |why: Refusal| id.reject(&why.bytes());
        let Some(Greeting::Connect { port, from }) = Greeting::decode(data) else {
            return refuse(Refusal::Failed);
        };
        let Some((peer, own)) = id.peer().zip(id.local()) else { return refuse(Refusal::Failed) };
        let listening = self.sockets.get_mut(&listener).filter(|socket| socket.state == State::Listening);
        let queue = match listening {
            Some(socket) => socket.local.map(|local| (local, socket.backlog, &mut socket.requests)),
            None => self.moving_queue(listener),
        };
        let Some((local, backlog, requests)) = queue else { return refuse(Refusal::Failed) };
        // SP-071: at once, and without a signal.
        if requests.len() >= backlog {
            return refuse(Refusal::Refused);
        }
        let (caller, callee) =
            (SockAddr::from(peer).with_port(port), SockAddr::from(own).with_port(local.port()));
        requests.push_back(Request { id, caller, callee, from });
        if let Some(socket) =
            self.sockets.get_mut(&listener).filter(|socket| socket.state == State::Listening)
        {
            socket.events.accept(upcalls);
        }
    }

    /// Takes the oldest request of a listener (SP-075).
    pub(crate) fn take_request(&mut self, id: u32) -> Result<Request, WsaError> {
        if self.socket(id)?.state != State::Listening {
            return Err(WsaError::WSAEINVAL);
        }
        if self.socket(id)?.requests.is_empty() {
            // Perhaps it has arrived and nobody has looked.
            wsd_engine::Core::pump(self);
        }
        self.socket(id)?.requests.pop_front().ok_or(WsaError::WSAEWOULDBLOCK)
    }

    /// Makes the event of a listener ready for the next request (SP-080).
    pub(crate) fn rearm(&mut self, id: u32) {
        let upcalls = self.common.upcalls;
        if let Ok(socket) = self.socket(id)
            && socket.state == State::Listening
        {
            socket.events.rearm(!socket.requests.is_empty(), upcalls);
        }
    }

    /// Puts a request back to the head of the queue (SP-079).
    pub(crate) fn defer(&mut self, id: u32, request: Request) {
        match self.sockets.get_mut(&id).filter(|socket| socket.state == State::Listening) {
            Some(socket) => {
                let upcalls = self.common.upcalls;
                socket.events.rearm(!socket.requests.is_empty(), upcalls);
                socket.requests.push_front(request);
            }
            None => request.id.reject(&Refusal::Refused.bytes()),
        }
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
        let inherited = self.sockets.get(&listener).filter(|socket| socket.state == State::Listening);
        let Some((family, debug)) = inherited.map(|socket| (socket.family, socket.debug)) else {
            request.id.reject(&Refusal::Refused.bytes());
            self.common.actions.close(handle);
            return Err(WsaError::WSAENOTSOCK);
        };
        let Request { id: identifier, caller, callee, from } = request;
        let made = self.new_connection(&identifier, id).and_then(|mut connection| {
            connection.pair.as_ref().ok_or(io::ErrorKind::NotConnected)?.ready(&identifier)?;
            connection.peer = from;
            identifier.set_datum(id);
            identifier.accept(&connection.parameters(Greeting::Answer { from: connection.meeting }))?;
            Ok(connection)
        });
        let Ok(connection) = made else {
            identifier.reject(&Refusal::Failed.bytes());
            self.common.actions.close(handle);
            return Err(WsaError::WSAECONNRESET);
        };
        let mut socket = Socket::new(handle, family);
        socket.state = State::Connected;
        socket.debug = debug;
        socket.local = Some(callee);
        socket.peer = Some(caller);
        socket.connection = Some(connection);
        socket.id = Some(identifier);
        self.sockets.insert(id, socket);
        self.probe_from_now_on();
        Ok(Accepted { socket: SanSocket::from_raw(id as usize), peer: caller })
    }

    /// A connection is over: everything pending ends with `error`, the culprit with its own; the peer has no access any
    /// more. Messages that have arrived can still be received.
    pub(crate) fn broken(&mut self, id: u32, error: WsaError, culprit: Option<Culprit>) {
        let carries = |socket: &&mut Socket| matches!(socket.state, State::Connected | State::SwappedOut);
        let Some(socket) = self.sockets.get_mut(&id).filter(carries) else { return };
        socket.state = State::Broken(error);
        if let Some(connection) = &mut socket.connection {
            (connection.pair, connection.rejoin) = (None, None);
            connection.flow.fail(error, culprit, &mut connection.memory, &mut self.common.actions);
        }
        if let Some(identifier) = &socket.id {
            identifier.disconnect();
        }
    }

    /// `WSPCloseSocket` (SP-170).
    pub(crate) fn close(&mut self, id: u32) -> Result<(), WsaError> {
        // What has arrived comes first: the peer knows that it has.
        self.poll_devices();
        let mut socket = self.sockets.remove(&id).ok_or(WsaError::WSAENOTSOCK)?;
        // SP-172.
        for request in socket.requests.drain(..) {
            request.id.reject(&Refusal::Refused.bytes());
        }
        if let (State::Connected, Some(identifier)) = (socket.state, &socket.id) {
            identifier.disconnect();
        }
        if let Some(mut connection) = socket.connection.take() {
            connection.pair = None;
            let aborted = WsaError::WSA_OPERATION_ABORTED;
            connection.flow.fail(aborted, None, &mut connection.memory, &mut self.common.actions);
            self.drop_connection(connection);
        }
        self.common.actions.close(socket.handle);
        Ok(())
    }
}

fn listen_error(error: io::Error) -> WsaError {
    match error.raw_os_error() {
        Some(libc::EADDRINUSE) => WsaError::WSAEADDRINUSE,
        Some(libc::EMFILE | libc::ENFILE) => WsaError::WSAEMFILE,
        _ => WsaError::WSAENOBUFS,
    }
}

/// None of them says that TCP would fail, too (SP-067).
fn connect_error(error: io::Error) -> WsaError {
    match error.raw_os_error() {
        Some(libc::ENOMEM | libc::EMFILE | libc::ENFILE) => WsaError::WSAENOBUFS,
        _ => WsaError::WSAETIMEDOUT,
    }
}
