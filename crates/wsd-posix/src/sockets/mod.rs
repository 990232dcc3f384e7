//! Calls that make, connect and adjust sockets.

mod connect;
mod create;
mod names;
mod options;

pub(crate) use connect::{connect, listen, shutdown};
pub(crate) use create::{accept4, socket, socketpair};
pub(crate) use options::{getsockopt, ioctl, setsockopt};
