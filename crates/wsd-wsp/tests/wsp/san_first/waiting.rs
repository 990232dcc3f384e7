//! Readiness of what a SAN carries, and waiting for it.

use std::time::Duration;

use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use super::peer::{Peer, accepted};
use super::{calls, served, traced};
use crate::select::{Set, select};
use crate::support::{Event, PATIENCE, Pending, Socket, eventually, listener};

/// Runs a test with a provider that calls back on its own threads, and with one that is asked.
fn both_ways(test: &str) {
    for faults in ["plain", ""] {
        let trace = traced(served(test, faults));
        assert!(
            calls(&trace, "wsd_faulty").any(|call| call.starts_with("WSPAccept(") && call.contains("= 0x"))
        );
    }
}

/// What is ready within `limit`: to read, and to write.
fn ready(read: Option<&Socket>, write: Option<&Socket>, limit: Duration) -> (bool, bool) {
    let set = |socket: Option<&Socket>| Set::of(&Vec::from_iter(socket));
    let (mut read, mut write) = (set(read), set(write));
    select(&mut read, &mut write, &mut Set::of(&[]), Some(limit)).expect("sockets");
    (!read.left().is_empty(), !write.left().is_empty())
}

fn readable(socket: &Socket, limit: Duration) -> bool {
    ready(Some(socket), None, limit).0
}

fn writable(socket: &Socket, limit: Duration) -> bool {
    ready(None, Some(socket), limit).1
}

/// SW-142: a listener is readable while a connection is queued, a connection while there is data or its end; it is writable while
/// there is room.
#[test]
fn readiness() {
    both_ways("san_first::waiting::readiness_itself");
}

#[test]
#[ignore = "needs a process of its own: readiness runs it"]
fn readiness_itself() {
    const NOW: Duration = Duration::ZERO;
    let (listener, address) = listener();
    let mut peer = Peer::start(&std::env::var("WSD_FAULTY").expect("set"));
    assert!(!readable(&listener, NOW));
    peer.connect(address);
    assert!(readable(&listener, PATIENCE));
    let (socket, _) = listener.accept().expect("a connection");
    assert!(!readable(&listener, NOW));
    assert_eq!(ready(Some(&socket), Some(&socket), NOW), (false, true));
    socket.set_nonblocking(true);
    let mut sent = 0;
    eventually("there is no room left", || {
        loop {
            match socket.send(&[1; 65536]) {
                Ok(bytes) => sent += bytes,
                Err(error) => break assert_eq!(error, WsaError::WSAEWOULDBLOCK),
            }
        }
        // What the switch moves on its own makes room again.
        std::thread::sleep(Duration::from_millis(50));
        (!writable(&socket, NOW)).then_some(())
    });
    assert_eq!(peer.ask(format!("take {sent}")), sent.to_string());
    assert!(writable(&socket, PATIENCE));
    assert!(!readable(&socket, NOW));
    peer.ask("send x");
    assert!(readable(&socket, PATIENCE));
    assert_eq!(socket.recv(9), Ok(b"x".to_vec()));
    assert!(!readable(&socket, NOW));
    peer.ask("shutdown");
    assert!(readable(&socket, PATIENCE));
    assert_eq!(socket.recv(9), Ok(Vec::new()));
}

/// SW-143: whoever waits for bytes of a SAN is woken by them: for an event, in select, in a blocking receive, for a request.
#[test]
fn waiters_are_woken() {
    both_ways("san_first::waiting::waiters_itself");
}

#[test]
#[ignore = "needs a process of its own: waiters_are_woken runs it"]
fn waiters_itself() {
    let (mut peer, socket) = accepted(&std::env::var("WSD_FAULTY").expect("set"));
    for round in 0..5 {
        let event = Event::new();
        socket.event_select(&event, FD_READ).expect("a socket");
        peer.begin("later e");
        event.wait();
        assert_eq!(socket.recv(1), Ok(b"e".to_vec()));
        assert_eq!(peer.hear(), "1");
        socket.event_select(&event, 0).expect("a socket");
        socket.set_nonblocking(false);

        peer.begin("later s");
        assert!(readable(&socket, PATIENCE), "round {round}");
        assert_eq!(socket.recv(1), Ok(b"s".to_vec()));
        assert_eq!(peer.hear(), "1");

        peer.begin("later b");
        assert_eq!(socket.recv(1), Ok(b"b".to_vec()), "round {round}");
        assert_eq!(peer.hear(), "1");

        let mut receive = Pending::new(vec![0; 1]);
        assert_eq!(socket.start_recv(&mut receive, 0), Ok(None));
        peer.begin("later r");
        assert_eq!(receive.finish(&socket), Ok(1), "round {round}");
        assert_eq!(peer.hear(), "1");
    }
}
