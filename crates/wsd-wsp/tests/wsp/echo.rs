//! The thinnest way through: start-up, a connection, data both ways, the end.

use wsd_spi::WsaError;
use wsd_spi::ffi::SD_SEND;

use crate::support::{Socket, listener};

/// Blocking calls on one connection, to the end of both streams.
#[test]
fn blocking_echo() {
    let (listener, address) = listener();
    let client = std::thread::spawn(move || {
        let client = Socket::stream();
        client.connect(address).expect("somebody listens");
        assert_eq!(client.peer_name(), Ok(address));
        let name = client.local_name().expect("connected");
        assert_eq!(client.send(b"hello"), Ok(5));
        assert_eq!(client.recv_all(5), b"HELLO");
        client.shutdown(SD_SEND).expect("connected");
        assert_eq!(client.send(b"more"), Err(WsaError::WSAESHUTDOWN));
        assert_eq!(client.recv(1), Ok(Vec::new()), "the end of the stream");
        name
    });
    let (server, peer) = listener.accept().expect("a connection");
    assert_eq!(server.peer_name(), Ok(peer));
    let heard = server.recv_all(5);
    assert_eq!(server.send(&heard.to_ascii_uppercase()), Ok(5));
    assert_eq!(server.recv(1), Ok(Vec::new()), "the end of the stream");
    server.close().expect("a socket");
    assert_eq!(server.close(), Err(WsaError::WSAENOTSOCK));
    assert_eq!(client.join().expect("no panic"), peer);
}
