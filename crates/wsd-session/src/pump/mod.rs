//! A direction's bytes over a provider without mapped memory: pure decisions, no memory (SW-113..118).
//!
//! Both programs work with rings in their own memory; a [`PumpSender`] empties the one, a [`PumpReceiver`] fills
//! the other. `plan` says what to do next, the host does it and tells with `record`. Everything is in absolute
//! offsets of the stream, nothing overtakes: while a large transfer is outstanding nothing behind it is sent
//! (SW-117).

mod receiver;
mod sender;

pub use receiver::{PumpReceiver, ReceiveStep};
pub use sender::{PumpSender, SendStep, Supply};

use crate::negotiation::RdmaVariant;

/// What both sides keep to, from [`Agreement::pump_limits`](crate::Agreement::pump_limits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PumpLimits {
    /// Most bytes of the stream in a `Data` message.
    pub max_data: usize,
    /// Blocks above this many bytes go by RDMA (SW-113).
    pub threshold: u32,
    /// Most bytes of one RDMA operation (SW-113).
    pub max_rdma: u32,
    /// How large blocks travel; `None`: not at all, all goes in `Data`.
    pub variant: Option<RdmaVariant>,
}

/// One RDMA operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Offset of its first byte in the stream, so its place in the own ring.
    pub offset: u64,
    /// Its place in the memory that the peer exposed.
    pub within: u32,
    /// Its length, at most SO_MAX_RDMA_SIZE.
    pub length: u32,
}

/// A broken rule of the pump. From what the peer said: the session is to be ended. From `record` and its like: the
/// host's mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PumpError {
    /// Bytes that do not continue the stream, or an answer to another transfer.
    #[error("offset {got} where {expected} is due")]
    Offset {
        /// What is due.
        expected: u64,
        /// What came.
        got: u64,
    },
    /// Bytes beyond the announced window.
    #[error("bytes up to {end} are beyond the window of {room}")]
    BeyondWindow {
        /// Offset after the last byte.
        end: u64,
        /// The window.
        room: u64,
    },
    /// A message or step that makes no sense now.
    #[error("{0} is out of step")]
    OutOfStep(&'static str),
    /// A window or progress that goes back, or beyond what was sent.
    #[error("window contradicts what was said before")]
    Window,
    /// RDMA operations are running.
    #[error("RDMA operations are running")]
    Busy,
}

/// Issued and completed pieces of a large transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    offset: u64,
    total: u32,
    issued: u32,
    completed: u32,
}

impl Progress {
    fn new(offset: u64, total: u32) -> Self {
        Self { offset, total, issued: 0, completed: 0 }
    }

    /// The next piece, at most `most` bytes; `None`: all are issued, or `most` is 0.
    fn piece(&self, most: u64) -> Option<Piece> {
        let left = self.total - self.issued;
        let length = u32::try_from(most).unwrap_or(u32::MAX).min(left);
        let offset = self.offset + u64::from(self.issued);
        (length > 0).then_some(Piece { offset, within: self.issued, length })
    }

    fn issue(&mut self, piece: Piece) -> Result<(), PumpError> {
        if self.piece(u64::from(piece.length)) != Some(piece) {
            return Err(PumpError::OutOfStep("piece"));
        }
        self.issued += piece.length;
        Ok(())
    }

    fn complete(&mut self, length: u32) -> Result<(), PumpError> {
        if length > self.issued - self.completed {
            return Err(PumpError::OutOfStep("completion"));
        }
        self.completed += length;
        Ok(())
    }

    fn is_running(&self) -> bool {
        self.issued > self.completed
    }

    fn is_complete(&self) -> bool {
        self.completed == self.total
    }

    fn end(&self) -> u64 {
        self.offset + u64::from(self.total)
    }
}

fn expect(expected: u64, got: u64) -> Result<(), PumpError> {
    if expected == got { Ok(()) } else { Err(PumpError::Offset { expected, got }) }
}
