//! The thread that tries pending operations.

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;

use wsd_os::Errno;
use wsd_os::atomic::{AtomicBool, Ordering};
use wsd_os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use wsd_os::memory::FdSlot;
use wsd_os::poll::{self, EpollEvent, EpollOperation};
use wsd_os::{doorbell, thread};

use super::lines::State;
use super::{lock, pending};
use crate::front::Socket;
use crate::stream::readiness::{self, IN};
use crate::stream::state::Stream;
use crate::trace;
use crate::wait::wake::lane_bit;
use crate::wait::{bells, notice, pair};

/// Records with operations, and those of them that are to be looked at. Never held while anything else is done.
#[derive(Default)]
struct News {
    wanted: HashSet<u32>,
    list: VecDeque<u32>,
}

static NEWS: Mutex<Option<News>> = Mutex::new(None);
/// Rung when there are news.
static NUDGE: FdSlot = FdSlot::new();
/// Whether there is a thread.
static SERVED: AtomicBool = AtomicBool::new(false);

const BELL: u64 = 1 << 32;
const NUDGED: u64 = 2 << 32;
/// An event of a socket is told once.
const ONESHOT: u32 = 1 << 30;

/// Makes the tables.
pub(super) fn start() {
    lock(&NEWS).get_or_insert_default();
}

/// A record has operations from now on, which are to be looked at.
pub(super) fn expect(index: u32) {
    lock(&NEWS).get_or_insert_default().wanted.insert(index);
    news(index);
}

/// A record has no operations any more.
pub(super) fn forget(index: u32) {
    lock(&NEWS).get_or_insert_default().wanted.remove(&index);
}

/// A connection has news.
pub(crate) fn news(index: u32) {
    let mut news = lock(&NEWS);
    let news = news.get_or_insert_default();
    if news.wanted.contains(&index) {
        news.list.push_back(index);
        if let Ok(nudge) = NUDGE.get_or_make(doorbell::event) {
            doorbell::signal(nudge);
        }
    }
}

/// The next record to look at.
fn next() -> Option<u32> {
    lock(&NEWS).get_or_insert_default().list.pop_front()
}

/// Sees to it that there is the thread.
pub(super) fn serve() -> Result<(), Errno> {
    if SERVED.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    let begun = Server::new().and_then(|server| {
        thread::spawn_hidden("wsd-pending", thread::DEFAULT_STACK, move || server.run()).map(drop)
    });
    begun.inspect_err(|_| SERVED.store(false, Ordering::Release))
}

/// What the thread has.
struct Server {
    set: OwnedFd,
    /// By which peers wake it; 0: the service thread passes on what comes.
    lane: u32,
}

impl Server {
    fn new() -> Result<Self, Errno> {
        let server = Self { set: poll::epoll_create()?, lane: bells::take_lane().unwrap_or(0) };
        server.watch(NUDGE.get_or_make(doorbell::event)?, NUDGED)?;
        if let Some(bell) = (server.lane != 0).then(|| bells::bell(server.lane)).flatten() {
            server.watch(bell, BELL)?;
        }
        Ok(server)
    }

    fn watch(&self, fd: BorrowedFd<'_>, datum: u64) -> Result<(), Errno> {
        let event = EpollEvent { events: IN, u64: datum };
        poll::epoll_ctl(self.set.as_fd(), EpollOperation::Add, fd.as_raw_fd(), event)
    }

    fn run(&self) {
        let mut events = [EpollEvent { events: 0, u64: 0 }; 64];
        loop {
            if self.lane != 0 {
                pair::sleeping(self.lane);
                notice::take_lane(self.lane);
            }
            while let Some(index) = next() {
                self.look(index);
            }
            let count = match poll::epoll_pwait(self.set.as_raw_fd(), &mut events, None, None) {
                Ok(count) => count,
                Err(error) => {
                    trace::note(format_args!("pending operations are served no more: {error}"));
                    return;
                }
            };
            for event in &events[..count] {
                match event.u64 {
                    BELL => bells::drain(self.lane),
                    NUDGED => {
                        if let Ok(nudge) = NUDGE.get_or_make(doorbell::event) {
                            doorbell::clear(nudge);
                        }
                    }
                    index => news(index as u32),
                }
            }
        }
    }

    /// Tries the operations of a socket, and sees to it that it is looked at again when something may have changed.
    fn look(&self, index: u32) {
        if let Some(lines) = pending(index) {
            lines.look(|state| self.arm(lines.socket(), state));
        }
    }

    fn arm(&self, socket: Socket, state: &mut State) {
        let wanted = state.wanted();
        let Some(stream) = Stream::of(socket).filter(|_| wanted != 0) else {
            return self.watch_kernel(socket, state, 0);
        };
        readiness::arm(&stream, lane_bit(self.lane), wanted);
        let ready = readiness::of(&stream);
        if ready.events & wanted != 0 {
            // It came before the asking.
            news(stream.index);
        }
        self.watch_kernel(socket, state, wanted & ready.kernel);
    }

    /// Has the kernel's socket tell when one of the events holds there.
    fn watch_kernel(&self, socket: Socket, state: &mut State, events: u32) {
        let event = EpollEvent { events: events | ONESHOT, u64: u64::from(socket.index) };
        let set = || self.set.as_fd();
        match (state.watched, events) {
            (false, 0) => {}
            (true, 0) => {
                let _ = poll::epoll_ctl(set(), EpollOperation::Delete, socket.fd, event);
            }
            _ => {
                if poll::epoll_ctl(set(), EpollOperation::Add, socket.fd, event) == Err(Errno::EXIST) {
                    let _ = poll::epoll_ctl(set(), EpollOperation::Modify, socket.fd, event);
                }
            }
        }
        state.watched = events != 0;
    }
}
