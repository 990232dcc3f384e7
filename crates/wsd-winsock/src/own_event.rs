//! Events of our own.

use core::ptr::null;

use windows_sys::Win32::Foundation::{CloseHandle, HANDLE};
use windows_sys::Win32::System::Threading::{CreateEventW, SetEvent, WaitForSingleObjectEx};
use windows_sys::core::BOOL;
use wsd_os::Errno;

/// An event that stays set.
pub(crate) struct Event(usize);

impl Event {
    /// # Errors
    /// `NOBUFS`: the system has no room for one.
    pub(crate) fn new() -> Result<Self, Errno> {
        // SAFETY: no attributes, no name.
        let event = unsafe { CreateEventW(null(), 1, 0, null()) } as usize;
        if event == 0 { Err(Errno::NOBUFS) } else { Ok(Self(event)) }
    }

    /// Open as long as this is there.
    pub(crate) fn handle(&self) -> HANDLE {
        self.0 as HANDLE
    }

    pub(crate) fn set(&self) {
        // SAFETY: an open event.
        unsafe { SetEvent(self.handle()) };
    }

    /// In an OVERLAPPED: no port of the program's is told.
    pub(crate) fn without_port(&self) -> HANDLE {
        (self.0 | 1) as HANDLE
    }

    /// What ended the wait.
    pub(crate) fn wait(&self, milliseconds: u32, alertable: bool) -> u32 {
        // SAFETY: an open event.
        unsafe { WaitForSingleObjectEx(self.handle(), milliseconds, BOOL::from(alertable)) }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: owned here alone.
        unsafe { CloseHandle(self.handle()) };
    }
}
