//! The crate from outside: client and providers against each other, doors called with bad arguments, and the C headers
//! against the Rust definitions.

mod c_provider;
mod client;
mod completion;
mod doors;
mod example;
mod fuzz;
mod headers;
mod lent;
mod liar;
mod startup;
mod support;
