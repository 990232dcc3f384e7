//! Operations that complete later, as a front end has them done.

use wsd_os::Errno;

use super::Socket;
use crate::wait::watchers;
pub use crate::wait::watchers::{Operation, Way};

/// Does an operation now, or keeps it until it can be done, in the order in which the program asks for them. What was done now is
/// given back with its result, and not finished; nor is what cannot be kept.
pub fn submit(
    socket: Socket,
    way: Way,
    operation: Box<dyn Operation>,
) -> Option<(Box<dyn Operation>, Result<usize, Errno>)> {
    watchers::submit(socket, way, operation)
}

/// Takes operations back, which are finished with `CANCELED`: that with the key, or all of the socket. How many there were.
pub fn cancel(socket: Socket, key: Option<usize>) -> usize {
    watchers::cancel(socket.index, key)
}
