//! The switch's side of the tests.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use wsd_spi::client::{Tracer, UpCallHandler};
use wsd_spi::{Event, SwitchSocket, WsaError};

/// A completion: handle, key or address of the request, status, bytes.
pub(crate) type Completion<T> = (SwitchSocket, T, Result<(), WsaError>, u32);

/// Notes every up-call.
#[derive(Default)]
pub(crate) struct Switch {
    contexts: Mutex<HashMap<usize, usize>>,
    next: AtomicUsize,
    pub(crate) events: Mutex<Vec<(Event, bool)>>,
    pub(crate) completions: Mutex<Vec<Completion<u64>>>,
    pub(crate) foreign: Mutex<Vec<Completion<usize>>>,
    pub(crate) closed: Mutex<Vec<SwitchSocket>>,
    pub(crate) refuse_handles: AtomicBool,
    pub(crate) panic: AtomicBool,
}

impl Switch {
    /// Handles that are open.
    pub(crate) fn open_handles(&self) -> usize {
        self.contexts.lock().expect("no panics").len()
    }

    /// The completions so far, taken.
    pub(crate) fn take_completions(&self) -> Vec<Completion<u64>> {
        std::mem::take(&mut *self.completions.lock().expect("no panics"))
    }
}

impl UpCallHandler for Switch {
    fn create_socket_handle(&self, _entry: u32, context: usize) -> Result<SwitchSocket, WsaError> {
        assert!(!self.panic.load(Ordering::Relaxed), "asked to panic");
        if self.refuse_handles.load(Ordering::Relaxed) {
            return Err(WsaError::WSAENOBUFS);
        }
        let handle = 0x5000 + self.next.fetch_add(1, Ordering::Relaxed);
        self.contexts.lock().expect("no panics").insert(handle, context);
        Ok(SwitchSocket::from_raw(handle))
    }

    fn close_socket_handle(&self, handle: SwitchSocket) -> Result<(), WsaError> {
        self.closed.lock().expect("no panics").push(handle);
        let known = self.contexts.lock().expect("no panics").remove(&handle.raw());
        known.map(|_| ()).ok_or(WsaError::WSAENOTSOCK)
    }

    fn query_socket_handle_context(&self, handle: SwitchSocket) -> Result<usize, WsaError> {
        self.contexts.lock().expect("no panics").get(&handle.raw()).copied().ok_or(WsaError::WSAENOTSOCK)
    }

    fn set_event(&self, event: Event) -> Result<(), WsaError> {
        self.events.lock().expect("no panics").push((event, true));
        Ok(())
    }

    fn reset_event(&self, event: Event) -> Result<(), WsaError> {
        self.events.lock().expect("no panics").push((event, false));
        Ok(())
    }

    fn complete(&self, handle: SwitchSocket, key: u64, status: Result<(), WsaError>, bytes: u32) {
        self.completions.lock().expect("no panics").push((handle, key, status, bytes));
    }

    fn complete_foreign(
        &self,
        handle: SwitchSocket,
        request: usize,
        status: Result<(), WsaError>,
        bytes: u32,
    ) -> Result<(), WsaError> {
        self.foreign.lock().expect("no panics").push((handle, request, status, bytes));
        Ok(())
    }
}

/// Keeps the lines of a trace.
#[derive(Default)]
pub(crate) struct Lines(pub(crate) Mutex<Vec<String>>);

impl Tracer for Lines {
    fn call(&self, function: &'static str, arguments: fmt::Arguments<'_>, result: fmt::Arguments<'_>) {
        self.0.lock().expect("no panics").push(format!("{function}({arguments}) = {result}"));
    }
}
