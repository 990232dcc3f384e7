//! Who a process is.

use windows_sys::Win32::Foundation::{FILETIME, HANDLE};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentProcessId, GetProcessTimes, OpenProcess, PROCESS_DUP_HANDLE,
    PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE,
};

use super::Errno;
use super::fd::OwnedFd;
use super::handle::{Handle, duplicate};

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// When it was created, in units of 100 ns since 1601.
    pub start: u64,
}

impl ProcessId {
    /// The process that has the number `pid` now.
    ///
    /// # Errors
    ///
    /// `SRCH` if there is none, `ACCESS`.
    pub fn of(pid: u32) -> Result<Self, Errno> {
        let process = open(pid, PROCESS_QUERY_LIMITED_INFORMATION)?;
        Ok(Self { pid, start: start_time(process.raw())? })
    }

    /// This process.
    pub(super) fn own() -> Result<Self, Errno> {
        // SAFETY: both only return values that are always valid.
        let (pid, process) = unsafe { (GetCurrentProcessId(), GetCurrentProcess()) };
        Ok(Self { pid, start: start_time(process)? })
    }

    /// Whether it still runs.
    pub fn is_alive(self) -> bool {
        open(self.pid, PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE)
            .is_ok_and(|process| start_time(process.raw()) == Ok(self.start) && !process.wait(0))
    }
}

/// A descriptor that becomes readable when the process ends.
///
/// # Errors
///
/// `SRCH` if it has ended, `ACCESS`.
pub fn watch(process: ProcessId) -> Result<OwnedFd, Errno> {
    let handle = open(process.pid, PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE)?;
    // The number may have been another process's by then; once open, the handle stays with its process.
    if start_time(handle.raw())? == process.start { Ok(handle.into()) } else { Err(Errno::SRCH) }
}

/// A process with which handles can be exchanged.
#[derive(Debug)]
pub(super) struct Partner {
    pub(super) id: ProcessId,
    handle: Handle,
}

impl Partner {
    /// The process that has that number now.
    ///
    /// # Errors
    ///
    /// `SRCH` if there is none; `ACCESS` if it is another user's.
    pub(super) fn with_number(pid: u32) -> Result<Self, Errno> {
        let access = PROCESS_DUP_HANDLE | PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE;
        let handle = open(pid, access)?;
        let start = start_time(handle.raw())?;
        Ok(Self { id: ProcessId { pid, start }, handle })
    }

    /// Its handle, whose wait ends when it ends.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// A handle of its for an object of ours.
    ///
    /// # Errors
    ///
    /// As DuplicateHandle.
    pub(super) fn give(&self, handle: &Handle) -> Result<u32, Errno> {
        // SAFETY: the handle of this process is always valid.
        duplicate(unsafe { GetCurrentProcess() }, handle.number(), self.handle.raw(), None)
    }

    /// A handle of ours for what it calls `number`.
    ///
    /// # Errors
    ///
    /// As DuplicateHandle.
    pub(super) fn take(&self, number: u32, access: Option<u32>) -> Result<Handle, Errno> {
        // SAFETY: the handle of this process is always valid.
        let made = duplicate(self.handle.raw(), number, unsafe { GetCurrentProcess() }, access)?;
        Handle::arrived(made).ok_or(Errno::BADF)
    }
}

fn open(pid: u32, access: u32) -> Result<Handle, Errno> {
    // SAFETY: no pointers.
    let opened = unsafe { Handle::returned(OpenProcess(access, 0, pid)) };
    opened.map_err(|error| if error == Errno::INVAL { Errno::SRCH } else { error })
}

fn start_time(process: HANDLE) -> Result<u64, Errno> {
    let mut times = [FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 }; 4];
    let [created, exited, kernel, user] = &mut times;
    // SAFETY: the handle is open while borrowed by the caller; four live variables.
    let done = unsafe { GetProcessTimes(process, created, exited, kernel, user) };
    if done == 0 {
        return Err(Errno::last());
    }
    Ok(u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime))
}
