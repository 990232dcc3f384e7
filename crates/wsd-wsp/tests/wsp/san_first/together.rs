//! Several SANs and TCP in one process, which sees one provider.

use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use super::peer::{Peer, bounded};
use super::{calls, provider, traced};
use crate::select::{Set, select};
use crate::support::{PATIENCE, Socket, eventually, own_process};

/// SW-002, SW-003: two SANs and TCP at once, the choice made for each connection: what a program can see of a connection is the
/// same, names included.
///
/// SW-221: ports, one listener, one select, names and options are for the sockets of all of them.
#[test]
fn one_provider() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config.toml");
    let text =
        format!("providers = [{{ name = \"one\", library = {:?} }}, {{ name = \"shm\" }}]", provider());
    std::fs::write(&config, text).expect("a file in the test's folder");
    let mut command = own_process("san_first::together::one_provider_itself");
    // The first provider does not listen, so that the second has the listener.
    let trace = traced({
        command.env("WSDIRECT_CONFIG", &config).env("WSD_FAULTY", "plain,fail-listen");
        command
    });
    let made = |provider: &str, function: &str, result: &str| {
        calls(&trace, provider).filter(|call| call.starts_with(function) && call.contains(result)).count()
    };
    assert_eq!(made("one", "WSPConnect(", "= WSAEWOULDBLOCK"), 1, "{trace}");
    assert_eq!(made("shm", "WSPConnect(", ""), 0, "{trace}");
    assert_eq!([made("one", "WSPAccept(", "= 0x"), made("shm", "WSPAccept(", "= 0x")], [0, 1], "{trace}");
}

/// A connection with its peer.
type Connection = (Socket, Peer);

/// What a program sees of a connection, in text.
fn seen((socket, peer): &mut Connection) -> Vec<String> {
    let mut seen = Vec::new();
    let (local, remote) = (socket.local_name(), socket.peer_name());
    // The peer sees it from the other side.
    seen.push(format!("{}", peer.ask("names") == format!("{remote:?} {local:?}")));
    seen.push(format!("{}", local.is_ok_and(|name| name.ip().is_loopback() && name.port() != 0)));
    for option in [SO_KEEPALIVE, SO_OOBINLINE, SO_DONTROUTE] {
        let set = socket.set_option(SOL_SOCKET, option, 1_i32);
        seen.push(format!("{set:?} {:?}", socket.option::<i32>(SOL_SOCKET, option)));
        socket.set_option(SOL_SOCKET, option, 0_i32).expect("as before");
    }
    seen.push(format!("{:?}", socket.bind(crate::support::loopback(0))));
    seen.push(format!("{:?}", socket.connect(crate::support::loopback(1))));
    // A stream: what is sent in pieces is received in others.
    for piece in ["ab", "cde", "f"] {
        peer.ask(format!("send {piece}"));
    }
    let all = || socket.ioctl(FIONREAD, &[], 4) == Ok(vec![6, 0, 0, 0]);
    eventually("it arrives", || all().then_some(()));
    seen.push(format!("{:?} {:?}", socket.recv(4), socket.recv(4)));
    for piece in ["12", "345"] {
        seen.push(format!("{:?}", socket.send(piece.as_bytes())));
    }
    seen.push(peer.ask("recv 5"));
    seen.push(peer.ask("urgent !"));
    let mut except = Set::of(&[socket]);
    select(&mut Set::of(&[]), &mut Set::of(&[]), &mut except, Some(PATIENCE)).expect("a socket");
    seen.push(format!("{} {:?}", except.left().len(), socket.recv_flags(1, MSG_OOB)));
    seen.push(format!("{:?} {}", socket.shutdown(SD_SEND), peer.ask("end")));
    seen.push(format!("{:?} {}", socket.send(b"x"), peer.ask("send last")));
    seen.push(peer.ask("close"));
    seen.push(format!("{:?} {:?}", socket.recv_all(4), socket.recv(1)));
    seen
}

#[test]
#[ignore = "needs a process of its own: one_provider runs it"]
fn one_provider_itself() {
    let listener = Socket::stream();
    listener.bind(([0, 0, 0, 0], 0).into()).expect("a free port");
    listener.listen(5).expect("bound");
    let port = listener.local_name().expect("bound").port();
    let address = crate::support::loopback(port);
    let second = Socket::stream();
    assert_eq!(second.bind(address), Err(WsaError::WSAEADDRINUSE), "ports are TCP's");
    let mut connections = Vec::new();
    for mut peer in [Peer::with("shm"), Peer::with("tcp")] {
        let name = peer.connect(address);
        let mut read = Set::of(&[&listener]);
        assert_eq!(select(&mut read, &mut Set::of(&[]), &mut Set::of(&[]), Some(PATIENCE)), Ok(1));
        let (socket, from) = listener.accept().expect("a connection");
        assert_eq!(from, name);
        connections.push((socket, peer));
    }
    let mut peer = Peer::start("plain");
    let server = peer.ask("listen").parse().expect("an address");
    let socket = Socket::stream();
    socket.connect(server).expect("somebody listens");
    let own = socket.local_name().expect("connected");
    assert_eq!(peer.ask("accept"), own.to_string());
    connections.push((socket, peer));
    for (socket, _) in &connections {
        bounded(socket);
    }
    one_select(&mut connections);
    let mut seen = connections.iter_mut().map(seen);
    let first = seen.next().expect("three");
    seen.for_each(|other| assert_eq!(other, first));
}

/// Of all that are asked for, select leaves the ready one.
fn one_select(connections: &mut [Connection]) {
    for index in 0..connections.len() {
        connections[index].1.ask("send x");
        let sockets: Vec<&Socket> = connections.iter().map(|(socket, _)| socket).collect();
        let mut read = Set::of(&sockets);
        select(&mut read, &mut Set::of(&[]), &mut Set::of(&[]), Some(PATIENCE)).expect("sockets");
        assert_eq!(read.left(), [sockets[index].handle]);
        assert_eq!(sockets[index].recv(2), Ok(b"x".to_vec()));
    }
}
