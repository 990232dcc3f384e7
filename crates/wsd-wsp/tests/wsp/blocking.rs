//! Blocking calls: time-outs, cancelling, and sockets that are closed under them.

use std::cell::Cell;

use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use crate::support::{Socket, blocking_callback, call, connected_pair, listener};

/// SO_RCVTIMEO and SO_SNDTIMEO end a blocking call, which leaves nothing behind.
#[test]
fn time_outs() {
    let (client, server) = connected_pair();
    server.set_option(SOL_SOCKET, SO_RCVTIMEO, 30_i32).expect("an option");
    assert_eq!(server.recv(1), Err(WsaError::WSAETIMEDOUT));
    server.set_option(SOL_SOCKET, SO_RCVTIMEO, 30_000_i32).expect("an option");
    client.send(b"x").expect("connected");
    assert_eq!(server.recv(1), Ok(b"x".to_vec()));
    client.set_option(SOL_SOCKET, SO_SNDTIMEO, 30_i32).expect("an option");
    let much = vec![0; 64 << 20];
    assert_eq!(client.send(&much), Err(WsaError::WSAETIMEDOUT));
}

/// Closing a socket ends the calls that wait in it.
#[test]
fn closed_under_a_call() {
    let (_client, server) = connected_pair();
    let (listener, _) = listener();
    let datagrams = Socket::datagram();
    datagrams.bind(crate::support::loopback(0)).expect("a free port");
    std::thread::scope(|scope| {
        let receive = scope.spawn(|| server.recv(1));
        let accept = scope.spawn(|| listener.accept().map(drop));
        let datagram = scope.spawn(|| datagrams.recv(1));
        std::thread::sleep(std::time::Duration::from_millis(50));
        for socket in [&server, &listener, &datagrams] {
            socket.close().expect("a socket");
        }
        // Who had not begun to wait yet finds no socket.
        let ended = |error| matches!(error, Some(WsaError::WSAEINTR | WsaError::WSAENOTSOCK));
        assert!(ended(receive.join().expect("no panic").err()));
        assert!(ended(accept.join().expect("no panic").err()));
        assert!(ended(datagram.join().expect("no panic").err()));
    });
}

thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

fn cancel() -> Result<INT, WsaError> {
    call!(lpWSPCancelBlockingCall(), SOCKET_ERROR)
}

unsafe extern "system" fn cancel_at_the_third(context: DWORD_PTR) -> BOOL {
    assert_eq!(context, 42);
    CALLS.set(CALLS.get() + 1);
    if CALLS.get() < 3 {
        return TRUE;
    }
    cancel().expect("this thread is in a blocking call");
    FALSE
}

/// The blocking callback is called again and again; WSPCancelBlockingCall in it ends the call with WSAEINTR.
#[test]
fn cancelled_from_the_callback() {
    let (_client, server) = connected_pair();
    let (listener, _) = listener();
    assert_eq!(cancel(), Err(WsaError::WSAEINVAL), "no call to cancel");
    blocking_callback(Some(cancel_at_the_third));
    assert_eq!(server.recv(1), Err(WsaError::WSAEINTR));
    assert_eq!(CALLS.replace(0), 3);
    assert_eq!(listener.accept().err(), Some(WsaError::WSAEINTR));
    assert_eq!(CALLS.replace(0), 3);
    blocking_callback(None);
    assert_eq!(cancel(), Err(WsaError::WSAEINVAL));
}

thread_local! {
    static INNER: Cell<Option<Socket>> = const { Cell::new(None) };
}

unsafe extern "system" fn call_from_within(_context: DWORD_PTR) -> BOOL {
    let inner = INNER.take().expect("a socket");
    assert_eq!(inner.recv(1), Err(WsaError::WSAEINPROGRESS));
    INNER.set(Some(inner));
    cancel().expect("this thread is in a blocking call");
    TRUE
}

/// A thread blocks in one call at a time.
#[test]
fn no_second_call() {
    let (inner, server) = connected_pair();
    INNER.set(Some(inner));
    blocking_callback(Some(call_from_within));
    assert_eq!(server.recv(1), Err(WsaError::WSAEINTR));
    blocking_callback(None);
    drop(INNER.take());
}

/// Blocked threads of one socket share its stream: each byte goes to one of them.
#[test]
fn many_threads_on_one_socket() {
    let (client, server) = connected_pair();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| server.recv_flags(100, MSG_WAITALL))).collect();
        for part in 0..40_u8 {
            client.send(&[part; 10]).expect("connected");
        }
        let mut all: Vec<u8> = Vec::new();
        for thread in threads {
            let part = thread.join().expect("no panic").expect("data");
            assert_eq!(part.len(), 100);
            all.extend(part);
        }
        all.sort_unstable();
        let expected: Vec<u8> = (0..40_u8).flat_map(|part| [part; 10]).collect();
        assert_eq!(all, expected);
    });
}
