//! What the two switches tell each other first (section 2, SW-101..107) and what follows from both.
//!
//! [`Parameters`] is one side's word, [`Agreement`] the outcome.

mod agreement;
mod codec;

pub use agreement::{Agreement, RdmaVariant};
pub(crate) use codec::{ADDRESS_LENGTH, address_bytes};

use std::net::SocketAddrV6;

/// The version that this crate speaks.
pub const VERSION: u16 = 4;

/// The first version in which a session can be the connection itself (section 7).
pub const SAN_FIRST_VERSION: u16 = 2;

/// The first version in which an end can move to another process (section 8).
pub const SHARING_VERSION: u16 = 3;

/// The first version with the proof between hosts (section 9) and with fail-over.
pub const BETWEEN_HOSTS_VERSION: u16 = 4;

/// Fewest receives that a side may post. Half of them is at least two, so `Credit` messages never answer each
/// other for ever.
pub const MIN_RECEIVES: u16 = 4;

/// Smallest message buffer: the largest negotiation message fits (SW-102).
pub const MIN_BUFFER_LENGTH: u16 = 256;

/// Bytes of a payload of versions 1 to 4.
pub const PAYLOAD_LENGTH: usize = 128;

/// What one side's switch and provider can do. Unknown bits are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities(pub u32);

impl Capabilities {
    /// The provider has WSPRdmaRead (SW-107).
    pub const RDMA_READ: Self = Self(1);
    /// The provider maps the peer's memory.
    pub const MAPPING: Self = Self(2);
    /// The switch offers the proof for one host, section 3.
    pub const SAME_HOST_PROOF: Self = Self(4);
    /// The session is the connection, section 7.
    pub const SAN_FIRST: Self = Self(8);
    /// The switch offers the proof by a hash of the stream, section 9.
    pub const STREAM_HASH: Self = Self(16);
    /// The switch can go on over TCP when the companion has broken.
    pub const FAIL_OVER: Self = Self(32);

    /// Whether all bits of `other` are set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both together.
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One side's word in the negotiation: every field of section 2 but the magic and the byte-order mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// Highest version that the side speaks.
    pub version: u16,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Size of each of its message buffers.
    pub buffer_length: u16,
    /// Receives that it has posted: the other side's initial credit (SW-101). A session fills it in itself.
    pub receives: u16,
    /// Blocks above this many bytes go by RDMA (SW-113).
    pub threshold: u32,
    /// SO_MAX_RDMA_SIZE of its provider (SW-113).
    pub max_rdma: u32,
    /// Bytes of a descriptor that its provider makes for RDMA; 0: it cannot expose memory.
    pub rdma_descriptor_length: u16,
    /// Bytes of a descriptor that its provider makes for an allocation.
    pub allocation_descriptor_length: u16,
    /// Its process, for display only.
    pub pid: u32,
    /// Random per process and per forked child.
    pub process_token: [u8; 16],
    /// Where its switch link listens.
    pub link_name: [u8; 16],
    /// This connection on the link.
    pub connection_key: u64,
    /// Its local name of the TCP socket, IPv4 as v4-mapped.
    pub local: SocketAddrV6,
    /// Its peer name of the TCP socket.
    pub peer: SocketAddrV6,
}

/// Why a negotiation payload is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// Not "WSD1".
    #[error("wrong magic")]
    Magic,
    /// The other side has another byte order, or lies.
    #[error("wrong byte-order mark")]
    ByteOrder,
    /// Version 0.
    #[error("version 0")]
    Version,
    /// A payload of version 1 to 4 with another length than 128 bytes.
    #[error("wrong payload length")]
    Length,
    /// Buffers below 256 bytes.
    #[error("message buffers of {0} bytes are too small")]
    BufferLength(u16),
    /// Fewer than 4 receives.
    #[error("{0} posted receives are too few")]
    Receives(u16),
    /// SO_MAX_RDMA_SIZE 0.
    #[error("maximum RDMA size 0")]
    MaxRdma,
    /// A descriptor of this length does not fit a message.
    #[error("descriptors of {0} bytes are too long for a message")]
    DescriptorLength(u16),
    /// A name of the TCP socket is not in sockaddr_in6 form.
    #[error("address is not in sockaddr_in6 form")]
    AddressFamily,
}
