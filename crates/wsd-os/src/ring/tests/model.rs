//! Arbitrary interleavings of both sides' calls against a queue.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::{Pair, bytes_at};
use crate::ring::AREA_BYTES;

#[derive(Clone, Debug)]
enum Op {
    Write(usize),
    WriteVectored(Vec<usize>),
    Abandon(usize),
    Grow,
    Read(usize),
    ReadVectored(Vec<usize>),
    Peek(usize, usize),
    Consume(usize),
    Reread(usize),
}

/// Lengths around everything that matters: nothing, small, the piece of long copies, the first area.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![0..4usize, 0..300usize, 32_000..33_500usize, 65_000..66_000usize, 0..200_000usize]
}

fn op() -> impl Strategy<Value = Op> {
    let lengths = || prop::collection::vec(length(), 0..4);
    prop_oneof![
        6 => length().prop_map(Op::Write),
        2 => lengths().prop_map(Op::WriteVectored),
        1 => length().prop_map(Op::Abandon),
        1 => Just(Op::Grow),
        6 => length().prop_map(Op::Read),
        2 => lengths().prop_map(Op::ReadVectored),
        2 => (length(), length()).prop_map(|(skip, n)| Op::Peek(skip, n)),
        1 => length().prop_map(Op::Consume),
        1 => length().prop_map(Op::Reread),
    ]
}

/// What is in the ring, and where.
struct Model {
    unread: VecDeque<u8>,
    head: u64,
    level: usize,
    area_start: u64,
}

impl Model {
    fn tail(&self) -> u64 {
        self.head + self.unread.len() as u64
    }

    fn room(&self) -> usize {
        AREA_BYTES[self.level] - (self.tail() - self.head.max(self.area_start)) as usize
    }

    fn take(&mut self, n: usize) -> Vec<u8> {
        let n = n.min(self.unread.len());
        self.head += n as u64;
        self.unread.drain(..n).collect()
    }

    fn look(&self, skip: usize, n: usize) -> Vec<u8> {
        self.unread.iter().skip(skip).take(n).copied().collect()
    }
}

fn step(p: &Pair, m: &mut Model, op: &Op) {
    let ring = p.ring;
    match op {
        Op::Write(n) => {
            let src = bytes_at(m.tail(), *n);
            let n = (*n).min(m.room());
            assert_eq!(ring.write(&p.producer, &src), Ok(n));
            m.unread.extend(&src[..n]);
        }
        Op::WriteVectored(lengths) => {
            let mut staging = ring.stage(&p.producer);
            let mut at = m.tail();
            for n in lengths {
                let src = bytes_at(at, *n);
                let n = (*n).min(m.room());
                assert_eq!(staging.push(&src), Ok(n));
                m.unread.extend(&src[..n]);
                at += n as u64;
            }
            staging.publish();
        }
        Op::Abandon(n) => {
            // Long writes are published on the way, so only short ones can be taken back.
            let n = (*n).min(30_000);
            let mut staging = ring.stage(&p.producer);
            assert_eq!(staging.push(&vec![0xAA; n]), Ok(n.min(m.room())));
        }
        Op::Grow => {
            assert_eq!(ring.grow(&p.producer), m.level < 2);
            if m.level < 2 {
                m.level += 1;
                m.area_start = m.tail();
            }
        }
        Op::Read(n) => {
            let mut dst = vec![0; *n];
            let got = ring.read(&p.consumer, &mut dst).expect("honest");
            assert_eq!(dst[..got], m.take(*n));
        }
        Op::ReadVectored(lengths) => {
            let mut drain = ring.drain(&p.consumer);
            let mut total = 0;
            for n in lengths {
                let mut dst = vec![0; *n];
                let got = drain.pull(&mut dst).expect("honest");
                assert_eq!(dst[..got], m.take(*n));
                total += got;
            }
            assert_eq!(drain.commit(), total);
        }
        Op::Peek(skip, n) => {
            let mut dst = vec![0; *n];
            let got = ring.peek(&p.consumer, *skip, &mut dst).expect("honest");
            assert_eq!(dst[..got], m.look(*skip, *n));
        }
        Op::Consume(n) => assert_eq!(ring.consume(&p.consumer, *n), Ok(m.take(*n).len())),
        Op::Reread(skip) => {
            let mut dst = vec![0; m.unread.len()];
            let got = ring.reread(&p.producer, m.head + *skip as u64, &mut dst).expect("honest");
            assert_eq!(dst[..got], m.look(*skip, usize::MAX));
        }
    }
    assert_eq!(p.producer.tail(), m.tail());
    assert_eq!(p.consumer.head(), m.head);
    assert_eq!(ring.readable(&p.consumer), Ok(m.unread.len()));
    assert_eq!(ring.has_data_hint(&p.consumer), !m.unread.is_empty());
    assert_eq!(ring.writable(&p.producer), Ok(m.room()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(200), failure_persistence: None, ..Default::default() })]

    #[test]
    fn behaves_like_a_queue(start in 0..1u64 << 40, ops in prop::collection::vec(op(), 1..80)) {
        let p = Pair::begun(start);
        let mut m = Model { unread: VecDeque::new(), head: start, level: 0, area_start: 0 };
        for op in &ops {
            step(&p, &mut m, op);
        }
        p.assert_margins_untouched();
    }
}
