//! Calls in states that they do not fit: section 13 of the SPI reference, for programs.

use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use crate::support::{Socket, connected_pair, listener, loopback};

#[test]
fn fresh() {
    let socket = Socket::stream();
    assert_eq!(socket.listen(1), Err(WsaError::WSAEINVAL));
    assert_eq!(socket.accept().err(), Some(WsaError::WSAEINVAL));
    assert_eq!(socket.send(b"x"), Err(WsaError::WSAENOTCONN));
    assert_eq!(socket.recv(1), Err(WsaError::WSAENOTCONN));
    assert_eq!(socket.shutdown(SD_SEND), Err(WsaError::WSAENOTCONN));
    assert_eq!(socket.local_name().err(), Some(WsaError::WSAEINVAL));
    assert_eq!(socket.peer_name().err(), Some(WsaError::WSAENOTCONN));
    assert_eq!(socket.connect(([0, 0, 0, 0], 1).into()), Err(WsaError::WSAEADDRNOTAVAIL));
    assert_eq!(socket.connect(loopback(0)), Err(WsaError::WSAEADDRNOTAVAIL));
    assert_eq!(socket.bind(([192, 0, 2, 1], 0).into()), Err(WsaError::WSAEADDRNOTAVAIL));
    assert_eq!(socket.option(SOL_SOCKET, SO_CONNECT_TIME), Ok(-1_i32));
    socket.bind(loopback(0)).expect("a free port");
    assert_eq!(socket.bind(loopback(0)), Err(WsaError::WSAEINVAL));
}

#[test]
fn listening() {
    let (listener, address) = listener();
    assert_eq!(listener.bind(loopback(0)), Err(WsaError::WSAEINVAL));
    assert_eq!(listener.connect(address), Err(WsaError::WSAEINVAL));
    assert_eq!(listener.send(b"x"), Err(WsaError::WSAENOTCONN));
    assert_eq!(listener.recv(1), Err(WsaError::WSAENOTCONN));
    assert_eq!(listener.shutdown(SD_BOTH), Err(WsaError::WSAENOTCONN));
    assert_eq!(listener.option(SOL_SOCKET, SO_ACCEPTCONN), Ok(1_i32));
    assert_eq!(listener.ioctl(FIONREAD, &[], 4).err(), Some(WsaError::WSAEINVAL));
    // SP-072: a new backlog.
    assert_eq!(listener.listen(2), Ok(()));
    // SW-041: TCP/IP checks the names.
    let other = Socket::stream();
    assert_eq!(other.bind(address), Err(WsaError::WSAEADDRINUSE));
}

#[test]
fn connected() {
    let (client, server) = connected_pair();
    let address = client.peer_name().expect("connected");
    assert_eq!(client.connect(address), Err(WsaError::WSAEISCONN));
    assert_eq!(client.listen(1), Err(WsaError::WSAEISCONN));
    assert_eq!(client.bind(loopback(0)), Err(WsaError::WSAEINVAL));
    assert_eq!(client.accept().err(), Some(WsaError::WSAEINVAL));
    assert_eq!(client.option(SOL_SOCKET, SO_ACCEPTCONN), Ok(0_i32));
    assert_eq!(server.peer_name(), client.local_name());
}

/// Shut down by the program itself: WSAESHUTDOWN here, the end of the stream there.
#[test]
fn shut_down() {
    let (client, server) = connected_pair();
    client.shutdown(SD_RECEIVE).expect("connected");
    assert_eq!(client.recv(1), Err(WsaError::WSAESHUTDOWN));
    assert_eq!(client.send(b"on"), Ok(2));
    client.shutdown(SD_BOTH).expect("connected");
    client.shutdown(SD_BOTH).expect("again");
    assert_eq!(client.send(b"x"), Err(WsaError::WSAESHUTDOWN));
    assert_eq!(server.recv_all(2), b"on");
    assert_eq!(server.recv(1), Ok(Vec::new()));
}

/// SW-160: WSPSendDisconnect and WSPRecvDisconnect shut one direction each.
#[test]
fn disconnects() {
    use crate::support::call;
    let (client, server) = connected_pair();
    let none = std::ptr::null_mut::<WSABUF>();
    call!(lpWSPSendDisconnect(client.handle, none), SOCKET_ERROR).expect("connected");
    assert_eq!(client.send(b"x"), Err(WsaError::WSAESHUTDOWN));
    assert_eq!(server.recv(1), Ok(Vec::new()));
    server.send(b"back").expect("half open");
    assert_eq!(client.recv_all(4), b"back");
    call!(lpWSPRecvDisconnect(client.handle, none), SOCKET_ERROR).expect("connected");
    assert_eq!(client.recv(1), Err(WsaError::WSAESHUTDOWN));
    let datagrams = Socket::datagram();
    let answer = call!(lpWSPSendDisconnect(datagrams.handle, none), SOCKET_ERROR);
    assert_eq!(answer.err(), Some(WsaError::WSAEOPNOTSUPP));
}

/// A graceful close with SO_LINGER is not for non-blocking sockets; a reset is.
#[test]
fn closing_with_linger() {
    let (client, _server) = connected_pair();
    client.set_nonblocking(true);
    client.set_option(SOL_SOCKET, SO_LINGER, LINGER { l_onoff: 1, l_linger: 5 }).expect("an option");
    assert_eq!(client.close(), Err(WsaError::WSAEWOULDBLOCK));
    client.set_option(SOL_SOCKET, SO_DONTLINGER, 1_i32).expect("an option");
    assert_eq!(client.close(), Ok(()));
}
