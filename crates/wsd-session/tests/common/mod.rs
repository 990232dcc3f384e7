//! What all tests need: parameters, two negotiated sessions, messages by hand.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::net::{Ipv6Addr, SocketAddrV6};
use wsd_session::{Capabilities, Event, Frame, Message, Parameters, Role, Session};

/// Length of every descriptor in the tests.
pub const DESCRIPTOR: [u8; 12] = [7; 12];

pub fn parameters() -> Parameters {
    Parameters {
        version: 1,
        capabilities: Capabilities::RDMA_READ,
        buffer_length: 4096,
        receives: 12,
        threshold: 16384,
        max_rdma: 1 << 20,
        rdma_descriptor_length: 12,
        allocation_descriptor_length: 12,
        pid: 4711,
        process_token: [0xA1; 16],
        link_name: [0xB2; 16],
        connection_key: 0x0102_0304_0506_0708,
        local: SocketAddrV6::new(Ipv6Addr::LOCALHOST, 40000, 0, 0),
        peer: SocketAddrV6::new("::ffff:10.1.2.3".parse().expect("address"), 80, 0, 2),
    }
}

pub fn mapping_parameters() -> Parameters {
    Parameters { capabilities: Capabilities::MAPPING.with(Capabilities::SAME_HOST_PROOF), ..parameters() }
}

/// Of an end that has hashed the stream.
pub fn between_hosts() -> Parameters {
    let own = mapping_parameters();
    Parameters { version: 4, capabilities: own.capabilities.with(Capabilities::STREAM_HASH), ..own }
}

/// The next message of a session, if any.
pub fn next(session: &mut Session) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 65535];
    let length = session.next_message(&mut buffer)?;
    buffer.truncate(length);
    Some(buffer)
}

/// Two sessions after `Negotiate` and `Answer`: connecting, listening.
pub fn negotiated(connecting: Parameters, listening: Parameters, receives: u16) -> (Session, Session) {
    let mut x = Session::new(Role::Connecting, connecting, 1).expect("parameters");
    let mut y = Session::new(Role::Listening, listening, 2).expect("parameters");
    x.receives_posted(receives);
    y.receives_posted(receives);
    let negotiate = next(&mut x).expect("Negotiate");
    assert_eq!(y.receive(&negotiate), Ok(Some(Event::Negotiated)));
    y.reposted(1);
    let answer = next(&mut y).expect("Answer");
    assert_eq!(x.receive(&answer), Ok(Some(Event::Negotiated)));
    x.reposted(1);
    (x, y)
}

/// Carries all waiting messages from one session to the other; the last event.
pub fn carry<'a>(from: &mut Session, to: &mut Session, store: &'a mut Vec<u8>) -> Option<Event<'a>> {
    let mut messages = Vec::new();
    while let Some(message) = next(from) {
        messages.push(message);
    }
    let last = messages.pop().expect("a message");
    for message in &messages {
        to.receive(message).expect("legal message");
        to.reposted(1);
    }
    *store = last;
    let event = to.receive(store).expect("legal message");
    to.reposted(1);
    event
}

/// Two sessions that have both said `Proven`.
pub fn proven(connecting: Parameters, listening: Parameters, receives: u16) -> (Session, Session) {
    let (mut x, mut y) = negotiated(connecting, listening, receives);
    x.proven().expect("legal");
    y.proven().expect("legal");
    let mut store = Vec::new();
    assert_eq!(carry(&mut x, &mut y, &mut store), Some(Event::PeerProven));
    assert_eq!(carry(&mut y, &mut x, &mut store), Some(Event::PeerProven));
    (x, y)
}

/// Two pumping sessions, the connecting one's send direction promoted at `start`.
pub fn promoted(start: u64) -> (Session, Session) {
    let (mut x, mut y) = proven(parameters(), parameters(), 12);
    let mut store = Vec::new();
    x.propose().expect("legal");
    assert_eq!(carry(&mut x, &mut y, &mut store), Some(Event::Proposed));
    y.consent().expect("legal");
    assert_eq!(carry(&mut y, &mut x, &mut store), Some(Event::Consented));
    x.promoted(start).expect("legal");
    assert_eq!(carry(&mut x, &mut y, &mut store), Some(Event::Promoted { start }));
    (x, y)
}

/// A message as a peer could make it.
pub fn bytes(credits: u16, message: Message<'_>) -> Vec<u8> {
    let mut buffer = vec![0; 70000];
    let length = Frame { credits, message }.encode(&mut buffer).expect("fits");
    buffer.truncate(length);
    buffer
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
