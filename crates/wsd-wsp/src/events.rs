//! Network events: what the program selected, what has occurred, and which call lets an event occur again.

use wsd_spi::ffi::{FD_ALL_EVENTS, FD_CLOSE, FD_CONNECT, FD_MAX_EVENTS, LPARAM, UINT};
use wsd_spi::{Event, SwitchSocket, WsaError};

use crate::upcalls::{UpCalls, Window};

/// How the program wants to be told.
#[derive(Clone, Copy)]
pub(crate) enum Channel {
    /// `WSPEventSelect`: the event is set, and the record is kept for `WSPEnumNetworkEvents`.
    Event(Event),
    /// `WSPAsyncSelect`: a message per event.
    Messages { window: Window, message: UINT },
}

/// One thing to tell the program.
#[derive(Clone, Copy)]
pub(crate) enum Notice {
    Event(Event),
    Message { window: Window, message: UINT, parameter: LPARAM },
}

impl Notice {
    pub(crate) fn deliver(self, socket: SwitchSocket, upcalls: &UpCalls) {
        match self {
            Self::Event(event) => upcalls.set_event(event),
            Self::Message { window, message, parameter } => {
                upcalls.post_message(window, message, socket, parameter);
            }
        }
    }
}

/// Events that have occurred and were not fetched yet: the bits, and the error of each by its index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) events: i32,
    pub(crate) errors: [i32; FD_MAX_EVENTS],
}

/// The selection of one socket.
#[derive(Clone, Copy, Default)]
pub(crate) struct Selection {
    mask: i32,
    channel: Option<Channel>,
    /// Events that may occur: one that was told has to be enabled again by its call.
    enabled: i32,
    record: Record,
}

impl Selection {
    /// `events` told by `channel` from now on; what was recorded is forgotten.
    ///
    /// # Errors
    /// `WSAEINVAL`: a bit that is no event.
    pub(crate) fn new(events: i32, channel: Channel) -> Result<Self, WsaError> {
        if events & !FD_ALL_EVENTS != 0 {
            return Err(WsaError::WSAEINVAL);
        }
        Ok(Self { mask: events, channel: Some(channel), enabled: events, record: Record::default() })
    }

    /// The same selection for an accepted socket.
    pub(crate) fn inherited(&self) -> Self {
        Self { enabled: self.mask, record: Record::default(), ..*self }
    }

    /// Whether the program is told anything.
    pub(crate) fn is_active(&self) -> bool {
        self.mask != 0
    }

    /// Which of `events` the program has yet to be told of.
    pub(crate) fn wants(&self, events: i32) -> bool {
        self.enabled & events != 0
    }

    /// The call was made that lets `event` occur again. What happens only once stays told.
    pub(crate) fn enable(&mut self, event: i32) {
        self.enabled |= event & self.mask & !(FD_CLOSE | FD_CONNECT);
    }

    /// `event` has occurred: what to tell, if the program wants it.
    pub(crate) fn occurred(&mut self, event: i32, result: Result<(), WsaError>) -> Option<Notice> {
        if !self.wants(event) {
            return None;
        }
        self.enabled &= !event;
        let code = WsaError::code_of(result);
        Some(match self.channel? {
            Channel::Event(handle) => {
                self.record.events |= event;
                self.record.errors[event.trailing_zeros() as usize] = code;
                Notice::Event(handle)
            }
            Channel::Messages { window, message } => {
                // As WSAMAKESELECTREPLY: the event below, the error above.
                let parameter = (i64::from(code) << 16 | i64::from(event)) as LPARAM;
                Notice::Message { window, message, parameter }
            }
        })
    }

    /// Takes the record.
    pub(crate) fn take(&mut self) -> Record {
        core::mem::take(&mut self.record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wsd_spi::ffi::{FD_ACCEPT, FD_READ};

    fn event() -> Channel {
        Channel::Event(Event::from_raw(7))
    }

    /// SP-061: an error belongs to its own index, and taking the record clears it.
    #[test]
    fn recorded_once_until_enabled() {
        let mut selection = Selection::new(FD_READ | FD_CLOSE, event()).expect("events");
        assert!(selection.occurred(FD_ACCEPT, Ok(())).is_none(), "not selected");
        assert!(selection.occurred(FD_READ, Ok(())).is_some());
        assert!(selection.occurred(FD_READ, Ok(())).is_none(), "told already");
        assert!(selection.occurred(FD_CLOSE, Err(WsaError::WSAECONNRESET)).is_some());
        let record = selection.take();
        assert_eq!(record.events, FD_READ | FD_CLOSE);
        assert_eq!(record.errors, [0, 0, 0, 0, 0, 10054, 0, 0, 0, 0]);
        assert_eq!(selection.take(), Record::default());
        selection.enable(FD_READ | FD_CLOSE);
        assert!(selection.occurred(FD_READ, Ok(())).is_some());
        assert!(selection.occurred(FD_CLOSE, Ok(())).is_none(), "a connection closes once");
        assert_eq!(Selection::new(0x400, event()).err(), Some(WsaError::WSAEINVAL));
    }
}
