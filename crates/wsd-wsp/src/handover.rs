//! `WSPDuplicateSocket`: sockets on their way to another process.
//!
//! The value in `dwProviderReserved` and the number of the receiving process make the name of a local link, at which this
//! process hands the kernel socket over, once, to exactly that process of the same user. With a connection or listener of a SAN
//! goes what both processes share of it; it is kept here until the other process has it, or is gone, which the end of the link tells.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use wsd_os::fd::AsFd;
use wsd_os::link::{Link, Listener};
use wsd_spi::WsaError;
use wsd_switch::front::Shared;

use crate::convert;
use crate::engine::{Engine, HANDOVER};
use crate::tcpip::Kernel;

/// Sockets that may be on their way at a time.
const MOST: usize = 256;
/// How long a process waits for a socket that another one has promised.
const PATIENCE: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };

struct Handover {
    stage: Stage,
    receiver: u32,
    socket: Kernel,
    shared: Option<Shared>,
}

enum Stage {
    /// Nobody has asked yet.
    Offered(Listener),
    /// The receiver has been sent everything, and takes it up.
    Sent(Link),
}

/// All that wait to be fetched, by their value.
#[derive(Default)]
pub(crate) struct Handovers(Mutex<HashMap<u32, Handover>>);

impl Handovers {
    fn all(&self) -> MutexGuard<'_, HashMap<u32, Handover>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers `socket` to process `receiver` and returns the value that finds it (SP-151: not 0, works there only, once).
    ///
    /// # Errors
    /// `WSAENOBUFS`: too many wait already. `WSAEMFILE`.
    pub(crate) fn offer(
        &self,
        socket: Kernel,
        shared: Option<Shared>,
        receiver: u32,
        engine: &Engine,
    ) -> Result<u32, WsaError> {
        let mut all = self.all();
        if all.len() >= MOST {
            return Err(WsaError::WSAENOBUFS);
        }
        loop {
            let value = u32::from_ne_bytes(wsd_os::random::bytes().map_err(convert::error)?);
            let listener = match Listener::bind(&name(value, receiver), 1) {
                Ok(listener) if value != 0 => listener,
                Ok(_) | Err(Errno::ADDRINUSE) => continue,
                Err(error) => return Err(convert::error(error)),
            };
            engine.watch(listener.as_fd(), HANDOVER | u64::from(value)).map_err(convert::error)?;
            all.insert(value, Handover { stage: Stage::Offered(listener), receiver, socket, shared });
            return Ok(value);
        }
    }

    /// Somebody asks at the link of `value`, or has what was there. Called by the engine's thread.
    pub(crate) fn serve(&self, value: u64, engine: &Engine) {
        let Ok(value) = u32::try_from(value) else { return };
        let mut all = self.all();
        let Some(handover) = all.get_mut(&value) else { return };
        match &handover.stage {
            Stage::Offered(listener) => {
                let Ok(link) = listener.accept() else { return };
                let entitled = link
                    .peer_credentials()
                    .is_ok_and(|peer| peer.pid == handover.receiver && peer.is_trusted());
                // Only who is entitled uses the offer up; nobody else gets an answer.
                if !entitled {
                    return;
                }
                engine.unwatch(listener.as_fd());
                let watched = engine.watch(link.as_fd(), HANDOVER | u64::from(value)).is_ok();
                // The name is gone before the socket arrives: it works once.
                handover.stage = Stage::Sent(link);
                if !(handover.send().is_ok() && watched) {
                    // A receiver that is gone by now has had its chance.
                    all.remove(&value);
                }
            }
            Stage::Sent(link) => {
                engine.unwatch(link.as_fd());
                all.remove(&value);
            }
        }
    }

    /// What was not fetched never will be.
    pub(crate) fn clear(&self) {
        self.all().clear();
    }
}

impl Handover {
    fn send(&self) -> Result<(), Errno> {
        let Stage::Sent(link) = &self.stage else { return Ok(()) };
        let socket = self.socket.fd();
        match &self.shared {
            Some(shared) => link.send(&[1], &[socket, shared.descriptor()]),
            None => link.send(&[1], &[socket]),
        }
    }
}

/// Fetches the socket that another process offered to this one.
///
/// # Errors
/// `WSAEINVAL`: no such offer to this process. `WSAENETDOWN`: the other process is another user's, or does not answer.
pub(crate) fn fetch(value: u32) -> Result<Kernel, WsaError> {
    let link = Link::connect(&name(value, std::process::id())).map_err(|_| WsaError::WSAEINVAL)?;
    if !link.peer_credentials().is_ok_and(|peer| peer.is_trusted()) {
        return Err(WsaError::WSAENETDOWN);
    }
    let mut fds = [PollFd::new(&link, PollFlags::IN)];
    match rustix::event::poll(&mut fds, Some(&PATIENCE)) {
        Ok(1..) => {}
        _ => return Err(WsaError::WSAENETDOWN),
    }
    let packet = link.recv(&mut [0; 8], 2).map_err(|_| WsaError::WSAEINVAL)?;
    let [socket, memory, ..] = packet.ok_or(WsaError::WSAEINVAL)?.fds;
    let socket = socket.ok_or(WsaError::WSAEINVAL)?;
    // The link ends behind this: the other process lets go.
    Kernel::adopt(socket, memory.map(Shared::from_descriptor))
}

fn name(value: u32, receiver: u32) -> Vec<u8> {
    format!("wsdirect/duplicate/{receiver}/{value:08x}").into_bytes()
}
