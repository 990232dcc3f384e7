//! Taking over a socket of another process (SP-153): the side that takes. See [`swap`](crate::swap).

use std::num::NonZeroU32;

use wsd_engine::handover::{claim, unpack};
use wsd_engine::{Events, MAX_BACKLOG};
use wsd_os::Errno;
use wsd_os::fd::{AsFd, AsRawFd};
use wsd_os::link::Link;
use wsd_spi::ffi::{AF_INET, AF_INET6};
use wsd_spi::{SanSocket, SwitchSocket, WsaError};

use crate::parcel::{DEBUG, IPV6, LENGTH, LISTENER, Parcel};
use crate::socket::{Rejoining, Socket, State};
use crate::state::{Awaited, Core, Engine};
use crate::swap::PROVIDER;

/// How long the other process, and then the peer, may take.
const LIMIT_NS: u64 = 10_000_000_000;

/// What came: the parcel, and messages that had arrived.
type Goods = (Parcel, Vec<Box<[u8]>>);

/// `WSPSocket` with a value of `WSPDuplicateSocket`. Waits, and makes progress meanwhile: the other process, and the
/// peer, may be this one.
///
/// # Errors
/// `WSAENETDOWN` if the socket cannot be had: there is none for this process, its peer does not take it, or it takes too
/// long.
pub(crate) fn adopt(engine: &Engine, value: NonZeroU32) -> Result<SanSocket, WsaError> {
    // Until it is dropped the other process keeps the peer waiting.
    let link = claim(PROVIDER, value)?;
    let (parcel, early) = engine.wait(Some(link.as_fd().as_raw_fd()), LIMIT_NS, || receive(&link))?;
    let id = engine.with(|core| Ok(core.new_id()))?;
    let handle = engine.upcalls().create_socket_handle(0, id as usize)?;
    let begun = engine.with(|core| core.unpack(id, handle, &parcel, early));
    let done = begun.and_then(|()| engine.wait(None, LIMIT_NS, || engine.with(|core| core.is_there(id))));
    match done {
        Ok(()) => Ok(SanSocket::from_raw(id as usize)),
        Err(_) => {
            // It was never there if the engine has ended.
            let _ = engine.with(|core| core.close(id));
            Err(WsaError::WSAENETDOWN)
        }
    }
}

/// The parcel, if it has come.
fn receive(link: &Link) -> Result<Option<Goods>, WsaError> {
    let mut buffer = [0; LENGTH];
    match link.recv(&mut buffer, 1) {
        Err(Errno::AGAIN) => Ok(None),
        Ok(Some(packet)) => {
            let [memory, ..] = packet.fds;
            let parcel = Parcel::decode(&buffer[..packet.len]).ok_or(WsaError::WSAENETDOWN)?;
            let early = unpack(memory.map(|memory| (memory, parcel.early))).ok_or(WsaError::WSAENETDOWN)?;
            Ok(Some((parcel, early)))
        }
        Ok(None) | Err(_) => Err(WsaError::WSAENETDOWN),
    }
}

impl Core {
    /// Makes the socket that came. A connection then looks for its peer.
    fn unpack(
        &mut self,
        id: u32,
        handle: SwitchSocket,
        parcel: &Parcel,
        early: Vec<Box<[u8]>>,
    ) -> Result<(), WsaError> {
        let Parcel { flags, local, peer, .. } = *parcel;
        let family = if flags & IPV6 != 0 { AF_INET6 } else { AF_INET };
        let mut socket = Socket::new(handle, family);
        socket.debug = flags & DEBUG != 0;
        socket.local = Some(local);
        socket.state = State::Bound;
        self.sockets.insert(id, socket);
        if flags & LISTENER != 0 {
            let backlog = i32::try_from(parcel.backlog).unwrap_or(MAX_BACKLOG as i32);
            return self.listen(id, backlog);
        }
        let identifier = self.look_for(id, local, peer.with_port(parcel.meeting.port))?;
        let socket = self.socket(id)?;
        socket.peer = Some(peer);
        socket.id = Some(identifier);
        socket.rejoining = Some(Rejoining { peer: parcel.meeting, counts: parcel.counts, early });
        socket.state = State::Connecting;
        self.limit_time(Awaited::Connection(id));
        Ok(())
    }

    /// Whether a socket that was taken over is what it was. `None`: not yet.
    fn is_there(&mut self, id: u32) -> Result<Option<()>, WsaError> {
        let socket = self.socket(id)?;
        match socket.state {
            State::Connected => {
                // That it had to connect is no news for the switch.
                socket.events = Events::default();
                Ok(Some(()))
            }
            State::Listening => Ok(Some(())),
            State::Connecting => Ok(None),
            _ => Err(WsaError::WSAENETDOWN),
        }
    }
}
