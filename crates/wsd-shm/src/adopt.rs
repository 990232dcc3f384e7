//! Taking over a socket of another process (SP-153). See [`swap`](crate::swap).

use std::num::NonZeroU32;

use wsd_engine::Door;
use wsd_engine::handover::{claim, unpack};
use wsd_os::Errno;
use wsd_os::fd::{AsFd, AsRawFd, OwnedFd};
use wsd_os::link::Link;
use wsd_spi::ffi::{AF_INET, AF_INET6};
use wsd_spi::{SanSocket, SockAddr, SwitchSocket, WsaError};

use crate::address::Name;
use crate::registrations::Registrations;
use crate::socket::{Listening, Socket, State, Wire};
use crate::state::Engine;
use crate::state::{Core, Token};
use crate::swap::{DEBUG, IPV6, LISTENER, PLACE, PROVIDER};
use crate::wire::{HEADER, Header, Kind, Packet, addresses};

/// How long the other process may take. It has to hear of our claim, and the peer has to have answered.
const LIMIT_NS: u64 = 10_000_000_000;

/// What came.
struct Parcel {
    header: Header,
    local: SockAddr,
    peer: SockAddr,
    goods: OwnedFd,
    early: Vec<Box<[u8]>>,
}

/// `WSPSocket` with a value of `WSPDuplicateSocket`. Waits, and makes progress meanwhile: the other process may be
/// this one.
///
/// # Errors
/// `WSAENETDOWN` if the socket cannot be had: there is none for this process, or it takes too long.
pub(crate) fn adopt(engine: &Engine, value: NonZeroU32) -> Result<SanSocket, WsaError> {
    let link = claim(PROVIDER, value)?;
    let parcel = engine.wait(Some(link.as_fd().as_raw_fd()), LIMIT_NS, || receive(&link))?;
    let id = engine.with(|core| Ok(core.new_id()))?;
    let handle = engine.upcalls().create_socket_handle(0, id as usize)?;
    engine.with(|core| {
        core.unpack(id, handle, parcel).inspect_err(|_| {
            core.leave_link(id);
            core.sockets.remove(&id);
            core.common.actions.close(handle);
        })
    })
}

/// The parcel, if it has come.
fn receive(link: &Link) -> Result<Option<Parcel>, WsaError> {
    let mut buffer = [0; HEADER + 64];
    match link.recv(&mut buffer, 2) {
        Err(Errno::AGAIN) => Ok(None),
        Ok(Some(packet)) => {
            let [goods, early, ..] = packet.fds;
            read(&buffer[..packet.len], goods, early).map(Some).ok_or(WsaError::WSAENETDOWN)
        }
        Ok(None) | Err(_) => Err(WsaError::WSAENETDOWN),
    }
}

/// Reads a parcel.
fn read(packet: &[u8], goods: Option<OwnedFd>, early: Option<OwnedFd>) -> Option<Parcel> {
    let (header, body) = Header::decode(packet)?;
    let (local, peer) = addresses(body)?;
    let early = unpack(early.map(|memory| (memory, header.arg)))?;
    (header.kind == Kind::Parcel).then_some(Parcel { header, local, peer, goods: goods?, early })
}

impl Core {
    /// Makes the socket that came.
    fn unpack(&mut self, id: u32, handle: SwitchSocket, parcel: Parcel) -> Result<SanSocket, WsaError> {
        let Parcel { header, local, peer, goods, early } = parcel;
        let flags = header.from;
        let family = if flags & IPV6 != 0 { AF_INET6 } else { AF_INET };
        let mut socket = Socket::new(handle, family, Registrations::new(self.ranges.clone()));
        socket.debug = flags & DEBUG != 0;
        socket.local = Some(local);
        let down = |_| WsaError::WSAENETDOWN;
        if flags & LISTENER != 0 {
            let place = Name::of(&local).places().nth((flags / PLACE) as usize);
            let name = place.ok_or(WsaError::WSAENETDOWN)?;
            let door = Door::take_over(goods).map_err(down)?;
            self.watch_new(door.raw_fd(), Token::Listener(id)).map_err(down)?;
            self.keep_spare();
            self.listeners.insert(name, id);
            let backlog = header.arg as usize;
            socket.listening = Some(Listening { name, door, backlog, requests: Default::default() });
            socket.state = State::Listening;
            self.sockets.insert(id, socket);
        } else {
            if !early.iter().all(|message| socket.flow.keep_early(message)) {
                return Err(WsaError::WSAENETDOWN);
            }
            socket.peer = Some(peer);
            socket.state = State::Connected;
            let end = Link::from_fd(goods).map_err(down)?;
            let link = self.add_link(end, 0, true).map_err(down)?;
            if let Some(link) = self.links.get_mut(&link) {
                link.dedicated = true;
            }
            socket.wire = Some(Wire { link, remote: header.to, guessed: false });
            self.sockets.insert(id, socket);
            self.use_link(link, id);
            self.say(link, Packet::new(Kind::Joined, header.to, id, 0));
        }
        Ok(SanSocket::from_raw(id as usize))
    }
}
