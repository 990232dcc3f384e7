//! What the provider is asked for one connection, in which order.

use std::net::SocketAddr;

use wsd_spi::ffi::SD_SEND;

use super::{Other, note, tell, told};
use crate::support::{Socket, loopback};

#[test]
#[ignore = "needs a process of its own: connection_in_order runs it"]
fn server_itself() {
    let listener = Socket::stream();
    listener.bind(loopback(0)).expect("a free port");
    listener.listen(5).expect("bound");
    tell(listener.local_name().expect("bound"));
    let (socket, peer) = listener.accept().expect("a connection");
    note("accepted");
    assert_eq!(socket.peer_name(), Ok(peer));
    assert_eq!(socket.local_name(), listener.local_name());
    tell(peer);
    let heard = socket.recv_all(5);
    socket.send(&heard.to_ascii_uppercase()).expect("connected");
    assert_eq!(socket.recv(1), Ok(Vec::new()), "the end of the stream");
    socket.close().expect("a socket");
    listener.close().expect("a socket");
}

#[test]
#[ignore = "needs a process of its own: connection_in_order runs it"]
fn client_itself() {
    let server: SocketAddr = told().parse().expect("an address");
    let socket = Socket::stream();
    socket.connect(server).expect("somebody listens");
    note("connected");
    assert_eq!(socket.peer_name(), Ok(server));
    tell(socket.local_name().expect("connected"));
    socket.send(b"hello").expect("connected");
    assert_eq!(socket.recv_all(5), b"HELLO");
    socket.shutdown(SD_SEND).expect("connected");
    assert_eq!(socket.recv(1), Ok(Vec::new()), "the end of the stream");
    socket.close().expect("a socket");
}

/// One step of a trace, without what differs from run to run.
fn step(line: &str) -> Option<String> {
    if let Some(own) = line.strip_prefix("program ") {
        return Some(own.to_owned());
    }
    let call = line.splitn(3, ' ').nth(2)?.strip_prefix("wsd_faulty ")?;
    let (name, rest) = call.split_once('(')?;
    match name {
        // Not calls about this connection, or only looks.
        "WSPStartupEx" | "WSPCleanup" | "WSPIoctl" | "WSPGetSockOpt" | "WSPRegisterRdmaMemory" => None,
        "WSPGetOverlappedResult" | "WPUResetEvent" | "WSPMemoryRegistrationCacheCallback" => None,
        "WSPRegisterMemory" => Some(format!("{name} {}", rest.rsplit_once(", ")?.1.split_once(')')?.0)),
        "WSPRecv" => Some(format!("{name} {}", rest.split_once(',')?.0)),
        "WSPSend" => {
            let (descriptor, message) = rest.split_once(", [")?;
            Some(format!("{name} {descriptor}, {}", message.split_once(']')?.0.rsplit_once('+')?.1))
        }
        "WPUCompleteOverlappedRequest" => {
            let arguments: Vec<&str> = rest.split_once(')')?.0.split(", ").collect();
            (arguments[2] == "0").then(|| format!("arrived {}", arguments[3]))
        }
        "WSPEnumNetworkEvents" => {
            let news = rest.split_once(" = ")?.1;
            let none = "NetworkEvents { accept: None, connect: None }";
            (news != none).then(|| format!("{name} {news}"))
        }
        "WSPAccept" if rest.ends_with("= WSAEWOULDBLOCK") => None,
        "WPUCreateSocketHandle" => Some(name.to_owned()),
        // On a thread of the provider's, as the completions.
        "WPUSetEvent" => Some(format!("told {}", rest.split_once(')')?.0)),
        _ => Some(call.to_owned()),
    }
}

/// The steps of a trace behind those of the probe (SW-020), each run of one kind once.
fn steps(trace: &str) -> Vec<String> {
    let all: Vec<String> = trace.lines().filter_map(step).collect();
    let probe = all.iter().position(|step| step == "WSPCloseSocket(0x1) = 0").expect("a probe");
    let mut steps = all[probe + 1..].to_vec();
    steps.dedup();
    steps
}

/// The steps that the switch makes, on one thread: without what the provider tells on its own, and without the program's.
fn made_before(steps: &[String], last: &str) -> Vec<String> {
    let end = steps.iter().position(|step| step == last).unwrap_or_else(|| panic!("no {last} in {steps:#?}"));
    let mut made: Vec<String> = steps[..=end].to_vec();
    made.retain(|step| !step.starts_with("arrived") && !step.starts_with("told"));
    made.dedup();
    made
}

fn index(steps: &[String], wanted: &str) -> usize {
    let found = steps.iter().position(|step| step == wanted);
    found.unwrap_or_else(|| panic!("no {wanted} in {steps:#?}"))
}

fn both_traced() -> (Vec<String>, Vec<String>, [SocketAddr; 2]) {
    let folder = tempfile::tempdir().expect("a folder");
    let (of_server, of_client) = (folder.path().join("server"), folder.path().join("client"));
    let mut server = Other::start("san_first::trace::server_itself", "plain", &of_server);
    let server_name = server.hear_address();
    let mut client = Other::start("san_first::trace::client_itself", "plain", &of_client);
    client.say(server_name);
    let client_name = client.hear_address();
    assert_eq!(server.hear_address(), client_name, "both ends know the same names");
    client.end();
    server.end();
    let read = |path| steps(&std::fs::read_to_string(path).expect("a trace"));
    (read(of_server), read(of_client), [server_name, client_name])
}

/// The connecting side is told the result.
const RESULT: &str = "WSPEnumNetworkEvents NetworkEvents { accept: None, connect: Some(Ok(())) }";
/// The accepting side is told of a request.
const REQUEST: &str = "WSPEnumNetworkEvents NetworkEvents { accept: Some(Ok(())), connect: None }";

/// SW-043, SW-045, SW-061, SW-101, SW-102, SW-104: the connecting side. Socket, bind to the very name of the application's socket,
/// event, connect, its result; memory, receives, the negotiation of less than 257 bytes; after the answer, and not before, the
/// program is connected.
///
/// SW-081, SW-091, SW-103, SW-105: the accepting side. Socket, bind, listen, event; the event, its look, accept with a new
/// descriptor; memory, receives, and the answer after the peer has spoken.
#[test]
fn connection_in_order() {
    let (server, client, [server_name, client_name]) = both_traced();
    let socket = "WSPSocket(af=2, type=1, protocol=6, flags=0x1, reserved=0x0)";
    let expected = [
        "WPUCreateSocketHandle".to_owned(),
        format!("{socket} = 0x2"),
        format!("WSPBind(0x2, {client_name}) = 0"),
        "WSPEventSelect(0x2, 0x1, 0x10) = 0".to_owned(),
        format!("WSPConnect(0x2, {server_name}) = WSAEWOULDBLOCK"),
        RESULT.to_owned(),
        "WSPRegisterMemory Write".to_owned(),
        "WSPRegisterMemory Read".to_owned(),
        "WSPRecv 0x2".to_owned(),
        "WSPSend 0x2, 144".to_owned(),
    ];
    assert_eq!(made_before(&client, "WSPSend 0x2, 144"), expected);
    assert!(index(&client, "told 0x1") < index(&client, RESULT));
    // The answer, which nobody can give before the question.
    assert!(index(&client, "arrived 144") < index(&client, "connected"));

    let expected = [
        "WPUCreateSocketHandle".to_owned(),
        format!("{socket} = 0x2"),
        format!("WSPBind(0x2, {server_name}) = 0"),
        "WSPListen(0x2, backlog=5) = 0".to_owned(),
        "WSPEventSelect(0x2, 0x1, 0x8) = 0".to_owned(),
        REQUEST.to_owned(),
        "WPUCreateSocketHandle".to_owned(),
        "WSPAccept(0x2) = 0x3".to_owned(),
        "WSPRegisterMemory Write".to_owned(),
        "WSPRegisterMemory Read".to_owned(),
        "WSPRecv 0x3".to_owned(),
        "WSPSend 0x3, 144".to_owned(),
    ];
    assert_eq!(made_before(&server, "WSPSend 0x3, 144"), expected);
    assert!(index(&server, "told 0x1") < index(&server, REQUEST));
    let answer = index(&server, "WSPSend 0x3, 144");
    assert!(index(&server, "arrived 144") < answer && answer < index(&server, "accepted"));
}
