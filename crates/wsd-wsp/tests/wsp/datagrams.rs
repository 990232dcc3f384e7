//! Datagram sockets and groups: TCP/IP's alone (SW-220).

use std::net::SocketAddr;
use std::ptr;

use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use crate::support::{Event, Name, PATIENCE, Pending, Socket, call, loopback, wsabuf};

fn bound() -> (Socket, SocketAddr) {
    let socket = Socket::datagram();
    socket.bind(loopback(0)).expect("a free port");
    socket.set_option(SOL_SOCKET, SO_RCVTIMEO, PATIENCE.as_millis() as INT).expect("an option");
    let address = socket.local_name().expect("bound");
    (socket, address)
}

fn send_to(socket: &Socket, data: &[u8], to: SocketAddr) -> Result<usize, WsaError> {
    let mut copy = data.to_vec();
    let (mut buffer, mut sent) = (wsabuf(&mut copy), 0);
    let mut name = Name::of(to);
    let none = ptr::null_mut::<WSAOVERLAPPED>();
    let thread = ptr::null_mut::<WSATHREADID>();
    call!(
        lpWSPSendTo(
            socket.handle,
            &raw mut buffer,
            1,
            &raw mut sent,
            0,
            name.pointer(),
            name.length,
            none,
            None,
            thread
        ),
        SOCKET_ERROR
    )
    .map(|_| sent as usize)
}

fn recv_from(socket: &Socket, room: usize) -> Result<(Vec<u8>, SocketAddr), WsaError> {
    let mut data = vec![0; room];
    let (mut buffer, mut received, mut flags) = (wsabuf(&mut data), 0, 0);
    let mut name = Name::room();
    let (pointer, length) = (name.pointer(), &raw mut name.length);
    let none = ptr::null_mut::<WSAOVERLAPPED>();
    let thread = ptr::null_mut::<WSATHREADID>();
    call!(
        lpWSPRecvFrom(
            socket.handle,
            &raw mut buffer,
            1,
            &raw mut received,
            &raw mut flags,
            pointer,
            length,
            none,
            None,
            thread
        ),
        SOCKET_ERROR
    )?;
    data.truncate(received as usize);
    Ok((data, name.address()))
}

#[test]
fn there_and_back() {
    let ((a, a_name), (b, b_name)) = (bound(), bound());
    assert_eq!(send_to(&a, b"one", b_name), Ok(3));
    assert_eq!(send_to(&a, b"", b_name), Ok(0));
    assert_eq!(recv_from(&b, 100), Ok((b"one".to_vec(), a_name)));
    assert_eq!(recv_from(&b, 100), Ok((Vec::new(), a_name)));
    assert_eq!(a.send(b"x"), Err(WsaError::WSAENOTCONN));
    a.connect(b_name).expect("a peer");
    assert_eq!(a.send(b"two"), Ok(3));
    assert_eq!(recv_from(&b, 100), Ok((b"two".to_vec(), a_name)));
    assert_eq!(a.peer_name(), Ok(b_name));
    a.connect(([0, 0, 0, 0], 0).into()).expect("none");
    assert_eq!(a.peer_name().err(), Some(WsaError::WSAENOTCONN));
}

/// A message that is longer than the buffer: what fits, and WSAEMSGSIZE.
#[test]
fn longer_than_the_buffer() {
    let ((a, _), (b, b_name)) = (bound(), bound());
    send_to(&a, b"too long", b_name).expect("sent");
    assert_eq!(recv_from(&b, 3), Err(WsaError::WSAEMSGSIZE));
    let mut receive = Pending::new(vec![0; 3]);
    assert_eq!(b.start_recv(&mut receive, 0), Ok(None), "the rest is gone");
    send_to(&a, b"again too long", b_name).expect("sent");
    assert_eq!(receive.finish(&b), Err(WsaError::WSAEMSGSIZE));
    assert_eq!(receive.buffer, b"aga");
    assert_eq!(receive.overlapped.InternalHigh, 3);
    assert_eq!(b.option(SOL_SOCKET, SO_MAX_MSG_SIZE), Ok(65_507_i32));
}

/// A socket is bound by its first send; before, there is nothing to receive.
#[test]
fn bound_by_sending() {
    let (b, b_name) = bound();
    let a = Socket::datagram();
    assert_eq!(a.recv(1), Err(WsaError::WSAEINVAL));
    assert_eq!(a.listen(1), Err(WsaError::WSAEOPNOTSUPP));
    send_to(&a, b"x", b_name).expect("sent");
    let port = a.local_name().expect("bound").port();
    assert_eq!(recv_from(&b, 1).expect("a message").1.port(), port);
    assert_eq!(send_to(&a, b"x", "[::1]:9".parse().expect("an address")), Err(WsaError::WSAEAFNOSUPPORT));
}

/// FD_READ and FD_WRITE of datagram sockets.
#[test]
fn events() {
    let ((a, _), (b, b_name)) = (bound(), bound());
    let event = Event::new();
    b.event_select(&event, FD_READ | FD_WRITE).expect("events");
    assert_eq!(b.enum_events(Some(&event)).expect("a socket").lNetworkEvents, FD_WRITE);
    send_to(&a, b"x", b_name).expect("sent");
    event.wait();
    assert_eq!(b.enum_events(Some(&event)).expect("a socket").lNetworkEvents, FD_READ);
    assert_eq!(b.recv(1), Ok(b"x".to_vec()));
    assert_eq!(b.recv(1), Err(WsaError::WSAEWOULDBLOCK));
}

fn join(socket: &Socket, group: SocketAddr, flags: DWORD) -> Result<SOCKET, WsaError> {
    let mut name = Name::of(group);
    let (none, no_qos) = (ptr::null_mut::<WSABUF>(), ptr::null_mut::<QOS>());
    let pointer = name.pointer();
    call!(
        lpWSPJoinLeaf(socket.handle, pointer, name.length, none, none, no_qos, no_qos, flags),
        INVALID_SOCKET
    )
}

/// WSPJoinLeaf makes the socket itself a leaf of the group.
#[test]
fn groups() {
    let socket = Socket::datagram();
    socket.bind(([0, 0, 0, 0], 0).into()).expect("a free port");
    socket.set_option(SOL_SOCKET, SO_RCVTIMEO, PATIENCE.as_millis() as INT).expect("an option");
    let port = socket.local_name().expect("bound").port();
    let group = SocketAddr::from(([239, 255, 77, 88], port));
    assert_eq!(join(&socket, group, 0), Err(WsaError::WSAEINVAL));
    assert_eq!(join(&socket, loopback(port), JL_BOTH), Err(WsaError::WSAEADDRNOTAVAIL));
    assert_eq!(join(&Socket::stream(), group, JL_BOTH), Err(WsaError::WSAEOPNOTSUPP));
    assert_eq!(join(&socket, group, JL_SENDER_ONLY), Ok(socket.handle));
    for (code, value) in [(SIO_MULTIPOINT_LOOPBACK, 1_u32), (SIO_MULTICAST_SCOPE, 0)] {
        assert_eq!(socket.ioctl(code, &value.to_ne_bytes(), 0), Ok(Vec::new()));
    }
    // A host without a route for groups can neither join nor send.
    match join(&socket, group, JL_BOTH) {
        Ok(leaf) => assert_eq!(leaf, socket.handle),
        Err(WsaError::WSAEADDRNOTAVAIL) => return,
        Err(error) => panic!("{error}"),
    }
    match send_to(&socket, b"all", group) {
        Ok(_) => assert_eq!(recv_from(&socket, 3).map(|(data, _)| data), Ok(b"all".to_vec())),
        Err(error) => assert_eq!(error, WsaError::WSAENETUNREACH),
    }
}
