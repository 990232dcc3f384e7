//! Operations that the program keeps pending: the switch has them, never the kernel, so that they do not care by which path the
//! stream goes when they can be done. A thread of its own tries them whenever something may have come.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wsd_os::Errno;
use wsd_os::atomic::{AtomicBool, Ordering};
use wsd_os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use wsd_os::memory::FdSlot;
use wsd_os::poll::{self, EpollEvent, EpollOperation};
use wsd_os::{doorbell, thread};

use super::wake::lane_bit;
use super::{bells, notice, pair};
use crate::front::Socket;
use crate::stream::readiness::{self, IN, OUT};
use crate::stream::state::Stream;
use crate::trace;

/// A transfer that the program waits for by other means than a call.
pub trait Operation: Send {
    /// Tries, without waiting. `None`: not done yet.
    fn attempt(&mut self, socket: Socket) -> Option<Result<usize, Errno>>;

    /// Tells the program. `at_once`: before the call that made the operation has returned.
    fn finish(self: Box<Self>, result: Result<usize, Errno>, at_once: bool);

    /// By what the program knows it.
    fn key(&self) -> usize;
}

/// Which way an operation moves bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the peer.
    Send,
    /// From the peer.
    Receive,
}

/// The operations of one socket, in the order in which they were asked for.
struct Queues {
    socket: Socket,
    send: VecDeque<Box<dyn Operation>>,
    receive: VecDeque<Box<dyn Operation>>,
    /// Whether the kernel's socket is in the thread's set.
    watched: bool,
}

/// By records.
static PENDING: Mutex<Option<HashMap<u32, Queues>>> = Mutex::new(None);

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

fn lock<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the tables.
pub(crate) fn start() -> Result<(), Errno> {
    lock(&PENDING).get_or_insert_default();
    lock(&NEWS).get_or_insert_default();
    Ok(())
}

/// Does an operation now, or keeps it until it can be done. What was done now is given back, with the result, to be finished.
pub(crate) fn submit(
    socket: Socket,
    way: Way,
    mut operation: Box<dyn Operation>,
) -> Option<(Box<dyn Operation>, Result<usize, Errno>)> {
    let mut pending = lock(&PENDING);
    let pending = pending.get_or_insert_default();
    let queues = pending.entry(socket.index).or_insert_with(|| Queues {
        socket,
        send: VecDeque::new(),
        receive: VecDeque::new(),
        watched: false,
    });
    // A number that was used again by an unseen way.
    queues.socket = socket;
    let queue = queues.of(way);
    if queue.is_empty()
        && let Some(result) = operation.attempt(socket)
    {
        return Some((operation, result));
    }
    if let Err(problem) = serve() {
        return Some((operation, Err(problem)));
    }
    queue.push_back(operation);
    lock(&NEWS).get_or_insert_default().wanted.insert(socket.index);
    news(socket.index);
    None
}

impl Queues {
    fn of(&mut self, way: Way) -> &mut VecDeque<Box<dyn Operation>> {
        match way {
            Way::Send => &mut self.send,
            Way::Receive => &mut self.receive,
        }
    }

    /// Events that its operations wait for.
    fn wanted(&self) -> u32 {
        let one = |queue: &VecDeque<_>, event| if queue.is_empty() { 0 } else { event };
        one(&self.receive, IN) | one(&self.send, OUT)
    }
}

/// Takes operations of a socket back: that with the key, or all. How many there were.
pub(crate) fn cancel(index: u32, key: Option<usize>) -> usize {
    let mut canceled = Vec::new();
    if let Some(queues) = lock(&PENDING).get_or_insert_default().get_mut(&index) {
        for queue in [&mut queues.receive, &mut queues.send] {
            let (out, kept) =
                queue.drain(..).partition(|operation| key.is_none_or(|key| operation.key() == key));
            *queue = kept;
            let out: VecDeque<_> = out;
            canceled.extend(out);
        }
    }
    let count = canceled.len();
    canceled.into_iter().for_each(|operation| operation.finish(Err(Errno::CANCELED), false));
    count
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

/// A record's last descriptor in this process is gone.
pub(crate) fn gone(index: u32) {
    cancel(index, None);
    lock(&NEWS).get_or_insert_default().wanted.remove(&index);
    lock(&PENDING).get_or_insert_default().remove(&index);
}

/// Somebody waits for the descriptor: sets have none here.
pub(crate) fn expose(_fd: i32) {}

/// A descriptor is about to be closed: sets have none here.
pub(crate) fn closing(_fd: i32) {}

/// A second descriptor: sets have none here.
pub(crate) fn duplicated(_old: i32, _new: i32) {}

/// One past the highest descriptor of a set.
pub(crate) fn highest() -> u32 {
    0
}

/// Whether an operation waits for some of the events.
pub(crate) fn waits_for(index: u32, events: u32) -> bool {
    lock(&PENDING).get_or_insert_default().get(&index).is_some_and(|queues| queues.wanted() & events != 0)
}

/// Sees to it that there is the thread.
fn serve() -> Result<(), Errno> {
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
        let mut done = Vec::new();
        {
            let mut pending = lock(&PENDING);
            let Some(queues) = pending.get_or_insert_default().get_mut(&index) else { return };
            let socket = queues.socket;
            for way in [Way::Receive, Way::Send] {
                let queue = queues.of(way);
                while let Some(result) = queue.front_mut().and_then(|first| first.attempt(socket)) {
                    done.extend(queue.pop_front().map(|operation| (operation, result)));
                }
            }
            self.arm(queues);
        }
        done.into_iter().for_each(|(operation, result)| operation.finish(result, false));
    }

    fn arm(&self, queues: &mut Queues) {
        let wanted = queues.wanted();
        let Some(stream) = Stream::of(queues.socket).filter(|_| wanted != 0) else {
            return self.watch_kernel(queues, 0);
        };
        readiness::arm(&stream, lane_bit(self.lane), wanted);
        let ready = readiness::of(&stream);
        if ready.events & wanted != 0 {
            // It came before the asking.
            news(stream.index);
        }
        self.watch_kernel(queues, wanted & ready.kernel);
    }

    /// Has the kernel's socket tell when one of the events holds there.
    fn watch_kernel(&self, queues: &mut Queues, events: u32) {
        let fd = queues.socket.fd;
        let event = EpollEvent { events: events | ONESHOT, u64: u64::from(queues.socket.index) };
        let set = || self.set.as_fd();
        match (queues.watched, events) {
            (false, 0) => {}
            (true, 0) => {
                let _ = poll::epoll_ctl(set(), EpollOperation::Delete, fd, event);
            }
            _ => {
                if poll::epoll_ctl(set(), EpollOperation::Add, fd, event) == Err(Errno::EXIST) {
                    let _ = poll::epoll_ctl(set(), EpollOperation::Modify, fd, event);
                }
            }
        }
        queues.watched = events != 0;
    }
}

/// The next record to look at.
fn next() -> Option<u32> {
    lock(&NEWS).get_or_insert_default().list.pop_front()
}
