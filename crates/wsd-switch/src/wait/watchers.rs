//! Who watches connections in sets: nobody yet.

use wsd_os::Errno;

/// Makes the tables.
pub(crate) fn start() -> Result<(), Errno> {
    Ok(())
}

/// A connection has news.
pub(crate) fn news(_index: u32) {}

/// A record's last descriptor in this process is gone.
pub(crate) fn gone(_index: u32) {}

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

/// Whether somebody waits for some of the events.
pub(crate) fn waits_for(_index: u32, _events: u32) -> bool {
    false
}
