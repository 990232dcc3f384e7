//! Network events and the results of requests, as the program asks for them.

use std::sync::Arc;

use wsd_spi::{Event, WsaError};

use super::Socket;
use super::data::NO_FD;
use crate::blocking::{Wait, Woken};
use crate::events::{Record, Selection};
use crate::outcome::{Outcome, Overlapped};

impl Socket {
    /// `WSPEventSelect`, `WSPAsyncSelect`: the socket is non-blocking from now on. `None` ends the selection.
    pub(crate) fn select_events(&self, selection: Option<Selection>) -> Result<(), WsaError> {
        let mut state = self.open()?;
        state.settings.nonblocking = true;
        state.selection = selection.unwrap_or_default();
        state.look_for_events();
        self.settle(state);
        Ok(())
    }

    /// `WSPEnumNetworkEvents`. The event is reset first, so that what occurs from then on sets it again (SP-060).
    pub(crate) fn take_events(&self, event: Option<Event>) -> Result<Record, WsaError> {
        drop(self.open()?);
        if let Some(event) = event {
            self.process.upcalls.reset_event(event).map_err(|_| WsaError::WSAEINVAL)?;
        }
        Ok(self.open()?.selection.take())
    }

    /// `WSPGetOverlappedResult`.
    ///
    /// # Errors
    /// `WSA_IO_INCOMPLETE`: pending. `WSA_INVALID_HANDLE`: pending, and it has no event to wait for.
    pub(crate) fn result_of(&self, overlapped: Overlapped, wait: bool) -> Result<Outcome, WsaError> {
        drop(self.open()?);
        if let Some(outcome) = overlapped.outcome() {
            return Ok(outcome);
        }
        if !wait {
            return Err(WsaError::WSA_IO_INCOMPLETE);
        }
        if overlapped.event().is_none() {
            return Err(WsaError::WSA_INVALID_HANDLE);
        }
        let wait = Wait::begin(&self.process.upcalls, None)?;
        self.open()?.watchers.push((overlapped.address(), Arc::clone(wait.bell())));
        let result = loop {
            // Before the completion the watcher is there, after it the outcome is: no wake-up is lost.
            if let Some(outcome) = overlapped.outcome() {
                break Ok(outcome);
            }
            match wait.sleep(&mut [NO_FD]) {
                Ok(Woken::Look) => {}
                Ok(Woken::Late) => break Err(WsaError::WSAETIMEDOUT),
                Err(error) => break Err(error),
            }
        };
        self.lock().watchers.retain(|(_, bell)| !Arc::ptr_eq(bell, wait.bell()));
        result
    }
}
