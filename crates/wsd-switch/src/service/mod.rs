//! The service thread and what it does: companions from attach to close.

mod access;
mod attach;
mod companion;
mod compare;
mod demote;
mod ending;
mod exchange;
mod first;
pub(crate) mod kick;
mod lasting;
mod links;
mod patience;
mod port;
mod port_failure;
mod proof;
mod prove;
pub(crate) mod pump;
mod rings;
mod scratch;
mod steps;
mod swap;
pub(crate) mod thread;
#[cfg_attr(windows, path = "working_windows.rs")]
pub(crate) mod working;

pub(crate) use rings::WATCHES_LATE;
pub(crate) use swap::{map_shared, page_alone};
