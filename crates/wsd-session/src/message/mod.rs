//! The messages of the session protocol, section 1: one message is one WSPSend and fills one WSPRecv buffer.
//!
//! [`Message`] says what, [`Frame`] adds the credits that ride in every header (SW-112).

mod decode;
mod encode;
mod kind;

pub use decode::DecodeError;
pub use encode::{EncodeError, encode_data};
pub use kind::Kind;

pub(crate) use encode::set_credits;

use crate::negotiation::Parameters;
use crate::stream_hash::{Digest, Marks};

/// Bytes of a header.
pub const HEADER_LENGTH: usize = 16;

/// Largest `Negotiate` or `Answer`, header included (SW-102).
pub const MAX_NEGOTIATION_LENGTH: usize = 256;

/// Size of a message buffer that a switch uses unless it has a reason for another.
pub const DEFAULT_BUFFER_LENGTH: u16 = 4096;

/// Number of receives that a switch posts unless it has a reason for another.
pub const DEFAULT_RECEIVES: u16 = 12;

/// Flag of `RdmaDone`: the sender of the direction has written; without it the receiver has read.
pub(crate) const FLAG_WRITTEN: u8 = 1;

/// A direction of the stream in absolute terms, as messages name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flow {
    /// 0: bytes from the connecting to the listening companion.
    FromConnecting,
    /// 1: bytes from the listening to the connecting companion.
    FromListening,
}

impl Flow {
    /// The number on the wire.
    pub fn number(self) -> u8 {
        match self {
            Self::FromConnecting => 0,
            Self::FromListening => 1,
        }
    }
}

/// One message with the credits of its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Credits returned to the receiver of this message (SW-112).
    pub credits: u16,
    /// The message.
    pub message: Message<'a>,
}

/// A message. "X" is the sender of a direction, "Y" its receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// First message of all, from the connecting companion (SW-101, SW-102).
    Negotiate {
        /// 64 random bits of the sender.
        nonce: u64,
        /// Section 2.
        parameters: Parameters,
    },
    /// What the listening companion answers, its receives posted (SW-103).
    Answer {
        /// 64 random bits of the sender.
        nonce: u64,
        /// Section 2.
        parameters: Parameters,
    },
    /// The proof of section 3 holds for the sender.
    Proven,
    /// X offers the ring of a direction.
    RingOffer {
        /// The direction, always X's send direction.
        flow: Flow,
        /// Bytes of the ring's memory.
        length: u32,
        /// Bit of this connection in X's pair page.
        notify_slot: u32,
        /// The provider's allocation descriptor.
        descriptor: &'a [u8],
    },
    /// Y has mapped the ring.
    RingReady {
        /// The direction.
        flow: Flow,
    },
    /// X asks for consent to promote.
    Propose {
        /// The direction, always X's send direction.
        flow: Flow,
    },
    /// Y agrees; perhaps long after a `Refuse`.
    Consent,
    /// Y cannot agree now; it remembers the proposal.
    Refuse {
        /// Why, for display only.
        reason: u8,
    },
    /// X sends all bytes from here on over the companion. Only without mapping.
    Promoted {
        /// S, the first of those bytes.
        start: u64,
    },
    /// Asks the other side for its part in a demotion (section 5).
    DemoteRequest {
        /// The direction to demote.
        flow: Flow,
    },
    /// Y takes the bytes from here on by TCP.
    Frozen {
        /// H.
        at: u64,
    },
    /// X has switched, all bytes from here on are in TCP; in answer to nothing it declines a consent.
    Demoted {
        /// H.
        at: u64,
    },
    /// Bytes of the stream (SW-111).
    Data {
        /// Offset of the first byte.
        offset: u64,
        /// At least one byte.
        bytes: &'a [u8],
    },
    /// X has exposed bytes for reading (SW 10.2).
    RdmaOffer {
        /// Offset of the first byte.
        offset: u64,
        /// Number of bytes, not 0.
        total: u32,
        /// The provider's RDMA descriptor.
        descriptor: &'a [u8],
    },
    /// A large transfer is complete.
    RdmaDone {
        /// Offset of its first byte.
        offset: u64,
        /// X has written (SW 10.3); else Y has read (SW 10.2).
        written: bool,
    },
    /// X has bytes to write (SW 10.3).
    RdmaAnnounce {
        /// Offset of the first byte.
        offset: u64,
        /// Number of bytes, not 0.
        total: u32,
    },
    /// Y has exposed room for announced bytes (SW 10.3).
    RdmaTarget {
        /// Offset of the first byte.
        offset: u64,
        /// Bytes that X may write: not 0, perhaps fewer than announced.
        total: u32,
        /// The provider's RDMA descriptor.
        descriptor: &'a [u8],
    },
    /// X's stream ends here (SW-160). Only without mapping.
    Fin {
        /// Offset after the last byte.
        offset: u64,
    },
    /// The sender's program has aborted the connection.
    Reset,
    /// X's stream has an urgent byte (SW-125). Only without mapping.
    Urgent {
        /// Offset after the urgent byte.
        offset: u64,
    },
    /// Nothing but the credits of its header (SW-112).
    Credit,
    /// The sender's program has closed and needs the peer's ring no more (SW-161).
    Bye,
    /// Y's room and progress. Only without mapping.
    Window {
        /// Offset up to which Y's ring has room.
        room: u64,
        /// Offset up to which Y's program has taken bytes: X need not keep them for a demotion.
        taken: u64,
    },
    /// The sender's end is about to move to another process: it begins no block, and asks the peer to finish (section 8).
    Suspend,
    /// The answer: the sender has finished, and says nothing until `Resume`.
    Suspended,
    /// The moved end goes on.
    Resume {
        /// Receives that it has posted: the peer's credit, instead of what was left.
        receives: u16,
    },
    /// How far the sender has hashed the stream (section 9).
    StreamMarks(Marks),
    /// The sender has seen the stream up to the common offsets.
    StreamProof(Digest),
    /// Both directions are promoted, each from the offset that its sender has named (section 10).
    Settled,
    /// The sender's program reads from TCP what has to be read before the sender's next word, and has not done yet (section 10).
    Reading,
}
