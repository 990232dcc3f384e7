//! Connecting, blocking and not.

use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use crate::support::{Event, Socket, eventually, listener, loopback};

/// SP-065, SW-062: a non-blocking connect answers WSAEWOULDBLOCK, its result comes as FD_CONNECT; asking meanwhile or
/// afterwards is answered by the switch.
#[test]
fn nonblocking_connect() {
    let (listener, address) = listener();
    let client = Socket::stream();
    let event = Event::new();
    client.event_select(&event, FD_CONNECT | FD_WRITE).expect("events");
    match client.connect(address) {
        Ok(()) | Err(WsaError::WSAEWOULDBLOCK) => {}
        Err(error) => panic!("{error}"),
    }
    let again = client.connect(address);
    assert!(matches!(again, Err(WsaError::WSAEALREADY | WsaError::WSAEISCONN)), "{again:?}");
    let errors = client.await_events(&event, FD_CONNECT | FD_WRITE);
    assert_eq!((errors[FD_CONNECT_BIT], errors[FD_WRITE_BIT]), (0, 0));
    assert_eq!(client.connect(address), Err(WsaError::WSAEISCONN));
    assert_eq!(client.option(SOL_SOCKET, SO_CONNECT_TIME), Ok(0_i32));
    listener.accept().expect("a connection");
}

/// SP-061: a connect that fails says so by FD_CONNECT, and the socket can try again.
#[test]
fn refused() {
    let (listener, address) = listener();
    listener.close().expect("a socket");
    let client = Socket::stream();
    assert_eq!(client.connect(address), Err(WsaError::WSAECONNREFUSED));
    let event = Event::new();
    client.event_select(&event, FD_CONNECT).expect("events");
    if client.connect(address) == Err(WsaError::WSAEWOULDBLOCK) {
        let errors = client.await_events(&event, FD_CONNECT);
        assert_eq!(errors[FD_CONNECT_BIT], WsaError::WSAECONNREFUSED.code());
        assert_eq!(client.option(SOL_SOCKET, SO_ERROR), Ok(WsaError::WSAECONNREFUSED.code()));
        assert_eq!(client.option(SOL_SOCKET, SO_ERROR), Ok(0_i32));
    }
    let listener = Socket::stream();
    listener.set_option(SOL_SOCKET, SO_REUSEADDR, 1_i32).expect("an option");
    listener.bind(address).expect("free again");
    listener.listen(5).expect("bound");
    // It is non-blocking by now.
    let ended = eventually("it connects", || match client.connect(address) {
        Ok(()) | Err(WsaError::WSAEISCONN) => Some(Ok(())),
        Err(WsaError::WSAEWOULDBLOCK | WsaError::WSAEALREADY) => None,
        Err(error) => Some(Err(error)),
    });
    assert_eq!(ended, Ok(()));
}

/// A bound socket connects from its own name; a second connection to the same listener gets a name of its own.
#[test]
fn names() {
    let (listener, address) = listener();
    let client = Socket::stream();
    assert_eq!(client.local_name(), Err(WsaError::WSAEINVAL));
    client.bind(loopback(0)).expect("a free port");
    let name = client.local_name().expect("bound");
    assert_ne!(name.port(), 0);
    client.connect(address).expect("somebody listens");
    assert_eq!(client.local_name(), Ok(name));
    let (server, peer) = listener.accept().expect("a connection");
    assert_eq!((peer, server.local_name()), (name, Ok(address)));
}

/// IPv6 connections work like others; the wildcard of IPv6 does not serve IPv4 unless told to.
#[test]
fn ipv6() {
    let listener = Socket::new(AF_INET6, SOCK_STREAM, 0).expect("a socket");
    assert_eq!(listener.option(IPPROTO_IPV6, IPV6_V6ONLY), Ok(1_i32));
    listener.bind("[::1]:0".parse().expect("an address")).expect("a free port");
    listener.listen(1).expect("bound");
    let address = listener.local_name().expect("bound");
    let client = Socket::new(AF_INET6, SOCK_STREAM, 0).expect("a socket");
    assert_eq!(client.connect(loopback(1)), Err(WsaError::WSAEAFNOSUPPORT));
    client.connect(address).expect("somebody listens");
    let (server, peer) = listener.accept().expect("a connection");
    assert_eq!(client.local_name(), Ok(peer));
    client.send(b"six").expect("connected");
    assert_eq!(server.recv_all(3), b"six");
}
