//! Giving a socket to another process (`WSPDuplicateSocket`, SP-150..156): the side that gives, and the peer.
//!
//! The value for the next process is a random number, and the name of a [`Door`] at which that process, and no other,
//! claims the socket. A connection gets a link of its own, whose ends go to the peer (`Move`) and to the next process
//! (`Parcel`). The peer answers `Parted`, so that nothing is on its way to the old process any more, keeps its posted
//! receives, and sends nothing until the next process is there (`Joined`). What had arrived early goes along. A listener
//! is its door: the name never becomes free, and requests that wait are asked to come again.

use std::num::NonZeroU32;

use wsd_engine::Door;
use wsd_engine::handover::{NextProcess, offer, pack};
use wsd_os::Errno;
use wsd_os::fd::{AsFd, BorrowedFd, OwnedFd};
use wsd_os::link::Link;
use wsd_spi::ffi::AF_INET6;
use wsd_spi::{SockAddr, WsaError};

use crate::deadlines::Awaited;
use crate::flow::Flow;
use crate::socket::{State, Wire};
use crate::state::{Core, Token};
use crate::wire::{Kind, Packet, Refusal};

/// Part of the names of our doors.
pub(crate) const PROVIDER: &str = "wsd-shm";
/// Flags of a [`Kind::Parcel`], in `from`.
pub(crate) const LISTENER: u32 = 1;
pub(crate) const IPV6: u32 = 2;
pub(crate) const DEBUG: u32 = 4;
/// A listener's place at its address, from this bit on.
pub(crate) const PLACE: u32 = 8;

/// A socket that waits for its next process.
pub(crate) struct Handover {
    process: NextProcess,
    door: Door,
    claimant: Option<Link>,
    /// What the claimant is told, but for the early messages.
    flags: u32,
    local: SockAddr,
    peer: SockAddr,
    goods: Goods,
}

enum Goods {
    /// The door of a listener, and its backlog.
    Listener(Door, u32),
    /// A connection.
    Connection {
        /// The link and the socket that it had here, and the peer's number of its socket.
        link: u32,
        socket: u32,
        remote: u32,
        /// The end of its new link.
        end: OwnedFd,
        /// Messages that had arrived here.
        early: Box<Flow>,
        /// The peer has answered.
        parted: bool,
    },
}

impl Handover {
    /// Whether it fails without that link.
    pub(crate) fn needs_link(&self, id: u32) -> bool {
        matches!(&self.goods, Goods::Connection { link, parted: false, .. } if *link == id)
    }

    /// Whether the process that it is for has ended and will never claim it.
    fn is_in_vain(&self) -> bool {
        self.claimant.is_none() && self.process.has_ended()
    }
}

impl Core {
    /// `WSPDuplicateSocket`.
    pub(crate) fn duplicate(&mut self, id: u32, process: u32) -> Result<NonZeroU32, WsaError> {
        let socket = self.socket(id)?;
        let debug = if socket.debug { DEBUG } else { 0 };
        let flags = debug | if socket.family == AF_INET6 { IPV6 } else { 0 };
        let local = socket.local.ok_or(WsaError::WSAENOTCONN)?;
        let (flags, peer, goods) = match socket.state {
            State::Connected => (flags, socket.peer.unwrap_or(local), None),
            State::Listening => {
                let listening = socket.listening.take();
                let place = listening.as_ref().map_or(0, |listening| listening.name.place());
                (flags | LISTENER | (u32::from(place) * PLACE), local, listening)
            }
            _ => return Err(WsaError::WSAENOTCONN),
        };
        let (value, goods, door) = match goods {
            Some(listening) => match offer(PROVIDER) {
                Ok((value, door)) => {
                    self.unwatch(listening.door.raw_fd());
                    self.listeners.remove(&listening.name);
                    for request in &listening.requests {
                        self.refuse(request, Refusal::Moved);
                    }
                    (value, Goods::Listener(listening.door, listening.backlog as u32), door)
                }
                Err(error) => {
                    self.socket(id)?.listening = Some(listening);
                    return Err(error);
                }
            },
            None => {
                let (value, door) = offer(PROVIDER)?;
                (value, self.part(id)?, door)
            }
        };
        let watched = self.watch_new(door.raw_fd(), Token::Handover(value.get()));
        let process = NextProcess::new(process);
        if let Some(end) = process.end() {
            // Without it the limit of time counts.
            let _ = self.watch_new(end, Token::Handover(value.get()));
        }
        let claimant = None;
        let handover = Handover { process, door, claimant, flags, local, peer, goods };
        self.handovers.insert(value.get(), handover);
        self.socket(id)?.state = State::SwappedOut;
        self.leave_link(id);
        self.limit_time(Awaited::Claimant(value.get()));
        watched.map(|()| value).map_err(|_| {
            self.end_handover(value.get());
            WsaError::WSAENOBUFS
        })
    }

    /// Takes a connection from its socket: receives end with nothing (SP-150), the peer is told.
    fn part(&mut self, id: u32) -> Result<Goods, WsaError> {
        let socket = self.socket(id)?;
        let wire = socket.connected()?;
        if socket.flow.is_under_way() || !socket.flow.outgoing.is_empty() {
            return Err(WsaError::WSAEINVAL);
        }
        let (end, other) = Link::pair().map_err(|_| WsaError::WSAEMFILE)?;
        let socket = self.sockets.get_mut(&id).ok_or(WsaError::WSAENOTSOCK)?;
        let mut early = std::mem::take(&mut socket.flow);
        for posted in early.receives.drain(..) {
            socket.memory.end(posted.uses);
            self.common.actions.complete(posted.overlapped, Ok(()), 0);
        }
        socket.memory.conceal_all();
        self.say_with(wire.link, Packet::new(Kind::Move, wire.remote, 0, 0), Some(other.into()));
        Ok(Goods::Connection {
            link: wire.link,
            socket: id,
            remote: wire.remote,
            end: end.into(),
            early: Box::new(early),
            parted: false,
        })
    }

    /// Whether a connection is leaving a socket, and the peer has not answered.
    pub(crate) fn is_leaving(&self, id: u32, by: u32) -> bool {
        self.leaving(id, by).is_some()
    }

    fn leaving(&self, id: u32, by: u32) -> Option<u32> {
        self.handovers.iter().find_map(|(value, handover)| match handover.goods {
            Goods::Connection { link, socket, parted: false, .. } if (socket, link) == (id, by) => {
                Some(*value)
            }
            _ => None,
        })
    }

    /// The peer of a connection that is leaving says something.
    pub(crate) fn hear_leaving(&mut self, id: u32, by: u32, kind: Kind, body: &[u8]) {
        let Some(value) = self.leaving(id, by) else { return };
        let Some(handover) = self.handovers.get_mut(&value) else { return };
        let Goods::Connection { early, parted, .. } = &mut handover.goods else { return };
        match kind {
            Kind::Message if early.keep_early(body) => {}
            Kind::Parted => {
                *parted = true;
                self.drop_dedicated(by);
                self.hand_over(value);
            }
            // The connection is over, or the switches were not as quiet as they have to be.
            _ => self.end_handover(value),
        }
    }

    /// Ends a link that was made for one connection, which has gone.
    pub(crate) fn drop_dedicated(&mut self, id: u32) {
        let dedicated = self.links.get(&id).is_some_and(|link| link.dedicated && link.sockets.is_empty());
        if dedicated && !self.handovers.values().any(|handover| handover.needs_link(id)) {
            self.drop_link(id);
        }
    }

    /// A process claims a socket, or the one that it is for has ended.
    pub(crate) fn take_claimant(&mut self, value: u32) {
        let Some(handover) = self.handovers.get_mut(&value) else { return };
        if let Some(link) = handover.process.claims(&handover.door) {
            handover.claimant = Some(link);
        }
        if handover.is_in_vain() {
            return self.end_handover(value);
        }
        self.hand_over(value);
    }

    /// Gives the socket away, if the peer has answered and the next process is here.
    fn hand_over(&mut self, value: u32) {
        let Some(handover) = self.handovers.get(&value) else { return };
        let Some(claimant) = &handover.claimant else { return };
        let done = match &handover.goods {
            Goods::Connection { parted: false, .. } => return,
            Goods::Connection { remote, end, early, .. } => pack(early.early()).and_then(|memory| {
                let length = memory.as_ref().map_or(0, |(_, length)| *length);
                let parcel = Packet::new(Kind::Parcel, *remote, handover.flags, length);
                let mut fds = vec![end.as_fd()];
                fds.extend(memory.as_ref().map(|(memory, _)| memory.as_fd()));
                send_parcel(claimant, handover, parcel, &fds)
            }),
            Goods::Listener(door, backlog) => {
                let parcel = Packet::new(Kind::Parcel, 0, handover.flags, *backlog);
                send_parcel(claimant, handover, parcel, &[door.as_fd()])
            }
        };
        // Whether or not: the value works once (SP-151). The claimant notices a parcel that does not come.
        let _ = done;
        self.end_handover(value);
    }

    /// Forgets a handover. If it was not done, the peer's end is reset with its link (SP-156).
    pub(crate) fn end_handover(&mut self, value: u32) {
        let Some(handover) = self.handovers.remove(&value) else { return };
        self.unwatch(handover.door.raw_fd());
        if let Some(end) = handover.process.end() {
            self.unwatch(end);
        }
        if let Goods::Connection { link, .. } = handover.goods {
            self.drop_dedicated(link);
        }
    }

    /// The peer of a connected socket moves to another process. `None` if that breaks the rules.
    pub(crate) fn hear_move(&mut self, id: u32, end: OwnedFd) -> Option<()> {
        let end = Link::from_fd(end).ok()?;
        let socket = self.sockets.get_mut(&id)?;
        let wire = socket.wire?;
        if socket.flow.is_under_way() || socket.flow.paused {
            self.abort(id, None);
            return Some(());
        }
        let Ok(link) = self.add_link(end, 0, true) else {
            self.abort(id, None);
            return Some(());
        };
        self.say(wire.link, Packet::new(Kind::Parted, wire.remote, 0, 0));
        self.leave_link(id);
        self.use_link(link, id);
        if let Some(link) = self.links.get_mut(&link) {
            link.dedicated = true;
        }
        let socket = self.sockets.get_mut(&id)?;
        socket.wire = Some(Wire { link, remote: 0, guessed: false });
        socket.flow.paused = true;
        Some(())
    }

    /// The process to which the peer has moved is here.
    pub(crate) fn hear_joined(&mut self, id: u32, remote: u32) -> Option<()> {
        let socket = self.sockets.get_mut(&id)?;
        let wire = socket.wire.as_mut()?;
        if !socket.flow.paused {
            return None;
        }
        wire.remote = remote;
        socket.flow.paused = false;
        self.sends(id);
        Some(())
    }
}

fn send_parcel(
    claimant: &Link,
    handover: &Handover,
    parcel: Packet,
    fds: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    claimant.send(parcel.with_addresses(&handover.local, &handover.peer).bytes(), fds)
}
