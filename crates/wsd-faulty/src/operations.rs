//! Requests of the switch and the operations of the inner provider that serve them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use wsd_spi::WsaError;
use wsd_spi::provider::Overlapped;

use crate::inner::lock;
use crate::late::Completer;

/// All pending requests.
pub(crate) struct Operations {
    pending: Mutex<Pending>,
    completer: Completer,
}

#[derive(Default)]
struct Pending {
    next: u64,
    requests: HashMap<u64, Request>,
}

/// One request, in one or several operations with its key.
struct Request {
    overlapped: Overlapped,
    parts: u32,
    status: Result<(), WsaError>,
    bytes: u32,
}

impl Operations {
    pub(crate) fn new(completer: Completer) -> Arc<Self> {
        Arc::new(Self { pending: Mutex::default(), completer })
    }

    /// Keeps a request until its `parts` have completed; their key.
    pub(crate) fn begin(&self, overlapped: Overlapped, parts: u32) -> u64 {
        let mut pending = lock(&self.pending);
        pending.next += 1;
        let key = pending.next;
        pending.requests.insert(key, Request { overlapped, parts, status: Ok(()), bytes: 0 });
        key
    }

    /// One of its operations has ended, or was refused.
    pub(crate) fn part_done(&self, key: u64, status: Result<(), WsaError>, bytes: u32) {
        let mut pending = lock(&self.pending);
        let Some(request) = pending.requests.get_mut(&key) else { return };
        request.parts -= 1;
        request.bytes += bytes;
        request.status = request.status.and(status);
        if request.parts != 0 {
            return;
        }
        let done = pending.requests.remove(&key);
        drop(pending);
        if let Some(Request { overlapped, status, bytes, .. }) = done {
            self.completer.complete(overlapped, status, bytes);
        }
    }

    /// Ends the completer's thread.
    pub(crate) fn end(&self) {
        self.completer.end();
    }
}
