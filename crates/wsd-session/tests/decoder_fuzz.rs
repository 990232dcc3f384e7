//! A peer may send anything: no panic, an error or a legal message, and a session that is dead after an error.

mod common;

use common::{between_hosts, bytes, mapping_parameters, negotiated, next, parameters, promoted, proven};
use proptest::prelude::*;
use wsd_session::{Direction, Flow, Frame, Mark, Marks, Message, ProtocolError, Session};

fn flow() -> impl Strategy<Value = Flow> {
    prop_oneof![Just(Flow::FromConnecting), Just(Flow::FromListening)]
}

/// Any encodable message, mostly with small offsets so that states and offsets meet.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let offset = prop_oneof![8 => 0..200_u64, 1 => any::<u64>()];
    let length = prop_oneof![4 => Just(12_usize), 1 => 1..20_usize];
    (0..31_u8, offset, any::<u32>(), length, flow(), 0..4_u16, any::<bool>()).prop_map(
        |(kind, offset, total, length, flow, credits, written)| {
            let descriptor = vec![1; length];
            let descriptor = descriptor.as_slice();
            let total = total % 300;
            let message = match kind {
                0 => Message::Negotiate { nonce: offset, parameters: parameters() },
                1 => Message::Answer { nonce: offset, parameters: mapping_parameters() },
                2 => Message::Proven,
                3 => Message::RingOffer { flow, length: total, notify_slot: 1, descriptor },
                4 => Message::RingReady { flow },
                5 => Message::Propose { flow },
                6 => Message::Consent,
                7 => Message::Refuse { reason: 3 },
                8 => Message::Promoted { start: offset },
                9 => Message::DemoteRequest { flow },
                10 => Message::Frozen { at: offset },
                11 => Message::Demoted { at: offset },
                12 => Message::Data { offset, bytes: descriptor },
                13 => Message::RdmaOffer { offset, total, descriptor },
                14 => Message::RdmaDone { offset, written },
                15 => Message::RdmaAnnounce { offset, total },
                16 => Message::RdmaTarget { offset, total, descriptor },
                17 => Message::Fin { offset },
                18 => Message::Reset,
                19 => Message::Urgent { offset },
                20 => Message::Credit,
                21 => Message::Bye,
                22 => Message::Window { room: offset, taken: u64::from(total) },
                23 => Message::Suspend,
                24 => Message::Suspended,
                25 => Message::StreamMarks(Marks([
                    Mark::new(16, offset).expect("a granule"),
                    Mark::new(1 << (4 + total % 20), u64::from(total)).expect("a granule"),
                ])),
                26 => Message::StreamProof([length as u8; 32]),
                27 => Message::Settled,
                28 => Message::Reading,
                _ => Message::Resume { receives: u16::from(kind) + credits },
            };
            bytes(credits, message)
        },
    )
}

/// Sessions in several states of their lives.
fn sessions() -> Vec<Session> {
    let mut all = vec![Session::new(wsd_session::Role::Connecting, parameters(), 0).expect("parameters")];
    all.push(Session::new(wsd_session::Role::Listening, parameters(), 0).expect("parameters"));
    for session in &mut all {
        session.receives_posted(12);
        next(session);
    }
    let mut add = |(x, y): (Session, Session)| all.extend([x, y]);
    add(negotiated(parameters(), parameters(), 12));
    add(negotiated(between_hosts(), between_hosts(), 12));
    add(proven(mapping_parameters(), mapping_parameters(), 12));
    add(promoted(50));
    let (mut x, mut y) = promoted(50);
    y.frozen(60).expect("legal");
    x.demote_request(Direction::Send).expect("legal");
    add((x, y));
    all
}

fn feed(session: &mut Session, message: &[u8]) {
    let failed = session.has_failed();
    let outcome = session.receive(message);
    if failed {
        assert_eq!(outcome, Err(ProtocolError::Dead));
    }
    assert_eq!(session.has_failed(), outcome.is_err());
    if session.has_failed() {
        assert_eq!(next(session), None, "a dead session is silent");
        assert!(session.proven().is_err() && session.bye().is_err() && session.reset().is_err());
        assert!(!session.may_send_data());
    } else {
        session.reposted(1);
        while next(session).is_some() {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Frame::decode(&bytes);
        for mut session in sessions() {
            feed(&mut session, &bytes);
        }
    }

    /// What decodes is canonical: it encodes to the same bytes, so nothing in a message goes unchecked.
    #[test]
    fn mutated_messages_decode_canonically(
        mut message in message(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        for (at, byte) in changes {
            let at = at.index(message.len());
            message[at] = byte;
        }
        if let Some(cut) = cut {
            message.truncate(cut.index(message.len()));
        }
        if let Ok(frame) = Frame::decode(&message) {
            let later = matches!(&frame.message,
                Message::Negotiate { parameters, .. } | Message::Answer { parameters, .. } if parameters.version > 1);
            if !later {
                prop_assert_eq!(bytes(frame.credits, frame.message), message);
            }
        }
    }

    /// Whatever legal-looking messages a hostile peer sends in whatever order.
    #[test]
    fn hostile_orders_never_panic(messages in prop::collection::vec(message(), 1..60)) {
        for mut session in sessions() {
            for message in &messages {
                feed(&mut session, message);
            }
        }
    }
}
