//! The service thread and what it does: companions from attach to close.

pub(crate) mod companion;
pub(crate) mod kick;
mod links;
mod port;
mod proof;
mod steps;
pub(crate) mod thread;
