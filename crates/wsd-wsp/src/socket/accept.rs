//! Listening and accepting.

use std::sync::Arc;

use wsd_os::poll::PollFd;
use wsd_spi::ffi::{FD_ACCEPT, SOMAXCONN};
use wsd_spi::{Condition, SockAddr, WsaError};
use wsd_switch::front::Verdict;

use super::data::NO_FD;
use super::{Life, Socket, State};
use crate::blocking::{Wait, Woken};
use crate::process;
use crate::tcpip::Kernel;

/// The program's condition function: asked with the peer's name and the local one.
type ConditionFunction<'a> = &'a mut dyn FnMut(SockAddr, SockAddr) -> Condition;

impl Socket {
    /// `WSPListen`.
    pub(crate) fn listen(&self, backlog: i32) -> Result<(), WsaError> {
        let mut state = self.open()?;
        state.settle_connect();
        if !self.kind.is_stream() {
            return Err(WsaError::WSAEOPNOTSUPP);
        }
        match state.life {
            Life::Connected => return Err(WsaError::WSAEISCONN),
            Life::Connecting | Life::Closed => return Err(WsaError::WSAEINVAL),
            Life::Idle if !state.bound => return Err(WsaError::WSAEINVAL),
            Life::Idle | Life::Listening => {}
        }
        // The kernel knows its own maximum, and takes it for anything larger.
        let backlog = if backlog == SOMAXCONN { i32::from(i16::MAX) } else { backlog.max(1) };
        state.kernel.listen(backlog)?;
        state.life = Life::Listening;
        state.look_for_events();
        self.settle(state);
        Ok(())
    }

    /// `WSPAccept`: the new socket and the peer's name.
    ///
    /// # Errors
    /// `WSAECONNREFUSED`: the condition function said no. `WSATRY_AGAIN`: it put the request off.
    pub(crate) fn accept(
        self: &Arc<Self>,
        condition: ConditionFunction<'_>,
    ) -> Result<(Arc<Socket>, SockAddr), WsaError> {
        let taken = self.wait_for_connection(condition);
        if let Ok(mut state) = self.open() {
            if !matches!(taken, Err(WsaError::WSATRY_AGAIN)) {
                state.selection.enable(FD_ACCEPT);
                state.look_for_events();
            }
            self.settle(state);
        }
        let (kernel, peer) = taken?;
        let (settings, selection) = {
            let state = self.open()?;
            (state.settings, state.selection.inherited())
        };
        let socket = Socket::new(
            Arc::clone(&self.process),
            self.kind,
            self.overlapped,
            kernel,
            Life::Connected,
            settings,
        );
        socket.lock().selection = selection;
        let socket = process::register(socket)?;
        socket.drive();
        Ok((socket, peer))
    }

    fn wait_for_connection(&self, condition: ConditionFunction<'_>) -> Result<(Kernel, SockAddr), WsaError> {
        match self.take_connection(condition) {
            Err(WsaError::WSAEWOULDBLOCK) if !self.open()?.settings.nonblocking => {}
            result => return result,
        }
        let wait = Wait::begin(&self.process.upcalls, None)?;
        let mut state = self.open()?;
        state.bells.push(Arc::clone(wait.bell()));
        let kernel = Arc::clone(&state.kernel);
        drop(state);
        let result = loop {
            let mut fds = [PollFd { fd: kernel.raw_fd(), events: libc::POLLIN, revents: 0 }, NO_FD];
            match wait.sleep(&mut fds) {
                Ok(Woken::Look) => {}
                Ok(Woken::Late) => break Err(WsaError::WSAETIMEDOUT),
                Err(error) => break Err(error),
            }
            match self.take_connection(condition) {
                Err(WsaError::WSAEWOULDBLOCK) => {}
                Err(WsaError::WSAENOTSOCK) => break Err(WsaError::WSAEINTR),
                result => break result,
            }
        };
        self.lock().forget(wait.bell());
        result
    }

    /// The oldest connection that the condition function wants, if it is asked of that one.
    fn take_connection(&self, condition: ConditionFunction<'_>) -> Result<(Kernel, SockAddr), WsaError> {
        let mut state = self.open()?;
        if state.life != Life::Listening {
            return Err(WsaError::WSAEINVAL);
        }
        let deferred = state.deferred.pop_front();
        let listener = Arc::clone(&state.kernel);
        // The condition function is the program's.
        drop(state);
        let mut answer = None;
        let taken = deferred.map_or_else(
            || {
                listener.accept(|request| {
                    if answer.is_some() {
                        // One answer for one call: the next request is the next call's.
                        return Verdict::Defer;
                    }
                    match *answer.insert(condition(request.peer.into(), request.local.into())) {
                        Condition::Accept => Verdict::Accept,
                        Condition::Reject => Verdict::Reject,
                        Condition::Defer => Verdict::Defer,
                    }
                })
            },
            Ok,
        );
        match answer {
            Some(Condition::Accept) => taken,
            Some(Condition::Defer) => Err(WsaError::WSATRY_AGAIN),
            Some(Condition::Reject) => {
                if let Ok(another) = taken {
                    self.open()?.deferred.push_back(another);
                }
                Err(WsaError::WSAECONNREFUSED)
            }
            None => self.ask_for(taken?, condition),
        }
    }

    /// Asks for a connection that TCP/IP has accepted already.
    fn ask_for(
        &self,
        (kernel, peer): (Kernel, SockAddr),
        condition: ConditionFunction<'_>,
    ) -> Result<(Kernel, SockAddr), WsaError> {
        match condition(peer, kernel.local_name()?) {
            Condition::Accept => Ok((kernel, peer)),
            Condition::Reject => {
                // It is reset either way when it is closed; what failed here has been reset by the peer.
                let _ = kernel.disconnect();
                Err(WsaError::WSAECONNREFUSED)
            }
            Condition::Defer => {
                self.open()?.deferred.push_front((kernel, peer));
                Err(WsaError::WSATRY_AGAIN)
            }
        }
    }
}

impl State {
    /// Whether `AcceptEx` may put a connection here.
    pub(crate) fn is_fresh(&self) -> bool {
        self.life == Life::Idle && !self.bound
    }
}
