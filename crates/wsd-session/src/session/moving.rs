//! What one process hands to the next when an end of a session moves (SW-184): everything but what is in rings.
//!
//! The bytes travel between processes that share the connection, on one host. They are checked all the same.

use super::direction::{ReceiveDirection, SendDirection};
use super::outbox::Outbox;
use super::stream_proof::StreamProof;
use super::{Direction, Lockstep, Phase, Role, Said, Session, Suspension, WrongState};
use crate::credit::Credit;
use crate::message::{DecodeError, EncodeError};
use crate::negotiation::{Agreement, PAYLOAD_LENGTH, Parameters};
use crate::pump::{PumpReceiver, PumpSender};
use crate::wire::{Reader, Writer};

/// First bytes: what it is, and its version.
const MAGIC: [u8; 8] = *b"WSDmove1";
/// Bytes that are enough for every move.
const MOST: usize = 1024;

/// An end of a session with its pumps, as they arrive in the next process.
#[derive(Debug, Clone)]
pub struct Move {
    /// The session, [`Quiet`](Suspension::Quiet): post receives, tell it, then [`Session::resume`].
    pub session: Session,
    /// Of the direction to the peer.
    pub sender: PumpSender,
    /// Of the direction from the peer.
    pub receiver: PumpReceiver,
}

/// Packs an end that is [`Quiet`](Suspension::Quiet) and has no large transfer outstanding.
///
/// # Errors
/// The end cannot move now.
pub fn pack(session: &Session, sender: &PumpSender, receiver: &PumpReceiver) -> Result<Vec<u8>, WrongState> {
    let wrong = WrongState { command: "pack" };
    let agreement = session.agreement().ok_or(wrong)?;
    if session.suspension() != Suspension::Quiet || session.has_queued() {
        return Err(wrong);
    }
    let mut bytes = vec![0; MOST];
    let mut out = Writer::new(&mut bytes);
    let packed = session.put(agreement, &mut out).and_then(|()| {
        if sender.put(&mut out)? && receiver.put(&mut out)? {
            Ok(())
        } else {
            Err(EncodeError::BufferTooSmall)
        }
    });
    packed.map_err(|_| wrong)?;
    let used = out.used();
    bytes.truncate(used);
    Ok(bytes)
}

impl Move {
    /// Unpacks what [`pack`] made in the process before.
    ///
    /// # Errors
    /// The bytes are no such thing, or contradict themselves.
    pub fn unpack(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        let session = Session::take_moved(&mut input)?;
        let agreement = session.agreement().ok_or(DecodeError::OutOfRange("agreement"))?;
        let sender = PumpSender::take(agreement.pump_limits(Direction::Send), &mut input)?;
        let receiver = PumpReceiver::take(agreement.pump_limits(Direction::Receive), &mut input)?;
        input.end()?;
        Ok(Self { session, sender, receiver })
    }
}

impl Session {
    fn put(&self, agreement: &Agreement, out: &mut Writer<'_>) -> Result<(), EncodeError> {
        out.put(&MAGIC)?;
        let ends = [(self.send.is_finished(), 1), (self.receive.is_finished(), 2)];
        let role = u8::from(self.role == Role::Listening);
        out.put(&[role, ends.iter().filter(|(is, _)| *is).map(|(_, bit)| bit).sum()])?;
        let available = u16::try_from(self.credit.available()).unwrap_or(u16::MAX);
        out.put(&available.to_le_bytes())?;
        out.put(&self.nonce.to_le_bytes())?;
        out.put(&agreement.peer_nonce.to_le_bytes())?;
        self.own.encode(out)?;
        agreement.peer.encode(out)
    }

    fn take_moved(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if input.array()? != MAGIC {
            return Err(DecodeError::OutOfRange("magic"));
        }
        let role = match input.u8()? {
            0 => Role::Connecting,
            1 => Role::Listening,
            _ => return Err(DecodeError::OutOfRange("role")),
        };
        let ends = input.u8()?;
        if ends > 3 {
            return Err(DecodeError::OutOfRange("ends"));
        }
        let credit = Credit::moved(input.u16()?);
        let (nonce, peer_nonce) = (input.u64()?, input.u64()?);
        let mut parameters = || Parameters::decode(&mut Reader::new(&input.array::<PAYLOAD_LENGTH>()?));
        let (own, peer) = (parameters()?, parameters()?);
        let said = Said { proven: true, ..Said::default() };
        let session = Self {
            role,
            phase: Phase::Open,
            agreement: Some(Agreement::new(&own, peer, peer_nonce)),
            own,
            nonce,
            credit,
            outbox: Outbox::default(),
            said,
            heard: said,
            send: SendDirection::opened(ends & 1 != 0),
            receive: ReceiveDirection::opened(ends & 2 != 0),
            suspension: Suspension::Quiet,
            stream_proof: StreamProof::default(),
            lockstep: Lockstep::default(),
            readings: 0,
        };
        if session.can_move() { Ok(session) } else { Err(DecodeError::OutOfRange("agreement")) }
    }
}
