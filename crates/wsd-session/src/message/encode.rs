//! From a message to bytes.

use super::{FLAG_WRITTEN, Frame, HEADER_LENGTH, Kind, Message};
use crate::stream_hash::Marks;
use crate::wire::Writer;

/// Why a message could not be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The caller's buffer, or 32 bits, cannot hold the message.
    #[error("message does not fit its buffer")]
    BufferTooSmall,
}

impl Frame<'_> {
    /// Writes the message into `buffer` and returns its length.
    pub fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        let (header, payload) =
            buffer.split_at_mut_checked(HEADER_LENGTH).ok_or(EncodeError::BufferTooSmall)?;
        let mut payload = Writer::new(payload);
        put_payload(&self.message, &mut payload)?;
        let (flags, value) = flags_and_value(&self.message);
        put_header(header, self.message.kind(), flags, self.credits, payload.used(), value)?;
        Ok(HEADER_LENGTH + payload.used())
    }
}

/// Writes a `Data` message whose bytes lie in two pieces, as in a ring, and returns its length (SW-111).
pub fn encode_data(
    credits: u16,
    offset: u64,
    bytes: [&[u8]; 2],
    buffer: &mut [u8],
) -> Result<usize, EncodeError> {
    let (header, payload) = buffer.split_at_mut_checked(HEADER_LENGTH).ok_or(EncodeError::BufferTooSmall)?;
    let mut payload = Writer::new(payload);
    payload.put(bytes[0])?;
    payload.put(bytes[1])?;
    put_header(header, Kind::Data, 0, credits, payload.used(), offset)?;
    Ok(HEADER_LENGTH + payload.used())
}

/// Sets the credits of a message that is already encoded; what is no message stays as it is.
pub(crate) fn set_credits(message: &mut [u8], credits: u16) {
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&credits.to_le_bytes());
    }
}

fn put_header(
    header: &mut [u8],
    kind: Kind,
    flags: u8,
    credits: u16,
    payload: usize,
    value: u64,
) -> Result<(), EncodeError> {
    let payload = u32::try_from(payload).map_err(|_| EncodeError::BufferTooSmall)?;
    let mut out = Writer::new(header);
    out.put(&[kind as u8, flags])?;
    out.put(&credits.to_le_bytes())?;
    out.put(&payload.to_le_bytes())?;
    out.put(&value.to_le_bytes())
}

fn flags_and_value(message: &Message<'_>) -> (u8, u64) {
    let value = match *message {
        Message::Negotiate { nonce, .. } | Message::Answer { nonce, .. } => nonce,
        Message::RingReady { flow } | Message::Propose { flow } | Message::DemoteRequest { flow } => {
            u64::from(flow.number())
        }
        Message::Promoted { start } => start,
        Message::Frozen { at } | Message::Demoted { at } => at,
        Message::Data { offset, .. }
        | Message::RdmaOffer { offset, .. }
        | Message::RdmaDone { offset, .. }
        | Message::RdmaAnnounce { offset, .. }
        | Message::RdmaTarget { offset, .. }
        | Message::Fin { offset }
        | Message::Urgent { offset } => offset,
        Message::Window { room, .. } => room,
        Message::Resume { receives } => u64::from(receives),
        Message::Proven
        | Message::RingOffer { .. }
        | Message::Consent
        | Message::Refuse { .. }
        | Message::Reset
        | Message::Credit
        | Message::Suspend
        | Message::Suspended
        | Message::StreamMarks(_)
        | Message::StreamProof(_)
        | Message::Settled
        | Message::Reading
        | Message::Bye => 0,
    };
    let written = matches!(message, Message::RdmaDone { written: true, .. });
    (if written { FLAG_WRITTEN } else { 0 }, value)
}

fn put_payload(message: &Message<'_>, out: &mut Writer<'_>) -> Result<(), EncodeError> {
    match *message {
        Message::Negotiate { ref parameters, .. } | Message::Answer { ref parameters, .. } => {
            parameters.encode(out)
        }
        Message::RingOffer { flow, length, notify_slot, descriptor } => {
            out.put(&[flow.number(), 0, 0, 0])?;
            out.put(&length.to_le_bytes())?;
            out.put(&notify_slot.to_le_bytes())?;
            out.put(descriptor)
        }
        Message::Refuse { reason } => out.put(&[reason]),
        Message::Data { bytes, .. } => out.put(bytes),
        Message::RdmaOffer { total, descriptor, .. } | Message::RdmaTarget { total, descriptor, .. } => {
            out.put(&total.to_le_bytes())?;
            out.put(descriptor)
        }
        Message::RdmaAnnounce { total, .. } => out.put(&total.to_le_bytes()),
        Message::Window { taken, .. } => out.put(&taken.to_le_bytes()),
        Message::StreamMarks(Marks(marks)) => marks.iter().try_for_each(|mark| {
            out.put(&mark.granule().to_le_bytes())?;
            out.put(&mark.length().to_le_bytes())
        }),
        Message::StreamProof(ref proof) => out.put(proof),
        _ => Ok(()),
    }
}
