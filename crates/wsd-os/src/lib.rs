//! Being written.

pub mod atomic;
pub mod ring;
