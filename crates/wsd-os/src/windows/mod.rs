//! Windows: the modules of the same names as on Linux, as far as they are needed (docs/windows.md).

mod address;
mod afd;
mod counts;
mod door;
mod end;
mod errno;
mod handle;
mod inject;
mod queue;
mod registry;
mod side;
mod socket;
mod view;
mod winsock;

pub mod bell;
pub mod catalogue;
pub mod clock;
pub mod diag;
pub mod doorbell;
pub mod fd;
pub mod file;
pub mod futex;
pub mod link;
pub mod lock;
pub mod memory;
pub mod net;
pub mod poll;
pub mod process;
pub mod processors;
pub mod random;
pub mod signal;
pub mod tcp;
pub mod thread;
pub mod timer;

pub use errno::Errno;

#[cfg(test)]
mod poll_tests;
#[cfg(test)]
mod tests;
