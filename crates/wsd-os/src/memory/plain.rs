//! Which types may live in memory that starts as zeros, or that another process writes.

use core::ops::Deref;

use crate::atomic::{
    AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
};

/// Types for which all-zero bytes are a valid value, that may be used by several threads at once, and that need no
/// destructor.
///
/// Implement it for a structure with [`zeroable!`](crate::zeroable).
///
/// # Safety
///
/// Just that.
pub unsafe trait Zeroable: Sync {}

/// Types made of atomics only, for which any bytes whatsoever are a valid value: they may live in memory that a hostile
/// process writes at the same time. Every value read from them must be checked before use.
///
/// Implement it for a structure with [`shared!`](crate::shared).
///
/// # Safety
///
/// Just that; the layout must be fixed (`repr(C)` or `repr(transparent)`), since another program reads it.
pub unsafe trait Shared: Zeroable {}

macro_rules! plain {
    ($($type:ty)*) => {$(
        // SAFETY: the atomic integer has the layout of its integer, and its zero is 0.
        unsafe impl Zeroable for $type {}
        // SAFETY: an atomic integer, for which any bytes are a value.
        unsafe impl Shared for $type {}
    )*};
}

plain!(AtomicU8 AtomicU16 AtomicU32 AtomicU64 AtomicUsize AtomicI32 AtomicI64);

// SAFETY: 0 is false; not Shared, because other values than 0 and 1 are invalid.
unsafe impl Zeroable for AtomicBool {}
// SAFETY: 0 is the null pointer; not Shared, because a peer's pointers mean nothing.
unsafe impl<T> Zeroable for AtomicPtr<T> {}
// SAFETY: an array of zeroable values has no padding of its own.
unsafe impl<T: Zeroable, const N: usize> Zeroable for [T; N] {}
// SAFETY: an array of shared values has no padding of its own.
unsafe impl<T: Shared, const N: usize> Shared for [T; N] {}

/// A value on cache lines of its own (128 bytes: x86-64 processors fetch lines in pairs), so that those who write it do
/// not slow down those who use its neighbours.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct CachePadded<T>(pub T);

impl<T> Deref for CachePadded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

// SAFETY: the value at offset 0, then padding, which may be anything.
unsafe impl<T: Zeroable> Zeroable for CachePadded<T> {}
// SAFETY: the value at offset 0, then padding, which may be anything.
unsafe impl<T: Shared> Shared for CachePadded<T> {}

/// Defines a `repr(C)` structure of [`Shared`] fields, and makes it [`Shared`]: it may live in a
/// [`SharedRegion`](crate::memory::SharedRegion).
///
/// ```
/// wsd_os::shared! {
///     /// A counter that two processes use.
///     pub struct Counter {
///         /// How often.
///         pub count: wsd_os::atomic::AtomicU64,
///     }
/// }
/// ```
#[macro_export]
macro_rules! shared {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident {
        $($(#[$field_attribute:meta])* $field_visibility:vis $field:ident: $type:ty),* $(,)?
    }) => {
        $crate::zeroable! {
            $(#[$attribute])* $visibility struct $name { $($(#[$field_attribute])* $field_visibility $field: $type),* }
        }
        // SAFETY: repr(C), and every field is Shared.
        unsafe impl $crate::memory::Shared for $name where $($type: $crate::memory::Shared),* {}
    };
}

/// Defines a `repr(C)` structure of [`Zeroable`] fields, and makes it [`Zeroable`]: it may live in a
/// [`SparseArray`](crate::memory::SparseArray).
#[macro_export]
macro_rules! zeroable {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident {
        $($(#[$field_attribute:meta])* $field_visibility:vis $field:ident: $type:ty),* $(,)?
    }) => {
        $(#[$attribute])*
        #[repr(C)]
        $visibility struct $name { $($(#[$field_attribute])* $field_visibility $field: $type),* }
        // SAFETY: every field is Zeroable, and padding may be anything.
        unsafe impl $crate::memory::Zeroable for $name where $($type: $crate::memory::Zeroable),* {}
    };
}
