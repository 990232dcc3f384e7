//! The payload of section 2 as bytes.

use super::{
    Capabilities, MIN_BUFFER_LENGTH, MIN_RECEIVES, NegotiationError, PAYLOAD_LENGTH, Parameters, VERSION,
};
use crate::message::{DecodeError, EncodeError, HEADER_LENGTH};
use crate::wire::{Reader, Writer};
use std::net::{Ipv6Addr, SocketAddrV6};

const MAGIC: [u8; 4] = *b"WSD1";
const BYTE_ORDER: u16 = 0xFEFF;
/// AF_INET6 as Linux numbers it; the wire has no other.
const FAMILY: u16 = 10;
/// Bytes of a message that carries a descriptor besides the descriptor itself: `RingOffer` has the most.
const AROUND_DESCRIPTOR: usize = HEADER_LENGTH + 12;

impl Parameters {
    /// Checks the ranges of section 2, for received and for own parameters alike.
    pub fn check(&self) -> Result<(), NegotiationError> {
        if self.version == 0 {
            return Err(NegotiationError::Version);
        }
        if self.buffer_length < MIN_BUFFER_LENGTH {
            return Err(NegotiationError::BufferLength(self.buffer_length));
        }
        if self.receives < MIN_RECEIVES {
            return Err(NegotiationError::Receives(self.receives));
        }
        if self.max_rdma == 0 {
            return Err(NegotiationError::MaxRdma);
        }
        let longest = self.rdma_descriptor_length.max(self.allocation_descriptor_length);
        if usize::from(longest) + AROUND_DESCRIPTOR > usize::from(self.buffer_length) {
            return Err(NegotiationError::DescriptorLength(longest));
        }
        Ok(())
    }

    pub(crate) fn encode(&self, out: &mut Writer<'_>) -> Result<(), EncodeError> {
        out.put(&MAGIC)?;
        out.put(&self.version.to_le_bytes())?;
        out.put(&BYTE_ORDER.to_le_bytes())?;
        out.put(&self.capabilities.0.to_le_bytes())?;
        out.put(&self.buffer_length.to_le_bytes())?;
        out.put(&self.receives.to_le_bytes())?;
        out.put(&self.threshold.to_le_bytes())?;
        out.put(&self.max_rdma.to_le_bytes())?;
        out.put(&self.rdma_descriptor_length.to_le_bytes())?;
        out.put(&self.allocation_descriptor_length.to_le_bytes())?;
        out.put(&self.pid.to_le_bytes())?;
        out.put(&self.process_token)?;
        out.put(&self.link_name)?;
        out.put(&self.connection_key.to_le_bytes())?;
        out.put(&address_bytes(&self.local))?;
        out.put(&address_bytes(&self.peer))
    }

    /// Reads and checks a payload. What a later version adds behind the 128 bytes is skipped.
    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if input.array()? != MAGIC {
            return Err(NegotiationError::Magic.into());
        }
        let version = input.u16()?;
        if input.u16()? != BYTE_ORDER {
            return Err(NegotiationError::ByteOrder.into());
        }
        let parameters = Self {
            version,
            capabilities: Capabilities(input.u32()?),
            buffer_length: input.u16()?,
            receives: input.u16()?,
            threshold: input.u32()?,
            max_rdma: input.u32()?,
            rdma_descriptor_length: input.u16()?,
            allocation_descriptor_length: input.u16()?,
            pid: input.u32()?,
            process_token: input.array()?,
            link_name: input.array()?,
            connection_key: input.u64()?,
            local: take_address(input)?,
            peer: take_address(input)?,
        };
        parameters.check()?;
        let more = input.rest();
        if version <= VERSION && !more.is_empty() {
            return Err(NegotiationError::Length.into());
        }
        Ok(parameters)
    }
}

/// Bytes of an address.
pub(crate) const ADDRESS_LENGTH: usize = 28;

/// sockaddr_in6: family, port in network order, flow label, address, scope.
pub(crate) fn address_bytes(address: &SocketAddrV6) -> [u8; ADDRESS_LENGTH] {
    let mut bytes = [0; ADDRESS_LENGTH];
    bytes[0..2].copy_from_slice(&FAMILY.to_le_bytes());
    bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
    bytes[4..8].copy_from_slice(&address.flowinfo().to_le_bytes());
    bytes[8..24].copy_from_slice(&address.ip().octets());
    bytes[24..28].copy_from_slice(&address.scope_id().to_le_bytes());
    bytes
}

fn take_address(input: &mut Reader<'_>) -> Result<SocketAddrV6, DecodeError> {
    if input.u16()? != FAMILY {
        return Err(NegotiationError::AddressFamily.into());
    }
    let port = u16::from_be_bytes(input.array()?);
    let flow = input.u32()?;
    let address = Ipv6Addr::from(input.array::<16>()?);
    let scope = input.u32()?;
    Ok(SocketAddrV6::new(address, port, flow, scope))
}

const _: () = assert!(HEADER_LENGTH + PAYLOAD_LENGTH <= crate::message::MAX_NEGOTIATION_LENGTH);
