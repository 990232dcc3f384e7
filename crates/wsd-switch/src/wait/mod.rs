//! Waiting: spin, then sleep in the kernel, on one connection or on sets.

pub(crate) mod bells;
#[cfg(target_os = "linux")]
pub(crate) mod epoll;
pub(crate) mod notice;
pub(crate) mod pair;
pub(crate) mod sets;
pub(crate) mod spin;
pub(crate) mod wake;
#[cfg(windows)]
pub(crate) mod watchers;

/// Who watches connections in sets: epoll.
#[cfg(target_os = "linux")]
pub(crate) use epoll as watchers;

use std::time::Duration;

use wsd_os::Errno;
use wsd_os::atomic::{AtomicU64, Ordering};
use wsd_os::clock;

/// The end of a wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeout {
    end: Option<u64>,
}

impl Timeout {
    /// From a mirrored SO_RCVTIMEO or SO_SNDTIMEO; 0 is no limit.
    pub(crate) fn micros(option: &AtomicU64) -> Self {
        let micros = option.load(Ordering::Relaxed);
        Self::after((micros != 0).then(|| Duration::from_micros(micros)))
    }

    /// From now.
    pub(crate) fn after(time: Option<Duration>) -> Self {
        let end = time.map(|time| {
            let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            clock::now_ns().saturating_add(nanos)
        });
        Self { end }
    }

    /// What is left; `None`: no limit.
    ///
    /// # Errors
    /// `EAGAIN` when nothing is left.
    pub(crate) fn left(&self) -> Result<Option<Duration>, Errno> {
        match self.end {
            None => Ok(None),
            Some(end) => match end.checked_sub(clock::now_ns()) {
                Some(left) if left > 0 => Ok(Some(Duration::from_nanos(left))),
                _ => Err(Errno::AGAIN),
            },
        }
    }
}
