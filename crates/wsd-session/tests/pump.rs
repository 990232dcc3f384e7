//! Single rules of the pump (SW-113..118, SW-125, SW-160, section 6), and that a peer cannot bend them.

use proptest::prelude::*;
use wsd_session::{
    Piece, PumpError, PumpLimits, PumpReceiver, PumpSender, RdmaVariant, ReceiveStep, SendStep, Supply,
};

fn limits(variant: RdmaVariant) -> PumpLimits {
    PumpLimits { max_data: 10, threshold: 20, max_rdma: 16, variant: Some(variant) }
}

fn sender(variant: RdmaVariant) -> PumpSender {
    let mut pump = PumpSender::new(100, limits(variant));
    pump.on_window(200, 100).expect("grows");
    pump
}

fn receiver(variant: RdmaVariant) -> PumpReceiver {
    let mut pump = PumpReceiver::new(100, 100, limits(variant));
    let step = pump.plan(100);
    assert_eq!(step, ReceiveStep::Window { room: 200, taken: 100 });
    pump.record(step).expect("planned");
    pump
}

fn supply(available: u64) -> Supply {
    Supply { available, contiguous: available, may_send: true }
}

/// SW-113: a block up to the threshold goes in messages, above it by RDMA.
#[test]
fn threshold() {
    let pump = sender(RdmaVariant::Read);
    assert_eq!(pump.plan(supply(20)), SendStep::Data { offset: 100, length: 10 });
    assert_eq!(pump.plan(supply(21)), SendStep::Offer { offset: 100, total: 21 });
    let pump = sender(RdmaVariant::Write);
    assert_eq!(pump.plan(supply(21)), SendStep::Announce { offset: 100, total: 21 });
    let wrapped = Supply { contiguous: 20, ..supply(50) };
    assert_eq!(pump.plan(wrapped), SendStep::Data { offset: 100, length: 10 });
    let pump = PumpSender::new(0, limits(RdmaVariant::Read));
    assert_eq!(pump.plan(supply(50)), SendStep::Wait, "no window yet");
}

/// SW-110: no message without credit.
#[test]
fn no_data_without_credit() {
    let pump = sender(RdmaVariant::Read);
    assert_eq!(pump.plan(Supply { may_send: false, ..supply(5) }), SendStep::Wait);
}

/// SW-115: without memory for RDMA the bytes go in messages, later blocks may be large again.
#[test]
fn declined_blocks_go_in_messages() {
    let mut pump = sender(RdmaVariant::Read);
    let step = pump.plan(supply(25));
    pump.decline(step);
    for (offset, length) in [(100, 10), (110, 10), (120, 10)] {
        let step = pump.plan(supply(60));
        assert_eq!(step, SendStep::Data { offset, length });
        pump.record(step).expect("planned");
    }
    assert_eq!(pump.plan(supply(30)), SendStep::Offer { offset: 130, total: 30 });
}

/// SW-113, SW-117: pieces of at most SO_MAX_RDMA_SIZE, nothing behind the transfer before it is done.
#[test]
fn write_variant_in_pieces() {
    let mut pump = sender(RdmaVariant::Write);
    pump.record(pump.plan(supply(50))).expect("planned");
    assert_eq!(pump.plan(supply(90)), SendStep::Wait);
    assert!(
        pump.on_target(101, 20).is_err() && pump.on_target(100, 51).is_err() && pump.on_read(100).is_err()
    );
    pump.on_target(100, 20).expect("a first part");
    assert!(pump.on_target(100, 20).is_err(), "twice");
    for (within, length) in [(0, 16), (16, 4)] {
        let step = pump.plan(supply(50));
        assert_eq!(step, SendStep::Write(Piece { offset: 100 + u64::from(within), within, length }));
        pump.record(step).expect("planned");
    }
    pump.write_completed(16).expect("issued");
    assert_eq!(pump.plan(supply(50)), SendStep::Wait, "one write is running");
    assert!(pump.is_busy());
    assert!(pump.write_completed(5).is_err(), "more than issued");
    pump.write_completed(4).expect("issued");
    assert_eq!(pump.plan(supply(50)), SendStep::Written { offset: 100 });
    pump.record(SendStep::Written { offset: 100 }).expect("planned");
    assert_eq!(
        pump.plan(supply(30)),
        SendStep::Announce { offset: 120, total: 30 },
        "the rest is a new block"
    );
}

/// SW-113, SW-117, SW-118: reads in pieces that fit the ring; done only when all have ended.
#[test]
fn read_variant_in_pieces() {
    let mut pump = receiver(RdmaVariant::Read);
    assert!(pump.on_announce(100, 10).is_err(), "not the agreed variant (SW-107)");
    pump.on_offer(100, 30).expect("in order");
    assert!(pump.on_data(130, 1).is_err() && pump.on_offer(130, 1).is_err() && pump.on_fin(100).is_err());
    assert_eq!(pump.plan(0), ReceiveStep::Wait, "deferred");
    for (contiguous, within, length) in [(9, 0, 9), (100, 9, 16), (100, 25, 5)] {
        let step = pump.plan(contiguous);
        assert_eq!(step, ReceiveStep::Read(Piece { offset: 100 + u64::from(within), within, length }));
        pump.record(step).expect("planned");
    }
    assert_eq!(pump.freeze(), Err(PumpError::Busy));
    pump.read_completed(29).expect("issued");
    assert_eq!(pump.plan(100), ReceiveStep::Wait);
    pump.read_completed(1).expect("issued");
    assert_eq!(pump.received(), 100);
    pump.record(pump.plan(100)).expect("planned");
    assert_eq!(pump.received(), 130);
}

/// Contiguous, within the window, nothing after the end: SW-117, SW-160.
#[test]
fn receiver_checks_the_stream() {
    let mut pump = receiver(RdmaVariant::Write);
    assert!(matches!(pump.on_data(101, 1), Err(PumpError::Offset { expected: 100, got: 101 })));
    assert!(matches!(pump.on_data(99, 5), Err(PumpError::Offset { .. })));
    assert!(matches!(pump.on_data(100, 101), Err(PumpError::BeyondWindow { end: 201, room: 200 })));
    assert!(matches!(pump.on_announce(100, 101), Err(PumpError::BeyondWindow { .. })));
    assert!(pump.on_written(100).is_err());
    pump.on_data(100, 100).expect("fits");
    assert!(pump.on_fin(199).is_err());
    pump.on_fin(200).expect("after the last byte");
    assert!(pump.on_fin(200).is_err() && pump.on_urgent(201).is_err() && pump.on_data(200, 1).is_err());
}

/// Section 6, rule 3: progress is told when it is worth it or the sender may wait for it.
#[test]
fn windows_are_told_in_time() {
    let mut pump = receiver(RdmaVariant::Read);
    pump.on_data(100, 50).expect("fits");
    pump.taken(124).expect("received");
    assert_eq!(pump.plan(100), ReceiveStep::Wait);
    pump.taken(125).expect("received");
    assert_eq!(pump.plan(100), ReceiveStep::Window { room: 225, taken: 125 });
    pump.on_data(150, 50).expect("fits");
    let mut full = receiver(RdmaVariant::Read);
    full.on_data(100, 100).expect("fits");
    assert_eq!(full.plan(100), ReceiveStep::Wait);
    full.taken(101).expect("received");
    assert_eq!(full.plan(100), ReceiveStep::Window { room: 201, taken: 101 });
    assert!(full.taken(201).is_err() && full.taken(100).is_err());
}

/// SW-125: the newest urgent byte counts, and it may not have arrived.
#[test]
fn urgent_goes_forward_only() {
    let mut pump = receiver(RdmaVariant::Read);
    assert!(pump.on_urgent(100).is_err(), "before the start");
    pump.on_urgent(150).expect("ahead of the bytes");
    assert!(pump.on_urgent(150).is_err());
    assert_eq!(pump.urgent(), Some(150));
}

/// A peer cannot free what it has not got, shrink its window, or freeze where it cannot be.
#[test]
fn sender_checks_windows_and_freezes() {
    let mut pump = sender(RdmaVariant::Read);
    pump.record(SendStep::Data { offset: 100, length: 10 }).expect("fits");
    assert!(pump.record(SendStep::Data { offset: 100, length: 10 }).is_err(), "twice");
    assert!(pump.record(SendStep::Data { offset: 110, length: 91 }).is_err(), "beyond the window");
    for (room, taken) in [(199, 100), (300, 99), (300, 111)] {
        assert_eq!(pump.on_window(room, taken), Err(PumpError::Window));
    }
    pump.on_window(210, 105).expect("grows");
    assert_eq!((pump.keep_from(), pump.offset()), (105, 110));
    for at in [104, 111] {
        assert_eq!(pump.on_frozen(at), Err(PumpError::Window));
    }
    pump.on_frozen(105).expect("between taken and sent");
    assert_eq!(pump.plan(supply(5)), SendStep::Wait);
}

/// SW-160: the end goes when everything before it has gone.
#[test]
fn fin_after_the_last_byte() {
    let mut pump = sender(RdmaVariant::Read);
    pump.finish(105).expect("once");
    assert!(pump.finish(105).is_err());
    pump.record(pump.plan(supply(5))).expect("planned");
    assert_eq!(pump.plan(supply(0)), SendStep::Fin { offset: 105 });
    pump.record(SendStep::Fin { offset: 105 }).expect("planned");
    assert!(pump.is_finished());
    assert_eq!(pump.plan(supply(0)), SendStep::Wait);
    let mut pump = sender(RdmaVariant::Read);
    pump.record(pump.plan(supply(30))).expect("planned");
    assert!(pump.finish(129).is_err(), "the offered bytes belong to the stream");
}

/// Small and extreme offsets.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 90..260_u64, 1 => Just(u64::MAX), 1 => Just(u64::MAX - 50), 1 => any::<u64>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2000), failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a peer says, whatever offsets: no panic, and the pumps keep their own rules.
    #[test]
    fn hostile_peers_never_panic(
        write in any::<bool>(),
        start in number(),
        calls in prop::collection::vec((0..16_u8, number(), number()), 0..80),
    ) {
        let variant = if write { RdmaVariant::Write } else { RdmaVariant::Read };
        let mut x = PumpSender::new(start, limits(variant));
        let mut y = PumpReceiver::new(start, 100, limits(variant));
        for (call, a, b) in calls {
            let short = u32::try_from(b).unwrap_or(u32::MAX);
            let _ = match call {
                0 => x.on_window(a, b),
                1 => x.on_target(a, short),
                2 => x.on_read(a),
                3 => x.on_frozen(a),
                4 => x.write_completed(short % 20),
                5 => x.finish(a),
                6 => y.on_data(a, usize::try_from(b).unwrap_or(usize::MAX)),
                7 => y.on_offer(a, short),
                8 => y.on_announce(a, short),
                9 => y.on_written(a),
                10 => y.on_fin(a),
                11 => y.on_urgent(a),
                12 => y.taken(a),
                13 => y.read_completed(short % 20),
                14 => x.record(x.plan(Supply { available: a, contiguous: a.min(b), may_send: true })),
                _ => y.record(y.plan(b)),
            };
            prop_assert!(x.keep_from() <= x.offset());
            prop_assert!(y.end().is_none_or(|end| end == y.received()));
            prop_assert!(y.received() <= y.fill_from());
        }
    }
}
