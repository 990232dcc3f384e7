//! What is to be done when the engine's lock has been released: up-calls (SP-018).

use std::collections::VecDeque;

use wsd_spi::provider::{Overlapped, UpCalls};
use wsd_spi::{SwitchSocket, WsaError};

/// Up-calls that are due, in order.
#[derive(Default)]
pub struct Actions(VecDeque<Action>);

/// One of them.
pub(crate) enum Action {
    /// A request is complete.
    Complete {
        /// The request.
        overlapped: Overlapped,
        /// Its result.
        status: Result<(), WsaError>,
        /// How many bytes were transferred.
        bytes: u32,
    },
    /// The switch's handle is not needed any more.
    Close(SwitchSocket),
}

impl Actions {
    /// Notes that a request is complete.
    pub fn complete(&mut self, overlapped: Overlapped, status: Result<(), WsaError>, bytes: u32) {
        self.0.push_back(Action::Complete { overlapped, status, bytes });
    }

    /// Notes that a handle is to be closed, after everything that was noted before.
    pub fn close(&mut self, handle: SwitchSocket) {
        self.0.push_back(Action::Close(handle));
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> Option<Action> {
        self.0.pop_front()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Action {
    /// Does it. Hold no lock.
    pub(crate) fn run(self, upcalls: UpCalls) {
        match self {
            Self::Complete { overlapped, status, bytes } => overlapped.complete(status, bytes, 0),
            Self::Close(handle) => {
                // A switch that does not know its own handle has nothing to close.
                let _ = upcalls.close_socket_handle(handle);
            }
        }
    }
}
