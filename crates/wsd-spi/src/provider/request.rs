//! Arguments and results of the trait's methods.

use core::num::NonZeroU32;
use core::ptr::NonNull;

use crate::address::SockAddr;
use crate::ffi::{QOS, WSAPROTOCOL_INFOW};
use crate::value::SanSocket;

/// What the switch passed to `WSPStartupEx`.
#[derive(Clone)]
pub struct Startup {
    /// Version that the switch asked for, at least 2.2.
    pub version: u16,
    /// Called by a switch: TCP/IP's description, not the provider's (SP-023).
    pub protocol_info: WSAPROTOCOL_INFOW,
}

/// What the switch passed to `WSPSocket`.
#[derive(Clone)]
pub struct SocketRequest {
    /// Address family.
    pub family: i32,
    /// Socket type.
    pub kind: i32,
    /// Protocol.
    pub protocol: i32,
    /// Group, reserved; ignore at adoption.
    pub group: u32,
    /// `WSA_FLAG_*`; ignore at adoption.
    pub flags: u32,
    /// `dwProviderReserved` if it is not 0: adopt the socket that it stands for (SP-041, SP-153).
    pub adopt: Option<NonZeroU32>,
    /// The whole description, if the switch passed one.
    pub protocol_info: Option<WSAPROTOCOL_INFOW>,
}

/// Result of `WSPAccept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The new descriptor.
    pub socket: SanSocket,
    /// Address of the peer.
    pub peer: SockAddr,
}

/// What a `WSPConnect` carries beside the name: at least one of them.
#[derive(Clone)]
pub struct ConnectExtras {
    /// Data for the condition function of the peer; empty if there is none.
    pub caller_data: Vec<u8>,
    /// Flow specifications that the connection has to meet.
    pub qos: Option<QOS>,
}

/// The remote side of an RDMA operation.
#[derive(Clone, Copy, Debug)]
pub struct RemoteBuffer<'a> {
    /// Descriptor from the peer's `WSPRegisterRdmaMemory`; has the right length, and is otherwise not to be trusted
    /// (SP-132).
    pub descriptor: &'a [u8],
    /// Offset in bytes inside the remote buffer.
    pub offset: u32,
}

/// Result of `WsdMap`.
#[derive(Clone, Copy, Debug)]
pub struct Mapping {
    /// Start of the mapping.
    pub memory: NonNull<u8>,
    /// Length in bytes.
    pub length: u32,
}

/// Result of `WSPGetQOSByName`.
#[derive(Clone)]
pub enum Qos {
    /// The template that was asked for.
    Template(QOS),
    /// UTF-16 text: the names of all templates.
    Names(Vec<u16>),
}
