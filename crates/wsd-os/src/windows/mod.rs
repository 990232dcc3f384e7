//! Windows: the modules of the same names as on Linux, as far as providers need them (docs/windows.md).

mod door;
mod end;
mod errno;
mod handle;
mod queue;
mod registry;
mod side;
mod view;

pub mod clock;
pub mod doorbell;
pub mod fd;
pub mod link;
pub mod memory;
pub mod net;
pub mod poll;
pub mod process;
pub mod random;
pub mod signal;
pub mod thread;
pub mod timer;

pub use errno::Errno;

#[cfg(test)]
mod tests;
