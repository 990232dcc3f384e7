//! The suite's side of the up-calls: it answers them, writes them down, and notices what no provider may do.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, ThreadId};

use wsd_spi::client::UpCallHandler;
use wsd_spi::{Event, SwitchSocket, WsaError};

use super::code::Code;
use super::request::{Mode, Request};

/// What a provider did that none may do, in whatever check it happens.
#[derive(Clone, Debug)]
pub(crate) struct Breach {
    /// The requirement, such as `SP-011`.
    pub(crate) requirement: &'static str,
    /// What was seen.
    pub(crate) what: String,
}

/// A `WPUCompleteOverlappedRequest`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    pub(crate) handle: usize,
    /// Address of the request.
    pub(crate) request: usize,
    pub(crate) error: Option<WsaError>,
    pub(crate) bytes: u32,
}

/// One up-call, in the order in which they came.
#[derive(Clone, Copy, Debug)]
pub(crate) enum UpCall {
    /// `WPUCreateSocketHandle`: the new handle, or none because one was denied.
    Create(Option<usize>),
    /// `WPUCloseSocketHandle`.
    Close(usize),
    Complete(Completion),
}

/// What is called inside an up-call.
pub(crate) type Hook = Box<dyn Fn(UpCall) + Send + Sync>;

/// See the [module](self). There is one per process.
#[derive(Default)]
pub(crate) struct Recorder {
    inner: Mutex<Inner>,
    hook: OnceLock<Hook>,
}

#[derive(Default)]
struct Inner {
    log: Vec<(UpCall, ThreadId)>,
    /// Handle to context and whether it is closed.
    handles: HashMap<usize, (usize, bool)>,
    /// Event to whether it is set, and how often it was.
    events: HashMap<usize, (bool, u32)>,
    /// Requests by address.
    requests: HashMap<usize, Expected>,
    breaches: Vec<Breach>,
    deny_handles: bool,
    /// After the last `WSPCleanup`.
    sealed: bool,
}

#[derive(Clone, Copy)]
struct Expected {
    request: Request,
    mode: Mode,
    done: bool,
}

/// Handles of the suite: far from what a provider uses as descriptors, so that a mix-up is seen (SP-011).
const FIRST_HANDLE: usize = 0x0007_5500_0000_0001;
const HANDLE_STEP: usize = 0x10;

static RECORDER: OnceLock<&'static Recorder> = OnceLock::new();

/// The recorder of this process.
pub(crate) fn recorder() -> &'static Recorder {
    RECORDER.get_or_init(|| Box::leak(Box::default()))
}

impl Inner {
    fn breach(&mut self, requirement: &'static str, what: String) {
        // The first one tells enough.
        if !self.breaches.iter().any(|breach| breach.requirement == requirement) {
            self.breaches.push(Breach { requirement, what });
        }
    }

    /// An up-call has come.
    fn came(&mut self, name: &str) {
        if self.sealed {
            self.breach("SP-212", format!("{name} after the last WSPCleanup had returned"));
        }
    }

    /// The state of a handle that came in an up-call: its context if it is open.
    fn open_handle(&mut self, name: &str, handle: usize) -> Option<usize> {
        match self.handles.get(&handle) {
            Some((context, false)) => Some(*context),
            Some((_, true)) => {
                self.breach(
                    "SP-170",
                    format!("{name} with handle {handle:#x} after its WPUCloseSocketHandle"),
                );
                None
            }
            None => {
                self.breach(
                    "SP-011",
                    format!("{name} with {handle:#x}, which WPUCreateSocketHandle never returned"),
                );
                None
            }
        }
    }
}

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs inside every later up-call that is logged. Only the first hook of a process counts.
    pub(crate) fn hook(&self, hook: Hook) {
        let _ = self.hook.set(hook);
    }

    fn log(&self, up_call: UpCall) {
        self.lock().log.push((up_call, thread::current().id()));
        if let Some(hook) = self.hook.get() {
            hook(up_call);
        }
    }

    pub(super) fn expects(&self, request: Request) {
        let mode = if request.is_polled() { Mode::Polled } else { Mode::Notified };
        self.lock().requests.insert(request.address(), Expected { request, mode, done: false });
    }

    pub(super) fn refused(&self, request: Request) {
        let mut inner = self.lock();
        if inner.requests.remove(&request.address()).is_some_and(|expected| expected.done) {
            inner.breach("SP-086", "a completion for a request that was refused".to_owned());
        }
    }

    /// A code that a call failed with.
    pub(super) fn saw(&self, code: Code) {
        for (error, name) in [(WsaError::WSAEINTR, "WSAEINTR"), (WsaError::WSAEINPROGRESS, "WSAEINPROGRESS")]
        {
            if code.is(error) {
                self.breach("SP-016", format!("a call failed with {name}"));
            }
        }
    }

    /// Notes what no provider may do.
    pub(crate) fn breach(&self, requirement: &'static str, what: String) {
        self.lock().breach(requirement, what);
    }

    /// All that was noted so far.
    pub(crate) fn breaches(&self) -> Vec<Breach> {
        self.lock().breaches.clone()
    }

    /// Whether `WPUCreateSocketHandle` fails with `WSAENOBUFS` from now on.
    pub(crate) fn deny_handles(&self, deny: bool) {
        self.lock().deny_handles = deny;
    }

    /// The last `WSPCleanup` has returned: no up-call may come any more; or a new start-up begins.
    pub(crate) fn seal(&self, sealed: bool) {
        self.lock().sealed = sealed;
    }

    /// Number of up-calls so far.
    pub(crate) fn count(&self) -> usize {
        self.lock().log.len()
    }

    /// The up-calls from number `from` on, with their threads.
    pub(crate) fn since(&self, from: usize) -> Vec<(UpCall, ThreadId)> {
        self.lock().log[from..].to_vec()
    }

    /// Handles that have not been closed.
    pub(crate) fn open_handles(&self) -> Vec<usize> {
        self.lock().handles.iter().filter(|(_, (_, closed))| !closed).map(|(handle, _)| *handle).collect()
    }

    /// Whether this handle has been closed.
    pub(crate) fn is_closed(&self, handle: usize) -> bool {
        self.lock().handles.get(&handle).is_some_and(|(_, closed)| *closed)
    }

    /// The completion of a request, if it has come.
    pub(crate) fn completion(&self, request: Request) -> Option<Completion> {
        self.lock().log.iter().find_map(|(up_call, _)| match up_call {
            UpCall::Complete(completion) if completion.request == request.address() => Some(*completion),
            _ => None,
        })
    }

    /// Whether an event is set, and how often `WPUSetEvent` was called for it.
    pub(crate) fn event(&self, event: usize) -> (bool, u32) {
        self.lock().events.get(&event).copied().unwrap_or_default()
    }

    /// Resets an event on the switch's side.
    pub(crate) fn clear_event(&self, event: usize) {
        self.lock().events.entry(event).or_default().0 = false;
    }
}

impl UpCallHandler for &'static Recorder {
    fn create_socket_handle(&self, _: u32, context: usize) -> Result<SwitchSocket, WsaError> {
        let handle = {
            let mut inner = self.lock();
            inner.came("WPUCreateSocketHandle");
            let handle = FIRST_HANDLE + HANDLE_STEP * inner.handles.len();
            (!inner.deny_handles).then(|| {
                inner.handles.insert(handle, (context, false));
                handle
            })
        };
        self.log(UpCall::Create(handle));
        handle.map(SwitchSocket::from_raw).ok_or(WsaError::WSAENOBUFS)
    }

    fn close_socket_handle(&self, handle: SwitchSocket) -> Result<(), WsaError> {
        let known = {
            let mut inner = self.lock();
            inner.came("WPUCloseSocketHandle");
            let known = inner.open_handle("WPUCloseSocketHandle", handle.raw());
            if let Some(context) = known {
                inner.handles.insert(handle.raw(), (context, true));
            }
            known
        };
        self.log(UpCall::Close(handle.raw()));
        known.map(drop).ok_or(WsaError::WSAENOTSOCK)
    }

    fn query_socket_handle_context(&self, handle: SwitchSocket) -> Result<usize, WsaError> {
        let mut inner = self.lock();
        inner.came("WPUQuerySocketHandleContext");
        inner.open_handle("WPUQuerySocketHandleContext", handle.raw()).ok_or(WsaError::WSAENOTSOCK)
    }

    fn set_event(&self, event: Event) -> Result<(), WsaError> {
        let mut inner = self.lock();
        inner.came("WPUSetEvent");
        let state = inner.events.entry(event.raw()).or_default();
        *state = (true, state.1 + 1);
        Ok(())
    }

    fn reset_event(&self, event: Event) -> Result<(), WsaError> {
        let mut inner = self.lock();
        inner.came("WPUResetEvent");
        inner.events.entry(event.raw()).or_default().0 = false;
        Ok(())
    }

    fn complete(&self, _: SwitchSocket, _: u64, _: Result<(), WsaError>, _: u32) {
        self.breach("SP-181", "WPUCompleteOverlappedRequest for a request of somebody else".to_owned());
    }

    fn complete_foreign(
        &self,
        handle: SwitchSocket,
        address: usize,
        status: Result<(), WsaError>,
        bytes: u32,
    ) -> Result<(), WsaError> {
        let name = "WPUCompleteOverlappedRequest";
        let expected = {
            let mut inner = self.lock();
            inner.came(name);
            let known = inner.open_handle(name, handle.raw()).is_some();
            let expected = inner.requests.get(&address).copied();
            match expected {
                None => {
                    inner.breach("SP-181", format!("{name} for {address:#x}, which is no pending request"))
                }
                Some(expected) if expected.mode == Mode::Polled => {
                    inner.breach("SP-180", format!("{name} for a polled request"));
                }
                Some(expected) if expected.done => {
                    inner.breach("SP-181", format!("{name} twice for one request"));
                }
                Some(expected) => {
                    inner.requests.insert(address, Expected { done: true, ..expected });
                }
            }
            if !known {
                return Err(WsaError::WSAEINVAL);
            }
            expected.filter(|expected| expected.mode == Mode::Notified && !expected.done)
        };
        let expected = expected.ok_or(WsaError::WSAEINVAL)?;
        expected.request.complete(bytes);
        let completion = Completion { handle: handle.raw(), request: address, error: status.err(), bytes };
        self.log(UpCall::Complete(completion));
        Ok(())
    }
}
