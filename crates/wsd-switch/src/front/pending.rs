//! Operations that complete later, as a front end has them done.

use wsd_os::Errno;

use super::Socket;
use crate::stream::state::Stream;
use crate::wait::watchers;
pub use crate::wait::watchers::{Event, Observer, Operation, Turn, Way, Which};

/// Does an operation now, or keeps it until it can be done (`None`), in the order in which the program asks for them. What was done now
/// is finished, too; what fails now is not, nor is what cannot be kept.
pub fn submit(socket: Socket, way: Way, operation: Box<dyn Operation>) -> Option<Result<usize, Errno>> {
    watchers::submit(socket, way, operation)
}

/// A call's turn to move bytes: to be had before [`send`](super::send) or [`recv`](super::recv) for the program's own thread, and kept
/// until it returns, so that it does not overtake operations, nor they it.
///
/// # Errors
/// `AGAIN`: the socket is non-blocking, and operations are pending; or the time-out of the direction has passed. `NOTSOCK`: it is
/// closed.
pub fn turn(socket: Socket, way: Way) -> Result<Option<Turn>, Errno> {
    match Stream::of(socket) {
        Some(stream) => watchers::turn(&stream, socket, way),
        None => Ok(None),
    }
}

/// Takes operations back, which are finished with `CANCELED`. How many there were.
pub fn cancel(socket: Socket, which: Which) -> usize {
    watchers::cancel(socket.index, which)
}

/// Whether an operation with the key is pending here: no other's end is told by [`Operation::finish`].
pub fn is_pending(socket: Socket, key: usize) -> bool {
    watchers::has(socket.index, key)
}

/// Tells of events of a socket by itself from now on, as long as it is open; `None`: no more. What holds already is told, too.
///
/// # Errors
/// `NOTSOCK`: it is closed. `NFILE`, `AGAIN`: there cannot be a thread that tells.
pub fn observe(socket: Socket, observer: Option<Box<dyn Observer>>, events: &[Event]) -> Result<(), Errno> {
    watchers::observe(socket, observer, events)
}

/// A call was made by which an event is told again, if the socket is observed.
pub fn enable(socket: Socket, event: Event) {
    watchers::enable(socket.index, event);
}
