//! Requests of the switch and the operations of the inner provider that serve them. Requests of one kind on one socket complete in
//! the order in which they were made (SP-187), also those that the inner provider refuses.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use wsd_spi::provider::Overlapped;
use wsd_spi::{SwitchSocket, WsaError};

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
    /// Keys of each kind of request on each socket, in order.
    order: HashMap<(SwitchSocket, Kind), VecDeque<u64>>,
    /// Complete, and not told yet.
    ready: VecDeque<Request>,
    /// A thread is telling.
    telling: bool,
}

/// Kinds of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// WSPSend.
    Send,
    /// WSPRecv.
    Receive,
    /// WSPRdmaRead and WSPRdmaWrite.
    Rdma,
}

/// One request, in one or several operations with its key.
struct Request {
    overlapped: Overlapped,
    lane: (SwitchSocket, Kind),
    parts: u32,
    status: Result<(), WsaError>,
    bytes: u32,
}

impl Pending {
    /// Takes what is complete, and nothing unfinished before it.
    fn collect(&mut self, lane: (SwitchSocket, Kind)) {
        let Some(order) = self.order.get_mut(&lane) else { return };
        while let Some(key) = order.front()
            && self.requests.get(key).is_none_or(|request| request.parts == 0)
        {
            self.ready.extend(self.requests.remove(key));
            order.pop_front();
        }
    }
}

impl Operations {
    pub(crate) fn new(completer: Completer) -> Arc<Self> {
        Arc::new(Self { pending: Mutex::default(), completer })
    }

    /// Keeps a request until its `parts` have completed; their key.
    pub(crate) fn begin(&self, overlapped: Overlapped, handle: SwitchSocket, kind: Kind, parts: u32) -> u64 {
        let mut pending = lock(&self.pending);
        pending.next += 1;
        let (key, lane) = (pending.next, (handle, kind));
        pending.requests.insert(key, Request { overlapped, lane, parts, status: Ok(()), bytes: 0 });
        pending.order.entry(lane).or_default().push_back(key);
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
        let lane = request.lane;
        pending.collect(lane);
        if std::mem::replace(&mut pending.telling, true) {
            return;
        }
        // One thread tells, in order and without the lock.
        while let Some(Request { overlapped, status, bytes, .. }) = pending.ready.pop_front() {
            drop(pending);
            self.completer.complete(overlapped, status, bytes);
            pending = lock(&self.pending);
        }
        pending.telling = false;
    }

    /// A socket is closed: none of its requests is left.
    pub(crate) fn forget(&self, handle: SwitchSocket) {
        lock(&self.pending).order.retain(|(owner, _), keys| *owner != handle || !keys.is_empty());
    }

    /// Ends the completer's thread.
    pub(crate) fn end(&self) {
        self.completer.end();
    }
}
