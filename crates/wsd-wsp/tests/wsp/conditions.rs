//! The program's own condition function.

use std::sync::Mutex;

use wsd_spi::ffi::*;
use wsd_spi::{SockAddr, WsaError};

use crate::support::{Socket, eventually, listener};

/// What a condition function saw, and what it is to answer.
#[derive(Default)]
struct Asked {
    answer: i32,
    thread: Option<std::thread::ThreadId>,
    caller: Option<SockAddr>,
    callee: Option<SockAddr>,
    others_are_null: bool,
}

unsafe extern "system" fn condition(
    caller: LPWSABUF,
    caller_data: LPWSABUF,
    qos: LPQOS,
    group_qos: LPQOS,
    callee: LPWSABUF,
    callee_data: LPWSABUF,
    _group: *mut GROUP,
    data: DWORD_PTR,
) -> INT {
    // SAFETY: the addresses live until this returns; the data is the test's own variable.
    unsafe {
        let asked = &*std::ptr::with_exposed_provenance::<Mutex<Asked>>(data);
        let address = |buffer: LPWSABUF| {
            let bytes = std::slice::from_raw_parts((*buffer).buf.cast(), (*buffer).len as usize);
            SockAddr::decode(bytes).expect("an address")
        };
        let mut asked = asked.lock().expect("no panic");
        asked.thread = Some(std::thread::current().id());
        asked.caller = Some(address(caller));
        asked.callee = Some(address(callee));
        asked.others_are_null =
            caller_data.is_null() && callee_data.is_null() && qos.is_null() && group_qos.is_null();
        asked.answer
    }
}

fn ask(listener: &Socket, asked: &Mutex<Asked>, answer: i32) -> Result<Socket, WsaError> {
    asked.lock().expect("no panic").answer = answer;
    let data = std::ptr::from_ref(asked).expose_provenance();
    listener.accept_with(Some(condition), data).map(|(socket, _)| socket)
}

/// SP-076, SP-077: asked on the calling thread, with both addresses, and then accepted.
#[test]
fn accepted() {
    let (listener, address) = listener();
    let client = Socket::stream();
    client.connect(address).expect("somebody listens");
    let asked = Mutex::default();
    let server = ask(&listener, &asked, CF_ACCEPT).expect("accepted");
    let asked = asked.into_inner().expect("no panic");
    assert_eq!(asked.thread, Some(std::thread::current().id()));
    assert_eq!(asked.caller, Some(client.local_name().expect("connected").into()));
    assert_eq!(asked.callee, Some(address.into()));
    assert!(asked.others_are_null);
    client.send(b"hi").expect("connected");
    assert_eq!(server.recv_all(2), b"hi");
}

/// SP-078: rejected here is reset there.
#[test]
fn rejected() {
    let (listener, address) = listener();
    for answer in [CF_REJECT, 99] {
        let client = Socket::stream();
        client.connect(address).expect("somebody listens");
        assert_eq!(ask(&listener, &Mutex::default(), answer).err(), Some(WsaError::WSAECONNREFUSED));
        assert_eq!(client.recv(1), Err(WsaError::WSAECONNRESET));
    }
}

/// SP-079: put off, the request stays the first, and is asked about again.
#[test]
fn deferred() {
    let (listener, address) = listener();
    let clients: Vec<Socket> = (0..2)
        .map(|_| {
            let client = Socket::stream();
            client.connect(address).expect("somebody listens");
            client
        })
        .collect();
    let asked = Mutex::default();
    for _ in 0..3 {
        assert_eq!(ask(&listener, &asked, CF_DEFER).err(), Some(WsaError::WSATRY_AGAIN));
        let first: SockAddr = clients[0].local_name().expect("connected").into();
        assert_eq!(asked.lock().expect("no panic").caller, Some(first));
    }
    let server = ask(&listener, &asked, CF_ACCEPT).expect("accepted");
    assert_eq!(server.peer_name(), clients[0].local_name());
    let server = ask(&listener, &asked, CF_ACCEPT).expect("accepted");
    assert_eq!(server.peer_name(), clients[1].local_name());
}

/// SP-172: a listener that is closed refuses what it put off.
#[test]
fn deferred_when_the_listener_closes() {
    let (listener, address) = listener();
    let client = Socket::stream();
    client.connect(address).expect("somebody listens");
    assert_eq!(ask(&listener, &Mutex::default(), CF_DEFER).err(), Some(WsaError::WSATRY_AGAIN));
    listener.close().expect("a socket");
    assert_eq!(client.recv(1), Err(WsaError::WSAECONNRESET));
}

/// A deferred request shows in select, and does not signal FD_ACCEPT again.
#[test]
fn deferred_and_events() {
    let (listener, address) = listener();
    let event = crate::support::Event::new();
    listener.event_select(&event, FD_ACCEPT).expect("events");
    let client = Socket::stream();
    client.connect(address).expect("somebody listens");
    listener.await_events(&event, FD_ACCEPT);
    assert_eq!(ask(&listener, &Mutex::default(), CF_DEFER).err(), Some(WsaError::WSATRY_AGAIN));
    assert_eq!(listener.enum_events(Some(&event)).expect("a socket").lNetworkEvents, 0);
    let other = Socket::stream();
    other.connect(address).expect("somebody listens");
    // Accepting both lets the event occur again for a third.
    for _ in 0..2 {
        eventually("a request", || ask(&listener, &Mutex::default(), CF_ACCEPT).ok());
    }
    listener.enum_events(Some(&event)).expect("a socket");
    let third = Socket::stream();
    third.connect(address).expect("somebody listens");
    listener.await_events(&event, FD_ACCEPT);
}
