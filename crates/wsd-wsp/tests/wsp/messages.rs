//! WSPAsyncSelect: the same events as messages, posted through WPUPostMessage.

use std::ptr;

use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use crate::support::{Message, Socket, call, connected_pair, eventually, messages};

fn async_select(socket: &Socket, window: usize, events: LONG) -> Result<(), WsaError> {
    let window: HWND = ptr::without_provenance_mut(window);
    call!(lpWSPAsyncSelect(socket.handle, window, 1025, events), SOCKET_ERROR).map(drop)
}

/// One message per event, with the socket, the event and its error; the socket is non-blocking.
#[test]
fn posted() {
    const WINDOW: usize = 0x5100;
    let (client, server) = connected_pair();
    async_select(&server, WINDOW, FD_READ | FD_CLOSE).expect("events");
    assert_eq!(server.recv(1), Err(WsaError::WSAEWOULDBLOCK));
    client.send(b"x").expect("connected");
    let message = |event: LONG, error: i32| Message { number: 1025, socket: server.handle, event, error };
    let come =
        |count: usize| eventually("messages", || Some(messages(WINDOW)).filter(|all| all.len() >= count));
    assert_eq!(come(1), [message(FD_READ, 0)]);
    assert_eq!(server.recv(1), Ok(b"x".to_vec()));
    client.set_option(SOL_SOCKET, SO_LINGER, LINGER { l_onoff: 1, l_linger: 0 }).expect("an option");
    client.close().expect("a socket");
    assert_eq!(come(2)[1], message(FD_CLOSE, WsaError::WSAECONNRESET.code()));
    // Nothing is recorded besides.
    assert_eq!(server.enum_events(None).expect("a socket").lNetworkEvents, 0);
}

/// WSPEventSelect replaces it, and the other way round; a window is needed.
#[test]
fn replaced() {
    const WINDOW: usize = 0x5200;
    let (client, server) = connected_pair();
    let event = crate::support::Event::new();
    assert_eq!(async_select(&server, 0, FD_READ), Err(WsaError::WSAEINVAL));
    assert_eq!(async_select(&server, WINDOW, 0x4000), Err(WsaError::WSAEINVAL));
    async_select(&server, WINDOW, FD_READ).expect("events");
    server.event_select(&event, FD_READ).expect("events");
    client.send(b"x").expect("connected");
    event.wait();
    assert_eq!(messages(WINDOW), []);
    async_select(&server, WINDOW, FD_READ).expect("events");
    eventually("a message", || (messages(WINDOW).len() == 1).then_some(()));
    async_select(&server, 0, 0).expect("none");
}
