//! The crate from outside: client and providers against each other, doors called with bad arguments, and the C headers
//! against the Rust definitions.
//!
//! What has a C compiler at work does not run on Windows, where none is expected.

#[cfg(unix)]
mod c_provider;
mod client;
mod completion;
mod doors;
#[cfg(unix)]
mod example;
mod fuzz;
#[cfg(unix)]
mod headers;
mod lent;
mod liar;
mod startup;
mod support;
#[cfg(unix)]
mod windows_headers;
