//! Where the program's threads leave requests for the service thread, and the numbers by which the program knows what it has
//! begun. Private to a process: the child of a fork begins with an empty one, and finds none of its parent's numbers.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wsd_os::atomic::{AtomicU32, AtomicU64, Ordering};
use wsd_os::futex;
use wsd_os::memory::SharedSlot;
use wsd_spi::MemoryAccess;
use wsd_spi::client::MemorySlice;

use super::Transfer;
use super::error::ExposeError;
use super::loan::{Loan, Told};
use super::window::WINDOW;
use crate::reason::Reason;
use crate::service::kick;
use crate::stream::state::Stream;

static DESK: SharedSlot<Desk> = SharedSlot::new();

/// The next number. Outside of the desk, so that a child does not use its parent's again.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Desk {
    queue: Mutex<Queue>,
    entries: Mutex<HashMap<u64, Entry>>,
    /// By record: its generation, and why its last attempt to get a companion failed that a program has waited for.
    attempts: Mutex<HashMap<u32, (u32, Reason)>>,
    /// Changes with every look of the service thread that somebody waits for.
    looks: AtomicU32,
    waiting: AtomicU32,
}

#[derive(Default)]
struct Queue {
    requests: VecDeque<Request>,
    /// There is nobody to serve them.
    closed: bool,
}

/// What a number stands for.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) loan: Arc<Loan>,
    /// Record and generation of an exposure's connection.
    pub(super) exposed_on: Option<(u32, u32)>,
}

impl Entry {
    pub(super) fn exposure(stream: &Stream, loan: Arc<Loan>) -> Self {
        Self { loan, exposed_on: Some((stream.index, stream.generation)) }
    }

    pub(super) fn transfer(loan: Arc<Loan>) -> Self {
        Self { loan, exposed_on: None }
    }
}

/// What a program's thread asks of the service thread, about one connection.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) index: u32,
    pub(crate) generation: u32,
    pub(crate) what: What,
}

/// See [`Request`].
#[derive(Debug)]
pub(crate) enum What {
    Expose { number: u64, memory: MemorySlice, access: MemoryAccess, answer: Answer },
    Withdraw { number: u64 },
    Transfer(Box<Transfer>),
}

impl Request {
    pub(super) fn of(stream: &Stream, what: What) -> Self {
        Self { index: stream.index, generation: stream.generation, what }
    }
}

type Exposed = Result<[u8; WINDOW], ExposeError>;

/// Whoever has it owes an answer; dropped, it says that the companion has ended.
#[derive(Debug)]
pub(crate) struct Answer(Arc<Told<Exposed>>);

impl Answer {
    pub(super) fn new() -> (Self, Arc<Told<Exposed>>) {
        let told = Arc::<Told<Exposed>>::default();
        (Self(told.clone()), told)
    }

    pub(crate) fn give(self, result: Exposed) {
        self.0.tell(result);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.0.tell(Err(ExposeError::Ended));
    }
}

/// Makes the process's desk.
pub(crate) fn start() {
    DESK.store(Box::leak(Box::default()));
}

/// In the child of a fork: the parent's stays untouched, since one of its threads may have held a lock.
#[cfg(target_os = "linux")]
pub(crate) fn restart_in_child() {
    start();
}

/// The process's desk; `None` before [`start`].
pub(crate) fn desk() -> Option<&'static Desk> {
    DESK.load()
}

/// There is no service thread any more, or none can be made.
pub(crate) fn abandon() {
    let Some(desk) = desk() else { return };
    let left = {
        let mut queue = lock(&desk.queue);
        queue.closed = true;
        std::mem::take(&mut queue.requests)
    };
    drop(left);
    desk.looked();
}

impl Desk {
    /// A number for it.
    pub(super) fn number(&self, entry: Entry) -> u64 {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        lock(&self.entries).insert(number, entry);
        number
    }

    pub(super) fn entry(&self, number: u64) -> Option<Entry> {
        lock(&self.entries).get(&number).cloned()
    }

    pub(super) fn forget(&self, number: u64) {
        lock(&self.entries).remove(&number);
    }

    /// Leaves a request; false: nobody will serve it.
    pub(super) fn ask(&self, request: Request) -> bool {
        let index = request.index;
        {
            let mut queue = lock(&self.queue);
            if queue.closed {
                return false;
            }
            queue.requests.push_back(request);
        }
        kick::kick_own(index);
        true
    }

    /// Takes a request to expose back, if the service thread has not taken it.
    pub(super) fn cancel(&self, exposure: u64) -> bool {
        let mut queue = lock(&self.queue);
        let is_it =
            |request: &Request| matches!(&request.what, What::Expose { number, .. } if *number == exposure);
        let place = queue.requests.iter().position(is_it);
        place.and_then(|place| queue.requests.remove(place)).is_some()
    }

    /// An attempt came to nothing.
    pub(super) fn note(&self, stream: &Stream, reason: Reason) {
        lock(&self.attempts).insert(stream.index, (stream.generation, reason));
    }

    /// What was noted of this connection.
    pub(super) fn noted(&self, stream: &Stream) -> Option<Reason> {
        let attempts = lock(&self.attempts);
        let (generation, reason) = attempts.get(&stream.index)?;
        (*generation == stream.generation).then_some(*reason)
    }

    /// Takes all requests, in the order in which they were left.
    pub(crate) fn take(&self) -> VecDeque<Request> {
        std::mem::take(&mut lock(&self.queue).requests)
    }

    /// The service thread has looked at everything that it was kicked for.
    pub(crate) fn looked(&self) {
        // Acquire: pairs with the release in `watch`.
        if self.waiting.load(Ordering::Acquire) != 0 {
            self.looks.fetch_add(1, Ordering::AcqRel);
            let _ = futex::wake_private(&self.looks, i32::MAX as u32);
        }
    }

    /// Begins to wait for looks of the service thread.
    pub(super) fn watch(&self) -> Watch<'_> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        Watch(self)
    }
}

/// Somebody waits for looks.
pub(super) struct Watch<'a>(&'a Desk);

impl Watch<'_> {
    /// What [`Watch::next`] compares with; to be taken before looking at what may change.
    pub(super) fn seen(&self) -> u32 {
        self.0.looks.load(Ordering::Acquire)
    }

    /// Sleeps until there was a look after `seen`, at most for `limit`.
    pub(super) fn next(&self, seen: u32, limit: Duration) {
        let _ = futex::wait_private(&self.0.looks, seen, Some(limit));
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::loan::{Share, deadline};
    use super::*;

    fn withdrawal(number: u64) -> Request {
        Request { index: 0, generation: 0, what: What::Withdraw { number } }
    }

    #[test]
    fn requests_are_taken_in_order_and_once() {
        let desk = Desk::default();
        assert!(desk.ask(withdrawal(2)) && desk.ask(withdrawal(1)));
        let numbers: Vec<u64> = desk
            .take()
            .into_iter()
            .filter_map(|request| match request.what {
                What::Withdraw { number } => Some(number),
                _ => None,
            })
            .collect();
        assert_eq!(numbers, [2, 1]);
        assert!(desk.take().is_empty());
    }

    #[test]
    fn a_request_whose_answer_is_dropped_is_answered() {
        let (answer, told) = Answer::new();
        drop(answer);
        assert_eq!(told.wait(deadline(Duration::ZERO)), Some(&Err(ExposeError::Ended)));
        let (answer, told) = Answer::new();
        answer.give(Ok([7; WINDOW]));
        assert_eq!(told.wait(deadline(Duration::ZERO)), Some(&Ok([7; WINDOW])));
    }

    /// A child's numbers are its own: it finds nothing under its parent's.
    #[test]
    fn numbers_are_not_used_again_after_a_fork() {
        let (parent, child) = (Desk::default(), Desk::default());
        let number = parent.number(Entry::transfer(Share::new().loan()));
        let other = child.number(Entry::transfer(Share::new().loan()));
        assert!(number != other && child.entry(number).is_none());
        parent.forget(number);
        assert!(parent.entry(number).is_none());
    }
}
