//! Requests of the switch and the operations of the inner provider that serve them. Requests of one kind on one socket complete in
//! the order in which they were made (SP-187), and the switch's handle of a socket is given back after all of them (SP-170).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use wsd_spi::client::MemorySlice;
use wsd_spi::provider::{Overlapped, UpCalls};
use wsd_spi::{SwitchSocket, WsaError};

use crate::death::{self, Fate, Moment};
use crate::inner::lock;
use crate::report::{Report, Reporter};

/// All pending requests.
pub(crate) struct Operations {
    pending: Mutex<Pending>,
    upcalls: UpCalls,
    reporter: Reporter,
    fate: Option<Fate>,
}

#[derive(Default)]
struct Pending {
    next: u64,
    requests: HashMap<u64, Request>,
    sockets: HashMap<SwitchSocket, Lanes>,
    /// What the switch is to be told, in order.
    ready: VecDeque<Report>,
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
    /// `None` until the inner provider has taken the request: it may complete it earlier.
    overlapped: Option<Overlapped>,
    handle: SwitchSocket,
    parts: u32,
    status: Result<(), WsaError>,
    bytes: u32,
    /// Where a message comes, if its kind matters.
    buffers: Vec<MemorySlice>,
}

/// The requests of one socket.
#[derive(Default)]
struct Lanes {
    /// Keys of each kind, in order.
    order: HashMap<Kind, VecDeque<u64>>,
    /// The inner provider is done with the socket.
    closed: bool,
}

impl Request {
    fn is_complete(&self) -> bool {
        self.parts == 0 && self.overlapped.is_some()
    }

    fn report(self) -> Option<Report> {
        let Self { overlapped, status, bytes, .. } = self;
        overlapped.map(|overlapped| Report::Complete { overlapped, status, bytes })
    }
}

impl Pending {
    /// Takes what is complete, and nothing unfinished before it; the handle after everything.
    fn collect(&mut self, handle: SwitchSocket) {
        let Some(lanes) = self.sockets.get_mut(&handle) else { return };
        for order in lanes.order.values_mut() {
            while let Some(key) = order.front()
                && self.requests.get(key).is_none_or(Request::is_complete)
            {
                self.ready.extend(self.requests.remove(key).and_then(Request::report));
                order.pop_front();
            }
        }
        if lanes.closed && lanes.order.values().all(VecDeque::is_empty) {
            self.sockets.remove(&handle);
            self.ready.push_back(Report::Close(handle));
        }
    }
}

impl Operations {
    pub(crate) fn new(upcalls: UpCalls, reporter: Reporter, fate: Option<Fate>) -> Arc<Self> {
        Arc::new(Self { pending: Mutex::default(), upcalls, reporter, fate })
    }

    /// `WPUCreateSocketHandle` of a socket that will have requests.
    ///
    /// # Errors
    /// What the switch answers.
    pub(crate) fn open(&self, context: usize) -> Result<SwitchSocket, WsaError> {
        let handle = self.upcalls.create_socket_handle(0, context)?;
        lock(&self.pending).sockets.insert(handle, Lanes::default());
        Ok(handle)
    }

    /// The inner provider has completed everything of a socket: `WPUCloseSocketHandle` when the switch knows it, too.
    ///
    /// # Errors
    /// `WSAENOTSOCK` if this was said before.
    pub(crate) fn close(&self, handle: SwitchSocket) -> Result<(), WsaError> {
        let mut pending = lock(&self.pending);
        pending.sockets.get_mut(&handle).ok_or(WsaError::WSAENOTSOCK)?.closed = true;
        self.settle(pending, handle);
        Ok(())
    }

    /// The key for a request of `parts` operations, which the inner provider is about to be asked for. Then call
    /// [`taken`](Self::taken) or [`refused`](Self::refused).
    ///
    /// # Errors
    /// `WSAENOTSOCK`: closed meanwhile.
    pub(crate) fn begin(&self, handle: SwitchSocket, kind: Kind, parts: u32) -> Result<u64, WsaError> {
        let mut pending = lock(&self.pending);
        pending.next += 1;
        let key = pending.next;
        let lanes = pending.sockets.get_mut(&handle).ok_or(WsaError::WSAENOTSOCK)?;
        lanes.order.entry(kind).or_default().push_back(key);
        pending.requests.insert(
            key,
            Request { overlapped: None, handle, parts, status: Ok(()), bytes: 0, buffers: Vec::new() },
        );
        Ok(key)
    }

    /// Where the message of a receive comes.
    pub(crate) fn receives_into(&self, key: u64, buffers: &[MemorySlice]) {
        if self.fate.is_some_and(|fate| matches!(fate.moment, Moment::Received(_)))
            && let Some(request) = lock(&self.pending).requests.get_mut(&key)
        {
            request.buffers = buffers.to_vec();
        }
    }

    /// The inner provider has taken the request, and perhaps completed it.
    pub(crate) fn taken(&self, key: u64, overlapped: Overlapped) {
        self.change(key, |request| request.overlapped = Some(overlapped));
    }

    /// The inner provider has refused the request: it never completes (SP-086).
    pub(crate) fn refused(&self, key: u64) {
        let mut pending = lock(&self.pending);
        if let Some(request) = pending.requests.remove(&key) {
            self.settle(pending, request.handle);
        }
    }

    /// One of its operations has ended, or was refused after others had been taken.
    pub(crate) fn part_done(&self, key: u64, status: Result<(), WsaError>, bytes: u32) {
        self.change(key, |request| {
            request.parts -= 1;
            request.bytes += bytes;
            request.status = request.status.and(status);
            if status.is_ok() && bytes != 0 && !request.buffers.is_empty() {
                death::at(self.fate, Moment::Received(death::kind_of(&request.buffers)));
            }
        });
    }

    fn change(&self, key: u64, change: impl FnOnce(&mut Request)) {
        let mut pending = lock(&self.pending);
        let Some(request) = pending.requests.get_mut(&key) else { return };
        change(request);
        let handle = request.handle;
        self.settle(pending, handle);
    }

    /// Tells what is complete. One thread does so, in order and without the lock (SP-018); an up-call that comes back into the
    /// provider leaves what it causes to the thread that it is on.
    fn settle<'a>(&'a self, mut pending: MutexGuard<'a, Pending>, handle: SwitchSocket) {
        pending.collect(handle);
        if pending.telling {
            return;
        }
        pending.telling = true;
        while let Some(report) = pending.ready.pop_front() {
            drop(pending);
            self.reporter.tell(report);
            pending = lock(&self.pending);
        }
        pending.telling = false;
    }

    /// Ends the reporter's thread.
    pub(crate) fn end(&self) {
        self.reporter.end();
    }
}
