//! Socket options and control codes.

use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use crate::support::{Socket, connected_pair, eventually, listener, loopback};

/// Options that are set read back; each kind of socket has its own.
#[test]
fn there_and_back() {
    let socket = Socket::stream();
    for option in
        [SO_DEBUG, SO_KEEPALIVE, SO_DONTROUTE, SO_OOBINLINE, SO_EXCLUSIVEADDRUSE, SO_CONDITIONAL_ACCEPT]
    {
        for on in [1, 0] {
            socket.set_option(SOL_SOCKET, option, on).expect("an option");
            assert_eq!(socket.option(SOL_SOCKET, option), Ok(on), "{option:#x}");
        }
    }
    for option in [SO_RCVTIMEO, SO_SNDTIMEO, SO_GROUP_PRIORITY] {
        assert_eq!(socket.option(SOL_SOCKET, option), Ok(0_i32));
        socket.set_option(SOL_SOCKET, option, 1234_i32).expect("an option");
        assert_eq!(socket.option(SOL_SOCKET, option), Ok(1234_i32), "{option:#x}");
    }
    for option in [SO_SNDBUF, SO_RCVBUF] {
        socket.set_option(SOL_SOCKET, option, 65_536_i32).expect("an option");
        assert_eq!(socket.option(SOL_SOCKET, option), Ok(65_536_i32), "{option:#x}");
    }
    socket.set_option(IPPROTO_TCP, TCP_NODELAY, 1_i32).expect("an option");
    assert_eq!(socket.option(IPPROTO_TCP, TCP_NODELAY), Ok(1_i32));
    socket.set_option(SOL_SOCKET, SO_LINGER, [1_u16, 7]).expect("an option");
    assert_eq!(socket.option(SOL_SOCKET, SO_LINGER), Ok([1_u16, 7]));
    assert_eq!(socket.option(SOL_SOCKET, SO_DONTLINGER), Ok(0_i32));
    socket.set_option(SOL_SOCKET, SO_DONTLINGER, 1_i32).expect("an option");
    assert_eq!(socket.option(SOL_SOCKET, SO_LINGER), Ok([0_u16, 7]));
    assert_eq!(socket.option(SOL_SOCKET, SO_TYPE), Ok(SOCK_STREAM));
    assert_eq!(socket.option(SOL_SOCKET, SO_ERROR), Ok(0_i32));
    assert_eq!(socket.option(SOL_SOCKET, SO_GROUP_ID), Ok(0_i32));
    assert_eq!(Socket::datagram().option(SOL_SOCKET, SO_TYPE), Ok(SOCK_DGRAM));
}

/// SP-052 and its like: what cannot be set or got, and at which level.
#[test]
fn refused() {
    let (stream, datagrams) = (Socket::stream(), Socket::datagram());
    let get = |socket: &Socket, level, option| socket.option::<i32>(level, option).err();
    let set = |socket: &Socket, level, option| socket.set_option(level, option, 1_i32).err();
    for option in [SO_TYPE, SO_ERROR, SO_ACCEPTCONN, SO_CONNECT_TIME, SO_PROTOCOL_INFOW, SO_GROUP_ID, 0x7777]
    {
        assert_eq!(set(&stream, SOL_SOCKET, option), Some(WsaError::WSAENOPROTOOPT), "{option:#x}");
    }
    for option in [SO_MAX_MSG_SIZE, SO_MAX_RDMA_SIZE, SO_RDMA_THRESHOLD_SIZE, 0x7777] {
        assert_eq!(get(&stream, SOL_SOCKET, option), Some(WsaError::WSAENOPROTOOPT), "{option:#x}");
    }
    for option in [SO_LINGER, SO_DONTLINGER, SO_ACCEPTCONN, SO_CONDITIONAL_ACCEPT] {
        assert_eq!(get(&datagrams, SOL_SOCKET, option), Some(WsaError::WSAENOPROTOOPT), "{option:#x}");
    }
    assert_eq!(get(&stream, 99, 1), Some(WsaError::WSAEINVAL));
    assert_eq!(set(&stream, 99, 1), Some(WsaError::WSAEINVAL));
    assert_eq!(get(&datagrams, IPPROTO_TCP, TCP_NODELAY), Some(WsaError::WSAENOPROTOOPT));
    assert_eq!(set(&stream, IPPROTO_IPV6, IPV6_V6ONLY), Some(WsaError::WSAENOPROTOOPT));
    assert_eq!(stream.set_option(SOL_SOCKET, SO_RCVTIMEO, -1_i32), Err(WsaError::WSAEINVAL));
    stream.set_option(SOL_SOCKET, SO_REUSEADDR, 1_i32).expect("an option");
    assert_eq!(set(&stream, SOL_SOCKET, SO_EXCLUSIVEADDRUSE), Some(WsaError::WSAEINVAL));
}

/// The catalogue entry of a socket says what it is, and that its descriptor is no handle of the system.
#[test]
fn protocol_info() {
    #[derive(Clone, Copy)]
    struct Bytes([u8; 628]);
    impl Default for Bytes {
        fn default() -> Self {
            Self([0; 628])
        }
    }
    let field =
        |bytes: &Bytes, at: usize| i32::from_ne_bytes(bytes.0[at..at + 4].try_into().expect("4 bytes"));
    let entry: Bytes = Socket::stream().option(SOL_SOCKET, SO_PROTOCOL_INFOW).expect("an entry");
    assert_eq!([76, 88, 92].map(|at| field(&entry, at)), [AF_INET, SOCK_STREAM, IPPROTO_TCP]);
    assert_eq!(field(&entry, 0).cast_unsigned() & XP1_IFS_HANDLES, 0);
    let entry: Bytes = Socket::datagram().option(SOL_SOCKET, SO_PROTOCOL_INFOW).expect("an entry");
    assert_eq!([88, 92].map(|at| field(&entry, at)), [SOCK_DGRAM, IPPROTO_UDP]);
    assert_ne!(field(&entry, 0).cast_unsigned() & XP1_CONNECTIONLESS, 0);
}

/// An accepted socket has its listener's options.
#[test]
fn inherited() {
    let (listener, address) = listener();
    listener.set_option(SOL_SOCKET, SO_KEEPALIVE, 1_i32).expect("an option");
    listener.set_option(SOL_SOCKET, SO_RCVTIMEO, 777_i32).expect("an option");
    let client = Socket::stream();
    client.connect(address).expect("somebody listens");
    let (server, _) = listener.accept().expect("a connection");
    assert_eq!(server.option(SOL_SOCKET, SO_KEEPALIVE), Ok(1_i32));
    assert_eq!(server.option(SOL_SOCKET, SO_RCVTIMEO), Ok(777_i32));
}

/// SP-104: unknown codes, and those that TCP/IP has no answer to.
#[test]
fn control_codes() {
    let (client, server) = connected_pair();
    assert_eq!(client.ioctl(0x1234, &[], 8).err(), Some(WsaError::WSAEINVAL));
    for code in [SIO_FLUSH, SIO_GET_QOS, SIO_SET_GROUP_QOS, SIO_ASSOCIATE_HANDLE, SIO_TRANSLATE_HANDLE] {
        assert_eq!(client.ioctl(code, &[0; 8], 8).err(), Some(WsaError::WSAEOPNOTSUPP), "{code:#x}");
    }
    assert_eq!(client.ioctl(FIONBIO, &[1], 0).err(), Some(WsaError::WSAEFAULT));
    assert_eq!(client.ioctl(FIONREAD, &[], 3).err(), Some(WsaError::WSAEFAULT));
    client.send(b"abc").expect("connected");
    eventually("it arrives", || (server.ioctl(FIONREAD, &[], 4) == Ok(vec![3, 0, 0, 0])).then_some(()));
    assert_eq!(server.ioctl(SIOCATMARK, &[], 4), Ok(vec![1, 0, 0, 0]), "nothing urgent");
    server.set_option(SOL_SOCKET, SO_OOBINLINE, 1_i32).expect("an option");
    client.send_flags(b"!", MSG_OOB).expect("connected");
    eventually("it arrives", || (server.ioctl(FIONREAD, &[], 4) == Ok(vec![4, 0, 0, 0])).then_some(()));
    assert_eq!(server.ioctl(SIOCATMARK, &[], 4), Ok(vec![0; 4]), "behind three bytes");
    assert_eq!(server.recv(9), Ok(b"abc".to_vec()), "up to the mark");
    assert_eq!(server.ioctl(SIOCATMARK, &[], 4), Ok(vec![1, 0, 0, 0]));
    assert_eq!(server.recv(9), Ok(b"!".to_vec()));
}

/// SP-102, SW-032: the addresses of this host, in one piece of memory; too little room tells the length.
#[test]
fn addresses() {
    let socket = Socket::stream();
    assert_eq!(socket.ioctl(SIO_ADDRESS_LIST_QUERY, &[], 0).err(), Some(WsaError::WSAEFAULT));
    let list = socket.ioctl(SIO_ADDRESS_LIST_QUERY, &[], 1 << 14).expect("addresses");
    let count = u32::from_ne_bytes(list[..4].try_into().expect("4 bytes")) as usize;
    assert_eq!(list.len(), 8 + 32 * count);
    let mut loopback_found = false;
    for index in 0..count {
        assert_eq!(list[8 + 16 * index + 8], 16, "the length of each");
        let address = &list[8 + 16 * count + 16 * index..][..16];
        loopback_found |= address[..8] == [2, 0, 0, 0, 127, 0, 0, 1];
    }
    assert!(loopback_found, "{list:?}");
    let mut to = wsd_spi::SockAddr::from(loopback(80)).encode().0.to_vec();
    let from = socket.ioctl(SIO_ROUTING_INTERFACE_QUERY, &to, 16).expect("a route");
    assert_eq!(from[..8], [2, 0, 0, 0, 127, 0, 0, 1]);
    to.truncate(3);
    assert_eq!(socket.ioctl(SIO_ROUTING_INTERFACE_QUERY, &to, 16).err(), Some(WsaError::WSAEFAULT));
}
