//! The switch's side of the up-calls (spi.md section 8). They only note what happened and kick the service thread.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wsd_spi::client::UpCallHandler;
use wsd_spi::{Event, SwitchSocket, WsaError};

use crate::service::kick;

/// Handles are above this, far from the small numbers that providers like to have as descriptors: neither passes for the other
/// unnoticed (SP-011).
const BEFORE_HANDLES: usize = 0xFFFF;

/// A completed operation: its slot and how it ended.
pub(crate) type Done = (u8, Result<u32, WsaError>);

/// Handles, and completions that the service thread has not taken yet.
#[derive(Default)]
pub(crate) struct UpCalls {
    handles: Mutex<Handles>,
    done: Mutex<Queues>,
}

/// Completions by port. A port is a companion's SAN socket: what comes for a closed one finds no queue, also when the same
/// record has another companion by then.
#[derive(Default)]
struct Queues {
    ports: u32,
    open: HashMap<u64, VecDeque<Done>>,
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

/// The key of an operation of a port.
pub(crate) fn key_of(port: u64, slot: u8) -> u64 {
    port | u64::from(slot)
}

impl UpCalls {
    /// The number of a new port for record `index`, below 2^24: what a key has beside the slot.
    pub(crate) fn open(&self, index: u32) -> u64 {
        let mut queues = lock(&self.done);
        queues.ports = queues.ports.wrapping_add(1);
        let port = (u64::from(queues.ports) << 32) | (u64::from(index) << 8);
        queues.open.insert(port, VecDeque::new());
        port
    }

    /// Takes the oldest completion of a port.
    pub(crate) fn take(&self, port: u64) -> Option<Done> {
        lock(&self.done).open.get_mut(&port)?.pop_front()
    }

    /// Whether a port has completions that were not taken.
    pub(crate) fn has_more(&self, port: u64) -> bool {
        lock(&self.done).open.get(&port).is_some_and(|queue| !queue.is_empty())
    }

    /// The slots of a port's completions that were not taken.
    pub(crate) fn told(&self, port: u64) -> Vec<u8> {
        let queues = lock(&self.done);
        queues.open.get(&port).map_or_else(Vec::new, |queue| queue.iter().map(|(slot, _)| *slot).collect())
    }

    /// Whether the provider has not given this handle back: operations of its socket may still run.
    pub(crate) fn has_handle(&self, handle: SwitchSocket) -> bool {
        lock(&self.handles).contexts.contains_key(&handle.raw())
    }

    /// The port is closed.
    pub(crate) fn forget(&self, port: u64) {
        lock(&self.done).open.remove(&port);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl UpCallHandler for UpCalls {
    fn create_socket_handle(&self, _catalog_entry_id: u32, context: usize) -> Result<SwitchSocket, WsaError> {
        let mut handles = lock(&self.handles);
        handles.next += 1;
        let handle = BEFORE_HANDLES + handles.next;
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
        kick::kick_own(index.ok_or(WsaError::WSA_INVALID_HANDLE)?);
        Ok(())
    }

    /// The service thread looks at a companion as often as it is kicked, so an event has no state to reset.
    fn reset_event(&self, _event: Event) -> Result<(), WsaError> {
        Ok(())
    }

    fn complete(&self, _handle: SwitchSocket, key: u64, status: Result<(), WsaError>, bytes: u32) {
        let (port, index, slot) = (key & !0xFF, (key as u32) >> 8, key as u8);
        if let Some(queue) = lock(&self.done).open.get_mut(&port) {
            queue.push_back((slot, status.map(|()| bytes)));
        }
        kick::kick_own(index);
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
        assert!(upcalls.has_handle(handle));
        assert_eq!(upcalls.close_socket_handle(handle), Ok(()));
        assert!(!upcalls.has_handle(handle));
        assert_eq!(upcalls.close_socket_handle(handle), Err(WsaError::WSAENOTSOCK));
        assert_eq!(upcalls.query_socket_handle_context(other), Ok(43));
    }

    #[test]
    fn completions_of_a_closed_port_do_not_reach_the_next_one() {
        let upcalls = UpCalls::default();
        let handle = SwitchSocket::from_raw(1);
        let first = upcalls.open(7);
        upcalls.complete(handle, key_of(first, 3), Ok(()), 5);
        assert_eq!(upcalls.take(first), Some((3, Ok(5))));
        upcalls.forget(first);
        let second = upcalls.open(7);
        upcalls.complete(handle, key_of(first, 3), Err(WsaError::WSA_OPERATION_ABORTED), 0);
        assert_eq!((upcalls.take(first), upcalls.take(second)), (None, None));
    }
}
