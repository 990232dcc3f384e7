//! Every function with what a program must not pass: no socket, NULL, too little room.

use std::ptr;

use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use crate::support::{Name, Socket, call, connected_pair, loopback, result, table, wsabuf};

const NO_REQUEST: LPWSAOVERLAPPED = ptr::null_mut();
const NO_THREAD: LPWSATHREADID = ptr::null_mut();
const NO_NAME: *mut SOCKADDR = ptr::null_mut();

/// SP-013: no function crashes or does anything with a descriptor that is none.
#[test]
fn no_socket() {
    let closed = Socket::stream();
    closed.close().expect("a socket");
    for s in [INVALID_SOCKET, 0, 7, closed.handle] {
        let mut name = Name::of(loopback(1));
        let (pointer, mut length) = (name.pointer(), name.length);
        let mut data = [0; 4];
        let (mut buffer, mut number, mut flags) = (wsabuf(&mut data), 0, 0);
        let (no_buffer, no_qos) = (ptr::null_mut::<WSABUF>(), ptr::null_mut::<QOS>());
        let (no_event, window) = (ptr::null_mut(), ptr::without_provenance_mut(1));
        let mut events = WSANETWORKEVENTS::zeroed();
        let mut info = WSAPROTOCOL_INFOW::zeroed();
        let mut request = WSAOVERLAPPED::zeroed();
        let value = data.as_mut_ptr().cast();
        let buffers = &raw mut buffer;
        let bytes = &raw mut number;
        let bits = &raw mut flags;
        let len = &raw mut length;
        let answers = [
            call!(lpWSPAccept(s, NO_NAME, ptr::null_mut(), None, 0), INVALID_SOCKET).err(),
            call!(lpWSPAsyncSelect(s, window, 1, FD_READ), SOCKET_ERROR).err(),
            call!(lpWSPBind(s, pointer, 16), SOCKET_ERROR).err(),
            call!(lpWSPCloseSocket(s), SOCKET_ERROR).err(),
            call!(lpWSPConnect(s, pointer, 16, no_buffer, no_buffer, no_qos, no_qos), SOCKET_ERROR).err(),
            call!(lpWSPDuplicateSocket(s, std::process::id(), &raw mut info), SOCKET_ERROR).err(),
            call!(lpWSPEnumNetworkEvents(s, no_event, &raw mut events), SOCKET_ERROR).err(),
            call!(lpWSPEventSelect(s, window, FD_READ), SOCKET_ERROR).err(),
            call!(lpWSPGetOverlappedResult(s, &raw mut request, bytes, 0, bits), FALSE).err(),
            call!(lpWSPGetPeerName(s, pointer, len), SOCKET_ERROR).err(),
            call!(lpWSPGetSockName(s, pointer, len), SOCKET_ERROR).err(),
            call!(lpWSPGetSockOpt(s, SOL_SOCKET, SO_TYPE, value, len), SOCKET_ERROR).err(),
            call!(lpWSPGetQOSByName(s, no_buffer, no_qos), FALSE).err(),
            call!(
                lpWSPIoctl(
                    s,
                    FIONREAD,
                    ptr::null_mut(),
                    0,
                    value.cast(),
                    4,
                    bytes,
                    NO_REQUEST,
                    None,
                    NO_THREAD
                ),
                SOCKET_ERROR
            )
            .err(),
            call!(
                lpWSPJoinLeaf(s, pointer, 16, no_buffer, no_buffer, no_qos, no_qos, JL_BOTH),
                INVALID_SOCKET
            )
            .err(),
            call!(lpWSPListen(s, 1), SOCKET_ERROR).err(),
            call!(lpWSPRecv(s, buffers, 1, bytes, bits, NO_REQUEST, None, NO_THREAD), SOCKET_ERROR).err(),
            call!(lpWSPRecvDisconnect(s, no_buffer), SOCKET_ERROR).err(),
            call!(
                lpWSPRecvFrom(s, buffers, 1, bytes, bits, pointer, len, NO_REQUEST, None, NO_THREAD),
                SOCKET_ERROR
            )
            .err(),
            call!(lpWSPSend(s, buffers, 1, bytes, 0, NO_REQUEST, None, NO_THREAD), SOCKET_ERROR).err(),
            call!(lpWSPSendDisconnect(s, no_buffer), SOCKET_ERROR).err(),
            call!(
                lpWSPSendTo(s, buffers, 1, bytes, 0, pointer, 16, NO_REQUEST, None, NO_THREAD),
                SOCKET_ERROR
            )
            .err(),
            call!(lpWSPSetSockOpt(s, SOL_SOCKET, SO_DEBUG, value.cast_const(), 4), SOCKET_ERROR).err(),
            call!(lpWSPShutdown(s, SD_BOTH), SOCKET_ERROR).err(),
        ];
        assert_eq!(answers, [Some(WsaError::WSAENOTSOCK); 24]);
    }
}

/// NULL where the SPI needs memory is WSAEFAULT, and the socket goes on working.
#[test]
fn null() {
    let (client, server) = connected_pair();
    let s = client.handle;
    let mut data = *b"data";
    let (mut buffer, mut number, mut flags) = (wsabuf(&mut data), 0, 0);
    let (buffers, bytes, bits) = (&raw mut buffer, &raw mut number, &raw mut flags);
    let mut wild = WSABUF { len: 4, buf: ptr::null_mut() };
    let (no_buffer, no_qos) = (ptr::null_mut::<WSABUF>(), ptr::null_mut::<QOS>());
    let (no_bytes, no_length) = (ptr::null_mut::<DWORD>(), ptr::null_mut::<INT>());
    let mut request = WSAOVERLAPPED::zeroed();
    let mut length = 4;
    let answers = [
        call!(lpWSPSend(s, no_buffer, 1, bytes, 0, NO_REQUEST, None, NO_THREAD), SOCKET_ERROR).err(),
        call!(lpWSPSend(s, &raw mut wild, 1, bytes, 0, NO_REQUEST, None, NO_THREAD), SOCKET_ERROR).err(),
        call!(lpWSPSend(s, buffers, 1, no_bytes, 0, NO_REQUEST, None, NO_THREAD), SOCKET_ERROR).err(),
        call!(lpWSPRecv(s, no_buffer, 1, bytes, bits, NO_REQUEST, None, NO_THREAD), SOCKET_ERROR).err(),
        call!(lpWSPRecv(s, buffers, 1, bytes, no_bytes, NO_REQUEST, None, NO_THREAD), SOCKET_ERROR).err(),
        call!(lpWSPRecv(s, buffers, 1, no_bytes, bits, NO_REQUEST, None, NO_THREAD), SOCKET_ERROR).err(),
        call!(lpWSPConnect(s, NO_NAME, 16, no_buffer, no_buffer, no_qos, no_qos), SOCKET_ERROR).err(),
        call!(lpWSPBind(s, NO_NAME, 16), SOCKET_ERROR).err(),
        call!(lpWSPGetSockName(s, NO_NAME, &raw mut length), SOCKET_ERROR).err(),
        call!(lpWSPGetPeerName(s, NO_NAME, no_length), SOCKET_ERROR).err(),
        call!(lpWSPGetSockOpt(s, SOL_SOCKET, SO_TYPE, ptr::null_mut(), &raw mut length), SOCKET_ERROR).err(),
        call!(lpWSPGetSockOpt(s, SOL_SOCKET, SO_TYPE, data.as_mut_ptr().cast(), no_length), SOCKET_ERROR)
            .err(),
        call!(lpWSPSetSockOpt(s, SOL_SOCKET, SO_DEBUG, ptr::null(), 4), SOCKET_ERROR).err(),
        call!(lpWSPEnumNetworkEvents(s, ptr::null_mut(), ptr::null_mut()), SOCKET_ERROR).err(),
        call!(lpWSPGetOverlappedResult(s, NO_REQUEST, bytes, 0, bits), FALSE).err(),
        call!(lpWSPGetOverlappedResult(s, &raw mut request, no_bytes, 0, bits), FALSE).err(),
        call!(lpWSPDuplicateSocket(s, std::process::id(), ptr::null_mut()), SOCKET_ERROR).err(),
    ];
    assert_eq!(answers, [Some(WsaError::WSAEFAULT); 17]);
    // lpErrno itself may be NULL: then nobody learns the code.
    // SAFETY: pointers are NULL or to live variables.
    let answer =
        unsafe { (table().lpWSPShutdown.expect("filled"))(INVALID_SOCKET, SD_BOTH, ptr::null_mut()) };
    assert_eq!(answer, SOCKET_ERROR);
    client.send(b"fine").expect("connected");
    assert_eq!(server.recv_all(4), b"fine");
}

/// SP-051 and its like: too little room is WSAEFAULT with the length that is needed.
#[test]
fn too_little_room() {
    let (client, _server) = connected_pair();
    let s = client.handle;
    let mut name = Name::room();
    for room in [-1, 0, 15] {
        let mut length = room;
        let answer = call!(lpWSPGetSockName(s, name.pointer(), &raw mut length), SOCKET_ERROR);
        assert_eq!((answer.err(), length), (Some(WsaError::WSAEFAULT), 16));
        length = room;
        let answer = call!(lpWSPGetPeerName(s, name.pointer(), &raw mut length), SOCKET_ERROR);
        assert_eq!((answer.err(), length), (Some(WsaError::WSAEFAULT), 16));
    }
    let mut value = [0_u8; 628];
    for (option, size) in [(SO_TYPE, 4), (SO_LINGER, 4), (SO_PROTOCOL_INFOW, 628)] {
        let mut length = size - 1;
        let pointer = value.as_mut_ptr().cast();
        let answer = call!(lpWSPGetSockOpt(s, SOL_SOCKET, option, pointer, &raw mut length), SOCKET_ERROR);
        assert_eq!((answer.err(), length), (Some(WsaError::WSAEFAULT), size));
    }
    assert_eq!(client.set_option(SOL_SOCKET, SO_RCVTIMEO, 1_u16), Err(WsaError::WSAEFAULT));
    let fresh = Socket::stream();
    let mut bound = Name::of(loopback(0));
    for length in [-1, 0, 2, 15] {
        let answer = call!(lpWSPBind(fresh.handle, bound.pointer(), length), SOCKET_ERROR);
        assert_eq!(answer.err(), Some(WsaError::WSAEFAULT));
    }
    let mut wrong = Name::of("[::1]:0".parse().expect("an address"));
    let answer = call!(lpWSPBind(fresh.handle, wrong.pointer(), 28), SOCKET_ERROR);
    assert_eq!(answer.err(), Some(WsaError::WSAEFAULT), "another family");
}

/// Flags that TCP does not have, and connect data.
#[test]
fn unsupported() {
    let (client, _server) = connected_pair();
    assert_eq!(client.send_flags(b"x", 0x4000), Err(WsaError::WSAEOPNOTSUPP));
    assert_eq!(client.recv_flags(1, 0x4000), Err(WsaError::WSAEOPNOTSUPP));
    assert_eq!(client.recv_flags(1, MSG_PEEK | MSG_WAITALL), Err(WsaError::WSAEOPNOTSUPP));
    assert_eq!(client.shutdown(3), Err(WsaError::WSAEINVAL));
    let mut data = *b"data";
    let mut buffer = wsabuf(&mut data);
    let fresh = Socket::stream();
    let mut name = Name::of(loopback(9));
    let (none, no_qos) = (ptr::null_mut::<WSABUF>(), ptr::null_mut::<QOS>());
    let with_data = call!(
        lpWSPConnect(fresh.handle, name.pointer(), 16, &raw mut buffer, none, no_qos, no_qos),
        SOCKET_ERROR
    );
    assert_eq!(with_data.err(), Some(WsaError::WSAEPROTONOSUPPORT));
    let mut qos = QOS::zeroed();
    let with_qos =
        call!(lpWSPConnect(fresh.handle, name.pointer(), 16, none, none, &raw mut qos, no_qos), SOCKET_ERROR);
    assert_eq!(with_qos.err(), Some(WsaError::WSAEOPNOTSUPP));
    let answers = [
        call!(lpWSPSendDisconnect(client.handle, &raw mut buffer), SOCKET_ERROR).err(),
        call!(lpWSPRecvDisconnect(client.handle, &raw mut buffer), SOCKET_ERROR).err(),
    ];
    assert_eq!(answers, [Some(WsaError::WSAENOPROTOOPT); 2]);
    // SP-191: no quality of service anywhere.
    let answer = call!(lpWSPGetQOSByName(client.handle, &raw mut buffer, &raw mut qos), FALSE);
    assert_eq!(answer.err(), Some(WsaError::WSAEOPNOTSUPP));
}

/// What WSPSocket does not make, in the order of its checks.
#[test]
fn no_such_sockets() {
    let error = |family, socket_type, protocol| Socket::new(family, socket_type, protocol).err();
    assert_eq!(error(10, SOCK_STREAM, 0), Some(WsaError::WSAEAFNOSUPPORT));
    assert_eq!(error(AF_INET, 4, 0), Some(WsaError::WSAESOCKTNOSUPPORT));
    assert_eq!(error(AF_INET, SOCK_STREAM, 99), Some(WsaError::WSAEPROTONOSUPPORT));
    assert_eq!(error(AF_INET, SOCK_DGRAM, IPPROTO_TCP), Some(WsaError::WSAEPROTOTYPE));
    let flags = Socket::open(AF_INET, SOCK_STREAM, 0, ptr::null_mut(), WSA_FLAG_REGISTERED_IO);
    assert_eq!(flags.err(), Some(WsaError::WSAEINVAL));
    let mut code = 0;
    // SAFETY: pointers are NULL or to live variables.
    let group = unsafe {
        (table().lpWSPSocket.expect("filled"))(AF_INET, SOCK_STREAM, 0, ptr::null_mut(), 5, 1, &raw mut code)
    };
    assert_eq!(result(group, group == INVALID_SOCKET, code).err(), Some(WsaError::WSAEINVAL));
    let mut info = WSAPROTOCOL_INFOW::tcp_ip(AF_INET6);
    let socket = Socket::open(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &raw mut info, 1);
    let socket = socket.expect("what the entry says");
    socket.bind("[::1]:0".parse().expect("an address")).expect("a free port");
}
