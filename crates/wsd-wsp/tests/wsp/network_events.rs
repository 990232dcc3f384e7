//! WSPEventSelect and WSPEnumNetworkEvents: what is recorded when, and what lets it be recorded again.

use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use crate::support::{Event, Socket, connected_pair, eventually, listener, relay};

fn recorded(socket: &Socket, event: &Event) -> LONG {
    socket.enum_events(Some(event)).expect("a socket").lNetworkEvents
}

/// SP-055, SP-060: the socket is non-blocking; fetching the record clears it and resets the event.
#[test]
fn read_is_told_once_until_received() {
    let (client, server) = connected_pair();
    let event = Event::new();
    server.event_select(&event, FD_READ).expect("events");
    assert_eq!(server.recv(1), Err(WsaError::WSAEWOULDBLOCK));
    assert!(!event.is_set());
    client.send(b"ab").expect("connected");
    event.wait();
    assert_eq!(recorded(&server, &event), FD_READ);
    assert!(!event.is_set());
    assert_eq!(recorded(&server, &event), 0);
    // More data alone is not told.
    client.send(b"c").expect("connected");
    eventually("it arrives", || (server.ioctl(FIONREAD, &[], 4) == Ok(vec![3, 0, 0, 0])).then_some(()));
    assert!(!event.is_set());
    // A receive that leaves data behind tells at once; one that takes all does not.
    assert_eq!(server.recv(1), Ok(b"a".to_vec()));
    event.wait();
    assert_eq!(recorded(&server, &event), FD_READ);
    assert_eq!(server.recv(9), Ok(b"bc".to_vec()));
    assert!(!event.is_set());
}

/// SP-057: data that is there already is told when it is asked for.
#[test]
fn what_was_there_before() {
    let (client, server) = connected_pair();
    client.send(b"x").expect("connected");
    eventually("it arrives", || (server.ioctl(FIONREAD, &[], 4) == Ok(vec![1, 0, 0, 0])).then_some(()));
    let event = Event::new();
    server.event_select(&event, FD_READ | FD_WRITE).expect("events");
    assert!(event.is_set());
    assert_eq!(recorded(&server, &event), FD_READ | FD_WRITE);
}

/// FD_WRITE: at first, and again when there is room after a send was refused.
#[test]
fn write_after_it_was_refused() {
    let (client, server) = connected_pair();
    let event = Event::new();
    client.event_select(&event, FD_WRITE).expect("events");
    assert_eq!(recorded(&client, &event), FD_WRITE);
    let block = vec![7; 1 << 20];
    let mut sent = 0;
    let refused = loop {
        match client.send(&block) {
            Ok(bytes) => sent += bytes,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, WsaError::WSAEWOULDBLOCK);
    // A relay makes room by itself.
    assert!(relay::is_used() || !event.is_set());
    server.recv_all(sent);
    event.wait();
    assert_eq!(recorded(&client, &event), FD_WRITE);
}

/// FD_CLOSE comes when all data has been received, once, and without an error after a graceful end.
#[test]
fn close_after_the_last_byte() {
    let (client, server) = connected_pair();
    let event = Event::new();
    server.event_select(&event, FD_READ | FD_CLOSE).expect("events");
    client.send(b"bye").expect("connected");
    client.shutdown(SD_SEND).expect("connected");
    event.wait();
    assert_eq!(recorded(&server, &event), FD_READ);
    assert_eq!(server.recv(3), Ok(b"bye".to_vec()));
    let errors = server.await_events(&event, FD_CLOSE);
    assert_eq!(errors[FD_CLOSE_BIT], 0);
    assert_eq!(server.recv(1), Ok(Vec::new()));
    assert_eq!(recorded(&server, &event), 0);
}

/// FD_CLOSE alone: also behind data that is received later.
#[test]
fn close_alone() {
    let (client, server) = connected_pair();
    let event = Event::new();
    server.event_select(&event, FD_CLOSE).expect("events");
    client.send(b"bye").expect("connected");
    client.shutdown(SD_SEND).expect("connected");
    let data = eventually("data", || server.recv(3).ok());
    assert_eq!(data, b"bye");
    server.await_events(&event, FD_CLOSE);
}

/// A reset is FD_CLOSE with its error, which the next receive gives, too.
#[test]
fn close_by_reset() {
    let (client, server) = connected_pair();
    let event = Event::new();
    server.event_select(&event, FD_READ | FD_CLOSE).expect("events");
    client.set_option(SOL_SOCKET, SO_LINGER, LINGER { l_onoff: 1, l_linger: 0 }).expect("an option");
    client.close().expect("a socket");
    let errors = server.await_events(&event, FD_CLOSE);
    assert_eq!(errors[FD_CLOSE_BIT], WsaError::WSAECONNRESET.code());
    assert_eq!(server.recv(1), Err(WsaError::WSAECONNRESET));
}

/// FD_OOB tells of urgent data, and a receive of it lets it be told again.
#[test]
fn urgent_data() {
    let (client, server) = connected_pair();
    let event = Event::new();
    server.event_select(&event, FD_OOB).expect("events");
    for byte in [b'!', b'?'] {
        assert_eq!(client.send_flags(&[byte], MSG_OOB), Ok(1));
        event.wait();
        assert_eq!(recorded(&server, &event), FD_OOB);
        assert_eq!(server.recv_flags(1, MSG_OOB), Ok(vec![byte]));
    }
    assert_eq!(server.recv_flags(1, MSG_OOB), Err(WsaError::WSAEWOULDBLOCK));
}

/// FD_ACCEPT: for each request once the last was accepted; the accepted socket has its listener's events.
#[test]
fn accept_and_inherit() {
    let (listener, address) = listener();
    let event = Event::new();
    listener.event_select(&event, FD_ACCEPT | FD_READ | FD_CLOSE).expect("events");
    assert_eq!(listener.accept().err(), Some(WsaError::WSAEWOULDBLOCK));
    let clients = [Socket::stream(), Socket::stream()];
    let mut servers = Vec::new();
    for client in &clients {
        client.connect(address).expect("somebody listens");
        // The event first: it is set after the record, and would be told once more of what is known already.
        event.wait();
        assert_eq!(recorded(&listener, &event), FD_ACCEPT);
        servers.push(listener.accept().expect("a connection").0);
    }
    clients[0].send(b"x").expect("connected");
    event.wait();
    assert_eq!(recorded(&servers[0], &event), FD_READ);
    assert_eq!(recorded(&servers[1], &event), 0);
}

/// SP-058: a later selection replaces the earlier one, with its record; none ends it. The socket stays non-blocking until the
/// program says otherwise, which it cannot while events are selected.
#[test]
fn replaced_and_ended() {
    let (client, server) = connected_pair();
    let (first, second) = (Event::new(), Event::new());
    server.event_select(&first, FD_READ).expect("events");
    client.send(b"x").expect("connected");
    first.wait();
    first.reset();
    server.event_select(&second, FD_READ).expect("events");
    second.wait();
    assert!(!first.is_set());
    assert_eq!(server.ioctl(FIONBIO, &[0; 4], 0), Err(WsaError::WSAEINVAL));
    second.reset();
    server.event_select(&second, 0).expect("none");
    assert_eq!(server.recv(1), Ok(b"x".to_vec()));
    assert_eq!(server.recv(1), Err(WsaError::WSAEWOULDBLOCK));
    client.send(b"y").expect("connected");
    server.set_nonblocking(false);
    assert_eq!(server.recv(1), Ok(b"y".to_vec()));
    assert!(!second.is_set());
}
