//! Who waits to move bytes of one socket: per direction a line of operations, and the blocking call whose turn it is.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use wsd_os::Errno;
use wsd_os::thread;

use super::observed::{Event, Observed};
use super::{lock, server};
use crate::front::Socket;
use crate::stream::readiness::{IN, OUT};
use crate::wait::Timeout;

/// A transfer that the program waits for by other means than a call.
pub trait Operation: Send {
    /// Tries, without waiting. `None`: not done yet.
    fn attempt(&mut self, socket: Socket) -> Option<Result<usize, Errno>>;

    /// Tells the program, without waiting. `at_once`: before the call that made the operation has returned.
    fn finish(self: Box<Self>, result: Result<usize, Errno>, at_once: bool);

    /// By what the program knows it.
    fn key(&self) -> usize;

    /// The thread that has asked for it.
    fn thread(&self) -> u32;
}

/// Which way an operation moves bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the peer.
    Send,
    /// From the peer.
    Receive,
}

/// Which operations of a socket are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Every one.
    All,
    /// That with the key.
    Key(usize),
    /// Those that a thread has asked for.
    Thread(u32),
}

impl Which {
    fn has(self, operation: &dyn Operation) -> bool {
        match self {
            Self::All => true,
            Self::Key(key) => operation.key() == key,
            Self::Thread(thread) => operation.thread() == thread,
        }
    }
}

/// Both lines of a socket. Operations are tried, and the program told of their end, with the lock held: so its order is theirs.
pub(super) struct Lines {
    socket: Socket,
    state: Mutex<State>,
    /// Told when it may be somebody's turn.
    moved: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    send: Line,
    receive: Line,
    /// Whether the kernel's socket is in the thread's set.
    pub(super) watched: bool,
    closed: bool,
    observed: Option<Observed>,
    /// What its observer waits for.
    awaited: u32,
}

/// In the order in which they were asked for.
#[derive(Default)]
struct Line {
    operations: VecDeque<Box<dyn Operation>>,
    /// The thread whose blocking call moves bytes.
    busy: Option<u32>,
}

impl State {
    fn line(&mut self, way: Way) -> &mut Line {
        match way {
            Way::Send => &mut self.send,
            Way::Receive => &mut self.receive,
        }
    }

    /// Events that operations wait for whose turn it is, and the observer.
    pub(super) fn wanted(&self) -> u32 {
        let one =
            |line: &Line, event| if line.operations.is_empty() || line.busy.is_some() { 0 } else { event };
        one(&self.receive, IN) | one(&self.send, OUT) | self.awaited
    }

    fn cancel(&mut self, which: Which) -> usize {
        let mut count = 0;
        for way in [Way::Receive, Way::Send] {
            let line = self.line(way);
            for operation in core::mem::take(&mut line.operations) {
                if which.has(&*operation) {
                    count += 1;
                    operation.finish(Err(Errno::CANCELED), false);
                } else {
                    line.operations.push_back(operation);
                }
            }
        }
        count
    }
}

impl Lines {
    pub(super) fn new(socket: Socket) -> Self {
        Self { socket, state: Mutex::default(), moved: Condvar::new() }
    }

    pub(super) fn socket(&self) -> Socket {
        self.socket
    }

    /// See [`super::submit`].
    pub(super) fn submit(&self, way: Way, mut operation: Box<dyn Operation>) -> Option<Result<usize, Errno>> {
        let mut state = lock(&self.state);
        if state.closed {
            return Some(Err(Errno::NOTSOCK));
        }
        let line = state.line(way);
        if line.operations.is_empty()
            && line.busy.is_none()
            && let Some(result) = operation.attempt(self.socket)
        {
            if result.is_ok() {
                operation.finish(result, true);
            }
            return Some(result);
        }
        if let Err(problem) = server::serve() {
            return Some(Err(problem));
        }
        line.operations.push_back(operation);
        server::expect(self.socket.index);
        None
    }

    /// Waits until nobody is before a call in the line. `None`: it is the caller's turn already, in a call that is interrupted by a
    /// routine.
    pub(super) fn turn(self: Arc<Self>, way: Way, limit: &Timeout) -> Result<Option<Turn>, Errno> {
        let own = thread::tid();
        let mut state = lock(&self.state);
        loop {
            if state.closed {
                return Err(Errno::NOTSOCK);
            }
            let line = state.line(way);
            if line.busy == Some(own) {
                return Ok(None);
            }
            if line.busy.is_none() && line.operations.is_empty() {
                line.busy = Some(own);
                drop(state);
                return Ok(Some(Turn { lines: self, way }));
            }
            state = self.wait(state, limit)?;
        }
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        limit: &Timeout,
    ) -> Result<MutexGuard<'a, State>, Errno> {
        Ok(match limit.left()? {
            None => self.moved.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(left) => self.moved.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
        })
    }

    /// Whether operations are pending, which could not be done now.
    pub(super) fn is_waited_for(&self, way: Way) -> bool {
        let mut state = lock(&self.state);
        self.advance(&mut state, way);
        !state.line(way).operations.is_empty()
    }

    /// Tries operations until one cannot be done now.
    fn advance(&self, state: &mut State, way: Way) {
        let line = state.line(way);
        while line.busy.is_none()
            && let Some(result) = line.operations.front_mut().and_then(|first| first.attempt(self.socket))
        {
            if let Some(operation) = line.operations.pop_front() {
                operation.finish(result, false);
            }
            self.moved.notify_all();
        }
    }

    /// Tries all operations; what follows for those that are left is told by `then`, unless the socket is closed.
    pub(super) fn look(&self, then: impl FnOnce(&mut State)) {
        let mut state = lock(&self.state);
        if !state.closed {
            self.advance(&mut state, Way::Receive);
            self.advance(&mut state, Way::Send);
            state.awaited = state.observed.as_mut().map_or(0, |observed| observed.look(self.socket));
            then(&mut state);
        }
    }

    /// See [`super::observe`].
    pub(super) fn observe(&self, observed: Option<Observed>) -> Result<(), Errno> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(Errno::NOTSOCK);
        }
        if observed.is_some() {
            server::serve()?;
        }
        state.observed = observed;
        state.awaited = 0;
        server::expect(self.socket.index);
        Ok(())
    }

    /// See [`super::enable`].
    pub(super) fn enable(&self, event: Event) {
        if let Some(observed) = &mut lock(&self.state).observed {
            observed.enable(event);
            server::news(self.socket.index);
        }
    }

    pub(super) fn cancel(&self, which: Which) -> usize {
        let count = lock(&self.state).cancel(which);
        self.moved.notify_all();
        count
    }

    pub(super) fn has(&self, key: usize) -> bool {
        let state = lock(&self.state);
        state.receive.operations.iter().chain(&state.send.operations).any(|one| one.key() == key)
    }

    pub(super) fn wanted(&self) -> u32 {
        lock(&self.state).wanted()
    }

    /// The socket is closed: whoever waits learns of it, and nobody comes any more.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.observed = None;
        state.cancel(Which::All);
        self.moved.notify_all();
    }
}

/// A blocking call moves bytes of a direction, alone, until this is dropped.
#[must_use = "it is somebody else's turn when this is dropped"]
pub struct Turn {
    lines: Arc<Lines>,
    way: Way,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = lock(&self.lines.state);
        let line = state.line(self.way);
        line.busy = None;
        if !line.operations.is_empty() {
            server::news(self.lines.socket.index);
        }
        self.lines.moved.notify_all();
    }
}
