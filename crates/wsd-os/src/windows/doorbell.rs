//! A wake-up that a thread of the same process can wait for together with other descriptors.

use std::sync::Arc;

use super::Errno;
use super::fd::{AsFd, BorrowedFd, Object, OwnedFd};
use super::handle::Handle;

/// A wake-up between threads of one process.
#[derive(Debug)]
pub struct Eventfd {
    fd: OwnedFd,
    event: Arc<Handle>,
}

/// A new event for in-process wake-ups, as a bare descriptor: for tables that outlive any owner.
///
/// # Errors
///
/// `NFILE`, `NOMEM`.
pub fn event() -> Result<OwnedFd, Errno> {
    Handle::event().map(OwnedFd::from)
}

/// Rings an event made by [`event`].
pub fn signal(event: BorrowedFd<'_>) {
    if let Object::Plain(event) = &event.0 {
        event.set();
    }
}

/// Silences an event made by [`event`].
pub fn clear(event: BorrowedFd<'_>) {
    if let Object::Plain(event) = &event.0 {
        event.reset();
    }
}

impl Eventfd {
    /// A new one, not rung.
    ///
    /// # Errors
    ///
    /// `NFILE`, `NOMEM`.
    pub fn new() -> Result<Self, Errno> {
        let event = Arc::new(Handle::event()?);
        Ok(Self { fd: OwnedFd(Object::Plain(event.clone())), event })
    }

    /// Wakes who waits for it.
    pub fn ring(&self) {
        self.event.set();
    }

    /// Takes all rings so far; returns 1 if there were any.
    pub fn drain(&self) -> u64 {
        let rung = self.event.wait(0);
        self.event.reset();
        rung.into()
    }
}

impl AsFd for Eventfd {
    /// The descriptor that is readable when it was rung.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
