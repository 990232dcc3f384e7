//! What belongs to the process that made it. A child of fork begins anew at its first call: it has no thread of its parent's, none of
//! its sockets, and other threads of the parent may have held any lock.

use std::collections::HashMap;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use wsd_spi::client::San;
use wsd_spi::ffi::WSAPROTOCOL_INFOW;
use wsd_spi::provider::{Startup, UpCalls};
use wsd_spi::{SanSocket, WsaError};

use crate::extras::Extras;
use crate::faults::Faults;
use crate::inner;
use crate::operations::Operations;
use crate::report::Reporter;
use crate::socket::Companion;

/// The state of one process.
pub struct State {
    process: u32,
    pub(crate) operations: Arc<Operations>,
    /// Taken at the clean-up.
    pub(crate) inner: Mutex<Option<San>>,
    pub(crate) sockets: Mutex<HashMap<SanSocket, Arc<Companion>>>,
    pub(crate) extras: Extras,
    pub(crate) made: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) broken: AtomicU64,
    /// Calls of WSPConnect.
    pub(crate) connects: AtomicU64,
}

/// How the state of a process is made, and that of this one.
pub(crate) struct PerProcess {
    version: u16,
    info: WSAPROTOCOL_INFOW,
    upcalls: UpCalls,
    faults: Faults,
    /// Never freed.
    state: AtomicPtr<State>,
}

impl PerProcess {
    /// Starts in this process.
    ///
    /// # Errors
    /// As [`inner::start`]; `WSAENOBUFS`: no thread.
    pub(crate) fn new(startup: &Startup, upcalls: UpCalls, faults: &Faults) -> Result<Self, WsaError> {
        let own = Self {
            version: startup.version,
            info: startup.protocol_info,
            upcalls,
            faults: faults.clone(),
            state: AtomicPtr::new(ptr::null_mut()),
        };
        own.keep(own.make(true)?);
        Ok(own)
    }

    fn make(&self, starts: bool) -> Result<State, WsaError> {
        let reporter = Reporter::new(self.upcalls, self.faults.late)?;
        let operations = Operations::new(self.upcalls, reporter, self.faults.fate);
        let inner = inner::start(self.version, &self.info, self.upcalls, operations.clone());
        Ok(State {
            process: std::process::id(),
            operations,
            // Where it does not start again, every call says so.
            inner: Mutex::new(if starts { Some(inner?) } else { inner.ok() }),
            sockets: Mutex::default(),
            extras: Extras::default(),
            made: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            connects: AtomicU64::new(0),
        })
    }

    fn keep(&self, state: State) {
        self.state.store(Box::into_raw(Box::new(state)), Ordering::Release);
    }

    /// The state of this process.
    pub(crate) fn get(&self) -> &State {
        loop {
            // SAFETY: set by `new`, and only ever to a box that is never freed.
            let state = unsafe { &*self.state.load(Ordering::Acquire) };
            if state.process == std::process::id() {
                return state;
            }
            match self.make(false) {
                Ok(own) => self.keep(own),
                // No thread for what is told late: the parent's state answers, whose sockets are not ours.
                Err(_) => return state,
            }
        }
    }
}
