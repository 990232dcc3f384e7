//! One behaviour at a time.

use zerocopy::FromZeros;

use super::{Pair, bytes_at};
use crate::ring::{AREA_BYTES, ConsumerState, ProducerState, Ring, Violation};

#[test]
fn refuses_memory_that_is_short_or_crooked() {
    let pair = Pair::unused();
    let ptr = pair.ring.as_ptr();
    // SAFETY: none of these rings is used.
    unsafe {
        assert!(Ring::from_raw(ptr, Ring::BYTES - 1).is_none());
        assert!(Ring::from_raw(ptr.add(64), Ring::BYTES).is_none());
        assert!(Ring::from_raw(core::ptr::null_mut(), Ring::BYTES).is_none());
        assert_eq!(Ring::from_raw(ptr, Ring::BYTES), Some(pair.ring));
    }
}

#[test]
fn states_fit_cache_lines_and_zero_is_not_begun() {
    assert_eq!(size_of::<ProducerState>(), 64);
    assert_eq!(size_of::<ConsumerState>(), 64);
    assert!(!ProducerState::new_zeroed().begun());
    assert!(!ConsumerState::new_zeroed().begun());
}

#[test]
fn nothing_moves_before_the_begin() {
    let p = Pair::unused();
    assert_eq!(p.ring.write(&p.producer, b"x"), Ok(0));
    assert!(!p.ring.grow(&p.producer));
    assert_eq!(p.ring.read(&p.consumer, &mut [0]), Ok(0));
    assert_eq!(p.ring.accept_begin(&p.consumer, 77), Ok(false));
    p.ring.begin(&p.producer, 77);
    assert_eq!(p.ring.write(&p.producer, b"early"), Ok(5));
    assert_eq!(p.ring.read(&p.consumer, &mut [0]), Ok(0), "not accepted yet");
    assert_eq!(p.ring.writable(&p.producer), Ok(AREA_BYTES[0] - 5), "head is still zero");
    assert_eq!(p.ring.accept_begin(&p.consumer, 78), Err(Violation::Start));
    assert_eq!(p.ring.accept_begin(&p.consumer, 77), Ok(true));
    assert_eq!(p.ring.started_at(), Some(77));
    let mut buf = [0; 9];
    assert_eq!(p.ring.read(&p.consumer, &mut buf), Ok(5));
    assert_eq!(&buf[..5], b"early");
}

#[test]
fn staging_is_invisible_until_published_and_a_drain_gives_nothing_back_until_committed() {
    let p = Pair::begun(0);
    let mut staging = p.ring.stage(&p.producer);
    assert_eq!(staging.push(b"forgotten"), Ok(9));
    drop(staging);
    let mut staging = p.ring.stage(&p.producer);
    assert_eq!((staging.push(b"ab"), staging.push(b"cd")), (Ok(2), Ok(2)));
    assert!(!p.ring.has_data_hint(&p.consumer));
    assert_eq!(p.ring.readable(&p.consumer), Ok(0));
    staging.publish();
    assert!(p.ring.has_data_hint(&p.consumer));

    let mut buf = [0; 3];
    let mut drain = p.ring.drain(&p.consumer);
    assert_eq!(drain.pull(&mut buf), Ok(3));
    drop(drain);
    assert_eq!(p.ring.writable(&p.producer), Ok(AREA_BYTES[0] - 4));
    let mut drain = p.ring.drain(&p.consumer);
    assert_eq!(drain.skip(1), Ok(1));
    assert_eq!(drain.pull(&mut buf), Ok(3));
    assert_eq!(&buf, b"bcd");
    assert_eq!(drain.commit(), 4);
    assert_eq!(p.ring.writable(&p.producer), Ok(AREA_BYTES[0]));
}

#[test]
fn one_read_crosses_all_areas() {
    let p = Pair::begun(5);
    let sizes = [1000, 0, 3000];
    let mut sent = 0;
    for (i, size) in sizes.into_iter().enumerate() {
        assert_eq!(p.ring.write(&p.producer, &bytes_at(5 + sent, size)), Ok(size));
        sent += size as u64;
        assert_eq!(p.ring.grow(&p.producer), i < 2);
    }
    assert_eq!(p.producer.level(), 2);
    assert_eq!(p.ring.readable(&p.consumer), Ok(4000));
    let mut buf = vec![0; 1500];
    assert_eq!(p.ring.peek(&p.consumer, 500, &mut buf), Ok(1500));
    assert_eq!(buf, bytes_at(505, 1500));
    assert_eq!(p.ring.reread(&p.producer, 905, &mut buf), Ok(1500));
    assert_eq!(buf, bytes_at(905, 1500));
    assert_eq!(p.consumer.level(), 0);
    let mut buf = vec![0; 5000];
    assert_eq!(p.ring.read(&p.consumer, &mut buf), Ok(4000));
    assert_eq!(&buf[..4000], bytes_at(5, 4000));
    assert_eq!(p.consumer.level(), 2);
    assert_eq!(p.ring.reread(&p.producer, 905, &mut buf), Ok(0), "was read");
}

#[test]
fn spans_go_round_the_end() {
    let near_end = AREA_BYTES[0] as u64 - 10;
    let p = Pair::begun(near_end);
    let mut staging = p.ring.stage(&p.producer);
    let [a, b] = staging.free_spans(30).expect("honest");
    assert_eq!((a.len, b.len), (10, 20));
    for (i, byte) in bytes_at(near_end, 30).into_iter().enumerate() {
        let ptr = if i < 10 { a.ptr.wrapping_add(i) } else { b.ptr.wrapping_add(i - 10) };
        // SAFETY: inside the spans.
        unsafe { ptr.write(byte) };
    }
    staging.advance(30);
    staging.publish();
    let mut drain = p.ring.drain(&p.consumer);
    let [c, d] = drain.data_spans(100).expect("honest");
    assert_eq!((a, b), (c, d));
    let mut buf = [0; 30];
    assert_eq!(drain.pull(&mut buf), Ok(30));
    assert_eq!(buf.as_slice(), bytes_at(near_end, 30));
}

#[test]
fn control_words_reach_the_other_side() {
    let p = Pair::begun(10);
    assert_eq!(p.ring.write(&p.producer, b"abc"), Ok(3));
    p.ring.set_urgent(12);
    assert_eq!(p.ring.set_fin(&p.producer), 13);
    assert_eq!(p.ring.set_end(&p.producer), 13);
    p.ring.set_reset();
    let said = p.ring.writer_control();
    assert_eq!((said.fin, said.urgent, said.end, said.reset), (Some(13), Some(12), Some(13), true));
    assert_eq!(p.ring.at_fin(&p.consumer), Ok(false));
    assert_eq!(p.ring.consume(&p.consumer, 9), Ok(3));
    assert_eq!(p.ring.at_fin(&p.consumer), Ok(true));
    assert_eq!(p.ring.freeze(&p.consumer), 13);
    p.ring.set_reader_closed();
    let said = p.ring.reader_control();
    assert_eq!((said.frozen_at, said.closed), (Some(13), true));
    p.ring.reset();
    assert_eq!(p.ring.writer_control(), Default::default());
    assert_eq!(p.ring.reader_control(), Default::default());
    assert_eq!(p.ring.started_at(), None);
}

#[test]
fn sleeps_only_without_news_and_noted_news_is_none() {
    let p = Pair::begun(0);
    assert_eq!(p.ring.take_data_wait(), 0);
    assert!(p.ring.arm_data_wait(&p.consumer, 0x101));
    assert_eq!(p.ring.write(&p.producer, b"x"), Ok(1));
    assert_eq!(p.ring.take_data_wait(), 0x101);
    assert_eq!(p.ring.take_data_wait(), 0);
    assert!(!p.ring.arm_data_wait(&p.consumer, 3), "a byte is there");
    p.ring.disarm_data_wait(2);
    assert_eq!(p.ring.take_data_wait(), 1);
    assert_eq!(p.ring.consume(&p.consumer, 1), Ok(1));
    p.ring.set_urgent(1);
    assert!(!p.ring.arm_data_wait(&p.consumer, 1));
    p.ring.note_writer_control(&p.consumer, &p.ring.writer_control());
    assert!(p.ring.arm_data_wait(&p.consumer, 1));
    p.ring.set_fin(&p.producer);
    assert!(!p.ring.arm_data_wait(&p.consumer, 1));

    assert!(!p.ring.arm_space_wait(&p.producer, 1), "the byte read is news");
    assert_eq!(p.ring.writable(&p.producer), Ok(AREA_BYTES[0]));
    assert!(p.ring.arm_space_wait(&p.producer, 1));
    p.ring.set_reader_closed();
    assert!(!p.ring.arm_space_wait(&p.producer, 1));
    p.ring.note_reader_control(&p.producer, &p.ring.reader_control());
    assert!(p.ring.arm_space_wait(&p.producer, 1));
    assert_eq!(p.ring.take_space_wait(), 1);
}

#[test]
fn lazy_look_comes_before_a_full_ring_is_drained() {
    let p = Pair::begun(0);
    let area = AREA_BYTES[0];
    assert_eq!(p.ring.write(&p.producer, &vec![1; area + 1]), Ok(area));
    assert!(p.ring.arm_space_wait(&p.producer, 1));
    let mut woken_after = 0;
    while p.ring.take_space_wait_lazy(&p.consumer) == 0 {
        woken_after += p.ring.consume(&p.consumer, 100).expect("honest");
    }
    assert!((area / 8..area / 8 + 100).contains(&woken_after), "{woken_after}");
}

#[test]
fn impossible_cursors_are_violations() {
    let p = Pair::begun(100);
    let header = p.ring.header();
    let set = |word: &crate::atomic::AtomicU64, value| word.store(value, crate::atomic::Ordering::Relaxed);
    let cap = AREA_BYTES[0] as u64;

    set(&header.writer.tail, 99);
    assert_eq!(p.ring.read(&p.consumer, &mut [0]), Err(Violation::TailBack));
    set(&header.writer.tail, 101 + cap);
    assert_eq!(p.ring.readable(&p.consumer), Err(Violation::TailAhead));
    set(&header.writer.tail, 100 + cap);
    assert_eq!(p.ring.read(&p.consumer, &mut [0]), Ok(1));
    set(&header.writer.tail, 200 + cap);
    set(&header.writer.grow_at[0], 51);
    assert_eq!(p.ring.readable(&p.consumer), Err(Violation::Grow));
    set(&header.writer.fin, 51);
    assert_eq!(p.ring.at_fin(&p.consumer), Err(Violation::Fin));

    set(&header.head.head, 99);
    assert_eq!(p.ring.writable(&p.producer), Err(Violation::HeadBack));
    set(&header.head.head, 101);
    assert_eq!(p.ring.writable(&p.producer), Err(Violation::HeadAhead));
    set(&header.head.head, 0);
    assert_eq!(p.ring.writable(&p.producer), Ok(AREA_BYTES[0]));
}
