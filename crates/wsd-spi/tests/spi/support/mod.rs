//! A provider that connects sockets of one process with each other, and a switch that notes what it is told.

mod kind;
mod provider;
mod switch;

pub(crate) use kind::{Kind, Lazy, Plain};
pub(crate) use provider::Loop;
pub(crate) use switch::{Lines, Switch};

use std::net::{Ipv4Addr, SocketAddrV4};
use std::ptr::null_mut;
use std::sync::Arc;
use std::task::Poll;

use wsd_spi::client::{
    Buffer, MemorySlice, Operation, Provider, San, Socket, SocketArguments, StartupError, Tracer, Transfer,
    UpCallHandler, UpCallTable,
};
use wsd_spi::ffi::*;
use wsd_spi::provider::Entry;
use wsd_spi::{Condition, Event, EventMask, SPI_VERSION, SockAddr, WsaError};

/// The address of port `port` that the provider serves.
pub(crate) fn address(port: u16) -> SockAddr {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), port).into()
}

/// Starts a provider with a fresh switch.
pub(crate) fn start(entry: Entry) -> (San, Arc<Switch>) {
    let switch = Arc::new(Switch::default());
    (startup(entry, switch.clone(), None).expect("the provider starts"), switch)
}

/// Starts a provider.
pub(crate) fn startup(
    entry: Entry,
    handler: Arc<dyn UpCallHandler>,
    tracer: Option<Arc<dyn Tracer>>,
) -> Result<San, StartupError> {
    let info = WSAPROTOCOL_INFOW::tcp_ip(AF_INET);
    let provider = Provider::builtin("loop", entry);
    patiently(|| provider.startup(SPI_VERSION, &info, handler.clone(), tracer.clone()))
}

/// Tries again while other tests use all tables.
pub(crate) fn patiently<T>(mut attempt: impl FnMut() -> Result<T, StartupError>) -> Result<T, StartupError> {
    loop {
        match attempt() {
            Err(StartupError::TooMany) => std::thread::yield_now(),
            result => return result,
        }
    }
}

/// A socket of the provider.
pub(crate) fn socket(san: &San) -> Socket {
    san.socket(&SocketArguments::tcp(AF_INET)).expect("a socket")
}

/// A listener at `port`.
pub(crate) fn listener(san: &San, port: u16) -> Socket {
    let listener = socket(san);
    listener.bind(&address(port)).expect("an own address");
    listener.listen(4).expect("a bound socket");
    listener.event_select(Some(Event::from_raw(1)), EventMask::ACCEPT).expect("a listener");
    listener
}

/// Two connected sockets: the one that connected and the one that accepted.
pub(crate) fn pair(san: &San, port: u16) -> (Socket, Socket) {
    let listener = listener(san, port);
    let client = socket(san);
    client.bind(&address(port + 1)).expect("an own address");
    client.event_select(Some(Event::from_raw(2)), EventMask::CONNECT).expect("a bound socket");
    assert_eq!(client.connect(&address(port)), Err(WsaError::WSAEWOULDBLOCK));
    let (server, peer) = listener.accept(|_, _| Condition::Accept).expect("a queued request");
    assert_eq!(peer, address(port + 1));
    let events = client.enum_network_events(Some(Event::from_raw(2))).expect("an open socket");
    assert_eq!(events.connect, Some(Ok(())));
    (client, server)
}

/// Memory with these bytes.
pub(crate) fn memory(bytes: &[u8]) -> MemorySlice {
    use wsd_spi::client::MemoryExt;
    let buffer = Buffer::new(bytes.len()).expect("enough memory");
    buffer.write(0, bytes);
    MemorySlice::whole(Arc::new(buffer)).expect("less than 4 GiB")
}

/// The bytes of some memory.
pub(crate) fn contents(memory: &MemorySlice) -> Vec<u8> {
    use wsd_spi::client::{MemoryExt, StableMemory};
    let mut bytes = vec![0; memory.len()];
    memory.read(0, &mut bytes);
    bytes
}

/// The result of an operation that has to be complete.
pub(crate) fn done(operation: &mut Operation) -> Result<Transfer, WsaError> {
    match operation.poll() {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("{operation:?} is pending"),
    }
}

/// Calls a door: its result and the error code.
macro_rules! call {
    ($function:expr, $($argument:expr),* $(,)?) => {{
        let mut errno = 0;
        // SAFETY: pointers are NULL or to local variables of the lengths that the call says.
        let result = unsafe { $function($($argument,)* &raw mut errno) };
        (result, errno)
    }};
}

pub(crate) use call;

/// A provider that was started by hand.
pub(crate) struct Raw {
    pub(crate) procs: WSPPROC_TABLE,
    pub(crate) data: WSPDATA,
    pub(crate) switch: Arc<Switch>,
    upcalls: UpCallTable,
    entry: Entry,
}

impl Raw {
    /// Starts a provider; the code of `WSPStartupEx`, and the value if that is 0.
    pub(crate) fn start(entry: Entry, version: u16) -> Result<Self, i32> {
        let switch = Arc::new(Switch::default());
        let upcalls = patiently(|| UpCallTable::new(switch.clone(), None)).expect("a table");
        let mut raw = Self { procs: WSPPROC_TABLE::empty(), data: WSPDATA::zeroed(), switch, upcalls, entry };
        match raw.start_again(version) {
            0 => Ok(raw),
            code => Err(code),
        }
    }

    /// Calls `WSPStartupEx` once more.
    pub(crate) fn start_again(&mut self, version: u16) -> i32 {
        let mut info = WSAPROTOCOL_INFOW::tcp_ip(AF_INET);
        let mut table = *self.upcalls.table();
        // SAFETY: all pointers are to local variables or fields.
        unsafe {
            self.entry.function()(
                version,
                &raw mut self.data,
                &raw mut info,
                &raw mut table,
                &raw mut self.procs,
            )
        }
    }

    /// A new socket, by hand.
    pub(crate) fn socket(&self) -> SOCKET {
        let socket = self.procs.lpWSPSocket.expect("filled");
        let (s, errno) = call!(socket, AF_INET, SOCK_STREAM, IPPROTO_TCP, null_mut(), 0, 1);
        assert_eq!(errno, 0);
        s
    }

    /// Two connected sockets, by hand.
    pub(crate) fn pair(&self) -> (SOCKET, SOCKET) {
        let (listener, client) = (self.socket(), self.socket());
        self.bind(listener, 10);
        self.bind(client, 11);
        call!(self.procs.lpWSPListen.expect("filled"), listener, 1);
        let (name, length) = address(10).encode();
        let connect = self.procs.lpWSPConnect.expect("filled");
        let name = name.as_ptr().cast();
        call!(connect, client, name, length as i32, null_mut(), null_mut(), null_mut(), null_mut());
        let accept = self.procs.lpWSPAccept.expect("filled");
        let (server, errno) = call!(accept, listener, null_mut(), null_mut(), Some(always), 0);
        assert_eq!(errno, 0);
        (client, server)
    }

    /// Binds a socket to an own address.
    pub(crate) fn bind(&self, s: SOCKET, port: u16) {
        let (name, length) = address(port).encode();
        let bind = self.procs.lpWSPBind.expect("filled");
        assert_eq!(call!(bind, s, name.as_ptr().cast(), length as i32), (0, 0));
    }

    /// The address of an extension function, or the error.
    pub(crate) fn extension(&self, guid: GUID) -> Result<usize, i32> {
        let mut guid = guid;
        let (mut pointer, mut written) = (0usize, 0);
        let (result, errno) = call!(
            self.procs.lpWSPIoctl.expect("filled"),
            INVALID_SOCKET,
            SIO_GET_EXTENSION_FUNCTION_POINTER,
            (&raw mut guid).cast(),
            16,
            (&raw mut pointer).cast(),
            8,
            &raw mut written,
            null_mut(),
            None,
            null_mut(),
        );
        if result == 0 {
            assert_eq!(written, 8);
            Ok(pointer)
        } else {
            Err(errno)
        }
    }

    /// `WSPCleanup`: result and error code.
    pub(crate) fn cleanup(&self) -> (i32, i32) {
        call!(self.procs.lpWSPCleanup.expect("filled"),)
    }
}

/// A condition function that takes every connection.
pub(crate) unsafe extern "system" fn always(
    _: LPWSABUF,
    _: LPWSABUF,
    _: LPQOS,
    _: LPQOS,
    _: LPWSABUF,
    _: LPWSABUF,
    _: *mut GROUP,
    _: DWORD_PTR,
) -> i32 {
    CF_ACCEPT
}

/// The entry of a provider of that kind, with a value of its own.
macro_rules! entry {
    ($kind:ty) => {{
        wsd_spi::san_provider!($crate::support::Loop<$kind>);
        SAN_PROVIDER_ENTRY
    }};
}

pub(crate) use entry;
