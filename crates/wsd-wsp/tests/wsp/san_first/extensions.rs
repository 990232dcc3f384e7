//! AcceptEx, GetAcceptExSockaddrs and TransmitFile where a SAN carries the connection.

use wsd_spi::WsaError;

use super::peer::{Peer, bounded};
use super::{calls, served, traced};
use crate::extension::{AREA, accept_ex, file_of, sockaddrs, transmit};
use crate::support::{Pending, Socket, eventually, listener};

/// Room for first data.
const ROOM: usize = 16;

/// An AcceptEx with room for data, whose connection a new peer has made, and which waits for the data.
fn pending_accept() -> (Peer, Socket, Pending) {
    let (listener, address) = listener();
    let target = Socket::stream();
    let mut request = Pending::new(vec![0; ROOM + 2 * AREA]);
    assert_eq!(accept_ex(&listener, &target, &mut request, ROOM), Err(WsaError::WSA_IO_PENDING));
    let mut peer = Peer::start("plain");
    let name = peer.connect(address);
    eventually("it is accepted", || (target.peer_name() == Ok(name)).then_some(()));
    assert!(!request.event.is_set());
    (peer, target, request)
}

/// SW-171: they become calls of the SPI: the connection comes by WSPAccept, the file's bytes leave by transfers of the provider's;
/// the names are told by local work.
#[test]
fn by_calls_of_the_spi() {
    const TRANSFERS: [&str; 3] = ["WSPSend(", "WSPRdmaWrite(", "WSPRdmaRead("];
    let trace = traced(served("san_first::extensions::file_itself", "plain"));
    let accepted =
        calls(&trace, "wsd_faulty").filter(|call| call.starts_with("WSPAccept(") && call.contains("= 0x"));
    assert_eq!(accepted.count(), 1, "{trace}");
    let transfers =
        calls(&trace, "wsd_faulty").filter(|call| TRANSFERS.iter().any(|name| call.starts_with(name)));
    assert!(transfers.count() > 4, "{trace}");
}

#[test]
#[ignore = "needs a process of its own: by_calls_of_the_spi runs it"]
fn file_itself() {
    const SIZE: usize = 3_000_000;
    let (mut peer, target, mut request) = pending_accept();
    bounded(&target);
    peer.ask("send first");
    assert_eq!(request.finish(&target), Ok(5));
    assert_eq!(&request.buffer[..5], b"first");
    let names = sockaddrs(&mut request, ROOM);
    assert_eq!((Ok(names.0), Ok(names.1)), (target.local_name(), target.peer_name()));
    let file = file_of(&vec![9; SIZE]);
    peer.begin(format!("take {}", SIZE + 8));
    let (mut head, mut tail) = (*b"head", *b"tail");
    assert_eq!(transmit(&target, Some(&file), 0, None, Some((&mut head, &mut tail)), 0), Ok(()));
    assert_eq!(peer.hear(), (SIZE + 8).to_string());
}

/// SW-096: an accept that waits for data still is cancelled by closing its socket: the request ends, and the accepting socket of
/// the SAN is closed.
#[test]
fn accept_cancelled() {
    let trace = traced(served("san_first::extensions::cancelled_itself", "plain"));
    let accepted = calls(&trace, "wsd_faulty").find_map(|call| {
        let (_, descriptor) = call.strip_prefix("WSPAccept(")?.split_once(" = 0x")?;
        Some(descriptor.to_owned())
    });
    let descriptor = accepted.expect("a connection of the SAN");
    let closed = format!("WSPCloseSocket(0x{descriptor}) = 0");
    assert!(calls(&trace, "wsd_faulty").any(|call| call == closed), "{trace}");
}

#[test]
#[ignore = "needs a process of its own: accept_cancelled runs it"]
fn cancelled_itself() {
    let (mut peer, target, request) = pending_accept();
    target.close().expect("a socket");
    request.event.wait();
    assert_eq!(request.overlapped.OffsetHigh, WsaError::WSA_OPERATION_ABORTED.code().cast_unsigned());
    assert_eq!(peer.ask("drain"), "0 []");
    assert_eq!(peer.ask("close"), "closed");
    let path = std::env::var_os("WSDIRECT_TRACE").expect("a traced process");
    eventually("the SAN's socket is closed", || {
        let trace = std::fs::read_to_string(&path).expect("a trace");
        // The probe's (SW-020), and the connection's. The listener's own is closed beside it.
        (calls(&trace, "wsd_faulty").filter(|call| call.starts_with("WSPCloseSocket(")).count() > 2)
            .then_some(())
    });
}
