//! The other end of a test's connection: a process that does what it is told.

use std::io::BufRead;
use std::net::SocketAddr;

use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use super::{Other, served, tell};
use crate::select::{Set, select};
use crate::support::{PATIENCE, Socket, listener, own_process};

/// What a peer pours.
pub(super) const POURED: u8 = 0x11;

/// A process with one connection. It ends when this is dropped.
pub(super) struct Peer(Other);

impl Peer {
    /// One with the recording provider.
    pub(super) fn start(faults: &str) -> Self {
        let mut command = served("san_first::peer::itself", faults);
        command.env_remove("WSDIRECT_TRACE").env_remove("WSDIRECT_CONFIG");
        Self(Other::of(command))
    }

    /// One with a provider of that name, or with none for `tcp`.
    pub(super) fn with(provider: &str) -> Self {
        let mut command = own_process("san_first::peer::itself");
        command.env("WSDIRECT_PROVIDER", provider).env_remove("WSDIRECT_TRACE").env_remove("WSDIRECT_CONFIG");
        Self(Other::of(command))
    }

    /// Orders something whose answer is awaited by [`hear`](Self::hear).
    pub(super) fn begin(&mut self, order: impl std::fmt::Display) {
        self.0.say(order);
    }

    pub(super) fn hear(&mut self) -> String {
        self.0.hear()
    }

    /// Orders something and waits until it is done: the answer.
    pub(super) fn ask(&mut self, order: impl std::fmt::Display) -> String {
        self.begin(order);
        self.hear()
    }

    /// Connects to `address`: its own name.
    pub(super) fn connect(&mut self, address: SocketAddr) -> SocketAddr {
        self.ask(format!("connect {address}")).parse().expect("an address")
    }

    /// Waits for the end of the process.
    pub(super) fn end(self) {
        self.0.end();
    }
}

/// A connection that a new peer has made to a listener of this process.
pub(super) fn accepted(faults: &str) -> (Peer, Socket) {
    let (listener, address) = listener();
    let mut peer = Peer::start(faults);
    let name = peer.connect(address);
    let (socket, from) = listener.accept().expect("a connection");
    assert_eq!(from, name);
    bounded(&socket);
    (peer, socket)
}

/// No test waits for ever.
pub(super) fn bounded(socket: &Socket) {
    socket.set_option(SOL_SOCKET, SO_RCVTIMEO, PATIENCE.as_millis() as INT).expect("an option");
}

#[test]
#[ignore = "needs a process of its own: the tests beside it run it"]
fn itself() {
    let (mut waiting, mut connection) = (None, None);
    for order in std::io::stdin().lock().lines() {
        let order = order.expect("text");
        let (verb, argument) = order.split_once(' ').unwrap_or((&order, ""));
        match verb {
            "listen" => {
                let (socket, address) = listener();
                waiting = Some(socket);
                tell(address);
            }
            "accept" => {
                let (socket, from) = waiting.take().expect("a listener").accept().expect("a connection");
                bounded(&socket);
                connection = Some(socket);
                tell(from);
            }
            "connect" => {
                let socket = connected_to(argument.parse().expect("an address"));
                bounded(&socket);
                tell(socket.local_name().expect("connected"));
                connection = Some(socket);
            }
            "close" => {
                connection = None;
                tell("closed");
            }
            // Without any call for the connection.
            "exit" => std::process::exit(0),
            _ => tell(order_to(connection.as_ref().expect("a connection"), verb, argument)),
        }
    }
}

/// A connection, or a failure in bounded time.
fn connected_to(address: SocketAddr) -> Socket {
    let socket = Socket::stream();
    socket.set_nonblocking(true);
    let begun = socket.connect(address);
    assert!(matches!(begun, Ok(()) | Err(WsaError::WSAEWOULDBLOCK)), "{begun:?}");
    let mut write = Set::of(&[&socket]);
    select(&mut Set::of(&[]), &mut write, &mut Set::of(&[]), Some(PATIENCE)).expect("a socket");
    assert_eq!(write.left(), [socket.handle], "connected");
    socket.set_nonblocking(false);
    socket
}

fn order_to(connection: &Socket, verb: &str, argument: &str) -> String {
    match verb {
        "send" => connection.send(argument.as_bytes()).expect("connected").to_string(),
        "later" => {
            // The other end waits by now, or is about to.
            std::thread::sleep(std::time::Duration::from_millis(50));
            connection.send(argument.as_bytes()).expect("connected").to_string()
        }
        "urgent" => connection.send_flags(argument.as_bytes(), MSG_OOB).expect("connected").to_string(),
        "pour" => {
            let data = vec![POURED; argument.parse().expect("a number")];
            connection.send(&data).expect("connected").to_string()
        }
        "recv" => {
            let data = connection.recv_all(argument.parse().expect("a number"));
            String::from_utf8(data).expect("text")
        }
        "take" => connection.recv_all(argument.parse().expect("a number")).len().to_string(),
        // To the end: how many bytes, and which.
        "drain" => {
            let mut all = Vec::new();
            loop {
                match connection.recv(65536) {
                    Ok(data) if !data.is_empty() => all.extend(data),
                    _ => break,
                }
            }
            let count = all.len();
            all.dedup();
            format!("{count} {all:?}")
        }
        "names" => format!("{:?} {:?}", connection.local_name(), connection.peer_name()),
        "shutdown" => format!("{:?}", connection.shutdown(SD_SEND)),
        "end" => format!("{:?}", connection.recv(1)),
        _ => panic!("no such order: {verb}"),
    }
}
