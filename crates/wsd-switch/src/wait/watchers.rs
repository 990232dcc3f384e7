//! Operations that the program keeps pending: the switch has them, never the kernel, so that they do not care by which path the
//! stream goes when they can be done. A thread of its own tries them whenever something may have come.

mod lines;
mod observed;
mod server;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wsd_os::Errno;
use wsd_os::atomic::Ordering;

use crate::family::{self, table};
use crate::front::Socket;
use crate::stream::state::Stream;

use lines::Lines;
pub use lines::{Operation, Turn, Way, Which};
use observed::Observed;
pub use observed::{Event, Observer};
pub(crate) use server::news;

/// By records.
static ALL: Mutex<Option<HashMap<u32, Arc<Lines>>>> = Mutex::new(None);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the tables.
pub(crate) fn start() -> Result<(), Errno> {
    lock(&ALL).get_or_insert_default();
    server::start();
    Ok(())
}

/// Does an operation now, or keeps it until it can be done. What was done now is over, and the program told; what has failed now is
/// not told.
pub(crate) fn submit(
    socket: Socket,
    way: Way,
    operation: Box<dyn Operation>,
) -> Option<Result<usize, Errno>> {
    match lines_of(socket) {
        Some(lines) => lines.submit(way, operation),
        None => Some(Err(Errno::NOTSOCK)),
    }
}

/// A call's turn to move bytes, behind the operations that are pending. A blocking call waits for it, and nobody else moves bytes of
/// that direction until it is dropped; a non-blocking one is told to come again, and needs none otherwise.
pub(crate) fn turn(stream: &Stream, socket: Socket, way: Way) -> Result<Option<Turn>, Errno> {
    if stream.nonblocking(0) {
        return if pending(socket.index).is_some_and(|lines| lines.is_waited_for(way)) {
            Err(Errno::AGAIN)
        } else {
            Ok(None)
        };
    }
    let limit = match way {
        Way::Send => &stream.record.send_timeout,
        Way::Receive => &stream.record.receive_timeout,
    };
    let lines = lines_of(socket).ok_or(Errno::NOTSOCK)?;
    lines.turn(way, &super::Timeout::micros(limit))
}

/// Takes operations of a socket back. How many there were.
pub(crate) fn cancel(index: u32, which: Which) -> usize {
    pending(index).map_or(0, |lines| lines.cancel(which))
}

/// Whether an operation with the key is pending.
pub(crate) fn has(index: u32, key: usize) -> bool {
    pending(index).is_some_and(|lines| lines.has(key))
}

/// Tells of events of a socket from now on, as long as it is open; `None`: no more.
pub(crate) fn observe(
    socket: Socket,
    observer: Option<Box<dyn Observer>>,
    events: &[Event],
) -> Result<(), Errno> {
    match observer.map(|observer| Observed::new(observer, events)) {
        None => pending(socket.index).map_or(Ok(()), |lines| lines.observe(None)),
        some => lines_of(socket).ok_or(Errno::NOTSOCK)?.observe(some),
    }
}

/// A call was made by which an event of a socket is told again.
pub(crate) fn enable(index: u32, event: Event) {
    if let Some(lines) = pending(index) {
        lines.enable(event);
    }
}

/// A record's last descriptor in this process is gone from the table.
pub(crate) fn gone(index: u32) {
    let lines = lock(&ALL).get_or_insert_default().remove(&index);
    if let Some(lines) = lines {
        lines.close();
    }
    server::forget(index);
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
    pending(index).is_some_and(|lines| lines.wanted() & events != 0)
}

/// The lines of a socket that has any.
fn pending(index: u32) -> Option<Arc<Lines>> {
    lock(&ALL).as_ref()?.get(&index).cloned()
}

/// The lines of a socket. `None`: it has been closed meanwhile. Whoever gets lines before that finds them closed by [`gone`].
fn lines_of(socket: Socket) -> Option<Arc<Lines>> {
    let mut all = lock(&ALL);
    let family = family::get()?;
    let generation = family.record(socket.index).generation.load(Ordering::Acquire);
    if table::find(family, socket.fd) != Some(socket.index) || generation != socket.generation {
        return None;
    }
    let lines = all.get_or_insert_default().entry(socket.index);
    Some(lines.or_insert_with(|| Arc::new(Lines::new(socket))).clone())
}
