//! The application socket: what the program holds a descriptor of.

mod accept;
mod close;
mod connect;
mod create;
mod data;
mod names;
mod notify;
mod state;

use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use wsd_os::clock;
use wsd_spi::{SwitchSocket, WsaError};

use crate::operation::Delivery;
use crate::process::Running;
use crate::tcpip::{Kernel, Kind};

pub(crate) use data::{Mode, NO_FD, Submitted};
pub(crate) use state::{Direction, Life, Settings, State};

/// One socket. Its lock is never held across an up-call or a wait.
pub(crate) struct Socket {
    handle: OnceLock<SwitchSocket>,
    pub(crate) kind: Kind,
    /// Made with `WSA_FLAG_OVERLAPPED`.
    pub(crate) overlapped: bool,
    pub(crate) process: Arc<Running>,
    state: Mutex<State>,
}

impl Socket {
    /// A socket without a descriptor yet.
    pub(crate) fn new(
        process: Arc<Running>,
        kind: Kind,
        overlapped: bool,
        kernel: Kernel,
        life: Life,
        settings: Settings,
    ) -> Self {
        let mut state = State::new(kind, kernel, life);
        if life == Life::Connected {
            state.connected_at = Some(clock::now());
        }
        state.settings = settings;
        Self { handle: OnceLock::new(), kind, overlapped, process, state: Mutex::new(state) }
    }

    /// The program's descriptor.
    pub(crate) fn handle(&self) -> SwitchSocket {
        self.handle.get().copied().unwrap_or(SwitchSocket::INVALID)
    }

    /// Gives the socket its descriptor, once.
    pub(crate) fn named(&self, handle: SwitchSocket) {
        // A second name cannot be: the caller has just made the socket.
        let _ = self.handle.set(handle);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of a socket that is not closed.
    ///
    /// # Errors
    /// `WSAENOTSOCK`: closed meanwhile.
    pub(crate) fn open(&self) -> Result<MutexGuard<'_, State>, WsaError> {
        let state = self.lock();
        if state.life == Life::Closed { Err(WsaError::WSAENOTSOCK) } else { Ok(state) }
    }

    /// Goes on with whatever can go on, and tells the program. Called when the kernel socket is ready.
    pub(crate) fn drive(&self) {
        let mut state = self.lock();
        if state.life != Life::Closed {
            state.progress();
            state.look_for_events();
        }
        self.settle(state);
    }

    /// The engine's registration has fired.
    pub(crate) fn fired(&self) {
        self.lock().armed = 0;
        self.drive();
    }

    /// Leaves the state: asks the engine for what nobody waits for, then makes the up-calls that are due, in order.
    pub(crate) fn settle<'a>(&'a self, mut state: MutexGuard<'a, State>) {
        self.process.engine.arm(self.handle(), &mut state);
        if state.delivering {
            return;
        }
        state.delivering = true;
        while let Some(delivery) = state.outbox.pop_front() {
            drop(state);
            self.deliver(delivery);
            state = self.lock();
        }
        state.delivering = false;
    }

    fn deliver(&self, delivery: Delivery) {
        match delivery {
            Delivery::Completed(request, outcome) => {
                let address = request.overlapped.address();
                request.complete(outcome, &self.process.upcalls);
                self.lock().wake_for(address);
            }
            Delivery::Notice(notice) => notice.deliver(self.handle(), &self.process.upcalls),
            Delivery::Drive(socket) => socket.drive(),
            Delivery::Closed => self.process.upcalls.close_socket_handle(self.handle()),
        }
    }

    /// `SO_RCVTIMEO` or `SO_SNDTIMEO`.
    pub(crate) fn limit(&self, direction: Direction) -> Option<Duration> {
        let state = self.lock();
        let milliseconds = match direction {
            Direction::In => state.settings.receive_timeout,
            Direction::Out => state.settings.send_timeout,
        };
        (milliseconds > 0).then(|| Duration::from_millis(u64::from(milliseconds.unsigned_abs())))
    }
}
