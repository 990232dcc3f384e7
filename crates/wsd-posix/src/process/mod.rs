//! Calls that make processes, replace programs, and install signal handlers.

mod exec;
mod fork;
mod signals;

pub(crate) use exec::{execve, execveat};
