//! Lines, with operations that are done when the test says so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wsd_os::Errno;

use super::lines::{Lines, Operation, Way, Which};
use crate::front::Socket;
use crate::wait::Timeout;

/// What was told, in its order.
type Told = Arc<Mutex<Vec<(usize, Result<usize, Errno>)>>>;

struct Fake {
    key: usize,
    thread: u32,
    may: Arc<AtomicBool>,
    told: Told,
}

impl Operation for Fake {
    fn attempt(&mut self, _: Socket) -> Option<Result<usize, Errno>> {
        self.may.load(Ordering::SeqCst).then_some(Ok(self.key))
    }

    fn finish(self: Box<Self>, result: Result<usize, Errno>, _: bool) {
        self.told.lock().expect("no panic").push((self.key, result));
    }

    fn key(&self) -> usize {
        self.key
    }

    fn thread(&self) -> u32 {
        self.thread
    }
}

/// One socket's lines, and what its operations tell.
struct Stage {
    lines: Arc<Lines>,
    may: Arc<AtomicBool>,
    told: Told,
}

impl Stage {
    fn new() -> Self {
        let lines = Arc::new(Lines::new(Socket { fd: -1, index: 0, generation: 0 }));
        Self { lines, may: Arc::default(), told: Told::default() }
    }

    fn submit(&self, key: usize, thread: u32, may: &Arc<AtomicBool>) -> Option<Result<usize, Errno>> {
        let operation = Fake { key, thread, may: may.clone(), told: self.told.clone() };
        self.lines.submit(Way::Send, Box::new(operation))
    }

    fn told(&self) -> Vec<(usize, Result<usize, Errno>)> {
        self.told.lock().expect("no panic").clone()
    }
}

fn forever() -> Timeout {
    Timeout::after(None)
}

fn short() -> Timeout {
    Timeout::after(Some(Duration::from_millis(20)))
}

/// SW-110: what could be done now stays behind what was asked for before.
#[test]
fn operations_keep_their_order() {
    let stage = Stage::new();
    assert_eq!(stage.submit(1, 0, &stage.may), None);
    assert_eq!(stage.submit(2, 0, &Arc::new(AtomicBool::new(true))), None);
    assert_eq!(stage.told(), []);
    stage.may.store(true, Ordering::SeqCst);
    stage.lines.look(|_| {});
    assert_eq!(stage.told(), [(1, Ok(1)), (2, Ok(2))]);
    assert_eq!(stage.submit(3, 0, &stage.may), Some(Ok(3)));
}

/// SW-110: a blocking call is behind operations, and operations are behind a blocking call that has begun.
#[test]
fn calls_and_operations_take_turns() {
    let stage = Stage::new();
    assert_eq!(stage.submit(1, 0, &stage.may), None);
    assert_eq!(stage.lines.clone().turn(Way::Send, &short()).err(), Some(Errno::AGAIN));
    assert!(stage.lines.clone().turn(Way::Receive, &short()).is_ok(), "the other direction is free");
    assert!(stage.lines.is_waited_for(Way::Send));
    stage.may.store(true, Ordering::SeqCst);
    assert!(!stage.lines.is_waited_for(Way::Send), "done by asking");
    let turn = stage.lines.clone().turn(Way::Send, &forever()).expect("nobody is before");
    assert!(turn.is_some());
    assert_eq!(stage.submit(2, 0, &stage.may), None);
    stage.lines.look(|_| {});
    assert_eq!(stage.told(), [(1, Ok(1))]);
    drop(turn);
    stage.lines.look(|_| {});
    assert_eq!(stage.told(), [(1, Ok(1)), (2, Ok(2))]);
}

/// A routine that runs inside of a blocking call and makes one itself does not wait for the call that it interrupts.
#[test]
fn nobody_waits_for_himself() {
    let stage = Stage::new();
    let outer = stage.lines.clone().turn(Way::Send, &forever()).expect("nobody is before");
    assert_eq!(stage.submit(1, 0, &stage.may), None);
    let inner = stage.lines.clone().turn(Way::Send, &forever()).expect("the turn is had");
    assert!(outer.is_some() && inner.is_none());
    let lines = stage.lines.clone();
    let other = std::thread::spawn(move || lines.turn(Way::Send, &short()).err());
    assert_eq!(other.join().expect("no panic"), Some(Errno::AGAIN));
}

/// A close ends every wait, and nothing is kept afterwards.
#[test]
fn nobody_waits_for_a_closed_socket() {
    let stage = Stage::new();
    assert_eq!(stage.submit(1, 0, &stage.may), None);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| stage.lines.clone().turn(Way::Send, &forever()).err());
        std::thread::sleep(Duration::from_millis(20));
        stage.lines.close();
        assert_eq!(waits.join().expect("no panic"), Some(Errno::NOTSOCK));
    });
    assert_eq!(stage.told(), [(1, Err(Errno::CANCELED))]);
    assert_eq!(stage.submit(2, 0, &stage.may), Some(Err(Errno::NOTSOCK)));
    assert_eq!(stage.told().len(), 1, "it is not told of what was not kept");
}

/// CancelIo takes back what its own thread has asked for, CancelIoEx what it names.
#[test]
fn only_what_is_meant_is_taken_back() {
    let stage = Stage::new();
    for (key, thread) in [(1, 7), (2, 8), (3, 7), (4, 8)] {
        assert_eq!(stage.submit(key, thread, &stage.may), None);
    }
    assert_eq!(stage.lines.cancel(Which::Thread(7)), 2);
    assert_eq!(stage.lines.cancel(Which::Key(4)), 1);
    assert_eq!(stage.lines.cancel(Which::Key(4)), 0);
    assert!(stage.lines.has(2) && !stage.lines.has(4));
    let gone = |key| (key, Err(Errno::CANCELED));
    assert_eq!(stage.told(), [gone(1), gone(3), gone(4)]);
    assert_eq!(stage.lines.cancel(Which::All), 1);
}
