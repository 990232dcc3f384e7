//! The streams after the companion's death: what an end says once on TCP, and how it finds what the peer says (section 10).

use crate::message::DecodeError;
use crate::session::{Direction, Session, Standing};
use crate::wire::{Reader, Writer};

/// Bytes of the marker that a frame begins with.
const MARKER: usize = 16;

/// Bytes of a frame.
pub const FRAME_BYTES: usize = 40;

const HAS_END: u32 = 1;
const FOR_GOOD: u32 = 2;

/// Where an end goes on by TCP, which it says once, where its stream had left TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resumption {
    /// Offset from which on it takes the other stream by TCP: H.
    pub received: u64,
    /// Offset up to which its own stream comes from the ring: T. If TCP ends before, bytes are lost.
    pub end: u64,
    /// It has the whole other stream, with its end: nothing is to be repeated.
    pub has_end: bool,
    /// It does not want another companion.
    pub for_good: bool,
}

/// What is at the front of TCP, where the peer's stream had left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Too little to tell.
    More,
    /// The stream itself: the peer does not know that the promotion was settled, and has sent and taken nothing by the companion.
    Plain,
    /// A frame, [`FRAME_BYTES`] long.
    Frame(Resumption),
}

/// Neither the frame that must be there nor the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("TCP does not go on with the peer's word on the fail-over")]
pub struct Foreign;

/// One end's part in a fail-over.
#[derive(Debug, Clone)]
pub struct FailOver {
    standing: Standing,
    own_marker: [u8; MARKER],
    peer_marker: [u8; MARKER],
}

impl FailOver {
    /// Of a session whose companion is dead.
    pub fn of(session: &Session) -> Self {
        Self {
            standing: session.standing(),
            own_marker: session.marker(Direction::Send),
            peer_marker: session.marker(Direction::Receive),
        }
    }

    /// What the end knows.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether the end says its frame unasked. One that is [`Standing::Unsure`] says it in answer to the peer's, and only where its
    /// stream has not gone on: else the peer finds that.
    pub fn speaks_first(&self) -> bool {
        matches!(self.standing, Standing::Promoted { .. })
    }

    /// This end's frame.
    pub fn frame(&self, word: Resumption) -> [u8; FRAME_BYTES] {
        let mut bytes = [0; FRAME_BYTES];
        let mut out = Writer::new(&mut bytes);
        let flags = u32::from(word.has_end) * HAS_END + u32::from(word.for_good) * FOR_GOOD;
        let fields = out.put(&self.own_marker).and_then(|()| {
            out.put(&word.received.to_le_bytes())?;
            out.put(&word.end.to_le_bytes())?;
            out.put(&flags.to_le_bytes())
        });
        debug_assert!(fields.is_ok(), "the fields have 36 bytes");
        bytes
    }

    /// Looks at the first bytes of TCP behind the offset at which the peer's stream had left it. `waited`: no more have come for as
    /// long as a frame could take.
    ///
    /// # Errors
    /// There must be a frame, and there is something else.
    pub fn examine(&self, bytes: &[u8], waited: bool) -> Result<Found, Foreign> {
        let may_be_plain = match self.standing {
            Standing::Plain => return Ok(Found::Plain),
            Standing::Unsure { .. } => true,
            Standing::Promoted { may_be_plain, .. } => may_be_plain,
        };
        let begins = bytes.len().min(MARKER);
        let is_marker = bytes[..begins] == self.peer_marker[..begins];
        if is_marker && let Some(frame) = bytes.first_chunk::<FRAME_BYTES>() {
            return take(frame).map(Found::Frame).map_err(|_| Foreign);
        }
        let is_short = begins < MARKER;
        match (is_marker, may_be_plain) {
            (true, true) if is_short && waited && !bytes.is_empty() => Ok(Found::Plain),
            (true, _) => Ok(Found::More),
            (false, true) => Ok(Found::Plain),
            (false, false) => Err(Foreign),
        }
    }
}

impl Resumption {
    /// Checks the peer's word against what this end knows: it still has its own stream from `kept` up to `end`, and has
    /// `received` the peer's up to there.
    ///
    /// # Errors
    /// The peer lies.
    pub fn check(&self, kept: u64, end: u64, received: u64) -> Result<(), Foreign> {
        let known = (kept..=end).contains(&self.received) && self.end >= received;
        let whole = !self.has_end || self.received == end;
        if known && whole { Ok(()) } else { Err(Foreign) }
    }
}

fn take(frame: &[u8; FRAME_BYTES]) -> Result<Resumption, DecodeError> {
    let mut input = Reader::new(&frame[MARKER..]);
    let (received, end, flags, pad) = (input.u64()?, input.u64()?, input.u32()?, input.u32()?);
    if flags & !(HAS_END | FOR_GOOD) != 0 || pad != 0 {
        return Err(DecodeError::OutOfRange("flags"));
    }
    Ok(Resumption { received, end, has_end: flags & HAS_END != 0, for_good: flags & FOR_GOOD != 0 })
}

impl Session {
    /// What begins the frame in a direction: both ends' random numbers, the direction's sender's first. Programs know neither, so
    /// none of them can make its stream look like a frame.
    fn marker(&self, direction: Direction) -> [u8; MARKER] {
        let peer = self.agreement().map_or(0, |agreed| agreed.peer_nonce);
        let (first, second) = match direction {
            Direction::Send => (self.nonce(), peer),
            Direction::Receive => (peer, self.nonce()),
        };
        let mut marker = [0; MARKER];
        marker[..8].copy_from_slice(&first.to_le_bytes());
        marker[8..].copy_from_slice(&second.to_le_bytes());
        marker
    }
}
