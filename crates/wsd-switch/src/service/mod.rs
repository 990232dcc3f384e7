//! The service thread and what it does: companions from attach to close.

mod companion;
mod demote;
pub(crate) mod kick;
mod links;
mod port;
mod proof;
pub(crate) mod pump;
mod steps;
pub(crate) mod thread;
