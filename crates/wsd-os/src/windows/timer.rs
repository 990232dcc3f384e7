//! A timer that can be waited for together with other descriptors.

use core::ptr::null;
use std::sync::Arc;

use windows_sys::Win32::System::Threading::{CreateWaitableTimerW, SetWaitableTimer};

use super::Errno;
use super::clock::now_ns;
use super::fd::{AsFd, BorrowedFd, Object, OwnedFd};
use super::handle::Handle;

/// Runs out once, when it has been set.
#[derive(Debug)]
pub struct Timer {
    fd: OwnedFd,
    timer: Arc<Handle>,
}

impl Timer {
    /// One that does not run.
    ///
    /// # Errors
    ///
    /// `NFILE`, `NOMEM`.
    pub fn new() -> Result<Self, Errno> {
        // SAFETY: no attributes, no name: both pointers are null. It stays signalled until it is set again.
        let timer = Arc::new(unsafe { Handle::returned(CreateWaitableTimerW(null(), 1, null())) }?);
        Ok(Self { fd: OwnedFd(Object::Plain(timer.clone())), timer })
    }

    /// Runs out at `deadline_ns` of [`now_ns`].
    ///
    /// # Errors
    ///
    /// None that is documented.
    pub fn set(&self, deadline_ns: u64) -> Result<(), Errno> {
        let left = deadline_ns.saturating_sub(now_ns()).div_ceil(100).max(1);
        self.start(i64::try_from(left).unwrap_or(i64::MAX))
    }

    /// Is not readable any more until it has been set anew and runs out.
    pub fn silence(&self) {
        // Cancelling would leave it signalled. This is in 29,000 years.
        let _ = self.start(i64::MAX);
    }

    fn start(&self, left: i64) -> Result<(), Errno> {
        let due = -left;
        // SAFETY: a live variable, and no routine.
        let done = unsafe { SetWaitableTimer(self.timer.raw(), &raw const due, 0, None, null(), 0) };
        if done == 0 { Err(Errno::last()) } else { Ok(()) }
    }
}

impl AsFd for Timer {
    /// Readable when it has run out.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
