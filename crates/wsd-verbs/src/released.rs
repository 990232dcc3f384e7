//! Memory whose mappings change (`WSPMemoryRegistrationCacheCallback`).
//!
//! The call may come from inside the program's memory management, where nothing may be allocated, freed or waited for
//! (SP-162), so the regions of the device cannot be freed by it. It notes what has changed, and from then on no work
//! request is made of it. Whoever drives the engine is woken and takes the regions from the device. Until then the device
//! keeps the old pages, which nobody else is given.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wsd_engine::{Ranges, Tracked};
use wsd_os::Errno;
use wsd_os::atomic::{AtomicBool, Ordering};
use wsd_os::doorbell::Eventfd;
use wsd_os::fd::{AsFd, AsRawFd, RawFd};
use wsd_os::signal::Critical;

/// What the callback reaches without the engine's lock.
pub(crate) struct Released {
    /// All registered memory of the engine.
    pub(crate) ranges: Arc<Ranges>,
    /// Some of it has been dropped.
    dropped: AtomicBool,
    /// Wakes whoever drives the engine. Until the engine ends.
    bell: Mutex<Option<Tracked<Eventfd>>>,
}

impl Released {
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Self {
            ranges: Arc::default(),
            dropped: AtomicBool::new(false),
            bell: Mutex::new(Some(Tracked::new(Eventfd::new()?))),
        })
    }

    /// The descriptor that is readable when something has been dropped.
    pub(crate) fn raw_fd(&self) -> RawFd {
        self.bell().as_ref().map_or(-1, |bell| bell.as_fd().as_raw_fd())
    }

    /// Nobody is woken any more.
    pub(crate) fn close(&self) {
        *self.bell() = None;
    }

    /// Drops everything that shares a byte with this memory (SP-160): whether there was something. Allocates nothing.
    pub(crate) fn drop_overlapping(&self, address: usize, length: usize) -> bool {
        let any = self.ranges.drop_overlapping(address, length) != 0;
        if any {
            // Pairs with `take`.
            self.dropped.store(true, Ordering::Release);
            let _critical = Critical::enter();
            if let Some(bell) = &*self.bell() {
                bell.ring();
            }
        }
        any
    }

    fn bell(&self) -> MutexGuard<'_, Option<Tracked<Eventfd>>> {
        self.bell.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something has been dropped since the last call.
    pub(crate) fn take(&self) -> bool {
        // Pairs with `drop_overlapping`. The bell is silenced first: what is dropped afterwards rings again.
        let any = self.dropped.load(Ordering::Relaxed);
        if any {
            let _critical = Critical::enter();
            if let Some(bell) = &*self.bell() {
                bell.drain();
            }
        }
        any && self.dropped.swap(false, Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SP-160, SP-162: what overlaps is noted once, and rings.
    #[test]
    fn dropped_memory_is_noted() {
        let released = Released::new().expect("a descriptor");
        let range = released.ranges.insert(8192, 4096);
        assert!(!released.drop_overlapping(4096, 4096));
        assert!(!released.take());
        assert!(released.drop_overlapping(12_287, 4096));
        assert!(!range.is_live());
        let mut ready = [wsd_os::poll::PollFd { fd: released.raw_fd(), events: libc::POLLIN, revents: 0 }];
        assert_eq!(wsd_os::poll::ppoll(&mut ready, Some(std::time::Duration::ZERO), None), Ok(1));
        assert!(released.take());
        assert!(!released.take());
        assert_eq!(wsd_os::poll::ppoll(&mut ready, Some(std::time::Duration::ZERO), None), Ok(0));
        assert!(!released.drop_overlapping(8192, 1), "it was dropped already");
    }
}
