//! What a session tells its host.

use super::Direction;
use crate::credit::CreditError;
use crate::message::{DecodeError, Kind};

/// A message of the peer that passed all checks a session can make. Offsets into rings and windows are for the
/// pump or, with mapping, for the host to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// The negotiation is over: [`Session::agreement`](super::Session::agreement) has the outcome.
    Negotiated,
    /// The proof of section 3 or 9 holds for the peer.
    PeerProven,
    /// The peer has told how far it has hashed the stream: see
    /// [`Session::common_offsets`](super::Session::common_offsets). The listening companion answers with its own marks first.
    StreamMarks,
    /// The peer's proof has come.
    StreamProof {
        /// It has seen the same stream.
        right: bool,
    },
    /// The peer offers the ring of the receive direction, perhaps a larger one than before.
    RingOffered {
        /// Bytes of the ring's memory.
        length: u32,
        /// Bit of this connection in the peer's pair page.
        notify_slot: u32,
        /// Allocation descriptor, of the negotiated length.
        descriptor: &'a [u8],
    },
    /// The peer has mapped the ring of the send direction.
    RingReady,
    /// The peer asks for consent to promote the receive direction.
    Proposed,
    /// The peer agrees that the send direction be promoted.
    Consented,
    /// The peer cannot agree now; it remembers the proposal.
    Refused {
        /// For display only.
        reason: u8,
    },
    /// The peer sends all bytes of the receive direction from `start` on over the companion (no mapping). In a session that can
    /// fail over it has only fixed that offset: [`Session::lockstep`](super::Session::lockstep) tells whose turn it is.
    Promoted {
        /// S.
        start: u64,
    },
    /// Both directions are promoted, each from the offset that its sender has named: bytes may be sent (fail-over).
    Settled,
    /// The peer's program is still reading from TCP what it has to: its next word is to be waited for anew (fail-over).
    Reading,
    /// The peer takes both offsets back; the consents stand (fail-over).
    SteppedBack,
    /// The peer wants the direction demoted. `Receive`: freeze it. `Send`: the peer withdraws its consent; if the
    /// direction is not promoted answer with [`demoted`](super::Session::demoted), else with
    /// [`demote_request`](super::Session::demote_request).
    DemoteRequested {
        /// The direction to demote.
        direction: Direction,
    },
    /// The peer takes the bytes of the send direction from here on by TCP.
    Frozen {
        /// H: not below S. That it is not above the tail is for the host or the pump to check.
        at: u64,
    },
    /// The peer has written all bytes of the frozen receive direction from here on to TCP.
    Demoted {
        /// H as it was frozen.
        at: u64,
    },
    /// The peer will not use the consent it got for the receive direction. With mapping: if the ring's `start` is
    /// published all the same, the peer has broken the protocol.
    Declined,
    /// Bytes of the receive direction.
    Data {
        /// Offset of the first.
        offset: u64,
        /// At least one.
        bytes: &'a [u8],
    },
    /// The peer has exposed bytes for reading.
    RdmaOffered {
        /// Offset of the first.
        offset: u64,
        /// Number, not 0.
        total: u32,
        /// RDMA descriptor, of the negotiated length.
        descriptor: &'a [u8],
    },
    /// The peer has bytes to write.
    RdmaAnnounced {
        /// Offset of the first.
        offset: u64,
        /// Number, not 0.
        total: u32,
    },
    /// The peer has exposed room for announced bytes.
    RdmaTarget {
        /// Offset of the first.
        offset: u64,
        /// Number, not 0.
        total: u32,
        /// RDMA descriptor, of the negotiated length.
        descriptor: &'a [u8],
    },
    /// The peer has read the offered bytes.
    RdmaRead {
        /// Offset of the first.
        offset: u64,
    },
    /// The peer has written the announced bytes.
    RdmaWritten {
        /// Offset of the first.
        offset: u64,
    },
    /// The peer's room and progress.
    Window {
        /// Offset up to which its ring has room.
        room: u64,
        /// Offset up to which its program has taken bytes.
        taken: u64,
    },
    /// The peer's stream ends (SW-160).
    Fin {
        /// Offset after its last byte.
        offset: u64,
    },
    /// The peer's stream has an urgent byte (SW-125).
    Urgent {
        /// Offset after it.
        offset: u64,
    },
    /// The peer is about to move to another process: finish what is begun, begin nothing, then
    /// [`suspended`](super::Session::suspended). What this side has asked of the same kind is void.
    Suspending,
    /// The peer has finished and says nothing more: this end may move, or [`resume`](super::Session::resume).
    Suspended,
    /// The peer's end has moved, or stays after all.
    Resumed,
    /// The peer's program has aborted the connection.
    Reset,
    /// The peer's program has closed and needs the ring of the send direction no more; every large transfer
    /// towards it is over.
    Bye,
}

/// The peer broke the protocol: the session is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Not a message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A message without credit, or impossible credits.
    #[error(transparent)]
    Credit(#[from] CreditError),
    /// A message above the agreed size.
    #[error("message of {0} bytes is above the agreed size")]
    TooLong(usize),
    /// A message that the state of the session does not allow.
    #[error("{0:?} is out of order")]
    OutOfOrder(Kind),
    /// An offset that contradicts what was said before.
    #[error("{0:?} contradicts an earlier offset")]
    Offset(Kind),
    /// A descriptor with another length than negotiated.
    #[error("{0:?} has a descriptor of another length than negotiated")]
    DescriptorLength(Kind),
    /// The session was dead before.
    #[error("session has already failed")]
    Dead,
}

/// A command that the state of the session does not allow: the host's mistake or a change it has not seen yet.
/// Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{command}` is not legal now")]
pub struct WrongState {
    /// The command.
    pub command: &'static str,
}
