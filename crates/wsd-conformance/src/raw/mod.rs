//! A provider's functions, called as they are: nothing is hidden, no answer is corrected. The only unsafe room of the
//! suite.
//!
//! What is handed to a provider for longer than a call (buffers, requests, the up-call table) is never freed, and the
//! provider is never unloaded: a check runs in a process of its own, which ends with it. So a provider that keeps or
//! touches something too long is seen doing it, and does not bring the suite down. That is also what makes the
//! functions here safe to call with any argument that they let through: pointers are NULL, or to memory that is there.
#![allow(unsafe_code)]

mod arguments;
mod code;
mod condition;
mod extensions;
mod library;
mod memory;
mod recorder;
mod request;
mod table;
mod transfer;

pub(crate) use arguments::{Extras, Text};
pub(crate) use code::{Answer, Code};
pub(crate) use condition::{Asked, Decision};
pub(crate) use extensions::{Extensions, guid_bytes};
pub(crate) use library::{Library, Startup};
pub(crate) use memory::Memory;
pub(crate) use recorder::{Completion, UpCall, recorder};
pub(crate) use request::{Mode, Request};
pub(crate) use table::{Table, UNWRITTEN};
pub(crate) use transfer::{Finished, Part, Target};
