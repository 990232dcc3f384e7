//! How many requests may wait at a listener.

use wsd_spi::ffi::SOMAXCONN;

/// Our own maximum of requests that wait at a listener.
pub const MAX_BACKLOG: usize = 1024;

/// The limit that `WSPListen` asks for (SP-070): at least one, and at most our maximum.
#[must_use]
pub fn backlog_limit(asked: i32) -> usize {
    match asked {
        SOMAXCONN => MAX_BACKLOG,
        other => usize::try_from(other).unwrap_or(0).clamp(1, MAX_BACKLOG),
    }
}
