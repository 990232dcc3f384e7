//! Two ends find the same checkpoints, whatever each has seen of the stream (section 9).
#![allow(missing_docs)]

use proptest::prelude::*;
use wsd_session::stream_hash::{CHECKPOINTS, FIRST_GRANULE, MOST};
use wsd_session::{Checkpoints, Mark, StreamHash};

/// Some bytes of a stream that never repeats itself.
fn stream(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[0]).collect()
}

/// What an end knows that has seen `bytes` in pieces of these lengths, over and over.
fn seen(bytes: &[u8], pieces: &[usize]) -> Checkpoints {
    let mut hash = StreamHash::default();
    let mut rest = bytes;
    for piece in pieces.iter().cycle() {
        let (head, tail) = rest.split_at(rest.len().min(*piece));
        hash.update(head);
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(hash.length(), (bytes.len() as u64).min(MOST));
    hash.checkpoints()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(200), failure_persistence: None, ..ProptestConfig::default() })]

    /// Both ends have the common offset, and the same hash there: that of the bytes before it.
    #[test]
    fn the_common_checkpoint_is_of_the_same_bytes(
        lengths in [0..200_000_usize, 0..200_000_usize],
        pieces in [prop::collection::vec(1..5_000_usize, 1..6), prop::collection::vec(1..5_000_usize, 1..6)],
        kept in any::<bool>(),
    ) {
        let bytes = stream(200_000);
        let one = seen(&bytes[..lengths[0]], &pieces[0]);
        let other = seen(&bytes[..lengths[1]], &pieces[1]);
        let offset = one.mark().common(other.mark());
        prop_assert_eq!(offset, other.mark().common(one.mark()));
        prop_assert!(offset <= lengths[0].min(lengths[1]) as u64);
        let coarse = one.mark().granule().max(other.mark().granule());
        prop_assert!(offset + coarse > lengths[0].min(lengths[1]) as u64, "it is the largest");
        let right = seen(&bytes[..offset as usize], &[1_000]);
        prop_assert_eq!(one.at(offset), other.at(offset));
        prop_assert_eq!(one.at(offset), Some(*blake3::hash(&bytes[..offset as usize]).as_bytes()));
        prop_assert!(right.mark().length() == offset);
        if kept {
            // After a fail-over both have only that one.
            let (one, other) = (one.only(offset).expect("there"), other.only(offset).expect("there"));
            prop_assert_eq!(&one, &other);
            prop_assert_eq!(one.mark().common(other.mark()), offset);
            prop_assert!(one.at(offset).is_some());
        }
    }

    /// A byte that differs before the common offset differs in the hash.
    #[test]
    fn one_other_byte_is_found(length in 16..50_000_usize, place in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let bytes = stream(length);
        let mut others = bytes.clone();
        others[place.index(length)] ^= 1 << bit;
        let (one, other) = (seen(&bytes, &[777]), seen(&others, &[1_234]));
        let offset = one.mark().common(other.mark());
        let differs = place.index(length) < offset as usize;
        prop_assert_eq!(one.at(offset) != other.at(offset), differs);
    }
}

/// The memory of a direction is bounded, and so is what is hashed of it.
#[test]
fn no_more_than_the_beginning_is_hashed() {
    let bytes = stream(MOST as usize + 100_000);
    let (one, other) = (seen(&bytes, &[100_000]), seen(&bytes[..MOST as usize], &[64_000]));
    assert_eq!(one, other);
    assert_eq!(one.mark(), Mark::new(MOST / CHECKPOINTS as u64, MOST).expect("a granule"));
    assert_eq!(one.at(MOST), Some(*blake3::hash(&bytes[..MOST as usize]).as_bytes()));
}

/// The granule doubles with the 65th checkpoint, not before.
#[test]
fn every_second_checkpoint_is_dropped_when_there_are_too_many() {
    let bytes = stream(16 * 65);
    let full = seen(&bytes[..16 * 65 - 1], &[5]);
    assert_eq!(full.mark().granule(), FIRST_GRANULE);
    assert!((0..=64).all(|k| full.at(16 * k).is_some()));
    let halved = seen(&bytes, &[5]);
    assert_eq!((halved.mark().granule(), halved.mark().length()), (32, 16 * 65));
    assert!((0..=64).all(|k| halved.at(16 * k).is_some() == (k % 2 == 0)));
    assert_eq!(halved.at(32 * 32), full.at(16 * 64));
}

/// What is no checkpoint has no hash.
#[test]
fn only_checkpoints_are_told() {
    let some = seen(&stream(100), &[100]);
    for offset in [1, 15, 17, 100, 112, u64::MAX] {
        assert_eq!(some.at(offset), None, "{offset}");
    }
    let one = some.only(96).expect("a checkpoint");
    assert_eq!((one.mark().granule(), one.mark().length()), (32, 96));
    assert_eq!((one.at(96), one.at(64), one.at(16)), (some.at(96), None, None));
    assert_eq!(some.only(97), None);
}
