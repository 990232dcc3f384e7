//! Sending and receiving, in the three ways a program may ask for it.

use std::sync::Arc;

use rustix::net::{SendFlags, Shutdown};
use wsd_os::poll::PollFd;
use wsd_spi::WsaError;
use wsd_spi::ffi::{FD_OOB, FD_READ, FD_WRITE, SD_BOTH, SD_RECEIVE, SD_SEND, SOCK_STREAM};

use super::{Direction, Life, Socket, State};
use crate::blocking::{Wait, Woken};
use crate::operation::{Operation, Step, Work};
use crate::outcome::{Call, Completion, Outcome, Request};

/// How the program wants an operation done.
pub(crate) enum Mode {
    /// Overlapped.
    Request(Request),
    /// By the call itself, which waits unless the socket is non-blocking.
    Call,
}

/// What became of an operation.
#[derive(Debug)]
pub(crate) enum Submitted {
    /// Done; a request's end has been told, too.
    Done(Outcome),
    /// A request's end will be told later.
    Pending,
}

impl Socket {
    /// Does an operation.
    ///
    /// # Errors
    /// The operation's own; nothing was started then, and nothing follows.
    pub(crate) fn submit(
        self: &Arc<Self>,
        direction: Direction,
        work: Work,
        mode: Mode,
    ) -> Result<Submitted, WsaError> {
        match mode {
            Mode::Request(request) => self.request(direction, work, request),
            Mode::Call => self.call(direction, work).map(Submitted::Done),
        }
    }

    fn request(&self, direction: Direction, mut work: Work, request: Request) -> Result<Submitted, WsaError> {
        let mut state = self.open()?;
        state.allows(&work)?;
        request.overlapped.begin();
        let step = if state.is_idle(direction) { state.attempt(&mut work) } else { Step::Blocked };
        state.enable_after(&work);
        let submitted = match step {
            Step::Done(outcome) => {
                state.look_for_events();
                self.settle(state);
                if outcome.status.is_err() {
                    request.overlapped.finish(outcome);
                } else {
                    request.complete(outcome, &self.process.upcalls);
                }
                return outcome.status.map(|()| Submitted::Done(outcome));
            }
            Step::Blocked => {
                let completion = Completion::Request(request);
                state.queue(direction).push_back(Operation { work, completion });
                Submitted::Pending
            }
            Step::Passed => Submitted::Pending,
        };
        self.settle(state);
        Ok(submitted)
    }

    fn call(self: &Arc<Self>, direction: Direction, mut work: Work) -> Result<Outcome, WsaError> {
        let mut state = self.open()?;
        state.allows(&work)?;
        let step = if state.queue(direction).is_empty() { state.attempt(&mut work) } else { Step::Blocked };
        let nonblocking = state.settings.nonblocking;
        match step {
            Step::Done(outcome) => {
                state.enable_after(&work);
                state.look_for_events();
                self.settle(state);
                reported(outcome)
            }
            Step::Blocked if nonblocking => {
                state.enable_after(&work);
                if matches!(work, Work::Send(_)) {
                    state.selection.enable(FD_WRITE);
                }
                state.look_for_events();
                self.settle(state);
                match partly(&work) {
                    0 => Err(WsaError::WSAEWOULDBLOCK),
                    bytes => Ok(Outcome::done(bytes)),
                }
            }
            Step::Blocked | Step::Passed => {
                drop(state);
                self.wait_for(direction, work)
            }
        }
    }

    /// Queues an operation and waits for it, doing the engine's work meanwhile.
    fn wait_for(self: &Arc<Self>, direction: Direction, work: Work) -> Result<Outcome, WsaError> {
        let wait = Wait::begin(&self.process.upcalls, self.limit(direction))?;
        let call = Arc::new(Call::new(Arc::clone(wait.bell())));
        let mut state = self.open()?;
        let events = match &work {
            Work::Receive(receive) => receive.wants(),
            _ => libc::POLLOUT,
        };
        let completion = Completion::Call(Arc::clone(&call));
        state.queue(direction).push_back(Operation { work, completion });
        let kernel = Arc::clone(&state.kernel);
        drop(state);
        loop {
            // Also the first time: the socket may have become ready, or closed, before the operation was queued.
            self.drive();
            if let Some(outcome) = call.outcome() {
                self.after_wait(direction);
                return reported(outcome);
            }
            let mut fds = [PollFd { fd: kernel.raw_fd(), events, revents: 0 }, NO_FD];
            let error = match wait.sleep(&mut fds) {
                Ok(Woken::Look) => continue,
                Ok(Woken::Late) => WsaError::WSAETIMEDOUT,
                Err(error) => error,
            };
            let withdrawn = self.lock().withdraw(direction, &call);
            if let Some(operation) = withdrawn {
                self.after_wait(direction);
                return match operation.work {
                    Work::Receive(receive) if receive.received() > 0 => Ok(Outcome::done(receive.received())),
                    _ => Err(error),
                };
            }
        }
    }

    fn after_wait(&self, direction: Direction) {
        let mut state = self.lock();
        if direction == Direction::In {
            state.selection.enable(FD_READ);
        }
        if state.life != Life::Closed {
            state.look_for_events();
        }
        self.settle(state);
    }

    /// `WSPShutdown`. What was queued for sending before goes first.
    pub(crate) fn shutdown(&self, how: i32) -> Result<(), WsaError> {
        let mut state = self.open()?;
        state.settle_connect();
        if state.life != Life::Connected {
            return Err(WsaError::WSAENOTCONN);
        }
        let (receive, send) = match how {
            SD_RECEIVE => (true, false),
            SD_SEND => (false, true),
            SD_BOTH => (true, true),
            _ => return Err(WsaError::WSAEINVAL),
        };
        if receive && !state.receive_shut {
            state.receive_shut = true;
            state.shut(Shutdown::Read)?;
        }
        if send && !state.send_shut {
            state.send_shut = true;
            if state.queue(Direction::Out).is_empty() {
                state.shut(Shutdown::Write)?;
            } else {
                state.shut_after_sends = true;
            }
        }
        state.progress();
        state.look_for_events();
        self.settle(state);
        Ok(())
    }

    /// The flags that every send of this socket has.
    pub(crate) fn standing_flags(&self) -> SendFlags {
        if self.lock().settings.dont_route { SendFlags::DONTROUTE } else { SendFlags::empty() }
    }
}

/// An entry that waits for nothing: `Wait::sleep` puts its bell there.
pub(crate) const NO_FD: PollFd = PollFd { fd: -1, events: 0, revents: 0 };

fn reported(outcome: Outcome) -> Result<Outcome, WsaError> {
    outcome.status.map(|()| outcome)
}

/// Bytes of a stream that have left although the operation is not complete.
fn partly(work: &Work) -> usize {
    match work {
        Work::Send(send) => send.sent(),
        Work::Receive(receive) => receive.received(),
        Work::File(_) | Work::Accept(_) => 0,
    }
}

impl State {
    /// Whether the socket is in a state for an operation of that kind.
    fn allows(&mut self, work: &Work) -> Result<(), WsaError> {
        self.settle_connect();
        let stream = self.kind.socket_type == SOCK_STREAM;
        let connected = self.life == Life::Connected;
        match work {
            Work::Accept(_) if self.life == Life::Listening => Ok(()),
            Work::Accept(_) => Err(WsaError::WSAEINVAL),
            Work::File(_) if !connected => Err(WsaError::WSAENOTCONN),
            Work::Send(_) | Work::Receive(_) if stream && !connected => Err(WsaError::WSAENOTCONN),
            Work::Receive(_) if !self.bound => Err(WsaError::WSAEINVAL),
            Work::Send(send) if !connected && send.peer().is_none() => Err(WsaError::WSAENOTCONN),
            Work::Receive(_) if self.receive_shut => Err(WsaError::WSAESHUTDOWN),
            Work::Send(_) | Work::File(_) if self.send_shut => Err(WsaError::WSAESHUTDOWN),
            Work::Send(_) => {
                // A datagram socket is bound by its first send.
                self.bound = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A receive lets the events of receiving occur again.
    fn enable_after(&mut self, work: &Work) {
        if let Work::Receive(receive) = work {
            let urgent = receive.wants() == libc::POLLPRI;
            self.selection.enable(if urgent { FD_OOB } else { FD_READ });
        }
    }

    /// Shuts the kernel socket. A datagram socket without a peer has nothing to shut but our own flag.
    fn shut(&mut self, how: Shutdown) -> Result<(), WsaError> {
        match self.kernel.shutdown(how) {
            Err(WsaError::WSAENOTCONN) if self.kind.socket_type != SOCK_STREAM => Ok(()),
            result => result,
        }
    }
}
