//! The service thread and what it does: companions from attach to close.

mod attach;
mod companion;
mod demote;
mod ending;
mod exchange;
pub(crate) mod kick;
mod links;
mod port;
mod proof;
mod prove;
pub(crate) mod pump;
mod rings;
mod steps;
pub(crate) mod thread;
