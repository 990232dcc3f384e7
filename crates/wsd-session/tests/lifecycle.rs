//! Proof, rings, promotion, demotion and the end, one story each (sections 1, 4, 5).

mod common;

use common::{DESCRIPTOR, bytes, carry, mapping_parameters, negotiated, next, parameters, promoted, proven};
use wsd_session::{Direction, Event, Flow, Message, ProtocolError, ReceiveState, SendState, Session};

/// A mapping pair whose connecting side's ring is ready and agreed.
fn agreed() -> (Session, Session) {
    let (mut x, mut y) = proven(mapping_parameters(), mapping_parameters(), 12);
    let mut store = Vec::new();
    x.offer_ring(4096, 3, &DESCRIPTOR).expect("legal");
    let offered = Event::RingOffered { length: 4096, notify_slot: 3, descriptor: &DESCRIPTOR };
    assert_eq!(carry(&mut x, &mut y, &mut store), Some(offered));
    y.ring_ready().expect("legal");
    assert_eq!(carry(&mut y, &mut x, &mut store), Some(Event::RingReady));
    x.propose().expect("legal");
    assert_eq!(carry(&mut x, &mut y, &mut store), Some(Event::Proposed));
    y.refuse(1).expect("legal");
    assert_eq!(carry(&mut y, &mut x, &mut store), Some(Event::Refused { reason: 1 }));
    assert!(x.promoted(0).is_err(), "no consent");
    y.consent().expect("later, on its own");
    assert_eq!(carry(&mut y, &mut x, &mut store), Some(Event::Consented));
    (x, y)
}

#[test]
fn no_ring_before_both_proofs() {
    let (mut x, mut y) = negotiated(mapping_parameters(), mapping_parameters(), 12);
    let mut store = Vec::new();
    x.proven().expect("legal");
    assert!(x.proven().is_err(), "once");
    assert!(x.offer_ring(4096, 0, &DESCRIPTOR).is_err());
    assert_eq!(carry(&mut x, &mut y, &mut store), Some(Event::PeerProven));
    let offer =
        Message::RingOffer { flow: Flow::FromConnecting, length: 1, notify_slot: 0, descriptor: &DESCRIPTOR };
    assert!(y.receive(&bytes(0, offer)).is_err(), "this side has not proven");
    let (_, mut y) = negotiated(parameters(), parameters(), 12);
    let propose = bytes(0, Message::Propose { flow: Flow::FromConnecting });
    assert!(y.receive(&propose).is_err(), "no proof, no promotion");
}

#[test]
fn promotion_and_demotion_with_mapping() {
    let (mut x, mut y) = agreed();
    let mut store = Vec::new();
    x.promoted(100).expect("legal");
    assert_eq!(next(&mut x), None, "S is in the ring, not in a message");
    assert!(y.frozen(100).is_err(), "start not seen");
    y.start_seen(100).expect("legal");
    x.demote_request(Direction::Send).expect("legal");
    let request = Event::DemoteRequested { direction: Direction::Receive };
    assert_eq!(carry(&mut x, &mut y, &mut store), Some(request));
    assert!(y.frozen(99).is_err(), "below S");
    y.frozen(150).expect("legal");
    assert_eq!(carry(&mut y, &mut x, &mut store), Some(Event::Frozen { at: 150 }));
    assert!(x.demoted(151).is_err());
    x.demoted(150).expect("legal");
    assert_eq!(carry(&mut x, &mut y, &mut store), Some(Event::Demoted { at: 150 }));
    assert_eq!((x.send_state(), y.receive_state()), (SendState::Tcp, ReceiveState::Tcp));
    x.offer_ring(8192, 3, &DESCRIPTOR).expect("a larger ring");
    assert!(x.propose().is_err(), "not before it is mapped");
}

#[test]
fn a_consent_can_be_declined_and_withdrawn() {
    let (mut x, mut y) = agreed();
    let mut store = Vec::new();
    y.demote_request(Direction::Receive).expect("legal");
    y.demote_request(Direction::Receive).expect("legal, and queued once");
    let withdrawn = Event::DemoteRequested { direction: Direction::Send };
    assert_eq!(carry(&mut y, &mut x, &mut store), Some(withdrawn));
    x.demoted(0).expect("legal");
    assert_eq!(carry(&mut x, &mut y, &mut store), Some(Event::Declined));
    assert_eq!(y.receive_state(), ReceiveState::Tcp);
    let late = bytes(0, Message::DemoteRequest { flow: Flow::FromConnecting });
    assert_eq!(x.receive(&late), Ok(None), "too late is no fault");
}

#[test]
fn contradicting_offsets_end_the_session() {
    let (mut x, mut y) = promoted(100);
    assert!(matches!(x.receive(&bytes(0, Message::Frozen { at: 99 })), Err(ProtocolError::Offset(_))));
    y.frozen(120).expect("legal");
    assert!(matches!(y.receive(&bytes(0, Message::Demoted { at: 121 })), Err(ProtocolError::Offset(_))));
}

/// What crossed `Frozen` comes again by TCP and must not be delivered twice.
#[test]
fn data_that_crosses_a_freeze_is_dropped() {
    let (mut x, mut y) = promoted(0);
    y.frozen(0).expect("legal");
    let mut buffer = vec![0; 4096];
    let length = x.data_message(&mut buffer, 0, [b"ab", b"c"]).expect("legal").expect("credit");
    assert_eq!(y.receive(&buffer[..length]), Ok(None));
    assert!(y.window(10, 0).is_err(), "a frozen direction says nothing more");
}

/// SW-111, SW-112: queued control goes before data, credits ride in every header.
#[test]
fn data_waits_for_control_and_carries_credits() {
    let (mut x, _) = promoted(0);
    let mut buffer = vec![0; 4096];
    x.urgent(1).expect("legal");
    assert_eq!(x.data_message(&mut buffer, 0, [b"a", b""]), Ok(None));
    next(&mut x).expect("Urgent");
    let window = bytes(0, Message::Window { room: 100, taken: 0 });
    x.receive(&window).expect("legal");
    x.reposted(1);
    let length = x.data_message(&mut buffer, 0, [b"a", b""]).expect("legal").expect("credit");
    assert_eq!((length, buffer[2]), (17, 1));
    assert!(x.data_message(&mut buffer, 1, [&[0; 4080], b"a"]).is_err(), "above the agreed size (SW-113)");
    assert!(x.data_message(&mut buffer, 1, [b"", b""]).is_err());
}

/// SW-160: nothing follows the end of a stream.
#[test]
fn fin_is_final() {
    let (mut x, mut y) = promoted(10);
    let mut store = Vec::new();
    assert!(x.fin(9).is_err());
    x.fin(10).expect("legal");
    assert!(x.fin(10).is_err() && x.urgent(11).is_err());
    assert!(x.data_message(&mut [0; 100], 10, [b"a", b""]).is_err());
    assert_eq!(carry(&mut x, &mut y, &mut store), Some(Event::Fin { offset: 10 }));
    assert!(y.receive(&bytes(0, Message::Data { offset: 10, bytes: b"a" })).is_err());
}

/// SW-161: close messages are exchanged; a demotion may still end after `Bye`.
#[test]
fn bye_ends_the_talk_but_not_a_demotion() {
    let (mut x, mut y) = promoted(0);
    let mut store = Vec::new();
    x.bye().expect("legal");
    assert!(x.bye().is_err() && x.urgent(1).is_err() && x.reset().is_err());
    assert_eq!(carry(&mut x, &mut y, &mut store), Some(Event::Bye));
    assert!(y.propose().is_err(), "nobody reads there");
    y.frozen(0).expect("legal");
    assert_eq!(carry(&mut y, &mut x, &mut store), Some(Event::Frozen { at: 0 }));
    x.demoted(0).expect("legal");
    assert_eq!(carry(&mut x, &mut y, &mut store), Some(Event::Demoted { at: 0 }));
    assert!(!x.is_finished());
    y.bye().expect("legal");
    assert!(!y.is_finished(), "Bye still waits");
    assert_eq!(carry(&mut y, &mut x, &mut store), Some(Event::Bye));
    assert!(x.is_finished() && y.is_finished());
    assert!(y.receive(&bytes(0, Message::Consent)).is_err());
}

/// SW-161: an abort throws away what waits.
#[test]
fn reset_goes_first_and_alone() {
    let (mut x, mut y) = promoted(0);
    let mut store = Vec::new();
    x.urgent(1).expect("legal");
    x.reset().expect("legal");
    assert!(x.fin(0).is_err() && x.reset().is_err());
    let first = next(&mut x).expect("a message");
    assert_eq!(y.receive(&first), Ok(Some(Event::Reset)), "the urgent byte is not told any more");
    x.bye().expect("legal");
    assert_eq!(carry(&mut x, &mut y, &mut store), Some(Event::Bye));
}

/// SW-107: the pump is only for sessions without mapping, rings only for those with.
#[test]
fn pump_and_rings_exclude_each_other() {
    let (mut x, _) = agreed();
    x.promoted(0).expect("legal");
    assert!(x.data_message(&mut [0; 100], 0, [b"a", b""]).is_err() && x.fin(0).is_err());
    assert!(x.receive(&bytes(0, Message::Window { room: 1, taken: 0 })).is_err());
    let (mut x, _) = proven(parameters(), parameters(), 12);
    assert!(x.offer_ring(4096, 0, &DESCRIPTOR).is_err());
}

/// SW-107: descriptors have the negotiated length; of the two variants only the agreed one is spoken.
#[test]
fn large_transfers_follow_the_negotiation() {
    let (mut x, y) = promoted(0);
    assert!(x.rdma_offer(0, 10, &[1; 11]).is_err());
    assert!(x.rdma_announce(0, 10).is_err());
    x.rdma_offer(0, 10, &DESCRIPTOR).expect("legal");
    let short = Message::RdmaOffer { offset: 0, total: 10, descriptor: &[1; 11] };
    assert!(matches!(y.clone().receive(&bytes(0, short)), Err(ProtocolError::DescriptorLength(_))));
    let other = Message::RdmaAnnounce { offset: 0, total: 10 };
    assert!(matches!(y.clone().receive(&bytes(0, other)), Err(ProtocolError::OutOfOrder(_))));
    let wrong = Message::RdmaDone { offset: 0, written: true };
    assert!(matches!(y.clone().receive(&bytes(0, wrong)), Err(ProtocolError::OutOfOrder(_))));
    let done = Message::RdmaDone { offset: 0, written: false };
    assert_eq!(x.receive(&bytes(0, done)), Ok(Some(Event::RdmaRead { offset: 0 })));
}

/// The newest window replaces one that waits, but never overtakes what it builds on.
#[test]
fn windows_do_not_pile_up() {
    let (_, mut y) = promoted(0);
    while next(&mut y).is_some() {}
    y.window(10, 0).expect("legal");
    y.rdma_read(0).expect("legal");
    y.window(20, 10).expect("legal");
    let kinds: Vec<u8> = std::iter::from_fn(|| next(&mut y)).map(|message| message[0]).collect();
    assert_eq!(kinds, [15, 23]);
}

/// SW-161: after `Bye` only `Demoted` and `Credit` are spoken, after `Reset` only `Bye` and `Credit`.
#[test]
fn nothing_new_after_the_end() {
    let (x, _) = promoted(0);
    let late = bytes(0, Message::DemoteRequest { flow: Flow::FromConnecting });
    for (end, mut more) in [(Message::Bye, vec![]), (Message::Reset, vec![Message::Bye])] {
        let mut x = x.clone();
        x.receive(&bytes(0, end.clone())).expect("legal");
        more.push(Message::Credit);
        for message in more {
            x.receive(&bytes(1, message)).expect("legal");
        }
        assert!(x.clone().receive(&bytes(0, end)).is_err(), "once");
        assert!(matches!(x.receive(&late), Err(ProtocolError::OutOfOrder(_))));
    }
}
