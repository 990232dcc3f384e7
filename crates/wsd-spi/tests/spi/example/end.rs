//! One process with the example provider.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use wsd_spi::client::{MemorySlice, Operation, Provider, San, Socket, Transfer};
use wsd_spi::ffi::{AF_INET, WSAPROTOCOL_INFOW};
use wsd_spi::{Condition, Event, EventMask, SPI_VERSION, SockAddr, WsaError};

use crate::headers::include_folder;
use crate::support::{Switch, patiently, socket};

const LIMIT: Duration = Duration::from_secs(20);
/// For the child: the library, and what distinguishes the addresses of this test.
pub(super) const LIBRARY: &str = "WSD_EXAMPLE_LIBRARY";
const NET: &str = "WSD_EXAMPLE_NET";
/// For the child: what to do.
pub(super) const SCENE: &str = "WSD_EXAMPLE_SCENE";

/// A started provider.
pub(super) struct End {
    pub(super) san: San,
    pub(super) switch: Arc<Switch>,
    library: PathBuf,
    _folder: Option<tempfile::TempDir>,
}

thread_local! {
    /// Tests run in threads of one process, and several such processes at a time: each has addresses of its own.
    static OWN_NET: RefCell<Option<u32>> = const { RefCell::new(None) };
}

/// The address with that port.
pub(super) fn address(port: u16) -> SockAddr {
    let net = OWN_NET.with_borrow_mut(|net| {
        *net.get_or_insert_with(|| match std::env::var(NET) {
            Ok(given) => given.parse().expect("a number"),
            Err(_) => {
                let mut bytes = [0; 3];
                let mut random = std::fs::File::open("/dev/urandom").expect("a random source");
                std::io::Read::read_exact(&mut random, &mut bytes).expect("random bytes");
                u32::from_be_bytes([127, bytes[0], bytes[1], bytes[2]])
            }
        })
    });
    SocketAddrV4::new(Ipv4Addr::from(net), port).into()
}

impl End {
    /// Compiles, loads and starts the provider.
    pub(super) fn build() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let library = folder.path().join("libprovider_c.so");
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/provider-c");
        let sources = std::fs::read_dir(sources).expect("the example").filter_map(|entry| {
            let path = entry.expect("an entry").path();
            path.extension().is_some_and(|extension| extension == "c").then_some(path)
        });
        let mut compiler = Command::new("cc");
        compiler.args(["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]);
        compiler.args(["-pthread", "-fvisibility=hidden", "-I"]).arg(include_folder());
        compiler.arg("-o").arg(&library).args(sources);
        assert!(compiler.status().expect("a C compiler").success());
        Self { _folder: Some(folder), ..Self::load(&library) }
    }

    /// Loads and starts the provider.
    pub(super) fn load(library: &Path) -> Self {
        let switch = Arc::new(Switch::default());
        let info = WSAPROTOCOL_INFOW::tcp_ip(AF_INET);
        let provider = Provider::load(library).expect("a provider");
        let san = patiently(|| provider.startup(SPI_VERSION, &info, switch.clone(), None));
        Self { san: san.expect("it starts"), switch, library: library.to_owned(), _folder: None }
    }

    /// A socket with a name.
    pub(super) fn bound(&self, port: u16) -> Socket {
        let socket = socket(&self.san);
        socket.bind(&address(port)).expect("an own address");
        socket
    }

    /// A listener whose event is numbered like its port.
    pub(super) fn listener(&self, port: u16) -> Socket {
        let listener = self.bound(port);
        listener.listen(8).expect("listens");
        let event = Event::from_raw(usize::from(port));
        listener.event_select(Some(event), EventMask::ACCEPT).expect("selects");
        listener
    }

    /// Begins to connect.
    pub(super) fn connecting(&self, from: u16, to: u16, event: usize) -> Socket {
        let socket = self.bound(from);
        socket.event_select(Some(Event::from_raw(event)), EventMask::CONNECT).expect("selects");
        assert_eq!(socket.connect(&address(to)), Err(WsaError::WSAEWOULDBLOCK));
        socket
    }

    /// How a connect ended.
    pub(super) fn outcome(&self, socket: &Socket, event: usize) -> Result<(), WsaError> {
        wait_for("connect", || self.is_set(event));
        let events = socket.enum_network_events(Some(Event::from_raw(event))).expect("a record");
        events.connect.expect("the connect has ended")
    }

    /// Connects, and waits for the other end to accept.
    pub(super) fn connected(&self, from: u16, to: u16) -> Socket {
        let socket = self.connecting(from, to, 99);
        assert_eq!(self.outcome(&socket, 99), Ok(()));
        socket
    }

    /// The next connection of a listener at port 1.
    pub(super) fn accept(&self, listener: &Socket, from: u16) -> Socket {
        wait_for("request", || self.is_set(1));
        let (accepted, peer) = listener
            .accept(|caller, callee| {
                assert_eq!((*caller, *callee), (address(from), address(1)));
                Condition::Accept
            })
            .expect("a request");
        assert_eq!(peer, address(from));
        accepted
    }

    /// Two connected sockets of this process.
    pub(super) fn pair(&self, listener: &Socket, to: u16, from: u16) -> (Socket, Socket) {
        let client = self.connecting(from, to, 98);
        let server = self.accept(listener, from);
        assert_eq!(self.outcome(&client, 98), Ok(()));
        (client, server)
    }

    /// Whether an event is set.
    pub(super) fn is_set(&self, event: usize) -> bool {
        let events = self.switch.events.lock().expect("no panics");
        events.iter().rev().find(|(one, _)| one.raw() == event).is_some_and(|(_, set)| *set)
    }
}

/// Waits until something is true; the provider has a thread of its own.
pub(super) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < LIMIT, "time is up: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// The result of an operation.
pub(super) fn result(operation: &mut Operation) -> Result<Transfer, WsaError> {
    let mut result = None;
    wait_for("operation", || {
        if let Poll::Ready(ready) = operation.poll() {
            result = Some(ready);
        }
        result.is_some()
    });
    result.expect("there is one")
}

/// Receives one message: its length.
pub(super) fn receive(socket: &Socket, inbox: &MemorySlice) -> Result<u32, WsaError> {
    let mut receive = socket.recv(std::slice::from_ref(inbox))?;
    result(&mut receive).map(|transfer| transfer.bytes)
}

/// Sends one message.
pub(super) fn send(socket: &Socket, message: &MemorySlice) {
    let mut send = socket.send(std::slice::from_ref(message)).expect("sends");
    result(&mut send).expect("sent");
}

/// Another process with the same provider. It is killed if the test gives up.
pub(super) struct Child {
    process: std::process::Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Child {
    /// Runs a scene of `child` in a process of its own.
    pub(super) fn start(scene: &str, end: &End) -> Self {
        let std::net::SocketAddr::V4(own) = address(0).socket_addr() else { unreachable!("IPv4") };
        let mut process = Command::new(std::env::current_exe().expect("own path"))
            .args(["--exact", "example::child::scene", "--nocapture", "--ignored"])
            .env(LIBRARY, &end.library)
            .env(SCENE, scene)
            .env(NET, u32::from(*own.ip()).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let lines = BufReader::new(process.stdout.take().expect("piped"));
        Self { process, lines }
    }

    /// Its process number.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The next line that it tells; what the test harness prints is left out.
    pub(super) fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            let length = self.lines.read_line(&mut line).expect("text");
            assert_ne!(length, 0, "the child has ended early");
            if let Some((_, told)) = line.split_once("told: ") {
                return told.trim().to_owned();
            }
        }
    }

    /// Writes a line to it.
    pub(super) fn say(&mut self, line: &str) {
        let input = self.process.stdin.as_mut().expect("piped");
        writeln!(input, "{line}").expect("the child reads");
    }

    /// Waits for its end, which has to be a good one.
    pub(super) fn ends(mut self) {
        assert!(self.process.wait().expect("it ends").success());
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
