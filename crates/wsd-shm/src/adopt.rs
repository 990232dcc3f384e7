//! Taking over a socket of another process (SP-153). See [`swap`](crate::swap).

use std::num::NonZeroU32;
use std::time::Duration;

use wsd_os::Errno;
use wsd_os::clock::now_ns;
use wsd_os::fd::{AsFd, AsRawFd, OwnedFd};
use wsd_os::link::Link;
use wsd_os::memory::{RegionOptions, SharedRegion, page_size};
use wsd_os::poll::{PollFd, ppoll};
use wsd_spi::ffi::{AF_INET, AF_INET6};
use wsd_spi::{SanSocket, SockAddr, SwitchSocket, WsaError};

use crate::address::Name;
use crate::door::Door;
use crate::engine::Engine;
use crate::registrations::Registrations;
use crate::socket::{Listening, Socket, State, Wire};
use crate::state::{Core, Token};
use crate::swap::{DEBUG, IPV6, LISTENER, name};
use crate::wire::{HEADER, Header, Kind, Packet, addresses, u32_at};

/// How long the other process may take. It has to hear of our claim, and the peer has to have answered.
const LIMIT_NS: u64 = 10_000_000_000;

/// What came.
struct Parcel {
    header: Header,
    local: SockAddr,
    peer: SockAddr,
    goods: OwnedFd,
    early: Vec<u8>,
}

impl Engine {
    /// `WSPSocket` with a value of `WSPDuplicateSocket`. Waits, and makes progress meanwhile: the other process may be
    /// this one.
    ///
    /// # Errors
    /// `WSAENETDOWN` if the socket cannot be had: there is none for this process, or it takes too long.
    pub(crate) fn adopt(&self, value: NonZeroU32) -> Result<SanSocket, WsaError> {
        let down = |_| WsaError::WSAENETDOWN;
        let link = Link::connect(&name(value.get())).map_err(down)?;
        let giver = link.peer_credentials().map_err(down)?;
        if giver.uid != 0 && giver.uid != rustix::process::geteuid().as_raw() {
            return Err(WsaError::WSAENETDOWN);
        }
        let parcel = self.await_parcel(&link)?;
        let id = self.with(|core| Ok(core.new_id()))?;
        let handle = self.upcalls().create_socket_handle(0, id as usize)?;
        self.with(|core| {
            core.unpack(id, handle, parcel).inspect_err(|_| {
                core.leave_link(id);
                core.sockets.remove(&id);
                core.actions.close(handle);
            })
        })
    }

    fn await_parcel(&self, link: &Link) -> Result<Parcel, WsaError> {
        let epoll = self.with(|core| Ok(core.epoll_fd()))?;
        let start = now_ns();
        let mut buffer = [0; HEADER + 64];
        while now_ns() - start < LIMIT_NS {
            match link.recv(&mut buffer, 2) {
                Err(Errno::AGAIN) => {}
                Ok(Some(packet)) => {
                    let [goods, early, ..] = packet.fds;
                    return read(&buffer[..packet.len], goods, early).ok_or(WsaError::WSAENETDOWN);
                }
                Ok(None) | Err(_) => return Err(WsaError::WSAENETDOWN),
            }
            self.pump()?;
            let ready = |fd| PollFd { fd, events: libc::POLLIN, revents: 0 };
            let mut fds = [ready(link.as_fd().as_raw_fd()), ready(epoll)];
            // A signal only makes us look earlier.
            let _ = ppoll(&mut fds, Some(Duration::from_millis(100)), None);
        }
        Err(WsaError::WSAENETDOWN)
    }
}

/// Reads a parcel.
fn read(packet: &[u8], goods: Option<OwnedFd>, early: Option<OwnedFd>) -> Option<Parcel> {
    let (header, body) = Header::decode(packet)?;
    let (local, peer) = addresses(body)?;
    let early = match early {
        Some(memory) => {
            let length = header.arg as usize;
            let options = RegionOptions { fixed_size: true, no_dump: true, arena: None };
            let whole = length.checked_next_multiple_of(page_size())?;
            let region = SharedRegion::from_fd(memory, whole, options).ok()?;
            let mut bytes = vec![0; length];
            region.read_bytes(0, &mut bytes).then_some(bytes)?
        }
        None => Vec::new(),
    };
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
            let (door, name) = (Door::take_over(goods).map_err(down)?, Name::of(&local));
            self.watch_new(door.raw_fd(), Token::Listener(id)).map_err(down)?;
            self.keep_spare();
            self.listeners.insert(name, id);
            let backlog = header.arg as usize;
            socket.listening = Some(Listening { name, door, backlog, requests: Default::default() });
            socket.state = State::Listening;
            self.sockets.insert(id, socket);
        } else {
            let mut rest = early.as_slice();
            while let Some(length) = u32_at(rest, 0) {
                let message = rest.get(4..4 + length as usize).ok_or(WsaError::WSAENETDOWN)?;
                if !socket.flow.keep_early(message) {
                    return Err(WsaError::WSAENETDOWN);
                }
                rest = &rest[4 + message.len()..];
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
