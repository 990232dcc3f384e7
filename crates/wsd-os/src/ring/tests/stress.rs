//! Two threads that sleep and wake each other, with everything that can happen to a stream on the way.

use std::hash::{DefaultHasher, Hasher};
use std::thread::{self, Thread};
use std::time::Duration;

use super::Pair;
use crate::atomic::{AtomicU32, Ordering::Acquire};

/// Sleeps like a thread on a futex: until the bit is taken. A lost wake-up is a failed test, not a hang.
fn sleep(word: &AtomicU32, bit: u32) {
    while word.load(Acquire) & bit != 0 {
        let begin = std::time::Instant::now();
        thread::park_timeout(Duration::from_secs(20));
        assert!(begin.elapsed() < Duration::from_secs(20), "never woken");
    }
}

/// Lengths from one byte to a few areas, most of them small.
struct Lengths(u64);

impl Lengths {
    fn next(&mut self, max: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bits = (self.0 >> 59) as u32;
        ((self.0 >> 20) as usize & ((2usize << (bits % 18)) - 1)).clamp(1, max)
    }
}

/// Sends `total` bytes; the hash of them.
fn send(p: &Pair, reader: &Thread, total: usize, grow_every: usize) -> u64 {
    let (ring, mut hash, mut lengths) = (p.ring, DefaultHasher::new(), Lengths(1));
    let (mut left, mut full) = (total, 0);
    let mut fill = Lengths(3);
    while left > 0 {
        let mut src = vec![0; lengths.next(left)];
        src.fill_with(|| fill.next(usize::MAX) as u8);
        left -= src.len();
        hash.write(&src);
        let mut src = src.as_slice();
        while !src.is_empty() {
            let n = ring.write(&p.producer, src).expect("honest");
            src = &src[n..];
            if n > 0 && ring.take_data_wait() != 0 {
                reader.unpark();
            }
            if !src.is_empty() {
                full += 1;
                if !(full % grow_every == 0 && ring.grow(&p.producer))
                    && ring.writable(&p.producer) == Ok(0)
                    && ring.arm_space_wait(&p.producer, 1)
                {
                    sleep(ring.space_wait_word(), 1);
                }
            }
        }
    }
    ring.set_fin(&p.producer);
    if ring.take_data_wait() != 0 {
        reader.unpark();
    }
    hash.finish()
}

/// Reads to the end of the stream; the hash of it and its length.
fn receive(p: &Pair, writer: &Thread, lazy: bool) -> (u64, usize) {
    let (ring, mut hash, mut lengths) = (p.ring, DefaultHasher::new(), Lengths(2));
    let mut total = 0;
    let mut dst = vec![0; 1 << 19];
    loop {
        let len = lengths.next(dst.len());
        let n = ring.read(&p.consumer, &mut dst[..len]).expect("honest");
        hash.write(&dst[..n]);
        total += n;
        let bits = if lazy { ring.take_space_wait_lazy(&p.consumer) } else { ring.take_space_wait() };
        if bits != 0 {
            writer.unpark();
        }
        if n == 0 {
            if ring.at_fin(&p.consumer) == Ok(true) {
                return (hash.finish(), total);
            }
            if ring.arm_data_wait(&p.consumer, 1) {
                sleep(ring.data_wait_word(), 1);
            }
        }
    }
}

fn run(total: usize, grow_every: usize, lazy: bool) {
    let p = Pair::begun(12_345);
    thread::scope(|scope| {
        let writer = thread::current();
        let p = &p;
        let reader = scope.spawn(move || receive(p, &writer, lazy));
        let sent = send(p, reader.thread(), total, grow_every);
        assert_eq!(reader.join().expect("no panic"), (sent, total));
    });
    p.assert_margins_untouched();
}

#[test]
fn stream_arrives_through_all_areas() {
    run(25 << 20, 40, false);
}

#[test]
fn stream_arrives_with_lazy_wakes_in_the_first_area() {
    run(25 << 20, usize::MAX, true);
}
