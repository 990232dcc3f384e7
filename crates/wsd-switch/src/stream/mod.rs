//! The data path: a stream is bytes at absolute offsets, of which each direction's first part went by one path and the
//! next by another.

pub(crate) mod account;
pub(crate) mod channel;
pub(crate) mod close;
pub(crate) mod flags;
pub(crate) mod gate;
pub(crate) mod hashing;
pub(crate) mod promote;
pub(crate) mod readiness;
pub(crate) mod recv;
pub(crate) mod send;
#[cfg_attr(windows, path = "sleep_windows.rs")]
mod sleep;
pub(crate) mod state;
pub(crate) mod urgent;
