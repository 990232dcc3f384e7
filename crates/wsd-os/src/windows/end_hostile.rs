//! A peer that writes anything into a link: it ends the link, and nothing worse.

use core::mem::offset_of;

use proptest::prelude::*;

use super::*;

/// Writes into the section behind an end, as a peer can.
fn scribble(end: &End, at: usize, bytes: &[u8]) {
    let view =
        View::of(Arc::new(end.section().expect("kept").duplicate().expect("a handle"))).expect("mapped");
    assert!(at + bytes.len() <= view.len());
    // SAFETY: inside the mapping, of which there are no references but to atomics.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), view.start().as_ptr().add(at), bytes.len()) };
}

/// Where the cursors of the queue that the first side writes are.
const CURSORS: usize = offset_of!(Header, cursors);
/// Distance of `head` from `tail`.
const TO_HEAD: usize = 128;

/// Numbers that are nearly right, and others.
fn near() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..64_u64,
        (CAPACITY as u64 - 32)..(CAPACITY as u64 + 32),
        any::<u64>(),
        (0..64_u64).prop_map(|n| u64::MAX - n)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rubbish_is_no_packet(tail in near(), long in near(), count in near(), kind in 4_u32..) {
        let (one, other) = End::pair().expect("a pair");
        one.send(b"hello", &[]).expect("sent");
        // No kind that is known: its number would be one of this program's own handles.
        let passengers = [kind.to_ne_bytes(); 64].concat();
        scribble(&one, DATA + HEAD, &passengers);
        scribble(&one, DATA, &(long as u32).to_ne_bytes());
        scribble(&one, DATA + 4, &(count as u32).to_ne_bytes());
        scribble(&one, CURSORS, &tail.to_ne_bytes());
        let mut bytes = [0; 100];
        for _ in 0..20 {
            match other.receive(&mut bytes, MAX_FDS) {
                Ok(Some(packet)) => {
                    prop_assert!(packet.len <= bytes.len() && packet.fds.iter().all(Option::is_none));
                }
                Ok(None) => prop_assert!(false, "nobody has gone"),
                Err(_) => {}
            }
        }
        other.ready(EPOLLIN as u32 | EPOLLOUT as u32);
    }

    #[test]
    fn rubbish_is_no_room(head in near()) {
        let (one, other) = End::pair().expect("a pair");
        scribble(&other, CURSORS + TO_HEAD, &head.to_ne_bytes());
        for _ in 0..20 {
            // A peer that says that it has read what was not sent is gone.
            let sent = one.send(&[1; 50_000], &[]);
            prop_assert!(matches!(sent, Ok(()) | Err(Errno::AGAIN | Errno::PIPE)));
            prop_assert!(head <= CAPACITY as u64 || sent != Ok(()) || head > u64::MAX - CAPACITY as u64);
        }
        one.ready(EPOLLIN as u32 | EPOLLOUT as u32);
    }

    #[test]
    fn rubbish_is_no_link(bytes in prop::collection::vec(any::<u8>(), 1..600), side in 0..4_u32, short: bool) {
        let length = if short { 4096 } else { DATA + 2 * CAPACITY };
        let view = View::create(length, None).expect("memory");
        // SAFETY: as in `scribble`.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), view.start().as_ptr(), bytes.len()) };
        let section = || view.section().expect("kept").duplicate().expect("a handle");
        prop_assert!(End::adopt(section(), side).is_err());
        let own = ProcessId::own().expect("it runs");
        prop_assert!(End::accept(section(), own, 0).is_err());
        prop_assert!(Door::adopt(section()).is_err());
    }
}

/// A process that names another one's link, or one that is offered elsewhere, or twice, is not let in.
#[test]
fn offers_are_for_one_door_and_once() {
    let own = ProcessId::own().expect("it runs");
    let offered = End::offer(word(own), 77).expect("a link");
    let section = || offered.section().expect("kept").duplicate().expect("a handle");
    let other = ProcessId { start: own.start + 1, ..own };
    assert!(End::accept(section(), other, 77).is_err(), "another process's");
    assert!(End::accept(section(), own, 78).is_err(), "another door's");
    assert!(End::accept(section(), own, 77).is_ok());
    assert!(End::accept(section(), own, 77).is_err(), "twice");
}
