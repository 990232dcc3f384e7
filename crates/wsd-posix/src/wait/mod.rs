//! Calls that wait for many descriptors.

pub(crate) mod epoll;
pub(crate) mod poll;
pub(crate) mod select;
pub(crate) mod time;
