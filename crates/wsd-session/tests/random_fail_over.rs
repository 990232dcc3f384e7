//! Whatever is lost when the companion dies, and whoever notices it when: both streams arrive whole, in order and once (section 10).

mod common;
mod fail_over_world;

use common::{bytes, carry, next};
use fail_over_world::{World, agreed};
use proptest::prelude::*;
use wsd_session::fail_over::FRAME_BYTES;
use wsd_session::{FailOver, Found, Lockstep, Message, ProtocolError, Resumption, Session, Standing};

#[derive(Debug, Clone)]
enum Act {
    Write(u64),
    Take(u64),
    Serve { patient: bool },
    Deliver,
    Break,
    Notice,
}

fn act() -> impl Strategy<Value = (usize, Act)> {
    let act = prop_oneof![
        4 => (1..60_u64).prop_map(Act::Write),
        4 => (1..60_u64).prop_map(Act::Take),
        8 => prop_oneof![4 => Just(true), 1 => Just(false)].prop_map(|patient| Act::Serve { patient }),
        8 => Just(Act::Deliver),
        1 => Just(Act::Break),
        3 => Just(Act::Notice),
    ];
    (0..2_usize, act)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(20_000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn streams_arrive_whole_and_once(acts in prop::collection::vec(act(), 0..80)) {
        let mut world = World::new();
        for (me, act) in &acts {
            match *act {
                Act::Write(count) => world.write(*me, count),
                Act::Take(count) => drop(world.take(*me, count)),
                Act::Serve { patient } => drop(world.serve(*me, patient, false)),
                Act::Deliver => drop(world.deliver(*me)),
                Act::Break => world.break_companion(),
                Act::Notice => drop(world.notice(*me)),
            }
        }
        world.break_companion();
        world.quiet();
        for me in [0, 1] {
            world.write(me, 100);
        }
        world.quiet();
        for (me, end) in world.ends.iter().enumerate() {
            prop_assert!(end.written >= 100, "the writer waits for ever");
            prop_assert_eq!(end.written, world.ends[1 - me].taken);
        }
    }

    /// A peer may write anything into TCP.
    #[test]
    fn rubbish_is_no_frame(rubbish in prop::collection::vec(any::<u8>(), FRAME_BYTES..80), settled in any::<bool>()) {
        let (x, y) = fixed(settled);
        let found = FailOver::of(&y).examine(&rubbish, false);
        prop_assert_eq!(found.is_err(), settled);
        prop_assert_eq!(FailOver::of(&x).examine(&rubbish, false), Ok(Found::Plain));
    }
}

/// Both have fixed their offsets, 100 and 200; and the listening end knows that it is settled, or not.
fn fixed(settled: bool) -> (Session, Session) {
    let (mut x, mut y) = agreed();
    let mut store = Vec::new();
    assert!(x.may_fix() && !y.may_fix(), "the connecting end is first");
    assert!(y.promoted(200).is_err());
    x.promoted(100).expect("its turn");
    common::carry(&mut x, &mut y, &mut store);
    y.promoted(200).expect("its turn");
    common::carry(&mut y, &mut x, &mut store);
    x.settle().expect("its turn");
    if settled {
        common::carry(&mut x, &mut y, &mut store);
    }
    (x, y)
}

#[test]
fn what_an_end_may_conclude() {
    let (x, y) = fixed(false);
    assert_eq!(x.standing(), Standing::Promoted { own: 100, peer: 200, may_be_plain: true });
    assert_eq!(y.standing(), Standing::Unsure { own: 200, peer: 100 });
    let (_, y) = fixed(true);
    assert_eq!(y.standing(), Standing::Promoted { own: 200, peer: 100, may_be_plain: false });
}

/// The frame as it is in TCP: both random numbers (1 and 2), H, T, flags.
#[test]
fn frame_on_the_wire() {
    let (x, y) = fixed(true);
    let word = Resumption { received: 0x0102, end: 0x0304, has_end: true, for_good: true };
    let frame = FailOver::of(&x).frame(word);
    let expected = "01000000000000000200000000000000020100000000000004030000000000000300000000000000";
    assert_eq!(common::hex(&frame), expected);
    assert_eq!(FailOver::of(&y).examine(&frame, false), Ok(Found::Frame(word)));
    for length in 0..FRAME_BYTES {
        assert_eq!(FailOver::of(&y).examine(&frame[..length], false), Ok(Found::More), "{length}");
    }
    let mut unknown = frame;
    unknown[32] = 4;
    assert!(FailOver::of(&y).examine(&unknown, false).is_err());
    assert!(FailOver::of(&x).examine(&frame, false) == Ok(Found::Plain), "the frame of the other direction");
}

/// A stream that happens to begin as the marker does is told from a frame by waiting.
#[test]
fn begin_of_a_marker_may_be_the_stream() {
    let (x, y) = fixed(false);
    let frame = FailOver::of(&y).frame(Resumption { received: 0, end: 0, has_end: false, for_good: false });
    assert_eq!(FailOver::of(&x).examine(&frame[..1], false), Ok(Found::More));
    assert_eq!(FailOver::of(&x).examine(&frame[..1], true), Ok(Found::Plain));
    assert_eq!(FailOver::of(&x).examine(&[], true), Ok(Found::More));
}

#[test]
fn words_of_a_liar() {
    let word = |received, end, has_end| Resumption { received, end, has_end, for_good: false };
    assert!(word(150, 300, false).check(120, 180, 250).is_ok());
    assert!(word(119, 300, false).check(120, 180, 250).is_err(), "bytes that are gone");
    assert!(word(181, 300, false).check(120, 180, 250).is_err(), "bytes that were never written");
    assert!(word(150, 249, false).check(120, 180, 250).is_err(), "an end before what has come");
    assert!(word(150, 300, true).check(120, 180, 250).is_err(), "an end that was not reached");
}

/// Section 10: an end that waits for its program to read says so, but not for ever.
#[test]
fn reading_puts_the_next_word_off() {
    let mut store = Vec::new();
    let mut put_off = || {
        let (mut x, mut y) = agreed();
        assert!(x.reading().is_err(), "nothing is fixed");
        x.promoted(7).expect("its turn");
        assert!(x.reading().is_err(), "it is the peer's turn");
        carry(&mut x, &mut y, &mut store);
        for _ in 0..Session::READINGS {
            y.reading().expect("its turn");
            carry(&mut y, &mut x, &mut store);
            // Credit, now and then.
            while let Some(message) = next(&mut x) {
                y.receive(&message).expect("legal");
                y.reposted(1);
            }
        }
        assert!(y.reading().is_err(), "too often");
        (x, y)
    };
    let (mut x, _) = put_off();
    let late = bytes(0, Message::Reading);
    assert_eq!(x.receive(&late), Err(ProtocolError::OutOfOrder(wsd_session::Kind::Reading)));
    let (mut x, mut y) = put_off();
    y.promoted(9).expect("its turn");
    carry(&mut y, &mut x, &mut store);
    assert_eq!(x.lockstep(), Lockstep::Both { own: 7, peer: 9 });
    x.reading().expect("now it is its turn");
    carry(&mut x, &mut y, &mut store);
    assert!(y.reading().is_err(), "no longer its turn");
    x.settle().expect("its turn");
}

/// Messages of the lockstep in the wrong state, and those of section 5, end the session.
#[test]
fn out_of_order() {
    let messages = [
        Message::Promoted { start: 7 },
        Message::Settled,
        Message::Reading,
        Message::Refuse { reason: 0 },
        Message::Frozen { at: 100 },
        Message::Demoted { at: 100 },
        Message::DemoteRequest { flow: wsd_session::Flow::FromConnecting },
    ];
    for message in messages {
        let (x, _) = fixed(true);
        assert!(matches!(x.lockstep(), Lockstep::Settled { .. }));
        for mut end in [x, fixed(true).1] {
            let kind = message.kind();
            assert_eq!(
                end.receive(&bytes(0, message.clone())),
                Err(ProtocolError::OutOfOrder(kind)),
                "{kind:?}"
            );
        }
    }
}
