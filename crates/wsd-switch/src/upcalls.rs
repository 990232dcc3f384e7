//! The switch's side of the up-calls (spi.md section 8). They only note what happened and kick the service thread.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wsd_spi::client::UpCallHandler;
use wsd_spi::{Event, SwitchSocket, WsaError};

use crate::service::kick;

/// A completed operation: its slot and how it ended.
pub(crate) type Done = (u8, Result<u32, WsaError>);

/// Handles, and completions that the service thread has not taken yet.
#[derive(Default)]
pub(crate) struct UpCalls {
    handles: Mutex<Handles>,
    done: Mutex<HashMap<u32, VecDeque<Done>>>,
}

#[derive(Default)]
struct Handles {
    next: usize,
    contexts: HashMap<usize, usize>,
}

/// The event object of a connection's companion: the switch's own number, never 0.
pub(crate) fn event_of(index: u32) -> Event {
    Event::from_raw(index as usize + 1)
}

/// The key of an operation.
pub(crate) fn key_of(index: u32, slot: u8) -> u64 {
    (u64::from(index) << 8) | u64::from(slot)
}

impl UpCalls {
    /// Takes the oldest completion of a connection.
    pub(crate) fn take(&self, index: u32) -> Option<Done> {
        lock(&self.done).get_mut(&index)?.pop_front()
    }

    /// Forgets what a closed companion left.
    pub(crate) fn forget(&self, index: u32) {
        lock(&self.done).remove(&index);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl UpCallHandler for UpCalls {
    fn create_socket_handle(&self, _catalog_entry_id: u32, context: usize) -> Result<SwitchSocket, WsaError> {
        let mut handles = lock(&self.handles);
        handles.next += 1;
        let handle = handles.next;
        handles.contexts.insert(handle, context);
        Ok(SwitchSocket::from_raw(handle))
    }

    fn close_socket_handle(&self, handle: SwitchSocket) -> Result<(), WsaError> {
        lock(&self.handles).contexts.remove(&handle.raw()).map(drop).ok_or(WsaError::WSAENOTSOCK)
    }

    fn query_socket_handle_context(&self, handle: SwitchSocket) -> Result<usize, WsaError> {
        lock(&self.handles).contexts.get(&handle.raw()).copied().ok_or(WsaError::WSAENOTSOCK)
    }

    fn set_event(&self, event: Event) -> Result<(), WsaError> {
        let index = event.raw().checked_sub(1).and_then(|index| u32::try_from(index).ok());
        kick::kick(index.ok_or(WsaError::WSA_INVALID_HANDLE)?);
        Ok(())
    }

    /// The service thread looks at a companion as often as it is kicked, so an event has no state to reset.
    fn reset_event(&self, _event: Event) -> Result<(), WsaError> {
        Ok(())
    }

    fn complete(&self, _handle: SwitchSocket, key: u64, status: Result<(), WsaError>, bytes: u32) {
        let (index, slot) = ((key >> 8) as u32, key as u8);
        lock(&self.done).entry(index).or_default().push_back((slot, status.map(|()| bytes)));
        kick::kick(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_lives_until_it_is_closed_once() {
        let upcalls = UpCalls::default();
        let handle = upcalls.create_socket_handle(0, 42).expect("a handle");
        let other = upcalls.create_socket_handle(0, 43).expect("another");
        assert_ne!(handle, other);
        assert_eq!(upcalls.query_socket_handle_context(handle), Ok(42));
        assert_eq!(upcalls.close_socket_handle(handle), Ok(()));
        assert_eq!(upcalls.close_socket_handle(handle), Err(WsaError::WSAENOTSOCK));
        assert_eq!(upcalls.query_socket_handle_context(other), Ok(43));
    }
}
