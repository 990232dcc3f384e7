//! Waiting inside a call of the program's.

use core::time::Duration;
use std::cell::Cell;
use std::sync::Arc;

use rustix::io::Errno;
use wsd_os::fd::{AsFd, AsRawFd, OwnedFd};
use wsd_os::poll::PollFd;
use wsd_os::{clock, doorbell};
use wsd_spi::WsaError;

use crate::convert;
use crate::tcpip;
use crate::upcalls::{BlockingCallback, UpCalls};

/// How often a thread with a blocking callback looks up from its wait to call it.
const CALLBACK_PERIOD: Duration = Duration::from_millis(5);

/// What wakes one thread that waits inside a call.
pub(crate) struct Bell(OwnedFd);

impl Bell {
    fn new() -> Result<Self, WsaError> {
        doorbell::event().map(Self).map_err(convert::error)
    }

    /// Wakes the thread, or lets its next wait end at once.
    pub(crate) fn ring(&self) {
        doorbell::signal(self.0.as_fd());
    }

    fn silence(&self) {
        doorbell::clear(self.0.as_fd());
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Blocked {
    No,
    Yes,
    Cancelled,
}

thread_local! {
    static BLOCKED: Cell<Blocked> = const { Cell::new(Blocked::No) };
    static BELL: Cell<Option<Arc<Bell>>> = const { Cell::new(None) };
}

/// Cancels the blocking call that the calling thread is in: it is in its blocking callback now (`WSPCancelBlockingCall`).
pub(crate) fn cancel() -> Result<(), WsaError> {
    match BLOCKED.get() {
        Blocked::No => Err(WsaError::WSAEINVAL),
        Blocked::Yes | Blocked::Cancelled => {
            BLOCKED.set(Blocked::Cancelled);
            Ok(())
        }
    }
}

/// One blocking call of the calling thread.
pub(crate) struct Wait {
    bell: Arc<Bell>,
    callback: Option<BlockingCallback>,
    deadline: Option<Duration>,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// A descriptor is ready, or the bell rang: look again.
    Look,
    /// The time is over.
    Late,
}

impl Wait {
    /// Begins a call that takes `limit` at most.
    ///
    /// # Errors
    /// `WSAEINPROGRESS` inside the blocking callback of another call; `WSAEMFILE`.
    pub(crate) fn begin(upcalls: &UpCalls, limit: Option<Duration>) -> Result<Self, WsaError> {
        if BLOCKED.get() != Blocked::No {
            return Err(WsaError::WSAEINPROGRESS);
        }
        let bell = match BELL.take() {
            Some(bell) => bell,
            None => Arc::new(Bell::new()?),
        };
        bell.silence();
        BLOCKED.set(Blocked::Yes);
        let deadline = limit.map(|limit| clock::now().saturating_add(limit));
        Ok(Self { bell, callback: upcalls.blocking_callback(), deadline })
    }

    /// What wakes this call.
    pub(crate) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Sleeps until a descriptor of `fds` is ready or the bell rings. The last entry is the bell's, which this sets.
    ///
    /// # Errors
    /// `WSAEINTR`: cancelled from the blocking callback.
    pub(crate) fn sleep(&self, fds: &mut [PollFd]) -> Result<Woken, WsaError> {
        if let Some(last) = fds.last_mut() {
            *last = PollFd { fd: self.bell.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        }
        let left = self.deadline.map(|deadline| deadline.saturating_sub(clock::now()));
        if let Some(callback) = self.callback
            && (!callback.goes_on() || BLOCKED.get() == Blocked::Cancelled)
        {
            return Err(WsaError::WSAEINTR);
        }
        let slice = match self.callback {
            Some(_) => Some(left.unwrap_or(CALLBACK_PERIOD).min(CALLBACK_PERIOD)),
            None => left,
        };
        match tcpip::poll(fds, slice) {
            Ok(0) if left.is_some_and(|left| left.is_zero()) => Ok(Woken::Late),
            Ok(_) | Err(Errno::INTR) => {
                if fds.last().is_some_and(|last| last.revents != 0) {
                    self.bell.silence();
                }
                Ok(Woken::Look)
            }
            Err(error) => Err(convert::error(error)),
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        BLOCKED.set(Blocked::No);
        BELL.set(Some(Arc::clone(&self.bell)));
    }
}
