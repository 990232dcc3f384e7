//! One suite for every SAN provider: loads it by its `WSPStartupEx` and tests each requirement of the provider interface
//! that can be seen from outside.
//!
//! * `suite`: the checks, by theme. Each names its requirements ([`checks`]).
//! * `world`: two ends of a connection, in one process or in two, and bounded waits.
//! * `raw`: the provider's functions as they are, and a recorder behind the up-calls that notices what no provider may do.
//! * `runner`, `helper`: a process per check, so that a crash or a hang is the failure of that check only.
#![cfg(any(target_os = "linux", windows))]
#![deny(unsafe_code)]

mod check;
mod finding;
mod helper;
mod raw;
mod runner;
mod suite;
#[cfg(target_os = "linux")]
mod system;
#[cfg(windows)]
#[path = "system_windows.rs"]
mod system;
mod world;

pub use check::Check;
pub use finding::{Finding, Outcome, Tally};
pub use helper::{Helper, HelperError, serve};
pub use runner::{RunError, run};

/// All checks, in the order in which they run.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    suite::all()
}
