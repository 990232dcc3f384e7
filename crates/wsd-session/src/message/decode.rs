//! From bytes to a message, every length and range checked before use.

use super::{FLAG_WRITTEN, Flow, Frame, HEADER_LENGTH, Kind, MAX_NEGOTIATION_LENGTH, Message};
use crate::negotiation::{MIN_RECEIVES, NegotiationError, Parameters};
use crate::stream_hash::{Mark, Marks};
use crate::wire::Reader;

/// Why bytes are no message of this protocol. Each of them ends the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end before the header or a fixed part of the payload does.
    #[error("message is shorter than its fields")]
    Truncated,
    /// The payload length of the header is not the number of bytes that follow, or wrong for this type.
    #[error("payload has a length that its type does not allow")]
    PayloadLength,
    /// No such type in version 1.
    #[error("unknown message type {0}")]
    UnknownType(u8),
    /// A flag that version 1 does not define for this type.
    #[error("unknown flags {0:#04x}")]
    UnknownFlags(u8),
    /// A value, offset or amount outside its range, or a pad that is not 0.
    #[error("field `{0}` is out of range")]
    OutOfRange(&'static str),
    /// `Negotiate` or `Answer` above 256 bytes (SW-102).
    #[error("negotiation of {0} bytes is above the limit of 256")]
    NegotiationTooLong(usize),
    /// The payload of section 2 is wrong.
    #[error("negotiation: {0}")]
    Negotiation(#[from] NegotiationError),
}

struct Header {
    kind: Kind,
    flags: u8,
    credits: u16,
    value: u64,
}

impl<'a> Frame<'a> {
    /// Reads one whole message; `bytes` is exactly what one WSPRecv delivered.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        let header = take_header(&mut input, bytes.len())?;
        let message = take_message(&header, &mut input)?;
        input.end()?;
        Ok(Self { credits: header.credits, message })
    }
}

fn take_header(input: &mut Reader<'_>, length: usize) -> Result<Header, DecodeError> {
    let kind = input.u8()?;
    let flags = input.u8()?;
    let credits = input.u16()?;
    let payload = input.u32()?;
    let value = input.u64()?;
    let kind = Kind::try_from(kind)?;
    if usize::try_from(payload).ok() != Some(length - HEADER_LENGTH) {
        return Err(DecodeError::PayloadLength);
    }
    let known = if kind == Kind::RdmaDone { FLAG_WRITTEN } else { 0 };
    if flags & !known != 0 {
        return Err(DecodeError::UnknownFlags(flags));
    }
    if matches!(kind, Kind::Negotiate | Kind::Answer) && length > MAX_NEGOTIATION_LENGTH {
        return Err(DecodeError::NegotiationTooLong(length));
    }
    Ok(Header { kind, flags, credits, value })
}

fn take_message<'a>(header: &Header, input: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    let value = header.value;
    Ok(match header.kind {
        Kind::Negotiate => Message::Negotiate { nonce: value, parameters: Parameters::decode(input)? },
        Kind::Answer => Message::Answer { nonce: value, parameters: Parameters::decode(input)? },
        Kind::Proven => no_value(value, Message::Proven)?,
        Kind::RingOffer => no_value(value, take_ring_offer(input)?)?,
        Kind::RingReady => Message::RingReady { flow: flow(value)? },
        Kind::Propose => Message::Propose { flow: flow(value)? },
        Kind::Consent => no_value(value, Message::Consent)?,
        Kind::Refuse => no_value(value, Message::Refuse { reason: input.u8()? })?,
        Kind::Promoted => Message::Promoted { start: value },
        Kind::DemoteRequest => Message::DemoteRequest { flow: flow(value)? },
        Kind::Frozen => Message::Frozen { at: value },
        Kind::Demoted => Message::Demoted { at: value },
        Kind::Data => take_data(value, input)?,
        Kind::RdmaOffer => {
            let total = take_total(value, input)?;
            Message::RdmaOffer { offset: value, total, descriptor: take_descriptor(input)? }
        }
        Kind::RdmaDone => Message::RdmaDone { offset: value, written: header.flags & FLAG_WRITTEN != 0 },
        Kind::RdmaAnnounce => Message::RdmaAnnounce { offset: value, total: take_total(value, input)? },
        Kind::RdmaTarget => {
            let total = take_total(value, input)?;
            Message::RdmaTarget { offset: value, total, descriptor: take_descriptor(input)? }
        }
        Kind::Fin => Message::Fin { offset: value },
        Kind::Reset => no_value(value, Message::Reset)?,
        Kind::Urgent if value == 0 => return Err(DecodeError::OutOfRange("urgent offset")),
        Kind::Urgent => Message::Urgent { offset: value },
        Kind::Credit if header.credits == 0 => return Err(DecodeError::OutOfRange("credits")),
        Kind::Credit => no_value(value, Message::Credit)?,
        Kind::Bye => no_value(value, Message::Bye)?,
        Kind::Window => take_window(value, input)?,
        Kind::Suspend => no_value(value, Message::Suspend)?,
        Kind::Suspended => no_value(value, Message::Suspended)?,
        Kind::Resume => take_resume(value)?,
        Kind::StreamMarks => {
            no_value(value, Message::StreamMarks(Marks([take_mark(input)?, take_mark(input)?])))?
        }
        Kind::StreamProof => no_value(value, Message::StreamProof(input.array()?))?,
        Kind::Settled => no_value(value, Message::Settled)?,
        Kind::Reading => no_value(value, Message::Reading)?,
    })
}

fn no_value<'a>(value: u64, message: Message<'a>) -> Result<Message<'a>, DecodeError> {
    if value == 0 { Ok(message) } else { Err(DecodeError::OutOfRange("value")) }
}

fn flow(number: u64) -> Result<Flow, DecodeError> {
    match number {
        0 => Ok(Flow::FromConnecting),
        1 => Ok(Flow::FromListening),
        _ => Err(DecodeError::OutOfRange("direction")),
    }
}

fn take_ring_offer<'a>(input: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    let flow = flow(u64::from(input.u8()?))?;
    if input.array::<3>()? != [0; 3] {
        return Err(DecodeError::OutOfRange("pad"));
    }
    let length = input.u32()?;
    if length == 0 {
        return Err(DecodeError::OutOfRange("ring length"));
    }
    let notify_slot = input.u32()?;
    Ok(Message::RingOffer { flow, length, notify_slot, descriptor: take_descriptor(input)? })
}

fn take_data<'a>(offset: u64, input: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    let bytes = input.rest();
    if bytes.is_empty() {
        return Err(DecodeError::PayloadLength);
    }
    offset.checked_add(bytes.len() as u64).ok_or(DecodeError::OutOfRange("offset"))?;
    Ok(Message::Data { offset, bytes })
}

fn take_total(offset: u64, input: &mut Reader<'_>) -> Result<u32, DecodeError> {
    let total = input.u32()?;
    if total == 0 {
        return Err(DecodeError::OutOfRange("total"));
    }
    offset.checked_add(u64::from(total)).ok_or(DecodeError::OutOfRange("offset"))?;
    Ok(total)
}

fn take_descriptor<'a>(input: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let descriptor = input.rest();
    if descriptor.is_empty() { Err(DecodeError::PayloadLength) } else { Ok(descriptor) }
}

fn take_resume<'a>(value: u64) -> Result<Message<'a>, DecodeError> {
    let receives = u16::try_from(value).ok().filter(|receives| *receives >= MIN_RECEIVES);
    receives.map(|receives| Message::Resume { receives }).ok_or(DecodeError::OutOfRange("receives"))
}

fn take_mark(input: &mut Reader<'_>) -> Result<Mark, DecodeError> {
    Mark::new(input.u64()?, input.u64()?).ok_or(DecodeError::OutOfRange("granule"))
}

fn take_window<'a>(room: u64, input: &mut Reader<'_>) -> Result<Message<'a>, DecodeError> {
    let taken = input.u64()?;
    if taken > room { Err(DecodeError::OutOfRange("taken")) } else { Ok(Message::Window { room, taken }) }
}
