//! What the two ends say to each other while they connect: 40 bytes, numbers big-endian (`docs/verbs.md`).

/// Length of a greeting.
pub(crate) const LENGTH: usize = 40;
const MAGIC: [u8; 4] = *b"WSDV";
const VERSION: u16 = 1;
/// Where the sender's meeting point is, and the addressee's.
const MEETINGS: [usize; 2] = [10, 24];
/// Where the count of messages is.
const COUNT: usize = 38;

/// Where an end of a connection can be found again, when its peer has moved to another process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Meeting {
    /// Port of rdma_cm, at the end's address. 0: it cannot be found.
    pub(crate) port: u16,
    /// Number of the socket.
    pub(crate) socket: u32,
    /// Known to the two ends only.
    pub(crate) secret: u64,
}

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Greeting {
    /// Of a caller with that port.
    Connect { port: u16, from: Meeting },
    /// The request is accepted.
    Answer { from: Meeting },
    /// The peer of socket `to` is in another process now, where so many of its messages have arrived.
    Rejoin { from: Meeting, to: Meeting, arrived: u16 },
    /// The request is refused.
    Refusal(Refusal),
}

/// Why a request is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// By the application, or because the backlog is full.
    Refused,
    /// The connection cannot be made; TCP may work.
    Failed,
    /// The listener is in another process now: connect again.
    Moved,
}

impl Greeting {
    /// As it is said.
    pub(crate) fn encode(self) -> [u8; LENGTH] {
        let none = Meeting::default();
        let (kind, number, from, to, arrived) = match self {
            Self::Connect { port, from } => (1_u16, port, from, none, 0),
            Self::Answer { from } => (2, 0, from, none, 0),
            Self::Rejoin { from, to, arrived } => (3, 0, from, to, arrived),
            Self::Refusal(why) => (4, why.number(), none, none, 0),
        };
        let mut bytes = [0; LENGTH];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0, &MAGIC);
        put(4, &VERSION.to_be_bytes());
        put(6, &kind.to_be_bytes());
        put(8, &number.to_be_bytes());
        for (at, meeting) in MEETINGS.into_iter().zip([from, to]) {
            put(at, &meeting.port.to_be_bytes());
            put(at + 2, &meeting.socket.to_be_bytes());
            put(at + 6, &meeting.secret.to_be_bytes());
        }
        put(COUNT, &arrived.to_be_bytes());
        bytes
    }

    /// What was said; `None` if it is none of ours.
    pub(crate) fn decode(bytes: &[u8; LENGTH]) -> Option<Self> {
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let long = |at: usize| u32::from(word(at)) << 16 | u32::from(word(at + 2));
        let [from, to] = MEETINGS.map(|at| Meeting {
            port: word(at),
            socket: long(at + 2),
            secret: u64::from(long(at + 6)) << 32 | u64::from(long(at + 10)),
        });
        let greeting = match word(6) {
            1 if word(8) != 0 => Self::Connect { port: word(8), from },
            2 => Self::Answer { from },
            3 => Self::Rejoin { from, to, arrived: word(COUNT) },
            4 => Self::Refusal(Refusal::of(word(8))),
            _ => return None,
        };
        (bytes[..4] == MAGIC && word(4) == VERSION).then_some(greeting)
    }
}

impl Refusal {
    fn number(self) -> u16 {
        match self {
            Self::Refused => 1,
            Self::Failed => 2,
            Self::Moved => 3,
        }
    }

    fn of(number: u16) -> Self {
        match number {
            1 => Self::Refused,
            3 => Self::Moved,
            _ => Self::Failed,
        }
    }

    /// As it is said.
    pub(crate) fn bytes(self) -> [u8; LENGTH] {
        Greeting::Refusal(self).encode()
    }

    /// Why a request was rejected. Whatever is not in our words, the listener did not say.
    pub(crate) fn said(bytes: &[u8; LENGTH]) -> Self {
        match Greeting::decode(bytes) {
            Some(Greeting::Refusal(why)) => why,
            _ => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Meeting = Meeting { port: 0x0102, socket: 0x0304_0506, secret: 0x0708_090a_0b0c_0d0e };
    const THERE: Meeting = Meeting { port: 0xa1a2, socket: 0xa3a4_a5a6, secret: 0xa7a8_a9aa_abac_adae };

    #[test]
    fn words_on_the_wire() {
        let bytes = Greeting::Connect { port: 0x1f90, from: HERE }.encode();
        assert_eq!(bytes[..10], *b"WSDV\x00\x01\x00\x01\x1f\x90");
        assert_eq!(bytes[10..24], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
        assert_eq!(bytes[24..], [0; 16]);
        let bytes = Greeting::Rejoin { from: HERE, to: THERE, arrived: 0x1122 }.encode();
        assert_eq!(bytes[4..10], [0, 1, 0, 3, 0, 0]);
        assert_eq!(bytes[24..38], core::array::from_fn::<u8, 14, _>(|at| 0xa1 + at as u8));
        assert_eq!(bytes[38..], [0x11, 0x22]);
        assert_eq!(Refusal::Moved.bytes()[..10], *b"WSDV\x00\x01\x00\x04\x00\x03");
    }

    #[test]
    fn words_survive_the_journey_and_rubbish_is_refused() {
        for greeting in [
            Greeting::Connect { port: 80, from: HERE },
            Greeting::Answer { from: THERE },
            Greeting::Rejoin { from: HERE, to: THERE, arrived: u16::MAX },
            Greeting::Refusal(Refusal::Moved),
        ] {
            let bytes = greeting.encode();
            assert_eq!(Greeting::decode(&bytes), Some(greeting));
            for at in 0..6 {
                let mut wrong = bytes;
                wrong[at] ^= 1;
                assert_eq!(Greeting::decode(&wrong), None, "byte {at}");
            }
        }
        assert_eq!(Greeting::decode(&Greeting::Connect { port: 0, from: HERE }.encode()), None);
        assert_eq!(Greeting::decode(&[0xff; LENGTH]), None);
    }

    /// SP-067: only an application's word forbids the way by TCP.
    #[test]
    fn only_our_own_refusal_is_one() {
        for why in [Refusal::Refused, Refusal::Failed, Refusal::Moved] {
            assert_eq!(Refusal::said(&why.bytes()), why);
        }
        for other in [[0; LENGTH], [0xff; LENGTH], Greeting::Connect { port: 1, from: HERE }.encode()] {
            assert_eq!(Refusal::said(&other), Refusal::Failed);
        }
    }
}
