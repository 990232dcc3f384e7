//! Calls that make processes, replace programs, and install signal handlers.

pub(crate) mod cancel;
mod exec;
mod exit;
mod fork;
mod signals;

pub(crate) use exec::{execve, execveat};
