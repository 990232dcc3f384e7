//! Closing.

use std::sync::MutexGuard;

use wsd_spi::WsaError;

use super::{Direction, Life, Socket, State};
use crate::operation::Delivery;
use crate::outcome::{Completion, Outcome};

impl Socket {
    /// `WSPCloseSocket`: what is pending ends (requests with `WSA_OPERATION_ABORTED`, blocking calls with `WSAEINTR`), then the
    /// descriptor goes back to the program. The connection ends as `SO_LINGER` says.
    ///
    /// # Errors
    /// `WSAENOTSOCK`: another thread was faster. `WSAEWOULDBLOCK`: non-blocking, and `SO_LINGER` asks for a wait.
    pub(crate) fn close(&self) -> Result<(), WsaError> {
        let state = self.open()?;
        if state.settings.nonblocking && state.lingers() {
            return Err(WsaError::WSAEWOULDBLOCK);
        }
        self.finish(state);
        Ok(())
    }

    /// The end of a socket that the program has left open, at the last `WSPCleanup`.
    pub(crate) fn end(&self) {
        if let Ok(state) = self.open() {
            self.finish(state);
        }
    }

    fn finish(&self, mut state: MutexGuard<'_, State>) {
        self.process.forget(self.handle());
        self.process.engine.disarm(&mut state);
        state.life = Life::Closed;
        state.abort_all();
        // Behind the completions, so that no other up-call follows it.
        state.outbox.push_back(Delivery::Closed);
        self.settle(state);
    }
}

impl State {
    fn lingers(&self) -> bool {
        let linger = self.settings.linger;
        self.life == Life::Connected && linger.l_onoff != 0 && linger.l_linger != 0
    }

    fn abort_all(&mut self) {
        for direction in [Direction::In, Direction::Out] {
            while let Some(operation) = self.queue(direction).pop_front() {
                let error = match operation.completion {
                    Completion::Request(_) => WsaError::WSA_OPERATION_ABORTED,
                    Completion::Call(_) => WsaError::WSAEINTR,
                };
                self.complete(operation.completion, Outcome::failed(error));
            }
        }
        for (kernel, _) in self.deferred.drain(..) {
            // Reset already, if this fails.
            let _ = kernel.disconnect();
        }
        self.bells.drain(..).for_each(|bell| bell.ring());
        self.watchers.iter().for_each(|(_, bell)| bell.ring());
    }
}
