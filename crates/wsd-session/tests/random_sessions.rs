//! Two honest sessions back to back, random commands, delays and slow re-posting: no honest act is ever refused by
//! the peer, both ends agree on every state when all has arrived, and credits never run dry (SW-110..112).

mod common;

use common::{DESCRIPTOR, mapping_parameters, negotiated, next, parameters};
use proptest::prelude::*;
use std::collections::VecDeque;
use wsd_session::{Direction, Event, Parameters, ReceiveState, SendState, Session};

/// One end: its session, what travels to it, what a host would remember.
struct End {
    session: Session,
    inbox: VecDeque<Vec<u8>>,
    unposted: u16,
    /// With mapping: `start` published by the peer in its ring and not yet looked at.
    start: Option<u64>,
    data_at: u64,
}

#[derive(Debug, Clone)]
enum Act {
    Command(u8, u8),
    Data(u8),
    Flush(u8),
    Deliver,
    Repost,
}

fn act() -> impl Strategy<Value = (bool, Act)> {
    let act = prop_oneof![
        6 => (0..22_u8, 0..30_u8).prop_map(|(command, offset)| Act::Command(command, offset)),
        2 => (1..50_u8).prop_map(Act::Data),
        3 => (1..4_u8).prop_map(Act::Flush),
        4 => Just(Act::Deliver),
        3 => Just(Act::Repost),
    ];
    (any::<bool>(), act)
}

/// Gives a command if the session takes it; what the host must know comes from the states.
fn command(ends: &mut [End; 2], me: usize, command: u8, more: u8) {
    let start = ends[me].start;
    let session = &mut ends[me].session;
    let more = u64::from(more);
    let mapping = session.agreement().is_some_and(|agreed| agreed.mapping);
    let _ = match command {
        0 => session.proven(),
        1 => session.offer_ring(4096, 1, &DESCRIPTOR),
        2 => session.ring_ready(),
        3 | 4 => session.propose(),
        5 | 6 => session.consent(),
        7 => session.refuse(1),
        8 | 9 => {
            let done = session.promoted(more);
            if done.is_ok() {
                ends[me].data_at = more;
                if mapping {
                    ends[1 - me].start = Some(more);
                }
            }
            done
        }
        10 => match (session.receive_state(), start) {
            (ReceiveState::Agreed, Some(start)) => session.start_seen(start),
            _ => Ok(()),
        },
        11 => match session.receive_state() {
            ReceiveState::Promoted { start } => {
                ends[me].start = None;
                ends[me].session.frozen(start + more)
            }
            _ => Ok(()),
        },
        12 => match session.send_state() {
            SendState::Rewinding { at } => session.demoted(at),
            _ => session.demoted(more),
        },
        13 => session.demote_request(Direction::Send),
        14 => session.demote_request(Direction::Receive),
        15 => session.window(100, more),
        16 => session.urgent(more + 1),
        17 => session.rdma_offer(0, 10, &DESCRIPTOR).or_else(|_| session.rdma_announce(0, 10)),
        18 => session.rdma_target(0, 10, &DESCRIPTOR).or_else(|_| session.rdma_read(0)),
        19 => session.rdma_written(0),
        20 if more < 2 => session.fin(1000),
        21 if more == 0 => session.bye(),
        21 if more == 1 => session.reset(),
        _ => Ok(()),
    };
}

fn data(ends: &mut [End; 2], me: usize, length: u8) {
    let mut buffer = vec![0; 4096];
    let bytes = vec![9; usize::from(length)];
    let offset = ends[me].data_at;
    if let Ok(Some(sent)) = ends[me].session.data_message(&mut buffer, offset, [&bytes, b""]) {
        buffer.truncate(sent);
        ends[me].data_at += u64::from(length);
        ends[1 - me].inbox.push_back(buffer);
    }
}

fn flush(ends: &mut [End; 2], me: usize, most: u8) -> bool {
    let mut moved = false;
    for _ in 0..most {
        let Some(message) = next(&mut ends[me].session) else { break };
        ends[1 - me].inbox.push_back(message);
        moved = true;
    }
    moved
}

fn deliver(ends: &mut [End; 2], me: usize) -> bool {
    let end = &mut ends[me];
    let Some(message) = end.inbox.pop_front() else { return false };
    let event = end.session.receive(&message);
    assert!(event.is_ok(), "honest message refused: {event:?} {message:?} in {:?}", end.session);
    if event == Ok(Some(Event::Declined)) {
        assert_eq!(end.start, None, "declined although promoted");
    }
    end.unposted += 1;
    true
}

fn repost(ends: &mut [End; 2], me: usize) {
    let count = std::mem::take(&mut ends[me].unposted);
    ends[me].session.reposted(count);
}

/// Lets everything arrive.
fn settle(ends: &mut [End; 2]) {
    for round in 0.. {
        assert!(round < 10_000, "messages for ever");
        let mut moved = false;
        for me in [0, 1] {
            moved |= deliver(ends, me);
            repost(ends, me);
            moved |= flush(ends, me, 1);
        }
        if !moved {
            break;
        }
    }
}

fn mirrored(send: SendState, receive: ReceiveState, mapping: bool) -> bool {
    match (send, receive) {
        (SendState::Tcp, ReceiveState::Tcp)
        | (SendState::Proposed, ReceiveState::Asked)
        | (SendState::Refused, ReceiveState::Refused)
        | (SendState::Consented, ReceiveState::Agreed) => true,
        (SendState::Promoted { .. }, ReceiveState::Agreed) => mapping,
        (SendState::Promoted { start }, ReceiveState::Promoted { start: seen }) => start == seen,
        (SendState::Rewinding { at }, ReceiveState::Frozen { at: frozen }) => at == frozen,
        _ => false,
    }
}

fn run(own: [Parameters; 2], receives: u16, acts: Vec<(bool, Act)>) {
    let mapping = own.iter().all(|parameters| parameters == &mapping_parameters());
    let [connecting, listening] = own;
    let (x, y) = negotiated(connecting, listening, receives);
    let end = |session| End { session, inbox: VecDeque::new(), unposted: 0, start: None, data_at: 0 };
    let mut ends = [end(x), end(y)];
    for (side, act) in acts {
        let me = usize::from(side);
        match act {
            Act::Command(number, more) => command(&mut ends, me, number, more),
            Act::Data(length) => data(&mut ends, me, length),
            Act::Flush(most) => drop(flush(&mut ends, me, most)),
            Act::Deliver => drop(deliver(&mut ends, me)),
            Act::Repost => repost(&mut ends, me),
        }
    }
    settle(&mut ends);
    let [x, y] = &ends;
    for end in &ends {
        assert!(end.session.may_send_data(), "out of credit for ever (SW-112): {:?}", end.session);
    }
    let reset = [x, y].iter().any(|end| end.session.is_reset());
    if !reset {
        let one_way = mirrored(x.session.send_state(), y.session.receive_state(), mapping);
        let other_way = mirrored(y.session.send_state(), x.session.receive_state(), mapping);
        assert!(one_way && other_way, "{:?} {:?}", x.session, y.session);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1500), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pumping_sessions_agree(acts in prop::collection::vec(act(), 0..300), receives in 4..14_u16) {
        run([parameters(), parameters()], receives, acts);
    }

    #[test]
    fn mapping_sessions_agree(acts in prop::collection::vec(act(), 0..300), receives in 4..14_u16) {
        run([mapping_parameters(), mapping_parameters()], receives, acts);
    }

    #[test]
    fn mixed_sessions_agree(acts in prop::collection::vec(act(), 0..300), receives in 4..14_u16) {
        run([parameters(), mapping_parameters()], receives, acts);
    }
}
