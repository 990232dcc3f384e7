//! The one place from which this workspace takes its atomic types.
//!
//! Built with `--cfg loom` the types are loom's, so that the algorithms written with them (the byte ring) can be model
//! checked; otherwise they are those of `core`. Under loom only this module and pure algorithms exist: loom's types
//! have no fixed layout, so they cannot live in shared memory.

#[cfg(not(loom))]
pub use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
    Ordering, compiler_fence, fence,
};

#[cfg(loom)]
pub use loom::sync::atomic::{
    AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
    Ordering, fence,
};

/// Tells the processor (or loom's scheduler) that this thread spins: `pause` on x86-64, `isb`/`yield` on aarch64.
#[inline(always)]
pub fn pause() {
    #[cfg(not(loom))]
    core::hint::spin_loop();
    #[cfg(loom)]
    loom::hint::spin_loop();
}
