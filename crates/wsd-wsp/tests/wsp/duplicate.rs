//! WSPDuplicateSocket: one socket in two processes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};

use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use crate::support::{Socket, call, connected_pair, listener, own_process};

/// `dwProviderReserved` for a process.
pub(crate) fn offer(socket: &Socket, process: u32) -> Result<u32, WsaError> {
    let mut info = WSAPROTOCOL_INFOW::zeroed();
    call!(lpWSPDuplicateSocket(socket.handle, process, &raw mut info), SOCKET_ERROR)?;
    assert_eq!((info.iAddressFamily, info.iSocketType), (AF_INET, SOCK_STREAM));
    Ok(info.dwProviderReserved)
}

pub(crate) fn adopt(value: u32) -> Result<Socket, WsaError> {
    let mut info = WSAPROTOCOL_INFOW::tcp_ip(AF_INET);
    info.dwProviderReserved = value;
    Socket::open(
        FROM_PROTOCOL_INFO,
        FROM_PROTOCOL_INFO,
        FROM_PROTOCOL_INFO,
        &raw mut info,
        WSA_FLAG_OVERLAPPED,
    )
}

/// The other process, which adopts the sockets whose values it reads, and does with each what its line says.
fn other_process() -> Child {
    own_process("duplicate::other_process_itself")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this very program")
}

#[test]
#[ignore = "needs a process of its own: the others run it"]
fn other_process_itself() {
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("text");
        let (value, order) = line.split_once(' ').expect("a value and an order");
        let socket = adopt(value.parse().expect("a number"));
        let answer = match (socket, order) {
            (Err(error), _) => error.to_string(),
            (Ok(socket), "echo") => {
                let data = socket.recv_all(5);
                socket.send(&data.to_ascii_uppercase()).expect("connected");
                "done".into()
            }
            (Ok(listener), _) => {
                let (socket, _) = listener.accept().expect("a connection");
                socket.send(b"served").expect("connected");
                "done".into()
            }
        };
        // Behind whatever the test harness writes.
        println!("\nanswer {answer}");
    }
}

struct Orders {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Orders {
    fn new() -> Self {
        let mut child = other_process();
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, answers }
    }

    fn give(&mut self, value: u32, order: &str) {
        let stdin = self.child.stdin.as_mut().expect("piped");
        writeln!(stdin, "{value} {order}").expect("it reads");
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.answers.read_line(&mut line).expect("text"), 0, "the other process ended");
            if let Some(answer) = line.trim().strip_prefix("answer ") {
                return answer.to_owned();
            }
        }
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().expect("a child").success());
    }
}

/// SP-041, SP-151, SP-153: the other process gets the same connection; the first may close its own descriptor; the value works
/// once.
#[test]
fn connection_in_two_processes() {
    let mut other = Orders::new();
    let (client, server) = connected_pair();
    let value = offer(&server, other.child.id()).expect("offered");
    assert_ne!(value, 0);
    server.close().expect("a socket");
    client.send(b"hello").expect("connected");
    other.give(value, "echo");
    assert_eq!(client.recv_all(5), b"HELLO");
    assert_eq!(other.answer(), "done");
    assert_eq!(client.recv(1), Ok(Vec::new()), "the last descriptor is closed");
    other.give(value, "echo");
    assert_eq!(other.answer(), "WSAEINVAL");
    other.end();
}

/// SP-155: a listener, too.
#[test]
fn listener_in_two_processes() {
    let mut other = Orders::new();
    let (listener, address) = listener();
    let value = offer(&listener, other.child.id()).expect("offered");
    other.give(value, "accept");
    let client = Socket::stream();
    client.connect(address).expect("somebody listens");
    assert_eq!(client.recv_all(6), b"served");
    assert_eq!(other.answer(), "done");
    other.end();
}

/// SP-151: the value is for one process, and finds nothing in another.
#[test]
fn for_one_process_only() {
    let mut other = Orders::new();
    let (_client, server) = connected_pair();
    let value = offer(&server, std::process::id()).expect("offered");
    other.give(value, "echo");
    assert_eq!(other.answer(), "WSAEINVAL");
    other.end();
    let twin = adopt(value).expect("offered to this process");
    assert_eq!(twin.peer_name(), server.peer_name());
    assert_eq!(adopt(value).err(), Some(WsaError::WSAEINVAL));
    assert_eq!(offer(&server, u32::MAX), Err(WsaError::WSAEINVAL), "no such process");
}
