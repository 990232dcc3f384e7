//! What the SAN providers of this project share.
//!
//! * [`Engine`]: the state of a provider behind one lock, the up-calls made without it (SP-018), in order (SP-187), and
//!   the thread that drives it until the switch does (`WsdArm`).
//! * [`Deadlines`]: limits to what others may take.
//! * [`Tracked`]: file descriptors that a forked child can close without any lock.
//! * [`Door`], [`handover`]: how a socket finds its next process (`WSPDuplicateSocket`).
//! * [`Ranges`]: which memory is registered, for `WSPMemoryRegistrationCacheCallback`.
//! * [`Events`]: what `WSPEventSelect` selected and what has happened.
//! * [`Sizes`], [`set_option`]: socket options. [`backlog_limit`]: the limit that `WSPListen` sets.
#![cfg(any(target_os = "linux", windows))]

mod action;
mod backlog;
mod common;
mod deadlines;
#[cfg(target_os = "linux")]
mod descriptors;
#[cfg(windows)]
#[path = "descriptors_windows.rs"]
mod descriptors;
mod door;
mod engine;
mod events;
pub mod handover;
mod options;
mod ranges;

pub use action::Actions;
pub use backlog::{MAX_BACKLOG, backlog_limit};
pub use common::{Common, KICK};
pub use deadlines::Deadlines;
pub use descriptors::{Tracked, close_inherited};
pub use door::Door;
pub use engine::{Core, Engine, Held};
pub use events::Events;
pub use options::{Sizes, set_option};
pub use ranges::{Range, Ranges};
