//! What follows from both sides' parameters (SW-107).

use super::{BETWEEN_HOSTS_VERSION, Capabilities, Parameters, SAN_FIRST_VERSION};
use crate::message::HEADER_LENGTH;
use crate::pump::PumpLimits;
use crate::session::Direction;

/// How large blocks of a direction travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RdmaVariant {
    /// The receiver's switch reads them (SW 10.2).
    Read,
    /// The sender's switch writes them (SW 10.3).
    Write,
}

/// The outcome of a negotiation. Both sides compute the same, each from its own point of view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// The lower of both versions.
    pub version: u16,
    /// Whether directions use mapped rings: only if both providers map memory, and never after `StreamMarks` (section 9, 5).
    /// Else the pump.
    pub mapping: bool,
    /// Whether both offer the proof for one host.
    pub same_host_proof: bool,
    /// Whether both offer the proof between hosts (section 9).
    pub stream_hash: bool,
    /// Whether the session is the connection itself (section 7).
    pub san_first: bool,
    /// Whether both can fail over (section 10); see [`Agreement::fails_over`].
    pub fail_over: bool,
    /// Largest message, header included: the smaller of both buffer sizes.
    pub message_length: u16,
    /// Blocks above this many bytes go by RDMA: the larger of both, since both providers pay (SW-113).
    pub threshold: u32,
    /// Largest single RDMA operation: the smaller of both (SW-113).
    pub max_rdma: u32,
    /// How large blocks go from here to the peer; `None`: nobody can expose memory for them.
    pub send_variant: Option<RdmaVariant>,
    /// How large blocks come from the peer.
    pub receive_variant: Option<RdmaVariant>,
    /// The peer's own word.
    pub peer: Parameters,
    /// The peer's random 64 bits.
    pub peer_nonce: u64,
}

impl Agreement {
    /// Combines both sides' parameters.
    pub fn new(own: &Parameters, peer: Parameters, peer_nonce: u64) -> Self {
        let both = |bit| own.capabilities.has(bit) && peer.capabilities.has(bit);
        let version = own.version.min(peer.version);
        let mapping = both(Capabilities::MAPPING)
            && own.allocation_descriptor_length > 0
            && peer.allocation_descriptor_length > 0;
        let san_first = both(Capabilities::SAN_FIRST) && version >= SAN_FIRST_VERSION;
        Self {
            version,
            mapping,
            same_host_proof: both(Capabilities::SAME_HOST_PROOF),
            stream_hash: both(Capabilities::STREAM_HASH) && version >= BETWEEN_HOSTS_VERSION && !san_first,
            san_first,
            fail_over: both(Capabilities::FAIL_OVER) && version >= BETWEEN_HOSTS_VERSION && !san_first,
            message_length: own.buffer_length.min(peer.buffer_length),
            threshold: own.threshold.max(peer.threshold),
            max_rdma: own.max_rdma.min(peer.max_rdma),
            send_variant: variant(own, &peer),
            receive_variant: variant(&peer, own),
            peer,
            peer_nonce,
        }
    }

    /// Whether the stream goes on by TCP when the companion breaks: without mapping.
    pub fn fails_over(&self) -> bool {
        self.fail_over && !self.mapping
    }

    /// Most bytes of the stream in one `Data` message.
    pub fn max_data(&self) -> usize {
        usize::from(self.message_length) - HEADER_LENGTH
    }

    /// What a pump of that direction has to keep to.
    pub fn pump_limits(&self, direction: Direction) -> PumpLimits {
        PumpLimits {
            max_data: self.max_data(),
            threshold: self.threshold,
            max_rdma: self.max_rdma,
            variant: match direction {
                Direction::Send => self.send_variant,
                Direction::Receive => self.receive_variant,
            },
        }
    }
}

/// The read variant if the receiver's provider can read, else the write variant (SW-107). Who exposes memory
/// must be able to.
fn variant(sender: &Parameters, receiver: &Parameters) -> Option<RdmaVariant> {
    if receiver.capabilities.has(Capabilities::RDMA_READ) {
        (sender.rdma_descriptor_length > 0).then_some(RdmaVariant::Read)
    } else {
        (receiver.rdma_descriptor_length > 0).then_some(RdmaVariant::Write)
    }
}
