//! The processors of the two processes.

use std::io;

use wsd_os::processors;

/// One for the server, one for the client, of those that this process may use; none if there is only one.
pub(crate) fn two() -> Option<[usize; 2]> {
    let mut ids = processors::allowed().ok()?.into_iter();
    Some([ids.next()?, ids.next()?])
}

/// This process runs there only.
pub(crate) fn pin(id: usize) -> io::Result<()> {
    processors::pin(id).map_err(io::Error::other)
}
