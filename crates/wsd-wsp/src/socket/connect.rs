//! Connecting.

use std::sync::Arc;

use wsd_os::poll::PollFd;
use wsd_spi::{SockAddr, WsaError};

use super::data::NO_FD;
use super::{Life, Socket, State};
use crate::blocking::{Wait, Woken};

impl Socket {
    /// `WSPConnect`.
    ///
    /// # Errors
    /// `WSAEWOULDBLOCK`: under way, the result comes as `FD_CONNECT`. `WSAEALREADY`: it was under way before.
    pub(crate) fn connect(&self, peer: SockAddr) -> Result<(), WsaError> {
        let mut state = self.open()?;
        if peer.family() != self.kind.family {
            return Err(WsaError::WSAEAFNOSUPPORT);
        }
        if !self.kind.is_stream() {
            return state.set_peer(peer);
        }
        let nonblocking = state.settings.nonblocking;
        // Beginning a wait is an up-call.
        drop(state);
        let wait = match nonblocking {
            true => None,
            false => Some(Wait::begin(&self.process.upcalls, None)?),
        };
        let mut state = self.open()?;
        state.settle_connect();
        match state.life {
            Life::Connecting => return Err(WsaError::WSAEALREADY),
            Life::Connected => return Err(WsaError::WSAEISCONN),
            Life::Listening | Life::Closed => return Err(WsaError::WSAEINVAL),
            Life::Idle => {}
        }
        if peer.is_wildcard() || peer.port() == 0 {
            return Err(WsaError::WSAEADDRNOTAVAIL);
        }
        match state.kernel.connect(peer) {
            Err(WsaError::WSAEWOULDBLOCK) => {
                state.life = Life::Connecting;
                state.bound = true;
            }
            Ok(()) => {
                state.bound = true;
                state.connect_ended(Ok(()));
            }
            Err(error) => return Err(error),
        }
        if let Some(wait) = wait {
            return self.wait_connected(state, &wait);
        }
        let under_way = state.life == Life::Connecting;
        state.look_for_events();
        self.settle(state);
        if under_way { Err(WsaError::WSAEWOULDBLOCK) } else { Ok(()) }
    }

    fn wait_connected(
        &self,
        mut state: std::sync::MutexGuard<'_, State>,
        wait: &Wait,
    ) -> Result<(), WsaError> {
        state.connect_waits = true;
        state.bells.push(Arc::clone(wait.bell()));
        let kernel = Arc::clone(&state.kernel);
        drop(state);
        let result = loop {
            self.drive();
            {
                let state = self.lock();
                match state.life {
                    Life::Connecting => {}
                    Life::Closed => break Err(WsaError::WSAEINTR),
                    _ => break state.connect_result,
                }
            }
            let mut fds = [PollFd { fd: kernel.raw_fd(), events: libc::POLLOUT, revents: 0 }, NO_FD];
            match wait.sleep(&mut fds) {
                Ok(Woken::Look) => {}
                Ok(Woken::Late) => break Err(WsaError::WSAETIMEDOUT),
                Err(error) => break Err(error),
            }
        };
        let mut state = self.lock();
        state.connect_waits = false;
        state.forget(wait.bell());
        self.settle(state);
        result
    }
}

impl State {
    /// The peer of a datagram socket from now on; none for the wildcard.
    fn set_peer(&mut self, peer: SockAddr) -> Result<(), WsaError> {
        if peer.is_wildcard() && peer.port() == 0 {
            self.kernel.disconnect()?;
            self.life = Life::Idle;
            return Ok(());
        }
        self.kernel.connect(peer)?;
        self.bound = true;
        self.connect_ended(Ok(()));
        Ok(())
    }

    /// The thread with that bell waits no more.
    pub(crate) fn forget(&mut self, bell: &Arc<crate::blocking::Bell>) {
        self.bells.retain(|other| !Arc::ptr_eq(other, bell));
    }
}
