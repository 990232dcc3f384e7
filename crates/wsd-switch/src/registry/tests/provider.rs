//! Providers that have addresses and nothing else.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wsd_spi::provider::{
    Accepted, ConditionFunction, Entry, MemoryRange, RemoteBuffer, SanProvider, SocketRequest, Startup,
    Submission, UpCalls,
};
use wsd_spi::{
    Event, EventMask, MemoryAccess, NetworkEvents, RegistrationHandle, SanSocket, SockAddr, SwitchSocket,
    WsaError,
};

/// What the test decides about a provider, and what it sees of it.
pub(super) struct World {
    pub(super) number: usize,
    addresses: Mutex<Vec<SockAddr>>,
    pub(super) fails_to_start: AtomicBool,
    pub(super) fails_to_list: AtomicBool,
    /// How often it was asked for its addresses.
    pub(super) asked: AtomicUsize,
}

static WORLDS: [World; 2] = [World::new(0), World::new(1)];
static TURN: Mutex<()> = Mutex::new(());

/// Both, for one test at a time.
pub(super) fn worlds() -> ([&'static World; 2], MutexGuard<'static, ()>) {
    ([&WORLDS[0], &WORLDS[1]], lock(&TURN))
}

impl World {
    const fn new(number: usize) -> Self {
        Self {
            number,
            addresses: Mutex::new(Vec::new()),
            fails_to_start: AtomicBool::new(false),
            fails_to_list: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
        }
    }

    /// From now on the provider has these addresses.
    pub(super) fn serves(&self, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| SockAddr::from(SocketAddr::new(super::ip(text), 0)));
        *lock(&self.addresses) = addresses.collect();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

mod first {
    wsd_spi::san_provider!(super::Fake<0>);
}

mod second {
    wsd_spi::san_provider!(super::Fake<1>);
}

/// Their entries.
pub(super) const ENTRIES: [Entry; 2] = [first::SAN_PROVIDER_ENTRY, second::SAN_PROVIDER_ENTRY];

struct Fake<const N: usize> {
    upcalls: UpCalls,
    made: AtomicUsize,
    sockets: Mutex<HashMap<usize, SwitchSocket>>,
}

const NOT_HERE: WsaError = WsaError::WSAEOPNOTSUPP;

impl<const N: usize> SanProvider for Fake<N> {
    const DESCRIPTION: &'static str = "addresses only";
    const RDMA_DESCRIPTOR_LEN: usize = 8;

    fn startup(_startup: &Startup, upcalls: UpCalls) -> Result<Self, WsaError> {
        if WORLDS[N].fails_to_start.load(Relaxed) {
            return Err(WsaError::WSASYSNOTREADY);
        }
        Ok(Self { upcalls, made: AtomicUsize::new(1), sockets: Mutex::default() })
    }

    fn cleanup(&self) {}

    fn socket(&self, _request: &SocketRequest) -> Result<SanSocket, WsaError> {
        let number = self.made.fetch_add(1, Relaxed);
        let handle = self.upcalls.create_socket_handle(0, number)?;
        lock(&self.sockets).insert(number, handle);
        Ok(SanSocket::from_raw(number))
    }

    fn address_list(&self, _s: SanSocket) -> Result<Vec<SockAddr>, WsaError> {
        let world = &WORLDS[N];
        world.asked.fetch_add(1, Relaxed);
        if world.fails_to_list.load(Relaxed) {
            return Err(WsaError::WSAENETDOWN);
        }
        Ok(lock(&world.addresses).clone())
    }

    fn close_socket(&self, s: SanSocket) -> Result<(), WsaError> {
        let handle = lock(&self.sockets).remove(&s.raw()).ok_or(WsaError::WSAENOTSOCK)?;
        self.upcalls.close_socket_handle(handle)
    }

    fn bind(&self, _s: SanSocket, _name: SockAddr) -> Result<(), WsaError> {
        Err(NOT_HERE)
    }

    fn set_option(&self, _s: SanSocket, _level: i32, _name: i32, _value: &[u8]) -> Result<(), WsaError> {
        Err(NOT_HERE)
    }

    fn get_option(&self, _s: SanSocket, _level: i32, _name: i32) -> Result<Vec<u8>, WsaError> {
        Err(NOT_HERE)
    }

    fn event_select(&self, _s: SanSocket, _event: Option<Event>, _mask: EventMask) -> Result<(), WsaError> {
        Err(NOT_HERE)
    }

    fn enum_network_events(&self, _s: SanSocket, _event: Option<Event>) -> Result<NetworkEvents, WsaError> {
        Err(NOT_HERE)
    }

    fn connect(&self, _s: SanSocket, _name: SockAddr) -> Result<(), WsaError> {
        Err(NOT_HERE)
    }

    fn listen(&self, _s: SanSocket, _backlog: i32) -> Result<(), WsaError> {
        Err(NOT_HERE)
    }

    fn accept(&self, _s: SanSocket, _condition: ConditionFunction<'_>) -> Result<Accepted, WsaError> {
        Err(NOT_HERE)
    }

    fn send(&self, _s: SanSocket, _submission: Submission<'_>) -> Result<(), WsaError> {
        Err(NOT_HERE)
    }

    fn recv(&self, _s: SanSocket, _submission: Submission<'_>) -> Result<(), WsaError> {
        Err(NOT_HERE)
    }

    fn progress(&self, _s: SanSocket, _pending: bool) -> Result<(), WsaError> {
        Err(NOT_HERE)
    }

    fn duplicate_socket(&self, _s: SanSocket, _process_id: u32) -> Result<NonZeroU32, WsaError> {
        Err(NOT_HERE)
    }

    fn register_memory(
        &self,
        _s: SanSocket,
        _memory: MemoryRange,
        _access: MemoryAccess,
    ) -> Result<RegistrationHandle, WsaError> {
        Err(NOT_HERE)
    }

    fn deregister_memory(&self, _s: SanSocket, _handle: RegistrationHandle) -> Result<(), WsaError> {
        Err(NOT_HERE)
    }

    fn register_rdma_memory(
        &self,
        _s: SanSocket,
        _memory: MemoryRange,
        _access: MemoryAccess,
        _descriptor: &mut [u8],
    ) -> Result<(), WsaError> {
        Err(NOT_HERE)
    }

    fn deregister_rdma_memory(&self, _s: SanSocket, _descriptor: &[u8]) -> Result<(), WsaError> {
        Err(NOT_HERE)
    }

    fn rdma_write(
        &self,
        _s: SanSocket,
        _remote: RemoteBuffer<'_>,
        _submission: Submission<'_>,
    ) -> Result<(), WsaError> {
        Err(NOT_HERE)
    }
}
