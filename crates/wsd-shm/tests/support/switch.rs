//! A minimal switch for tests of our providers: it answers up-calls and waits for results. The module above it names the
//! provider's `ENTRIES`, one for each engine.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use wsd_spi::client::{
    Buffer, MemoryExt, MemorySlice, Operation, Provider, San, Socket, SocketArguments, StableMemory,
    Transfer, UpCallHandler,
};
use wsd_spi::ffi::{AF_INET, AF_INET6, WSAPROTOCOL_INFOW};
use wsd_spi::{Event, EventMask, SockAddr, SwitchSocket, WsaError};

use super::ENTRIES;

/// Longest wait of a test.
pub const LIMIT: Duration = Duration::from_secs(20);

static FREE: Mutex<u32> = Mutex::new((1 << ENTRIES.len()) - 1);
static FREED: Condvar = Condvar::new();

/// The use of one provider, until dropped.
struct Turn(u32);

impl Turn {
    /// Waits for `N` providers.
    fn take<const N: usize>() -> [Self; N] {
        let mut free =
            FREED.wait_while(FREE.lock().expect("a lock"), |free| (free.count_ones() as usize) < N);
        let free = free.as_mut().expect("a lock");
        std::array::from_fn(|_| {
            let number = free.trailing_zeros();
            **free &= !(1 << number);
            Self(number)
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *FREE.lock().expect("a lock") |= 1 << self.0;
        FREED.notify_all();
    }
}

/// Arguments of `complete`.
pub type Completed = (SwitchSocket, u64, Result<(), WsaError>, u32);

/// What was called up.
#[derive(Default)]
pub struct Upcalls {
    pub handles: Mutex<HashMap<usize, usize>>,
    pub events: Mutex<HashMap<usize, bool>>,
    pub completed: Mutex<Vec<Completed>>,
    next: Mutex<usize>,
}

impl UpCallHandler for Upcalls {
    fn create_socket_handle(&self, _: u32, context: usize) -> Result<SwitchSocket, WsaError> {
        let mut next = self.next.lock().expect("a lock");
        *next += 1;
        self.handles.lock().expect("a lock").insert(*next, context);
        Ok(SwitchSocket::from_raw(*next))
    }

    fn close_socket_handle(&self, handle: SwitchSocket) -> Result<(), WsaError> {
        let known = self.handles.lock().expect("a lock").remove(&handle.raw());
        known.map(drop).ok_or(WsaError::WSAENOTSOCK)
    }

    fn query_socket_handle_context(&self, handle: SwitchSocket) -> Result<usize, WsaError> {
        let handles = self.handles.lock().expect("a lock");
        handles.get(&handle.raw()).copied().ok_or(WsaError::WSAENOTSOCK)
    }

    fn set_event(&self, event: Event) -> Result<(), WsaError> {
        self.events.lock().expect("a lock").insert(event.raw(), true);
        Ok(())
    }

    fn reset_event(&self, event: Event) -> Result<(), WsaError> {
        self.events.lock().expect("a lock").insert(event.raw(), false);
        Ok(())
    }

    fn complete(&self, handle: SwitchSocket, key: u64, status: Result<(), WsaError>, bytes: u32) {
        self.completed.lock().expect("a lock").push((handle, key, status, bytes));
    }
}

impl Upcalls {
    /// Whether the event is set.
    pub fn is_set(&self, event: usize) -> bool {
        self.events.lock().expect("a lock").get(&event).copied().unwrap_or(false)
    }

    /// The context of the handle of a socket.
    pub fn query(&self, socket: &Socket) -> usize {
        let handle = socket.handle().expect("a handle");
        self.query_socket_handle_context(handle).expect("known")
    }

    /// How many handles exist.
    pub fn open_handles(&self) -> usize {
        self.handles.lock().expect("a lock").len()
    }
}

/// One switch with its engine.
pub struct Side {
    pub san: San,
    pub upcalls: Arc<Upcalls>,
    armed: Option<i32>,
    /// Dropped last.
    _turn: Turn,
}

/// `N` engines that run threads of their own. Drop everything made from them before.
pub fn sides<const N: usize>() -> [Side; N] {
    Turn::take::<N>().map(Side::start)
}

/// `N` engines that the test drives.
pub fn armed_sides<const N: usize>() -> [Side; N] {
    sides().map(|mut side: Side| {
        side.armed = Some(side.san.arm().expect("WsdArm"));
        side
    })
}

impl Side {
    fn start(turn: Turn) -> Self {
        let upcalls = Arc::new(Upcalls::default());
        let info = WSAPROTOCOL_INFOW::tcp_ip(AF_INET);
        let provider = Provider::builtin("tested", ENTRIES[turn.0 as usize]);
        let san = provider.startup(0x0202, &info, upcalls.clone(), None).expect("a provider");
        Self { san, upcalls, armed: None, _turn: turn }
    }

    /// A new IPv4 socket.
    pub fn socket(&self) -> Socket {
        self.san.socket(&SocketArguments::tcp(AF_INET)).expect("a socket")
    }

    /// A new IPv6 socket.
    pub fn socket6(&self) -> Socket {
        self.san.socket(&SocketArguments::tcp(AF_INET6)).expect("a socket")
    }

    /// A socket with a name.
    pub fn bound(&self, name: &str) -> Socket {
        let name = address(name);
        let socket = if name.socket_addr().is_ipv4() { self.socket() } else { self.socket6() };
        socket.bind(&name).expect("an own address");
        socket
    }

    /// A listener whose event has that number.
    pub fn listener(&self, name: &str, event: usize) -> Socket {
        let socket = self.bound(name);
        socket.listen(8).expect("listens");
        socket.event_select(Some(Event::from_raw(event)), EventMask::ACCEPT).expect("selects");
        socket
    }

    /// Begins to connect.
    pub fn connecting(&self, name: &str, peer: &str, event: usize) -> Socket {
        let socket = self.bound(name);
        socket.event_select(Some(Event::from_raw(event)), EventMask::CONNECT).expect("selects");
        assert_eq!(socket.connect(&address(peer)), Err(WsaError::WSAEWOULDBLOCK));
        socket
    }

    /// Makes progress, or lets the engine's thread do it.
    pub fn step(&self) {
        match self.armed {
            Some(fd) => {
                let mut poll = [wsd_os::poll::PollFd { fd, events: wsd_os::poll::POLLIN, revents: 0 }];
                let ready = wsd_os::poll::ppoll(&mut poll, Some(Duration::from_micros(200)), None);
                if ready == Ok(1) {
                    self.san.progress().expect("WsdProgress");
                }
            }
            None => std::thread::sleep(Duration::from_micros(100)),
        }
    }
}

/// Waits until something is true, while all sides make progress.
pub fn wait_for(sides: &[&Side], what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LIMIT, "time is up: {what}");
        sides.iter().for_each(|side| side.step());
    }
}

/// Waits for an event of a side.
pub fn wait_event(sides: &[&Side], side: &Side, event: usize) {
    wait_for(sides, "event", || side.upcalls.is_set(event));
}

/// Waits for the result of an operation.
pub fn result(sides: &[&Side], operation: &mut Operation) -> Result<Transfer, WsaError> {
    let mut result = None;
    wait_for(sides, "operation", || {
        if let Poll::Ready(ready) = operation.poll() {
            result = Some(ready);
        }
        result.is_some()
    });
    result.expect("there is one")
}

/// An address.
pub fn address(text: &str) -> SockAddr {
    SockAddr::from(text.parse::<SocketAddr>().expect("an address"))
}

/// Memory with that contents.
pub fn memory(bytes: &[u8]) -> MemorySlice {
    let memory = MemorySlice::whole(Arc::new(Buffer::new(bytes.len()).expect("memory"))).expect("a slice");
    memory.write(0, bytes);
    memory
}

/// The contents of memory.
pub fn bytes(memory: &MemorySlice) -> Vec<u8> {
    let mut bytes = vec![0; memory.len()];
    memory.read(0, &mut bytes);
    bytes
}
