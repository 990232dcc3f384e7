//! Round trips and throughput of two spinning threads over rings, printed. Run with `--release`.

use std::alloc::{Layout, alloc_zeroed};
use std::hint::{black_box, spin_loop};
use std::thread;
use std::time::Instant;

use wsd_os::ring::{AREA_BYTES, ConsumerState, ProducerState, Ring};

/// Keeps the states of the two sides, which otherwise lie in two processes, well apart.
#[repr(align(256))]
struct Apart<T>(T);

/// A ring with the states of both sides, which here are the two threads.
struct Pipe {
    ring: Ring,
    producer: Apart<ProducerState>,
    consumer: Apart<ConsumerState>,
}

impl Pipe {
    fn new(level: u32) -> &'static Pipe {
        let layout = Layout::from_size_align(Ring::BYTES, Ring::ALIGN).expect("constants");
        // SAFETY: the size is not zero, and the memory is never freed.
        let ring = unsafe { Ring::from_raw(alloc_zeroed(layout), Ring::BYTES) }.expect("enough memory");
        let (producer, consumer) = (ProducerState::default(), ConsumerState::default());
        ring.begin(&producer, 0);
        for _ in 0..level {
            ring.grow(&producer);
        }
        ring.accept_begin(&consumer, 0).expect("begun above");
        Box::leak(Box::new(Pipe { ring, producer: Apart(producer), consumer: Apart(consumer) }))
    }

    fn send(&self, mut src: &[u8]) {
        while !src.is_empty() {
            let n = self.ring.write(&self.producer.0, src).expect("honest peer");
            assert_eq!(self.ring.take_data_wait(), 0);
            src = &src[n..];
            if n == 0 {
                spin_loop();
            }
        }
    }

    fn receive(&self, mut dst: &mut [u8]) {
        while !dst.is_empty() {
            while !self.ring.has_data_hint(&self.consumer.0) {
                spin_loop();
            }
            let n = self.ring.read(&self.consumer.0, dst).expect("honest peer");
            assert_eq!(self.ring.take_space_wait_lazy(&self.consumer.0), 0);
            dst = &mut dst[n..];
        }
    }
}

/// Median and best of the mean round trip, in nanoseconds, over batches.
fn round_trip(bytes: usize) -> (f64, f64) {
    const BATCHES: usize = 200;
    const EACH: usize = 1000;
    let (there, back) = (Pipe::new(0), Pipe::new(0));
    let echo = thread::spawn(move || {
        let mut buf = vec![0; bytes];
        for _ in 0..BATCHES * EACH {
            there.receive(&mut buf);
            back.send(&buf);
        }
    });
    let mut buf = vec![7; bytes];
    let mut means = Vec::new();
    for _ in 0..BATCHES {
        let begin = Instant::now();
        for _ in 0..EACH {
            there.send(&buf);
            back.receive(&mut buf);
        }
        means.push(begin.elapsed().as_nanos() as f64 / EACH as f64);
    }
    echo.join().expect("no panic");
    means.sort_by(f64::total_cmp);
    (means[BATCHES / 2], means[0])
}

/// Best MB/s of several streams in writes of `bytes`.
fn throughput(level: u32, bytes: usize) -> f64 {
    let total = if bytes < 1024 { 16 << 20 } else { 512 << 20 };
    let mut best = f64::MAX;
    for _ in 0..5 {
        let pipe = Pipe::new(level);
        let sink = thread::spawn(move || {
            let mut buf = vec![0; bytes];
            for _ in 0..total / bytes {
                pipe.receive(&mut buf);
                black_box(&buf);
            }
        });
        let buf = vec![7; bytes];
        let begin = Instant::now();
        for _ in 0..total / bytes {
            pipe.send(&buf);
        }
        sink.join().expect("no panic");
        best = best.min(begin.elapsed().as_secs_f64());
    }
    total as f64 / best / 1e6
}

fn main() {
    println!("{:>10} {:>12} {:>12}", "bytes", "median ns", "best ns");
    for bytes in [1, 64, 256, 1024, 4096, 16384] {
        let (median, best) = round_trip(bytes);
        println!("{bytes:>10} {median:>12.0} {best:>12.0}");
    }
    println!("{:>10} {:>12} {:>12}", "area", "bytes", "MB/s");
    for (level, area) in AREA_BYTES.iter().enumerate() {
        for bytes in [64, 4096, 65536, 1 << 20] {
            println!("{area:>10} {bytes:>12} {:>12.0}", throughput(level as u32, bytes));
        }
    }
}
