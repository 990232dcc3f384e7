//! Signals: masks, critical sections that no handler interrupts, and the deferral of the program's handlers.

mod critical;
pub mod defer;
mod mask;

pub use critical::Critical;
pub use mask::{Mask, MaskGuard};

#[cfg(test)]
mod tests;
