//! Every message pinned as bytes (docs/session-protocol.md sections 1 and 2), and what the decoder refuses.

mod common;

use common::{bytes, hex, parameters};
use wsd_session::{DecodeError, Flow, Frame, Kind, Mark, Marks, Message, NegotiationError};

/// Section 2 for `common::parameters()`.
const PAYLOAD: &str = concat!(
    "57534431", // magic
    "0100",     // version
    "fffe",     // byte order
    "01000000", // capabilities
    "0010",     // buffer
    "0c00",     // receives
    "00400000", // threshold
    "00001000", // maximum RDMA
    "0c000c00", // descriptor lengths
    "67120000", // pid
    "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1",
    "b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2",
    "0807060504030201", // key
    "0a009c4000000000",
    "00000000000000000000000000000001",
    "00000000",
    "0a00005000000000",
    "00000000000000000000ffff0a010203",
    "02000000",
);

fn marks() -> Marks {
    let mark = |granule, length| Mark::new(granule, length).expect("a granule");
    Marks([mark(16, 17), mark(2048, 0x1_0000_0001)])
}

fn vectors() -> Vec<(Message<'static>, String)> {
    let p = parameters;
    let plain = |text: &str| text.replace(' ', "");
    vec![
        (
            Message::Negotiate { nonce: 0x1122_3344_5566_7788, parameters: p() },
            plain("01 00 0300 80000000 8877665544332211") + PAYLOAD,
        ),
        (
            Message::Answer { nonce: 9, parameters: p() },
            plain("02 00 0300 80000000 0900000000000000") + PAYLOAD,
        ),
        (Message::Proven, plain("03 00 0300 00000000 0000000000000000")),
        (
            Message::RingOffer {
                flow: Flow::FromListening,
                length: 0x10000,
                notify_slot: 5,
                descriptor: &[0xD1, 0xD2],
            },
            plain("04 00 0300 0e000000 0000000000000000 01 000000 00000100 05000000 d1d2"),
        ),
        (Message::RingReady { flow: Flow::FromConnecting }, plain("05 00 0300 00000000 0000000000000000")),
        (Message::Propose { flow: Flow::FromListening }, plain("06 00 0300 00000000 0100000000000000")),
        (Message::Consent, plain("07 00 0300 00000000 0000000000000000")),
        (Message::Refuse { reason: 2 }, plain("08 00 0300 01000000 0000000000000000 02")),
        (Message::Promoted { start: 0x4000 }, plain("09 00 0300 00000000 0040000000000000")),
        (Message::DemoteRequest { flow: Flow::FromListening }, plain("0a 00 0300 00000000 0100000000000000")),
        (Message::Frozen { at: 0x4001 }, plain("0b 00 0300 00000000 0140000000000000")),
        (Message::Demoted { at: 0x4001 }, plain("0c 00 0300 00000000 0140000000000000")),
        (
            Message::Data { offset: 0x1_0000_0000, bytes: b"abc" },
            plain("0d 00 0300 03000000 0000000001000000 616263"),
        ),
        (
            Message::RdmaOffer { offset: 1, total: 0x20000, descriptor: &[0xEE] },
            plain("0e 00 0300 05000000 0100000000000000 00000200 ee"),
        ),
        (Message::RdmaDone { offset: 1, written: false }, plain("0f 00 0300 00000000 0100000000000000")),
        (Message::RdmaDone { offset: 1, written: true }, plain("0f 01 0300 00000000 0100000000000000")),
        (
            Message::RdmaAnnounce { offset: 1, total: 0x20000 },
            plain("10 00 0300 04000000 0100000000000000 00000200"),
        ),
        (
            Message::RdmaTarget { offset: 1, total: 3, descriptor: &[0xEE, 0xEF] },
            plain("11 00 0300 06000000 0100000000000000 03000000 eeef"),
        ),
        (Message::Fin { offset: 7 }, plain("12 00 0300 00000000 0700000000000000")),
        (Message::Reset, plain("13 00 0300 00000000 0000000000000000")),
        (Message::Urgent { offset: 8 }, plain("14 00 0300 00000000 0800000000000000")),
        (Message::Credit, plain("15 00 0300 00000000 0000000000000000")),
        (Message::Bye, plain("16 00 0300 00000000 0000000000000000")),
        (
            Message::Window { room: 0x5000, taken: 0x1000 },
            plain("17 00 0300 08000000 0050000000000000 0010000000000000"),
        ),
        (Message::Suspend, plain("18 00 0300 00000000 0000000000000000")),
        (Message::Suspended, plain("19 00 0300 00000000 0000000000000000")),
        (Message::Resume { receives: 12 }, plain("1a 00 0300 00000000 0c00000000000000")),
        (
            Message::StreamMarks(marks()),
            plain("1b 00 0300 20000000 0000000000000000")
                + "10000000000000001100000000000000"
                + "00080000000000000100000001000000",
        ),
        (Message::StreamProof([0xC3; 32]), plain("1c 00 0300 20000000 0000000000000000") + &"c3".repeat(32)),
        (Message::Settled, plain("1d 00 0300 00000000 0000000000000000")),
        (Message::Reading, plain("1e 00 0300 00000000 0000000000000000")),
    ]
}

#[test]
fn every_message_has_its_bytes() {
    let vectors = vectors();
    for (message, text) in &vectors {
        let encoded = bytes(3, message.clone());
        assert_eq!(&hex(&encoded), text, "{message:?}");
        assert_eq!(Frame::decode(&encoded), Ok(Frame { credits: 3, message: message.clone() }));
    }
    for kind in Kind::ALL {
        assert!(vectors.iter().any(|(message, _)| message.kind() == *kind), "{kind:?} has no vector");
    }
}

/// SW-102: the only message that may meet no posted receive is at most 256 bytes.
#[test]
fn negotiation_is_small() {
    let negotiate = bytes(0, Message::Negotiate { nonce: 0, parameters: parameters() });
    assert_eq!(negotiate.len(), 144);
    let mut long = negotiate;
    long.resize(257, 0);
    long[4..8].copy_from_slice(&241_u32.to_le_bytes());
    long[20..22].copy_from_slice(&5_u16.to_le_bytes());
    assert_eq!(Frame::decode(&long), Err(DecodeError::NegotiationTooLong(257)));
    long.truncate(256);
    long[4..8].copy_from_slice(&240_u32.to_le_bytes());
    assert!(Frame::decode(&long).is_ok(), "a later version may add fields");
    for version in [1_u16, 2, 3, 4] {
        long[20..22].copy_from_slice(&version.to_le_bytes());
        assert_eq!(Frame::decode(&long), Err(NegotiationError::Length.into()), "version {version}");
    }
}

/// Every cut and every extension of every message is refused.
#[test]
fn lengths_are_exact() {
    for (message, _) in vectors() {
        let encoded = bytes(1, message);
        for end in 0..encoded.len() {
            assert!(Frame::decode(&encoded[..end]).is_err());
        }
        let longer = [encoded.as_slice(), &[0]].concat();
        assert_eq!(Frame::decode(&longer), Err(DecodeError::PayloadLength));
    }
}

#[test]
fn unknown_types_and_flags_are_refused() {
    for number in (0..=255_u8).filter(|number| !(1..=30).contains(number)) {
        let mut encoded = bytes(0, Message::Proven);
        encoded[0] = number;
        assert_eq!(Frame::decode(&encoded), Err(DecodeError::UnknownType(number)));
    }
    for (message, _) in vectors() {
        let mut encoded = bytes(1, message);
        encoded[1] |= 2;
        assert!(matches!(Frame::decode(&encoded), Err(DecodeError::UnknownFlags(_))));
    }
}

#[test]
fn ranges_are_checked() {
    let refused = |message, at: usize, byte: u8, error| {
        let mut encoded = bytes(1, message);
        encoded[at] = byte;
        assert_eq!(Frame::decode(&encoded), Err(error));
    };
    let out = DecodeError::OutOfRange;
    refused(Message::Propose { flow: Flow::FromConnecting }, 8, 2, out("direction"));
    refused(Message::Proven, 8, 1, out("value"));
    refused(Message::Credit, 2, 0, out("credits"));
    refused(Message::RdmaAnnounce { offset: 0, total: 1 }, 16, 0, out("total"));
    refused(Message::Window { room: 9, taken: 9 }, 8, 8, out("taken"));
    refused(Message::StreamMarks(marks()), 8, 1, out("value"));
    refused(Message::StreamMarks(marks()), 16, 8, out("granule"));
    refused(Message::StreamMarks(marks()), 32, 1, out("granule"));
    refused(Message::StreamProof([0; 32]), 8, 1, out("value"));
    let offer =
        Message::RingOffer { flow: Flow::FromConnecting, length: 1, notify_slot: 0, descriptor: &[1] };
    refused(offer.clone(), 17, 1, out("pad"));
    refused(offer.clone(), 16, 9, out("direction"));
    refused(offer, 20, 0, out("ring length"));
    let last = u64::MAX;
    for message in [
        Message::Data { offset: last, bytes: &[1] },
        Message::RdmaAnnounce { offset: last, total: 1 },
        Message::RdmaOffer { offset: last, total: 1, descriptor: &[1] },
    ] {
        assert_eq!(Frame::decode(&bytes(0, message)), Err(out("offset")));
    }
    assert_eq!(
        Frame::decode(&bytes(0, Message::Data { offset: 0, bytes: &[] })),
        Err(DecodeError::PayloadLength)
    );
}

/// SW-107: what the negotiation says is checked before it is used.
#[test]
fn parameters_are_checked() {
    let refused = |at: usize, value: &[u8], error: NegotiationError| {
        let mut encoded = bytes(0, Message::Negotiate { nonce: 0, parameters: parameters() });
        encoded[16 + at..][..value.len()].copy_from_slice(value);
        assert_eq!(Frame::decode(&encoded), Err(error.into()));
    };
    refused(0, b"WSD2", NegotiationError::Magic);
    refused(4, &[0, 0], NegotiationError::Version);
    refused(6, &[0xFE, 0xFF], NegotiationError::ByteOrder);
    refused(12, &[255, 0], NegotiationError::BufferLength(255));
    refused(14, &[3, 0], NegotiationError::Receives(3));
    refused(20, &[0; 4], NegotiationError::MaxRdma);
    refused(24, &[0, 16], NegotiationError::DescriptorLength(4096));
    refused(26, &[0, 16], NegotiationError::DescriptorLength(4096));
    refused(72, &[2], NegotiationError::AddressFamily);
    refused(100, &[23], NegotiationError::AddressFamily);
}

#[test]
fn small_buffers_are_refused_not_overrun() {
    for (message, text) in vectors() {
        let frame = Frame { credits: 3, message };
        for length in 0..text.len() / 2 {
            assert!(frame.encode(&mut vec![0; length]).is_err());
        }
    }
}
