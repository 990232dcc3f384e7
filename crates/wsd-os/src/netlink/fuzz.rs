//! Packets of any contents: walking over them ends and stays inside.

use proptest::prelude::*;

use super::{HEADER, attributes, messages};

/// A packet as the kernel writes one: messages with headers, of which some lengths are then wrong.
pub(crate) fn packet(body: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let wrong = prop_oneof![8 => Just(0), 1 => -20..20_i64, 1 => any::<i32>().prop_map(i64::from)];
    let kind = prop_oneof![0..4_u16, 16..21_u16, any::<u16>()];
    let message = (kind, any::<u16>(), wrong, body).prop_map(|(kind, flags, wrong, body)| {
        let length = (HEADER + body.len()) as i64 + wrong;
        let mut message = (length as u32).to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend([0; 8]);
        message.extend(body);
        message.resize(message.len().next_multiple_of(4), 0);
        message
    });
    prop::collection::vec(message, 0..6).prop_map(|messages| messages.concat())
}

/// Attributes of which some lengths are wrong, behind `before` bytes.
pub(crate) fn attribute_body(before: usize) -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![Just(vec![127, 0, 0, 1]), prop::collection::vec(any::<u8>(), 0..20)];
    let wrong = prop_oneof![6 => Just(0), 1 => -6..6_i32, 1 => any::<u16>().prop_map(i32::from)];
    let attribute = (0..5_u16, wrong, value).prop_map(|(kind, wrong, value)| {
        let mut attribute = ((4 + value.len() as i32 + wrong) as u16).to_ne_bytes().to_vec();
        attribute.extend(kind.to_ne_bytes());
        attribute.extend(value);
        attribute.resize(attribute.len().next_multiple_of(4), 0);
        attribute
    });
    let header = prop::collection::vec(prop_oneof![Just(2), any::<u8>()], 0..=before);
    (header, prop::collection::vec(attribute, 0..5))
        .prop_map(|(header, attributes)| [header, attributes.concat()].concat())
}

fn walk(packet: &[u8]) {
    let inside = packet.as_ptr_range();
    let mut count = 0;
    for message in messages(packet) {
        let body = message.body.as_ptr_range();
        assert!(inside.start <= body.start && body.end <= inside.end);
        let _ = message.end();
        assert!(attributes(message.body, 8).count() <= message.body.len() / 4);
        count += 1;
    }
    assert!(count <= packet.len() / HEADER, "each step takes at least a header");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_walked_over(packet in prop::collection::vec(any::<u8>(), 0..400)) {
        walk(&packet);
    }

    #[test]
    fn any_lengths_are_walked_over(packet in packet(attribute_body(8)), cut in any::<prop::sample::Index>()) {
        walk(&packet);
        walk(&packet[..cut.index(packet.len() + 1)]);
    }
}
