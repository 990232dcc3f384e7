//! Calls that make, copy, pass on and close descriptors.

mod dup;
mod fcntl;
mod open_close;
pub(crate) mod pass;
mod stdio;

pub(crate) use dup::{dup, dup2, dup3};
pub(crate) use fcntl::raw_fcntl;
pub(crate) use open_close::{close, close_range};
