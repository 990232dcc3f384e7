//! What a socket is doing.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use rustix::net::{RecvFlags, Shutdown};
use wsd_os::clock;
use wsd_spi::ffi::{FD_ACCEPT, FD_CLOSE, FD_CONNECT, FD_OOB, FD_READ, FD_WRITE, LINGER, SOCK_STREAM, SOCKET};
use wsd_spi::{SockAddr, WsaError};
use wsd_switch::front::Verdict;

use crate::blocking::Bell;
use crate::events::Selection;
use crate::operation::{Delivery, Operation, Step, Work};
use crate::outcome::{Call, Completion, Outcome};
use crate::tcpip::{Kernel, Kind};

/// Where a socket is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Neither connected nor listening, bound or not.
    Idle,
    Listening,
    Connecting,
    /// Also a datagram socket with a peer.
    Connected,
    Closed,
}

/// One of the two queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Receives, and accepts.
    In = 0,
    Out = 1,
}

/// Options that are ours, not the kernel's.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) nonblocking: bool,
    /// Milliseconds, 0 for no limit.
    pub(crate) receive_timeout: i32,
    pub(crate) send_timeout: i32,
    pub(crate) linger: LINGER,
    pub(crate) debug: bool,
    pub(crate) dont_route: bool,
    pub(crate) exclusive: bool,
    pub(crate) conditional_accept: bool,
    pub(crate) group_priority: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            nonblocking: false,
            receive_timeout: 0,
            send_timeout: 0,
            linger: LINGER::zeroed(),
            debug: false,
            dont_route: false,
            exclusive: false,
            conditional_accept: false,
            group_priority: 0,
        }
    }
}

/// The state of one socket, under its lock.
pub(crate) struct State {
    pub(crate) kind: Kind,
    /// Replaced when `AcceptEx` connects the socket.
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) life: Life,
    pub(crate) bound: bool,
    pub(crate) settings: Settings,
    pub(crate) selection: Selection,
    pub(crate) queues: [VecDeque<Operation>; 2],
    /// Connections of TCP/IP that the condition function put off, or that came while it answered for another. (Those of a SAN wait
    /// in the switch.)
    pub(crate) deferred: VecDeque<(Kernel, SockAddr)>,
    /// Up-calls that are due, and whether a thread is making them.
    pub(crate) outbox: VecDeque<Delivery>,
    pub(crate) delivering: bool,
    /// Events for which the engine watches the kernel socket, and whether it ever did.
    pub(crate) armed: u32,
    pub(crate) registered: bool,
    /// A thread waits for the connect itself.
    pub(crate) connect_waits: bool,
    pub(crate) connect_result: Result<(), WsaError>,
    pub(crate) connected_at: Option<Duration>,
    pub(crate) receive_shut: bool,
    pub(crate) send_shut: bool,
    /// `SD_SEND` was asked for while sends were queued.
    pub(crate) shut_after_sends: bool,
    /// The end of the stream was seen, with an error if it was one that the kernel tells only once.
    ended: bool,
    pub(crate) broken: Option<WsaError>,
    /// The peer's end of the stream is behind data that was not received yet.
    end_behind_data: bool,
    /// Threads in accept, connect or select, to be woken by a close.
    pub(crate) bells: Vec<Arc<Bell>>,
    /// Threads that wait for one request, by its address.
    pub(crate) watchers: Vec<(usize, Arc<Bell>)>,
    /// The listener of an `AcceptEx`.
    pub(crate) accepted_on: Option<SOCKET>,
}

impl State {
    pub(crate) fn new(kind: Kind, kernel: Kernel, life: Life) -> Self {
        Self {
            kind,
            kernel: Arc::new(kernel),
            life,
            bound: life != Life::Idle,
            settings: Settings::default(),
            selection: Selection::default(),
            queues: Default::default(),
            deferred: VecDeque::new(),
            outbox: VecDeque::new(),
            delivering: false,
            armed: 0,
            registered: false,
            connect_waits: false,
            connect_result: Ok(()),
            connected_at: None,
            receive_shut: false,
            send_shut: false,
            shut_after_sends: false,
            ended: false,
            broken: None,
            end_behind_data: false,
            bells: Vec::new(),
            watchers: Vec::new(),
            accepted_on: None,
        }
    }

    pub(crate) fn queue(&mut self, direction: Direction) -> &mut VecDeque<Operation> {
        &mut self.queues[direction as usize]
    }

    /// Whether no operation and no completion of one is in line before a new one.
    pub(crate) fn is_idle(&self, direction: Direction) -> bool {
        self.queues[direction as usize].is_empty() && self.outbox.is_empty() && !self.delivering
    }

    /// Becomes connected through `kernel`, which the listener with descriptor `listener` accepted.
    pub(crate) fn become_accepted(&mut self, kernel: Kernel, listener: SOCKET) {
        self.kernel = Arc::new(kernel);
        self.armed = 0;
        self.registered = false;
        self.accepted_on = Some(listener);
        self.bound = true;
        self.connected();
    }

    fn connected(&mut self) {
        self.life = Life::Connected;
        self.connected_at = Some(clock::now());
    }

    /// The kernel's connect has ended in `result`.
    pub(crate) fn connect_ended(&mut self, result: Result<(), WsaError>) {
        match result {
            Ok(()) => self.connected(),
            Err(_) => self.life = Life::Idle,
        }
        self.connect_result = result;
        self.tell(FD_CONNECT, result);
    }

    /// Takes the result of a connect that is under way, if it is there.
    pub(crate) fn settle_connect(&mut self) {
        if self.life == Life::Connecting && self.kernel.ready(libc::POLLOUT) != 0 {
            let result = self.kernel.take_error();
            self.connect_ended(result);
        }
    }

    /// Goes on with the operations at the heads of the queues.
    pub(crate) fn progress(&mut self) {
        self.settle_connect();
        for direction in [Direction::In, Direction::Out] {
            while let Some(mut operation) = self.queue(direction).pop_front() {
                match self.attempt(&mut operation.work) {
                    Step::Done(outcome) => self.complete(operation.completion, outcome),
                    Step::Passed => {}
                    Step::Blocked => {
                        self.queue(direction).push_front(operation);
                        break;
                    }
                }
            }
        }
        if self.shut_after_sends && self.queues[Direction::Out as usize].is_empty() {
            self.shut_after_sends = false;
            // The connection may be gone by now, which the next call says.
            let _ = self.kernel.shutdown(Shutdown::Write);
        }
    }

    /// Does what can be done of an operation now.
    pub(crate) fn attempt(&mut self, work: &mut Work) -> Step {
        if let Some(error) = self.broken {
            return Step::Done(Outcome::failed(error));
        }
        let kind = self.kind;
        match work {
            Work::Send(send) => send.attempt(&self.kernel, kind),
            Work::Receive(receive) => receive.attempt(&self.kernel, kind),
            Work::File(file) => file.attempt(&self.kernel, kind),
            Work::Accept(accept) => match self.next_connection() {
                Ok((kernel, peer)) => accept.place(self, kernel, peer),
                Err(WsaError::WSAEWOULDBLOCK) => Step::Blocked,
                Err(error) => Step::Done(Outcome::failed(error)),
            },
        }
    }

    /// The oldest connection of a listener, for whom no condition function is asked; `WSAEWOULDBLOCK` if there is none.
    pub(crate) fn next_connection(&mut self) -> Result<(Kernel, SockAddr), WsaError> {
        match self.deferred.pop_front() {
            Some(connection) => Ok(connection),
            None => self.kernel.accept(|_| Verdict::Accept),
        }
    }

    /// Ends an operation: a waiting thread learns of it now, everything else when the lock is released.
    pub(crate) fn complete(&mut self, completion: Completion, outcome: Outcome) {
        match completion {
            Completion::Call(call) => call.finish(outcome),
            Completion::Request(request) => self.outbox.push_back(Delivery::Completed(request, outcome)),
        }
    }

    /// Takes the operation of a blocking call out of its queue.
    pub(crate) fn withdraw(&mut self, direction: Direction, call: &Arc<Call>) -> Option<Operation> {
        let queue = self.queue(direction);
        let index = queue.iter().position(
            |operation| matches!(&operation.completion, Completion::Call(own) if Arc::ptr_eq(own, call)),
        )?;
        queue.remove(index)
    }

    fn tell(&mut self, event: i32, result: Result<(), WsaError>) {
        if let Some(notice) = self.selection.occurred(event, result) {
            self.outbox.push_back(Delivery::Notice(notice));
        }
    }

    /// Records the selected events that have occurred.
    pub(crate) fn look_for_events(&mut self) {
        if !self.selection.is_active() {
            return;
        }
        match self.life {
            Life::Listening if !self.selection.wants(FD_ACCEPT) => {}
            Life::Listening if !self.deferred.is_empty() || self.kernel.ready(libc::POLLIN) != 0 => {
                self.tell(FD_ACCEPT, Ok(()));
            }
            Life::Connected if self.kind.socket_type == SOCK_STREAM => self.look_at_stream(),
            Life::Idle | Life::Connected if self.kind.socket_type != SOCK_STREAM => self.look_at_datagrams(),
            _ => {}
        }
    }

    fn look_at_datagrams(&mut self) {
        let ready = self.kernel.ready(libc::POLLIN | libc::POLLOUT);
        if ready & (libc::POLLIN | libc::POLLERR) != 0 {
            self.tell(FD_READ, Ok(()));
        }
        if ready & libc::POLLOUT != 0 && self.bound {
            self.tell(FD_WRITE, Ok(()));
        }
    }

    fn look_at_stream(&mut self) {
        let ready = self.kernel.ready(libc::POLLIN | libc::POLLOUT | libc::POLLPRI | libc::POLLRDHUP);
        if ready & libc::POLLPRI != 0 {
            self.tell(FD_OOB, Ok(()));
        }
        if ready & libc::POLLOUT != 0 && !self.send_shut {
            self.tell(FD_WRITE, Ok(()));
        }
        if self.ended {
            self.tell(FD_CLOSE, self.broken.map_or(Ok(()), Err));
        }
        if ready & !(libc::POLLOUT | libc::POLLPRI) == 0 || self.ended || self.receive_shut {
            return;
        }
        match self.kernel.receive(&mut [std::io::IoSliceMut::new(&mut [0])], RecvFlags::PEEK) {
            Ok(received) if received.bytes > 0 => {
                self.end_behind_data = ready & libc::POLLRDHUP != 0;
                self.tell(FD_READ, Ok(()));
            }
            Err(WsaError::WSAEWOULDBLOCK) => {}
            end => {
                self.ended = true;
                self.broken = end.err();
                // Closing is told when all data has been received, hence last.
                self.tell(FD_CLOSE, self.broken.map_or(Ok(()), Err));
            }
        }
    }

    /// For what the engine has to watch the kernel socket (`EPOLL*`): all that no thread inside a call waits for.
    pub(crate) fn interest(&self) -> u32 {
        if self.life == Life::Closed {
            return 0;
        }
        let mut events = 0;
        if self.life == Life::Connecting && !self.connect_waits {
            events |= libc::POLLOUT;
        }
        for (queue, event) in self.queues.iter().zip([libc::POLLIN, libc::POLLOUT]) {
            let requested =
                queue.iter().any(|operation| matches!(operation.completion, Completion::Request(_)));
            if let Some(first) = queue.front().filter(|_| requested) {
                events |= match &first.work {
                    Work::Receive(receive) => receive.wants(),
                    _ => event,
                };
            }
        }
        u32::from((events | self.selected_interest()).cast_unsigned())
    }

    fn selected_interest(&self) -> i16 {
        let connected = self.life == Life::Connected || self.kind.socket_type != SOCK_STREAM;
        let wants = |event: i32| self.selection.wants(event);
        let mut events = 0;
        if self.life == Life::Listening && wants(FD_ACCEPT) {
            events |= libc::POLLIN;
        }
        if !connected {
            return events;
        }
        if wants(FD_WRITE) && !self.send_shut && self.bound {
            events |= libc::POLLOUT;
        }
        if self.ended || self.receive_shut {
            return events;
        }
        if wants(FD_READ) {
            events |= libc::POLLIN;
        }
        if wants(FD_OOB) {
            events |= libc::POLLPRI;
        }
        if wants(FD_CLOSE) && !self.end_behind_data && self.kind.socket_type == SOCK_STREAM {
            events |= libc::POLLRDHUP;
        }
        events
    }

    /// Wakes the threads that wait for the request at `address`.
    pub(crate) fn wake_for(&mut self, address: usize) {
        self.watchers.iter().filter(|(watched, _)| *watched == address).for_each(|(_, bell)| bell.ring());
    }
}
