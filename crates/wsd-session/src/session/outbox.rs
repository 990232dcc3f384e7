//! Control messages that wait for credit, in order, bounded by what the states allow.

use crate::message::{EncodeError, Frame, HEADER_LENGTH, Kind, Message};
use std::collections::VecDeque;

/// Encoded messages; the credits are filled in when they go.
#[derive(Debug, Clone, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<(Kind, Vec<u8>)>,
}

impl Outbox {
    /// Queues a message.
    pub(super) fn push(&mut self, message: Message<'_>) -> Result<(), EncodeError> {
        let payload = match &message {
            Message::RingOffer { descriptor, .. }
            | Message::RdmaOffer { descriptor, .. }
            | Message::RdmaTarget { descriptor, .. } => 12 + descriptor.len(),
            _ => 32,
        };
        let mut bytes = vec![0; HEADER_LENGTH + payload];
        let kind = message.kind();
        let length = Frame { credits: 0, message }.encode(&mut bytes)?;
        bytes.truncate(length);
        self.waiting.push_back((kind, bytes));
        Ok(())
    }

    /// Queues a message that makes a waiting one of the same type pointless. It goes to the end, so that it never
    /// overtakes a message it builds on.
    pub(super) fn push_latest(&mut self, message: Message<'_>) -> Result<(), EncodeError> {
        let kind = message.kind();
        self.push(message)?;
        if let Some(old) = self.waiting.iter().position(|(waiting, _)| *waiting == kind)
            && old + 1 < self.waiting.len()
        {
            self.waiting.remove(old);
        }
        Ok(())
    }

    /// Queues a message unless the very same is waiting.
    pub(super) fn push_unless_waiting(&mut self, message: Message<'_>) -> Result<(), EncodeError> {
        self.push(message)?;
        let last = self.waiting.len() - 1;
        if self.waiting.iter().position(|waiting| *waiting == self.waiting[last]) != Some(last) {
            self.waiting.pop_back();
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Queues a message before all that wait.
    pub(super) fn push_first(&mut self, message: Message<'_>) -> Result<(), EncodeError> {
        self.push(message)?;
        self.waiting.rotate_right(1);
        Ok(())
    }

    /// Moves the first message into `buffer` if it fits; its type and length.
    pub(super) fn pop_into(&mut self, buffer: &mut [u8]) -> Option<(Kind, usize)> {
        let (kind, bytes) = self.waiting.front()?;
        let (kind, length) = (*kind, bytes.len());
        buffer.get_mut(..length)?.copy_from_slice(bytes);
        self.waiting.pop_front();
        Some((kind, length))
    }
}
