//! The state of an engine, all of it under the engine's one lock, and the loop that reacts to descriptors.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use wsd_engine::{Common, Deadlines, KICK};
use wsd_os::poll::EpollEvent;
use wsd_spi::WsaError;
use wsd_spi::provider::UpCalls;

use crate::address::OwnAddresses;
use crate::memory::Registrations;
use crate::ports::Ports;
use crate::rdma::{Channel, Device, DeviceKey, EventKind, Identifier};
use crate::released::Released;
use crate::socket::{Connection, Socket};
use crate::swap::Handover;

/// How many events are taken from the kernel at a time.
const EVENTS: usize = 16;
/// How many events of rdma_cm are taken before others have their turn.
const CM_EVENTS: usize = 64;
/// However many completions there are, the set is looked at at one call of so many.
const UNLOOKED: u32 = 16;
/// How long a connect may take, as the other end's program has to accept (SW-068), and how long a socket waits for its
/// next process.
const LIMIT_NS: u64 = 20_000_000_000;
/// How long nothing comes from a device before the peer is asked.
const PROBE_NS: u64 = 15_000_000_000;
/// The datum of the timer in the epoll set.
const TIMER: u64 = KICK + 1;
/// The datum of rdma_cm's channel; devices have the next ones.
const CHANNEL: u64 = KICK + 2;
/// The data of the doors of handovers, and of links to claimants, are these with the value added.
pub(crate) const DOORS: u64 = 1 << 32;
pub(crate) const CLAIMANTS: u64 = 2 << 32;
/// The datum of the descriptor that tells of released memory.
const RELEASED: u64 = 3 << 32;
/// The datum of the timer of [`Core::probes`].
const PROBES: u64 = 4 << 32;
/// The datum of the identifiers in [`Core::meetings`]: no socket's.
pub(crate) const MEETING: u32 = u32::MAX;

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Awaited {
    /// The answer to a socket's wish to connect.
    Connection(u32),
    /// The process to which a socket is given.
    Claimant(u32),
}

/// The engine of a process.
pub(crate) type Engine = wsd_engine::Engine<Core>;

/// Everything that an engine knows.
pub(crate) struct Core {
    /// Up-calls, and the epoll set.
    pub(crate) common: Common,
    /// Registered memory whose mappings have changed.
    released: Arc<Released>,
    /// All sockets, by their descriptor.
    pub(crate) sockets: HashMap<u32, Socket>,
    /// Ports for connecting and for being found again.
    pub(crate) ports: Ports,
    /// Addresses that are served.
    pub(crate) own: OwnAddresses,
    /// What has a time limit.
    pub(crate) deadlines: Deadlines<Awaited>,
    /// When connections are asked whether their peers are there.
    pub(crate) probes: Deadlines<()>,
    /// Sockets that are being given to other processes, by their values.
    pub(crate) handovers: HashMap<u32, Handover>,
    /// Where peers find this process again, by own address without port.
    pub(crate) meetings: HashMap<SocketAddr, Identifier>,
    /// The devices that connections have used.
    devices: Vec<(DeviceKey, Device)>,
    /// Until the engine ends; outlives all identifiers.
    pub(crate) channel: Option<Channel>,
    next_socket: u32,
    next_registration: usize,
    /// Calls of [`pump`](wsd_engine::Core::pump) since the set was last looked at.
    unlooked: u32,
}

/// An engine of this process.
///
/// # Errors
/// `WSASYSNOTREADY` without the libraries or the kernel's part; `WSAEPROVIDERFAILEDINIT`.
pub(crate) fn new_engine(upcalls: UpCalls) -> Result<&'static Engine, WsaError> {
    let channel = Channel::new().map_err(|_| WsaError::WSASYSNOTREADY)?;
    let failed = |_| WsaError::WSAEPROVIDERFAILEDINIT;
    let (common, released) =
        (Common::new(upcalls).map_err(failed)?, Arc::new(Released::new().map_err(failed)?));
    common.watch_new(channel.fd(), CHANNEL).map_err(failed)?;
    common.watch_new(released.raw_fd(), RELEASED).map_err(failed)?;
    let core = Core {
        common,
        released: released.clone(),
        sockets: HashMap::new(),
        ports: Ports::of_host(),
        own: OwnAddresses::default(),
        deadlines: Deadlines::new(LIMIT_NS, TIMER),
        probes: Deadlines::new(PROBE_NS, PROBES),
        handovers: HashMap::new(),
        meetings: HashMap::new(),
        devices: Vec::new(),
        channel: Some(channel),
        next_socket: 1,
        next_registration: 1,
        unlooked: 0,
    };
    let engine = Engine::new(core, released);
    crate::fork::watch(engine)?;
    Ok(engine)
}

impl Core {
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
            if id != MEETING && !self.sockets.contains_key(&id) {
                return id;
            }
        }
    }

    /// A number for a registration that was never used before.
    pub(crate) fn new_registration(&mut self) -> usize {
        self.next_registration += 1;
        self.next_registration
    }

    /// Where rdma_cm tells what happens, and the addresses that it serves.
    ///
    /// # Errors
    /// `WSAENETDOWN` if the engine has ended.
    pub(crate) fn channel(&mut self) -> Result<(&Channel, &mut OwnAddresses), WsaError> {
        Ok((self.channel.as_ref().ok_or(WsaError::WSAENETDOWN)?, &mut self.own))
    }

    /// The device's part of a connection of socket `socket`.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) fn new_connection(&mut self, id: &Identifier, socket: u32) -> io::Result<Connection> {
        let meeting = self.new_meeting(id, socket)?;
        let key = id.device().ok_or(io::ErrorKind::NotFound)?;
        let known = self.devices.iter().position(|(known, _)| *known == key);
        let index = match known {
            Some(index) => index,
            None => {
                let device = Device::open(key)?;
                self.common.watch_new(device.fd(), CHANNEL + 1 + self.devices.len() as u64)?;
                self.devices.push((key, device));
                self.devices.len() - 1
            }
        };
        let memory = Registrations::new(self.released.ranges.clone());
        Connection::new(&mut self.devices[index].1, key, id, meeting, memory)
    }

    /// A device that connections use.
    pub(crate) fn device(&self, key: DeviceKey) -> Option<&Device> {
        self.devices.iter().find(|(known, _)| *known == key).map(|(_, device)| device)
    }

    /// Ends the device's part of a connection.
    pub(crate) fn drop_connection(&mut self, connection: Connection) {
        let (key, entries) = (connection.device, connection.entries);
        drop(connection);
        // What it has left in the completion queue goes before its room does.
        self.poll_devices();
        if let Some((_, device)) = self.devices.iter_mut().find(|(known, _)| *known == key) {
            device.release(entries);
        }
    }

    /// Reacts to all completions that are there, without a system call. Whether there was one.
    pub(crate) fn poll_devices(&mut self) -> bool {
        let mut any = false;
        for index in 0..self.devices.len() {
            loop {
                let mut batch = self.devices[index].1.poll().peekable();
                if batch.peek().is_none() {
                    break;
                }
                any = true;
                batch.for_each(|completion| self.completed(completion));
            }
        }
        any
    }

    fn hear_all(&mut self) {
        for _ in 0..CM_EVENTS {
            let Some(event) = self.channel.as_ref().and_then(Channel::next_event) else { return };
            // Then a queue pair is made, which takes its time: the connections that stand have their turn after each.
            let slow = event.kind == EventKind::RouteResolved;
            self.hear(event);
            if slow {
                return;
            }
        }
    }
}

impl wsd_engine::Core for Core {
    type Outside = Arc<Released>;

    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    fn prepare(&mut self) {
        if self.released.take() {
            let connections = self.sockets.values_mut().filter_map(|socket| socket.connection.as_mut());
            connections.for_each(|connection| connection.memory.sweep());
        }
    }

    /// Completions need no system call; the set is looked at when there are none.
    fn pump(&mut self) {
        self.unlooked += 1;
        if self.poll_devices() && self.unlooked < UNLOOKED {
            return;
        }
        self.unlooked = 0;
        let mut events = [EpollEvent { events: 0, u64: 0 }; EVENTS];
        let count = self.common.ready(&mut events);
        for event in &events[..count] {
            match event.u64 {
                // What has been released was taken from the device before this.
                KICK | RELEASED => {}
                TIMER => self.time_is_up(),
                PROBES => self.probe_all(),
                CHANNEL => self.hear_all(),
                CLAIMANTS.. => self.hear_claimant((event.u64 - CLAIMANTS) as u32),
                DOORS.. => self.take_claimant((event.u64 - DOORS) as u32),
                device => {
                    if let Some((_, device)) = self.devices.get_mut((device - CHANNEL) as usize - 1) {
                        device.has_fired();
                    }
                }
            }
        }
    }

    fn arm(&mut self) -> Result<(), WsaError> {
        let armed = self.devices.iter_mut().all(|(_, device)| device.arm().is_ok());
        // After arming, so that nothing is missed.
        self.poll_devices();
        armed.then_some(()).ok_or(WsaError::WSAENOBUFS)
    }

    fn end(&mut self) {
        let sockets: Vec<u32> = self.sockets.keys().copied().collect();
        for id in sockets {
            // It exists: it was there a moment ago.
            let _ = self.close(id);
        }
        let handovers: Vec<u32> = self.handovers.keys().copied().collect();
        handovers.into_iter().for_each(|value| self.end_handover(value));
        self.own = OwnAddresses::default();
        self.deadlines.clear();
        self.probes.clear();
        self.meetings.clear();
        self.released.close();
        self.common.close();
        self.devices.clear();
        self.channel = None;
    }
}
