//! Sessions that are the connection themselves (section 7 of the session protocol).
#![allow(missing_docs)]

mod common;

use common::{DESCRIPTOR, bytes, carry, mapping_parameters, negotiated, parameters, proven};
use wsd_session::message::Flow;
use wsd_session::{
    Capabilities, Direction, Event, Kind, Message, Parameters, ProtocolError, ReceiveState, SendState,
};

fn san_first(parameters: Parameters) -> Parameters {
    let capabilities = parameters.capabilities.with(Capabilities::SAN_FIRST);
    Parameters { version: 2, capabilities, ..parameters }
}

/// Section 7: both ends ask for it, in a version that has it.
#[test]
fn takes_both_ends_and_version_2() {
    let agreed = |one: Parameters, other: Parameters| {
        let (x, y) = negotiated(one, other, 12);
        let of = |session: &wsd_session::Session| session.agreement().expect("negotiated").san_first;
        assert_eq!(of(&x), of(&y));
        of(&x)
    };
    let first = || san_first(parameters());
    assert!(agreed(first(), first()));
    assert!(!agreed(first(), Parameters { version: 2, ..parameters() }));
    assert!(!agreed(first(), Parameters { version: 1, ..first() }));
}

/// Section 7, 3: without mapping the two Provens open both directions.
#[test]
fn pump_begins_when_both_are_ready() {
    let (mut x, mut y) = negotiated(san_first(parameters()), san_first(parameters()), 12);
    let mut store = Vec::new();
    x.proven().expect("legal");
    assert_eq!(carry(&mut x, &mut y, &mut store), Some(Event::PeerProven));
    assert_eq!((x.send_state(), y.receive_state()), (SendState::Tcp, ReceiveState::Tcp));
    y.proven().expect("legal");
    y.window(1000, 0).expect("the receiver may speak at once");
    assert_eq!(carry(&mut y, &mut x, &mut store), Some(Event::Window { room: 1000, taken: 0 }));
    for session in [&x, &y] {
        assert_eq!(session.send_state(), SendState::Promoted { start: 0 });
        assert_eq!(session.receive_state(), ReceiveState::Promoted { start: 0 });
    }
}

/// Section 7, 3: with mapping a direction begins with its RingReady.
#[test]
fn rings_begin_when_they_are_ready() {
    let (mut x, mut y) = proven(san_first(mapping_parameters()), san_first(mapping_parameters()), 12);
    let mut store = Vec::new();
    x.offer_ring(4096, 5, &DESCRIPTOR).expect("legal");
    assert!(matches!(carry(&mut x, &mut y, &mut store), Some(Event::RingOffered { length: 4096, .. })));
    assert_eq!(x.send_state(), SendState::Tcp);
    y.ring_ready().expect("legal");
    assert_eq!(carry(&mut y, &mut x, &mut store), Some(Event::RingReady));
    assert_eq!(x.send_state(), SendState::Promoted { start: 0 });
    assert_eq!(y.receive_state(), ReceiveState::Promoted { start: 0 });
    assert_eq!((y.send_state(), x.receive_state()), (SendState::Tcp, ReceiveState::Tcp));
}

/// SP-019, section 7, 4: no direction ever changes its path, whoever asks.
#[test]
fn there_is_no_way_back_to_tcp() {
    let ready = || {
        let (mut x, mut y) = proven(san_first(parameters()), san_first(parameters()), 12);
        x.reposted(0);
        y.reposted(0);
        (x, y)
    };
    let (mut x, _) = ready();
    assert!(x.propose().is_err() && x.frozen(0).is_err() && x.demoted(0).is_err());
    assert!(x.demote_request(Direction::Send).is_err() && x.demote_request(Direction::Receive).is_err());
    let flow = Flow::FromConnecting;
    let illegal = [
        (Kind::Propose, Message::Propose { flow }),
        (Kind::Consent, Message::Consent),
        (Kind::Refuse, Message::Refuse { reason: 0 }),
        (Kind::Promoted, Message::Promoted { start: 0 }),
        (Kind::DemoteRequest, Message::DemoteRequest { flow }),
        (Kind::Frozen, Message::Frozen { at: 0 }),
        (Kind::Demoted, Message::Demoted { at: 0 }),
    ];
    for (kind, message) in illegal {
        let (_, mut y) = ready();
        assert_eq!(y.receive(&bytes(0, message)), Err(ProtocolError::OutOfOrder(kind)));
    }
}
