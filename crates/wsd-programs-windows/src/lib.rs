//! Tests only: Windows programs that know nothing of wsdirect, run from Linux.
//!
//! `cargo xtask windows` says by the environment what runs a Windows program, where those of others are, and where the command is
//! that starts a program with the switch in front of it. The results have to be the same, and connections under the switch have
//! to be promoted.
//!
//! The folder `exerciser` has a program of our own, in C, which uses every function of Winsock that the switch stands in front
//! of.
#![cfg(target_os = "linux")]

mod ends;
mod program;

pub use ends::{End, await_ends, ends};
pub use program::{Program, Running, Under, runner, told, windows_path, wsdirect};
