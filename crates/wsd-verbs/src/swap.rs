//! Giving a socket to another process (`WSPDuplicateSocket`, SP-150..156): the side that gives.
//!
//! The queue pair ends, the identifier of rdma_cm stays connected: so the peer notices nothing before the next process
//! comes to it ([`meeting`](crate::meeting)), but does if this process ends before.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use wsd_engine::handover::{NextProcess, offer, pack};
use wsd_engine::{Door, Tracked};
use wsd_os::Errno;
use wsd_os::fd::{AsFd, AsRawFd};
use wsd_os::link::Link;
use wsd_spi::ffi::AF_INET6;
use wsd_spi::{SockAddr, WsaError};

use crate::greeting::{Meeting, Refusal};
use crate::parcel::{DEBUG, IPV6, LISTENER, Parcel};
use crate::rdma::Identifier;
use crate::socket::{Request, State};
use crate::state::{Awaited, CLAIMANTS, Core, DOORS, Engine};

/// Part of the names of our doors.
pub(crate) const PROVIDER: &str = "wsd-verbs";
/// How long the device may take to end what is at it, and how long the peer's device may take for our last messages.
const QUIET_NS: u64 = 1_000_000_000;

/// A socket that waits for its next process.
pub(crate) struct Handover {
    process: NextProcess,
    /// The socket that it was.
    socket: u32,
    /// Until the next process has come.
    door: Option<Door>,
    /// From then on.
    claimant: Option<Tracked<Link>>,
    flags: u32,
    local: SockAddr,
    peer: SockAddr,
    goods: Goods,
}

enum Goods {
    /// A listener; it listens until it is claimed.
    Listener { id: Option<Identifier>, backlog: usize, requests: VecDeque<Request> },
    /// A connection.
    Connection {
        id: Identifier,
        /// Where the peer is found.
        peer: Meeting,
        /// Messages that have arrived here, and those sent that have there.
        counts: [u16; 2],
        /// Messages that have arrived, and were not received.
        early: VecDeque<Box<[u8]>>,
    },
}

/// `WSPDuplicateSocket`. Waits, and makes progress meanwhile: the peer may be of this process.
///
/// # Errors
/// `WSAENOTCONN` in another state; `WSAENETDOWN` if the connection cannot move, or its device does not end its work.
pub(crate) fn duplicate(engine: &Engine, id: u32, process: u32) -> Result<NonZeroU32, WsaError> {
    let state = engine.with(|core| Ok(core.socket(id)?.state))?;
    let (value, door) = match state {
        State::Connected | State::Listening => offer(PROVIDER)?,
        _ => return Err(WsaError::WSAENOTCONN),
    };
    if state == State::Connected {
        engine.wait(None, QUIET_NS, || engine.with(|core| core.stop(id)))?;
        engine.wait(None, QUIET_NS, || engine.with(|core| core.is_stopped(id))).inspect_err(|_| {
            // One that is closed meanwhile is over already.
            let _ = engine.with(|core| {
                core.broken(id, WsaError::WSAECONNABORTED, None);
                Ok(())
            });
        })?;
    }
    engine.with(|core| core.hand_over(id, process, value.get(), door))?;
    Ok(value)
}

impl Core {
    /// Stops the queue pair of a connection whose sends have ended. `None`: not yet.
    fn stop(&mut self, id: u32) -> Result<Option<()>, WsaError> {
        self.poll_devices();
        let connection = self.socket(id)?.connected().map_err(|_| WsaError::WSAENOTCONN)?;
        let (key, port) = (connection.device, connection.peer.port);
        if port == 0 || key.is_iwarp() {
            return Err(WsaError::WSAENETDOWN);
        }
        let socket = self.socket(id)?;
        let connection = socket.connected()?;
        // One that has stopped for its peer's move goes on soon.
        if !connection.flow.outgoing.is_empty() || connection.flow.stopped.is_some() {
            return Ok(None);
        }
        connection.stop().map_err(|_| WsaError::WSAENETDOWN)?;
        socket.state = State::SwappedOut;
        Ok(Some(()))
    }

    /// Whether everything that was at the device has come back.
    fn is_stopped(&mut self, id: u32) -> Result<Option<()>, WsaError> {
        self.poll_devices();
        let connection = self.socket(id)?.carried().ok_or(WsaError::WSAENOTCONN)?;
        Ok(connection.flow.is_drained().then_some(()))
    }

    /// Takes from a socket what it was, and opens the door to the next process.
    fn hand_over(&mut self, id: u32, process: u32, value: u32, door: Door) -> Result<(), WsaError> {
        let socket = self.sockets.get_mut(&id).ok_or(WsaError::WSAENOTSOCK)?;
        if !matches!(socket.state, State::Listening | State::SwappedOut) {
            return Err(WsaError::WSAENOTCONN);
        }
        let mut flags = if socket.family == AF_INET6 { IPV6 } else { 0 };
        flags |= if socket.debug { DEBUG } else { 0 };
        let (identifier, local) = (socket.id.take(), socket.local);
        let (identifier, local) = identifier.zip(local).ok_or(WsaError::WSAENOTCONN)?;
        let peer = socket.peer.unwrap_or(local);
        let goods = match &mut socket.connection {
            None => {
                flags |= LISTENER;
                socket.state = State::SwappedOut;
                let (backlog, requests) = (socket.backlog, std::mem::take(&mut socket.requests));
                Goods::Listener { id: Some(identifier), backlog, requests }
            }
            Some(connection) => {
                // SP-150; and nothing is exposed to a peer that does not know the next process yet.
                connection.flow.end_receives(&mut connection.memory, &mut self.common.actions);
                connection.memory.conceal_all();
                let flow = &mut connection.flow;
                let early = std::mem::take(&mut flow.early);
                let counts = [flow.arrived, flow.delivered];
                Goods::Connection { id: identifier, peer: connection.peer, counts, early }
            }
        };
        let watched = self.common.watch_new(door.raw_fd(), DOORS + u64::from(value));
        let process = NextProcess::new(process);
        if let Some(end) = process.end() {
            // Without it the limit of time counts.
            let _ = self.common.watch_new(end, DOORS + u64::from(value));
        }
        let door = Some(door);
        let handover = Handover { process, socket: id, door, claimant: None, flags, local, peer, goods };
        self.handovers.insert(value, handover);
        self.limit_time(Awaited::Claimant(value));
        watched.map_err(|_| {
            self.end_handover(value);
            WsaError::WSAENOBUFS
        })
    }

    /// The queue of a listener that is being given away: its name, its backlog, its requests.
    pub(crate) fn moving_queue(&mut self, id: u32) -> Option<(SockAddr, usize, &mut VecDeque<Request>)> {
        self.handovers.values_mut().find_map(|handover| match &mut handover.goods {
            Goods::Listener { backlog, requests, .. } if handover.socket == id => {
                Some((handover.local, *backlog, requests))
            }
            _ => None,
        })
    }

    /// Somebody is at the door, or the process that it is for has ended.
    pub(crate) fn take_claimant(&mut self, value: u32) {
        let Some(handover) = self.handovers.get_mut(&value) else { return };
        let claims = handover.door.as_ref().and_then(|door| handover.process.claims(door));
        let Some(link) = claims.map(Tracked::new) else {
            if handover.process.has_ended() {
                self.end_handover(value);
            }
            return;
        };
        // The value works once (SP-151).
        if let Some(door) = handover.door.take() {
            self.common.unwatch(door.raw_fd());
        }
        let watched = self.common.watch_new(link.as_fd().as_raw_fd(), CLAIMANTS + u64::from(value));
        let sent = handover.send(&link);
        handover.claimant = Some(link);
        if watched.is_err() || sent.is_err() {
            self.end_handover(value);
        }
    }

    /// The next process has what it came for, or has ended.
    pub(crate) fn hear_claimant(&mut self, value: u32) {
        let claimant = self.handovers.get(&value).and_then(|handover| handover.claimant.as_ref());
        if claimant.is_some_and(|link| !matches!(link.recv(&mut [0; 8], 0), Err(Errno::AGAIN))) {
            self.end_handover(value);
        }
    }

    /// The connection of an identifier has ended: perhaps one that is being given away.
    pub(crate) fn hear_of_handover(&mut self, key: usize) {
        let mut over = None;
        for (value, handover) in &mut self.handovers {
            match &mut handover.goods {
                Goods::Connection { id, .. } if id.key() == key => over = Some(*value),
                Goods::Connection { .. } => {}
                Goods::Listener { requests, .. } => requests.retain(|request| request.id.key() != key),
            }
        }
        if let Some(value) = over {
            self.end_handover(value);
        }
    }

    /// Forgets a handover. If the next process has not come to the peer, that is reset (SP-156).
    pub(crate) fn end_handover(&mut self, value: u32) {
        let Some(handover) = self.handovers.remove(&value) else { return };
        if let Some(door) = &handover.door {
            self.common.unwatch(door.raw_fd());
        }
        if let Some(end) = handover.process.end() {
            self.common.unwatch(end);
        }
        if let Some(link) = &handover.claimant {
            self.common.unwatch(link.as_fd().as_raw_fd());
        }
        match handover.goods {
            Goods::Connection { id, .. } => id.disconnect(),
            Goods::Listener { requests, .. } => {
                let why = if handover.claimant.is_some() { Refusal::Moved } else { Refusal::Failed };
                requests.iter().for_each(|request| request.id.reject(&why.bytes()));
            }
        }
    }
}

impl Handover {
    /// Gives everything to the next process. A listener does not listen here any more.
    fn send(&mut self, link: &Link) -> Result<(), Errno> {
        let (flags, local, peer) = (self.flags, self.local, self.peer);
        let parcel =
            Parcel { flags, local, peer, backlog: 0, early: 0, meeting: Meeting::default(), counts: [0; 2] };
        match &mut self.goods {
            Goods::Listener { id, backlog, .. } => {
                *id = None;
                link.send(&Parcel { backlog: *backlog as u32, ..parcel }.encode(), &[])
            }
            Goods::Connection { peer: meeting, counts, early, .. } => {
                let memory = pack(early.iter().map(AsRef::as_ref))?;
                let length = memory.as_ref().map_or(0, |(_, length)| *length);
                let parcel = Parcel { early: length, meeting: *meeting, counts: *counts, ..parcel };
                let fds: Vec<_> = memory.iter().map(|(memory, _)| memory.as_fd()).collect();
                link.send(&parcel.encode(), &fds)
            }
        }
    }
}
