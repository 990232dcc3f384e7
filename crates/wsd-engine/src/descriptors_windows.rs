//! The descriptors of the providers: Windows has no fork, so nobody inherits them.

use core::ops::Deref;

use wsd_os::fd::AsFd;

/// A value with a descriptor.
#[derive(Debug)]
pub struct Tracked<T: AsFd>(T);

impl<T: AsFd> Tracked<T> {
    /// Keeps the value.
    pub fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T: AsFd> Deref for Tracked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Would close what this process inherited by `fork`: nothing.
pub fn close_inherited(_at_once: bool) {}
