//! The end of a process whose connections a SAN carries, and the way of options to the companion.

use wsd_spi::ffi::*;

use super::peer::{POURED, Peer, accepted};
use super::{calls, served, traced};
use crate::support::{Socket, listener};

/// SW-164: a process that ends right after its send, without any call for the connection, leaves nothing unsent.
#[test]
fn unsent_at_exit() {
    for faults in ["plain", "plain,late", ""] {
        traced(served("san_first::ends::reader_itself", faults));
    }
}

#[test]
#[ignore = "needs a process of its own: unsent_at_exit runs it"]
fn reader_itself() {
    const SIZE: usize = 150_000;
    let (mut peer, socket) = accepted(&std::env::var("WSD_FAULTY").expect("set"));
    // Both at once: the process ends as soon as its send has returned.
    peer.begin(format!("pour {SIZE}"));
    peer.begin("exit");
    assert_eq!(peer.hear(), SIZE.to_string());
    peer.end();
    assert_eq!(socket.recv_all(SIZE), [POURED; SIZE]);
    assert_eq!(socket.recv(1), Ok(Vec::new()), "the end of the stream");
}

/// SW-046, SW-170: an option that a SAN may get, set before there is a companion, goes to it between its name and its use. (To set
/// it in the kernel takes a privilege.)
#[test]
fn options_are_replayed() {
    let trace = traced(served("san_first::ends::options_itself", "plain"));
    for use_of_it in ["WSPListen(", "WSPEventSelect("] {
        let names = |descriptor: &str| {
            let own = format!("({descriptor},");
            let calls = calls(&trace, "wsd_faulty").filter(move |call| call.contains(&own));
            calls.map(|call| call.split_once('(').expect("a call").0.to_owned()).collect::<Vec<_>>()
        };
        let call = calls(&trace, "wsd_faulty").find(|call| match use_of_it {
            "WSPListen(" => call.starts_with(use_of_it),
            // The connecting socket's: FD_CONNECT alone.
            _ => call.starts_with(use_of_it) && call.contains(", 0x10)"),
        });
        let (_, rest) = call.expect("both ends of a connection").split_once('(').expect("a call");
        let names = names(rest.split_once(',').expect("arguments").0);
        assert_eq!(names[..3], ["WSPBind", "WSPSetSockOpt", use_of_it.trim_end_matches('(')], "{trace}");
    }
}

#[test]
#[ignore = "needs a process of its own: options_are_replayed runs it"]
fn options_itself() {
    let waiting = Socket::stream();
    waiting.set_option(SOL_SOCKET, SO_DEBUG, 1_i32).expect("an option");
    waiting.bind(crate::support::loopback(0)).expect("a free port");
    waiting.listen(1).expect("bound");
    assert_eq!(waiting.option(SOL_SOCKET, SO_DEBUG), Ok(1_i32));
    let mut peer = Peer::start("plain");
    let address = peer.ask("listen").parse().expect("an address");
    let client = Socket::stream();
    client.set_option(SOL_SOCKET, SO_DEBUG, 1_i32).expect("an option");
    client.connect(address).expect("somebody listens");
    peer.ask("accept");
}

/// A forked child has none of its parent's sockets, nor the library; the parent goes on.
#[test]
fn forked_child() {
    traced(served("san_first::ends::forked_itself", "plain"));
}

#[test]
#[ignore = "needs a process of its own: forked_child runs it"]
fn forked_itself() {
    let (mut peer, socket) = accepted("plain");
    let (listener, _) = listener();
    // SAFETY: the child makes no call but those of the library, which refuses them before it takes a lock, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = Err(wsd_spi::WsaError::WSANOTINITIALISED);
        let answers = [
            socket.send(b"x").map(drop) == refused,
            socket.recv(1).map(drop) == refused,
            socket.close() == refused,
            listener.local_name().map(drop) == refused,
            Socket::new(AF_INET, SOCK_STREAM, IPPROTO_TCP).map(drop) == refused,
        ];
        let code = answers.iter().position(|right| !right).map_or(0, |index| index as i32 + 1);
        // SAFETY: ends the child only, without what the parent would do at its end.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: waits for the own child, and writes a live variable.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!((libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (true, 0));
    assert_eq!(socket.send(b"still"), Ok(5));
    assert_eq!(peer.ask("recv 5"), "still");
    peer.ask("send there");
    assert_eq!(socket.recv_all(5), b"there");
}
