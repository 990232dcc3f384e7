//! All interleavings (within loom's bounds) of two threads that sleep and wake each other.
//!
//! The areas are tiny here (2, 4 and 8 bytes), so the writer finds the ring full at once. A lost wake-up leaves
//! both threads asleep, which loom reports. Every byte of the first area has a loom cell beside it that its
//! writer and reader touch when the cursors say it is theirs; loom reports a touch that is not ordered after the
//! other side's last one, so a missing release or acquire shows as well.

use loom::cell::UnsafeCell;
use loom::sync::{Arc, Notify};
use loom::thread;

use super::{ConsumerState, ProducerState, Ring};
use crate::atomic::{AtomicU32, Ordering::Acquire};

/// Memory of a ring, page aligned.
#[repr(C, align(4096))]
struct Memory {
    header: super::layout::Header,
    areas: [[u8; 4096]; 3],
}

/// A ring, both sides' states, and the cells.
struct Pair {
    ring: Ring,
    producer: ProducerState,
    consumer: ConsumerState,
    cells: [UnsafeCell<u8>; 2],
    /// Stand for the futexes on the wait words.
    data: Notify,
    space: Notify,
    memory: *mut Memory,
}

// SAFETY: the states are atomics, the cells are checked by loom, the memory is owned by the pair.
unsafe impl Send for Pair {}
// SAFETY: as above.
unsafe impl Sync for Pair {}

impl Pair {
    fn new() -> Arc<Pair> {
        assert_eq!(size_of::<Memory>(), Ring::BYTES);
        let memory = Box::into_raw(Box::new(Memory { header: Default::default(), areas: [[0; 4096]; 3] }));
        // SAFETY: aligned and long enough; freed only when the pair, and all use of the ring, is gone.
        let ring = unsafe { Ring::from_raw(memory.cast(), Ring::BYTES) }.expect("as asserted");
        let (producer, consumer) = (ProducerState::default(), ConsumerState::default());
        let cells = [UnsafeCell::new(0), UnsafeCell::new(0)];
        Arc::new(Pair { ring, producer, consumer, cells, data: Notify::new(), space: Notify::new(), memory })
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // SAFETY: made by `Box::into_raw` above.
        drop(unsafe { Box::from_raw(self.memory) });
    }
}

/// Sleeps like a thread on a futex: until the bit is taken.
fn sleep(word: &AtomicU32, futex: &Notify) {
    while word.load(Acquire) & 1 != 0 {
        futex.wait();
    }
}

fn send(p: &Pair, bytes: &[u8]) {
    for byte in bytes {
        while p.ring.writable(&p.producer).expect("honest") == 0 {
            if p.ring.arm_space_wait(&p.producer, 1) {
                sleep(p.ring.space_wait_word(), &p.space);
            }
        }
        // SAFETY: there is room, so this byte's cell is ours.
        p.cells[p.producer.tail() as usize & 1].with_mut(|cell| unsafe { *cell = *byte });
        assert_eq!(p.ring.write(&p.producer, &[*byte]), Ok(1));
        if p.ring.take_data_wait() != 0 {
            p.data.notify();
        }
    }
}

fn receive(p: &Pair, bytes: &[u8]) {
    for expected in bytes {
        while p.ring.readable(&p.consumer).expect("honest") == 0 {
            if p.ring.arm_data_wait(&p.consumer, 1) {
                sleep(p.ring.data_wait_word(), &p.data);
            }
        }
        // SAFETY: the byte is there, so its cell is ours.
        let in_cell = p.cells[p.consumer.head() as usize & 1].with(|cell| unsafe { *cell });
        assert_eq!(in_cell, *expected);
        let mut byte = [0];
        assert_eq!(p.ring.read(&p.consumer, &mut byte), Ok(1));
        assert_eq!(byte[0], *expected);
        if p.ring.take_space_wait() != 0 {
            p.space.notify();
        }
    }
}

fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

#[test]
fn sleeping_reader_is_woken() {
    check(4, || {
        let p = Pair::new();
        p.ring.begin(&p.producer, 0);
        assert_eq!(p.ring.accept_begin(&p.consumer, 0), Ok(true));
        let reader = {
            let p = p.clone();
            thread::spawn(move || receive(&p, &[1, 2]))
        };
        send(&p, &[1, 2]);
        reader.join().expect("no panic");
    });
}

#[test]
fn sleeping_writer_is_woken() {
    check(3, || {
        let p = Pair::new();
        p.ring.begin(&p.producer, 0);
        assert_eq!(p.ring.accept_begin(&p.consumer, 0), Ok(true));
        assert_eq!(p.ring.write(&p.producer, &[1, 2]), Ok(2));
        let reader = {
            let p = p.clone();
            // The cells of the two bytes are written here, before the other thread begins.
            for (cell, byte) in p.cells.iter().zip([1, 2]) {
                // SAFETY: nobody else is running.
                cell.with_mut(|cell| unsafe { *cell = byte });
            }
            thread::spawn(move || receive(&p, &[1, 2, 3]))
        };
        send(&p, &[3]);
        reader.join().expect("no panic");
    });
}

#[test]
fn begin_and_end_wake_the_reader() {
    check(4, || {
        let p = Pair::new();
        let writer = {
            let p = p.clone();
            thread::spawn(move || {
                p.ring.begin(&p.producer, 5);
                if p.ring.take_data_wait() != 0 {
                    p.data.notify();
                }
                assert_eq!(p.ring.write(&p.producer, &[9]), Ok(1));
                p.ring.set_fin(&p.producer);
                if p.ring.take_data_wait() != 0 {
                    p.data.notify();
                }
            })
        };
        let mut byte = [0];
        while p.ring.accept_begin(&p.consumer, 5) == Ok(false) || p.ring.at_fin(&p.consumer) == Ok(false) {
            if let (true, Some(fin)) = (p.consumer.begun(), p.ring.writer_control().fin) {
                // Who sees the end sees all bytes before it.
                assert_eq!(p.ring.readable(&p.consumer), Ok((fin - p.consumer.head()) as usize));
            }
            p.ring.read(&p.consumer, &mut byte).expect("honest");
            if p.ring.at_fin(&p.consumer) == Ok(false) && p.ring.arm_data_wait(&p.consumer, 1) {
                sleep(p.ring.data_wait_word(), &p.data);
            }
        }
        assert_eq!(byte, [9]);
        writer.join().expect("no panic");
    });
}

#[test]
fn reader_follows_into_the_next_area() {
    check(3, || {
        let p = Pair::new();
        p.ring.begin(&p.producer, 0);
        assert_eq!(p.ring.accept_begin(&p.consumer, 0), Ok(true));
        let writer = {
            let p = p.clone();
            thread::spawn(move || {
                assert_eq!(p.ring.write(&p.producer, &[1]), Ok(1));
                assert!(p.ring.grow(&p.producer));
                assert_eq!(p.ring.write(&p.producer, &[2, 3]), Ok(2));
            })
        };
        let (mut got, mut buf) = (Vec::new(), [0; 4]);
        while got.len() < 3 {
            let n = p.ring.read(&p.consumer, &mut buf).expect("honest");
            got.extend_from_slice(&buf[..n]);
            if n == 0 {
                thread::yield_now();
            }
        }
        assert_eq!(got, [1, 2, 3]);
        writer.join().expect("no panic");
    });
}

/// SW-125: no reader takes an urgent byte for an ordinary one because it has not seen the mark yet.
#[test]
fn who_finds_an_urgent_byte_finds_its_mark() {
    check(4, || {
        let p = Pair::new();
        p.ring.begin(&p.producer, 0);
        assert_eq!(p.ring.accept_begin(&p.consumer, 0), Ok(true));
        let writer = {
            let p = p.clone();
            thread::spawn(move || {
                let mut staging = p.ring.stage(&p.producer);
                assert_eq!(staging.push(&[1, 2]), Ok(2));
                p.ring.set_urgent(staging.offset());
                staging.publish();
            })
        };
        if p.ring.readable(&p.consumer) == Ok(2) {
            assert_eq!(p.ring.writer_control().urgent, Some(2));
        }
        writer.join().expect("no panic");
    });
}
