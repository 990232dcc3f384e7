//! Calls that make, connect and adjust sockets.

mod address;
mod connect;
mod create;
mod names;
mod options;

pub(crate) use connect::{connect, listen, shutdown};
pub(crate) use create::{accept4, socket, socketpair};
pub(crate) use names::{getpeername, getsockname};
pub(crate) use options::{getsockopt, ioctl, setsockopt};
