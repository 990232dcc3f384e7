//! Kernel handles that are closed when they are dropped.

use core::ffi::c_void;
use core::ptr::null;

use windows_sys::Win32::Foundation::{
    CloseHandle, DUPLICATE_SAME_ACCESS, DuplicateHandle, HANDLE, WAIT_OBJECT_0,
};
use windows_sys::Win32::System::Threading::{
    CreateEventW, GetCurrentProcess, ResetEvent, SetEvent, WaitForSingleObject,
};

use super::Errno;

/// A handle of this process.
#[derive(Debug)]
pub(super) struct Handle(HANDLE);

// SAFETY: handles belong to the process, not to a thread.
unsafe impl Send for Handle {}
// SAFETY: the kernel serialises what is done with a handle.
unsafe impl Sync for Handle {}

impl Handle {
    /// Takes over what a call returned.
    ///
    /// # Errors
    ///
    /// Why the call failed, if it returned no handle.
    ///
    /// # Safety
    ///
    /// `raw` is null, or an open handle that nobody else closes; it was returned by this thread's last call.
    pub(super) unsafe fn returned(raw: HANDLE) -> Result<Self, Errno> {
        if raw.is_null() { Err(Errno::last()) } else { Ok(Self(raw)) }
    }

    /// Takes over a handle that another process has put into this one.
    ///
    /// That process may have lied, and the number may be another handle of ours. It may duplicate and close our handles
    /// anyway (docs/windows.md), so it gains nothing.
    pub(super) fn arrived(value: u32) -> Option<Self> {
        (value != 0 && value < u32::MAX - 16).then(|| Self(value as usize as HANDLE))
    }

    /// A handle of our own of what the number stands for in this process.
    ///
    /// # Errors
    ///
    /// `BADF` if it stands for nothing.
    pub(super) fn of_program(number: i32) -> Result<Self, Errno> {
        // SAFETY: the handle of this process is always valid.
        let own = unsafe { GetCurrentProcess() };
        let made = duplicate(own, number as u32, own, None)?;
        Self::arrived(made).ok_or(Errno::BADF)
    }

    /// A new event that stays set until it is reset.
    ///
    /// # Errors
    ///
    /// `NFILE`, `NOMEM`.
    pub(super) fn event() -> Result<Self, Errno> {
        // SAFETY: no attributes, no name: all pointers are null.
        unsafe { Self::returned(CreateEventW(null(), 1, 0, null())) }
    }

    /// The handle, as long as this value lives.
    pub(super) fn raw(&self) -> HANDLE {
        self.0
    }

    /// Its number: handles have 32 bits that matter.
    pub(super) fn number(&self) -> u32 {
        self.0 as usize as u32
    }

    /// Another handle of the same object.
    ///
    /// # Errors
    ///
    /// `NFILE`, `NOMEM`.
    pub(super) fn duplicate(&self) -> Result<Self, Errno> {
        Self::of_program(self.number() as i32)
    }

    /// Sets an event.
    pub(super) fn set(&self) {
        // SAFETY: on something that is no event, which a peer may have named, it fails.
        unsafe { SetEvent(self.0) };
    }

    /// Resets an event.
    pub(super) fn reset(&self) {
        // SAFETY: as in `set`.
        unsafe { ResetEvent(self.0) };
    }

    /// Whether it is set, has run out, or has ended, by the time that so many milliseconds have passed.
    pub(super) fn wait(&self, milliseconds: u32) -> bool {
        // SAFETY: the handle is open.
        unsafe { WaitForSingleObject(self.0, milliseconds) == WAIT_OBJECT_0 }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: owned here alone.
        unsafe { CloseHandle(self.0) };
    }
}

/// Makes a handle of process `to` for what `number` stands for in process `from`; the same access, or `access`.
///
/// # Errors
///
/// `BADF` if it stands for nothing, `ACCESS`.
pub(super) fn duplicate(from: HANDLE, number: u32, to: HANDLE, access: Option<u32>) -> Result<u32, Errno> {
    let mut made: HANDLE = core::ptr::null_mut();
    let options = if access.is_some() { 0 } else { DUPLICATE_SAME_ACCESS };
    let source = number as usize as *mut c_void;
    // SAFETY: both processes' handles are open while borrowed by the caller; `made` is a local variable. A number that is no
    // handle of `from` is answered with an error.
    let done = unsafe { DuplicateHandle(from, source, to, &raw mut made, access.unwrap_or(0), 0, options) };
    if done == 0 { Err(Errno::last()) } else { Ok(made as usize as u32) }
}
