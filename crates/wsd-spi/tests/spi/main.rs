//! The crate from outside: client and providers against each other, doors called with bad arguments, and the C headers
//! against the Rust definitions.

mod c_provider;
mod client;
mod completion;
mod doors;
mod headers;
mod startup;
mod support;
