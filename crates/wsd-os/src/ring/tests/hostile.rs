//! A peer that writes anything into every shared word: no panic, nothing outside the ring.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use proptest::prelude::*;
use zerocopy::{FromBytes, FromZeros};

use super::{CANARY, Pair};
use crate::ring::{ConsumerState, ProducerState, Violation};

/// All words of a ring, as the peer sees them: the header's 512 bytes.
fn words(p: &Pair) -> &[AtomicU64] {
    // SAFETY: the header is mapped, aligned, and made of atomics; 64 words are its size.
    unsafe { core::slice::from_raw_parts(p.ring.as_ptr().cast::<AtomicU64>(), 64) }
}

#[derive(Clone, Debug)]
enum Op {
    Poke(usize, u64),
    /// A word becomes another one plus something small: values that nearly make sense.
    PokeNear(usize, usize, i64),
    Write(usize),
    Read(usize),
    Peek(usize, usize),
    Consume(usize),
    Reread(u64, usize),
    Others,
}

fn op() -> impl Strategy<Value = Op> {
    // The words in use: the writer's eight, `head`, the reader's two, `space_wait`.
    let word = || prop_oneof![0..8usize, Just(16usize), 32..34usize, Just(48usize)];
    let n = || 0..150_000usize;
    prop_oneof![
        (word(), any::<u64>()).prop_map(|(word, value)| Op::Poke(word, value)),
        (word(), word(), -70_000..70_000i64).prop_map(|(a, b, by)| Op::PokeNear(a, b, by)),
        n().prop_map(Op::Write),
        n().prop_map(Op::Read),
        (n(), n()).prop_map(|(skip, n)| Op::Peek(skip, n)),
        n().prop_map(Op::Consume),
        (any::<u64>(), n()).prop_map(|(from, n)| Op::Reread(from, n)),
        Just(Op::Others),
    ]
}

/// Every result must be a violation or within what was asked for; bytes read must be from inside the ring.
fn check(result: Result<usize, Violation>, dst: &[u8]) {
    if let Ok(n) = result {
        assert!(n <= dst.len());
        assert!(!dst.contains(&CANARY), "read outside the ring");
    }
}

fn step(p: &Pair, producer: &ProducerState, consumer: &ConsumerState, op: &Op) {
    let ring = p.ring;
    match *op {
        Op::Poke(word, value) => words(p)[word].store(value, Relaxed),
        Op::PokeNear(word, like, by) => {
            words(p)[word].store(words(p)[like].load(Relaxed).wrapping_add_signed(by), Relaxed);
        }
        Op::Write(n) => {
            let src = vec![0x11; n];
            check(ring.write(producer, &src), &src);
        }
        Op::Read(n) => {
            let mut dst = vec![0; n];
            check(ring.read(consumer, &mut dst), &dst);
        }
        Op::Peek(skip, n) => {
            let mut dst = vec![0; n];
            check(ring.peek(consumer, skip, &mut dst), &dst);
        }
        Op::Consume(n) => assert!(ring.consume(consumer, n).unwrap_or(0) <= n),
        Op::Reread(from, n) => {
            let mut dst = vec![0; n];
            check(ring.reread(producer, from, &mut dst), &dst);
        }
        Op::Others => {
            let _ = ring.accept_begin(consumer, 7);
            let _ = (ring.readable(consumer), ring.writable(producer), ring.at_fin(consumer));
            ring.grow(producer);
            ring.note_writer_control(consumer, &ring.writer_control());
            ring.note_reader_control(producer, &ring.reader_control());
            ring.arm_data_wait(consumer, 1);
            ring.arm_space_wait(producer, 1);
            let _ =
                (ring.take_data_wait(), ring.take_space_wait_lazy(consumer), ring.has_data_hint(consumer));
            let _ = (ring.set_fin(producer), ring.set_end(producer), ring.freeze(consumer));
            if let Ok([a, b]) = ring.stage(producer).free_spans(usize::MAX) {
                assert!(a.len + b.len <= crate::ring::AREA_BYTES[2]);
            }
            if let Ok([a, b]) = ring.drain(consumer).data_spans(usize::MAX) {
                assert!(a.len + b.len <= crate::ring::AREA_BYTES[2]);
            }
        }
    }
}

/// A pair whose areas hold initialised bytes other than the canary.
fn filled(start: u64) -> Pair {
    let p = Pair::begun(start);
    // SAFETY: the data areas follow the page of the header inside the ring's memory.
    unsafe {
        let page = crate::ring::Ring::ALIGN;
        p.ring.as_ptr().add(page).write_bytes(0x11, crate::ring::Ring::BYTES - page);
    }
    p
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(300), failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_shared_words_are_survived(start in any::<u64>(), ops in prop::collection::vec(op(), 1..100)) {
        let p = filled(start);
        for op in &ops {
            step(&p, &p.producer, &p.consumer, op);
        }
        p.assert_margins_untouched();
    }

    /// Not promised to make sense, but safe functions must stay inside the ring with any state as well.
    #[test]
    fn any_private_states_are_survived(
        states in prop::collection::vec(any::<u8>(), 128),
        small in any::<bool>(),
        ops in prop::collection::vec(op(), 1..50),
    ) {
        let p = filled(7);
        let producer = ProducerState::read_from_bytes(&states[..64]).expect("64 bytes");
        let consumer = ConsumerState::read_from_bytes(&states[64..]).expect("64 bytes");
        if small {
            // Levels that exist, so that more than the first check is reached.
            producer.level.store(u32::from(states[0] % 3), Relaxed);
            consumer.level.store(u32::from(states[1] % 3), Relaxed);
        }
        for op in &ops {
            step(&p, &producer, &consumer, op);
        }
        p.assert_margins_untouched();
    }
}

/// The words change while calls are under way, not only between them.
#[test]
fn words_that_change_meanwhile_are_survived() {
    let p = filled(0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut x = 88_172_645_463_325_252u64;
            while !stop.load(Relaxed) {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                let word = [0, 0, 2, 3, 16][(x >> 32) as usize % 5];
                words(&p)[word].store(if x & 0x100 == 0 { x } else { x & 0xFFFF }, Relaxed);
            }
        });
        let mut buf = vec![0; 100_000];
        for round in 0..20_000usize {
            let (producer, consumer) = (ProducerState::new_zeroed(), ConsumerState::new_zeroed());
            let start = (round % 3) as u64 * 1000;
            p.ring.begin(&producer, start);
            let _ = p.ring.accept_begin(&consumer, start);
            for n in [10, 3000, 60_000] {
                check(p.ring.write(&producer, &vec![0x11; n]), &[0; 60_000]);
                p.ring.grow(&producer);
                check(p.ring.read(&consumer, &mut buf[..n]), &buf[..n]);
                let _ = p.ring.readable(&consumer);
            }
        }
        stop.store(true, Relaxed);
    });
    p.assert_margins_untouched();
}
