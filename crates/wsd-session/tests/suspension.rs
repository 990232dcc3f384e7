//! An end of a session that moves to another process (section 8 of the session protocol).
#![allow(missing_docs)]

mod common;

use common::{bytes, carry, mapping_parameters, next, parameters, proven};
use wsd_session::{
    Capabilities, Direction, Event, Kind, Message, Move, Parameters, ProtocolError, PumpReceiver, PumpSender,
    Session, Suspension, pack,
};

fn sharing(version: u16, parameters: Parameters) -> Parameters {
    let capabilities = parameters.capabilities.with(Capabilities::SAN_FIRST);
    Parameters { version, capabilities, ..parameters }
}

/// Two sessions whose directions have begun: connecting, listening.
fn begun() -> (Session, Session) {
    proven(sharing(3, parameters()), sharing(3, parameters()), 12)
}

/// The pumps of the connecting end, some way into the stream.
fn pumps(session: &Session) -> (PumpSender, PumpReceiver) {
    let agreement = session.agreement().expect("negotiated");
    let mut sender = PumpSender::new(0, agreement.pump_limits(Direction::Send));
    sender.on_window(5000, 0).expect("a window");
    let mut receiver = PumpReceiver::new(0, 1 << 20, agreement.pump_limits(Direction::Receive));
    let window = receiver.plan(1 << 20);
    receiver.record(window).expect("planned");
    receiver.on_data(0, 300).expect("within the window");
    receiver.taken(200).expect("arrived");
    (sender, receiver)
}

/// The connecting end is quiet.
fn quiet() -> (Session, Session) {
    let (mut x, mut y) = begun();
    let mut store = Vec::new();
    x.suspend().expect("legal");
    assert_eq!(carry(&mut x, &mut y, &mut store), Some(Event::Suspending));
    y.suspended().expect("legal");
    assert_eq!(carry(&mut y, &mut x, &mut store), Some(Event::Suspended));
    (x, y)
}

#[test]
fn takes_a_connection_of_its_own_without_mapping_in_version_3() {
    let can_move = |one: Parameters, other: Parameters| proven(one, other, 12).0.can_move();
    assert!(can_move(sharing(3, parameters()), sharing(4, parameters())));
    assert!(!can_move(sharing(3, parameters()), sharing(2, parameters())));
    assert!(!can_move(sharing(3, mapping_parameters()), sharing(3, mapping_parameters())));
    assert!(!can_move(Parameters { version: 3, ..parameters() }, Parameters { version: 3, ..parameters() }));
}

/// SW-184 (SAN first): the next process goes on where the last one stopped, with its own receives and the credits that were left.
#[test]
fn the_next_process_goes_on() {
    let (x, mut y) = quiet();
    let (sender, receiver) = pumps(&x);
    let packed = pack(&x, &sender, &receiver).expect("quiet");
    let Move { session: mut next_x, sender, receiver } = Move::unpack(&packed).expect("our own");
    assert_eq!((sender.offset(), receiver.received()), (0, 300));
    assert_eq!(next_x.agreement(), x.agreement());
    next_x.receives_posted(6);
    next_x.resume().expect("legal");
    let mut store = Vec::new();
    assert_eq!(carry(&mut next_x, &mut y, &mut store), Some(Event::Resumed));
    // The last credit is kept, and Resume has used none of the six.
    let mut sent = 0;
    let mut buffer = [0; 64];
    while let Some(length) = y.data_message(&mut buffer, sent, [b"x", &[]]).expect("promoted") {
        assert!(matches!(next_x.receive(&buffer[..length]), Ok(Some(Event::Data { .. }))));
        sent += 1;
    }
    assert_eq!(sent, 5);
    assert!(next_x.may_send_data());
}

/// An end that stays after all resumes with what it had posted all the time.
#[test]
fn an_end_may_stay() {
    let (mut x, mut y) = quiet();
    x.resume().expect("legal");
    let mut store = Vec::new();
    assert_eq!(carry(&mut x, &mut y, &mut store), Some(Event::Resumed));
    assert_eq!((x.suspension(), y.suspension()), (Suspension::None, Suspension::None));
    assert!(x.may_send_data() && y.may_send_data());
}

/// The peer says nothing between its answer and `Resume`, whatever its program does.
#[test]
fn the_peer_is_silent_until_resume() {
    let (mut x, mut y) = quiet();
    assert_eq!(y.suspension(), Suspension::Held);
    y.reset().expect("the program aborts");
    assert_eq!(next(&mut y), None);
    x.resume().expect("legal");
    let mut store = Vec::new();
    assert_eq!(carry(&mut x, &mut y, &mut store), Some(Event::Resumed));
    assert_eq!(carry(&mut y, &mut x, &mut store), Some(Event::Reset));
}

/// Both ends are shared and both want to move: the connecting end goes first.
#[test]
fn of_two_that_cross_the_connecting_end_moves() {
    let (mut x, mut y) = begun();
    x.suspend().expect("legal");
    y.suspend().expect("legal");
    let from_y = next(&mut y).expect("Suspend");
    assert_eq!(x.receive(&from_y), Ok(None));
    x.reposted(1);
    let mut store = Vec::new();
    assert_eq!(carry(&mut x, &mut y, &mut store), Some(Event::Suspending));
    y.suspended().expect("legal");
    assert_eq!(carry(&mut y, &mut x, &mut store), Some(Event::Suspended));
    x.resume().expect("legal");
    assert_eq!(carry(&mut x, &mut y, &mut store), Some(Event::Resumed));
    y.suspend().expect("now");
    assert_eq!(carry(&mut y, &mut x, &mut store), Some(Event::Suspending));
}

#[test]
fn nothing_is_begun_while_a_suspension_runs() {
    let (mut x, mut y) = begun();
    let mut store = Vec::new();
    x.suspend().expect("legal");
    assert!(!x.may_send_data() && x.fin(0).is_err() && x.window(5, 0).is_err() && x.suspend().is_err());
    assert!(x.rdma_offer(0, 5, &common::DESCRIPTOR).is_err());
    carry(&mut x, &mut y, &mut store);
    assert!(!y.may_send_data() && y.fin(0).is_err() && y.suspend().is_err() && y.resume().is_err());
}

/// A peer that breaks the rules ends the session.
#[test]
fn what_a_suspension_forbids_is_refused() {
    let data = || Message::Data { offset: 0, bytes: b"x" };
    let after_suspend = [
        (Kind::Data, data()),
        (Kind::Fin, Message::Fin { offset: 0 }),
        (Kind::Suspend, Message::Suspend),
        (Kind::Suspended, Message::Suspended),
        (Kind::Resume, Message::Resume { receives: 4 }),
    ];
    for (kind, message) in after_suspend {
        let (_, mut y) = begun();
        assert_eq!(y.receive(&bytes(0, Message::Suspend)), Ok(Some(Event::Suspending)));
        y.reposted(1);
        assert_eq!(y.receive(&bytes(0, message)), Err(ProtocolError::OutOfOrder(kind)));
    }
    let (mut x, _) = quiet();
    assert_eq!(x.receive(&bytes(0, data())), Err(ProtocolError::OutOfOrder(Kind::Data)));
    let (_, mut y) = quiet();
    let done = Message::RdmaDone { offset: 0, written: false };
    assert_eq!(y.receive(&bytes(0, done)), Err(ProtocolError::OutOfOrder(Kind::RdmaDone)));
}

/// What arrives from the process before is checked like everything else.
#[test]
fn a_damaged_move_is_refused() {
    let (x, _) = quiet();
    let (sender, receiver) = pumps(&x);
    let packed = pack(&x, &sender, &receiver).expect("quiet");
    for length in 0..packed.len() {
        assert!(Move::unpack(&packed[..length]).is_err(), "{length} bytes");
    }
    assert!(Move::unpack(&[packed.as_slice(), &[0]].concat()).is_err());
    for at in 0..packed.len() {
        let mut changed = packed.clone();
        changed[at] ^= 0xFF;
        // No panic; numbers may change, order between them may not.
        let _ = Move::unpack(&changed);
    }
    let (x, _) = begun();
    assert!(pack(&x, &sender, &receiver).is_err(), "only a quiet end moves");
}
