//! Who a process is.

use core::ffi::CStr;
use core::ptr::NonNull;
use std::net::SocketAddr;

use windows_sys::Win32::Foundation::{FILETIME, HANDLE};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
    JobObjectExtendedLimitInformation, SetInformationJobObject,
};
use windows_sys::Win32::System::ProcessStatus::K32EnumProcesses;
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentProcessId, GetProcessTimes, OpenProcess, PROCESS_DUP_HANDLE,
    PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE, QueryFullProcessImageNameW,
};

use super::Errno;
use super::fd::{AsFd, OwnedFd};
use super::handle::{Handle, duplicate};
use super::memory::visible_name;
use super::socket::Socket;
use super::tcp;
use super::view::View;

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
        Ok(Self { pid, start: created(process.raw())? })
    }

    /// This process.
    pub(super) fn own() -> Result<Self, Errno> {
        // SAFETY: both only return values that are always valid.
        let (pid, process) = unsafe { (GetCurrentProcessId(), GetCurrentProcess()) };
        Ok(Self { pid, start: created(process)? })
    }

    /// Whether it still runs.
    pub fn is_alive(self) -> bool {
        open(self.pid, PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE)
            .is_ok_and(|process| created(process.raw()) == Ok(self.start) && !process.wait(0))
    }
}

/// When the process was created; see [`ProcessId::start`].
///
/// # Errors
///
/// As [`ProcessId::of`].
pub fn start_time(pid: u32) -> Result<u64, Errno> {
    ProcessId::of(pid).map(|process| process.start)
}

/// Whether the process that had the number `pid` and was created at `start` still runs.
pub fn is_alive(pid: u32, start: u64) -> bool {
    ProcessId { pid, start }.is_alive()
}

/// The name of the process: its program's file name, without the folder.
///
/// # Errors
///
/// As [`ProcessId::of`].
pub fn name(pid: u32) -> Result<String, Errno> {
    let process = open(pid, PROCESS_QUERY_LIMITED_INFORMATION)?;
    let mut path = [0_u16; 1024];
    let mut length = path.len() as u32;
    // SAFETY: the handle is open; the array has that length.
    let told = unsafe { QueryFullProcessImageNameW(process.raw(), 0, path.as_mut_ptr(), &raw mut length) };
    if told == 0 {
        return Err(Errno::last());
    }
    let path = String::from_utf16_lossy(&path[..length as usize]);
    Ok(path.rsplit('\\').next().unwrap_or_default().to_owned())
}

/// The numbers of all processes.
///
/// # Errors
///
/// `CONNABORTED` if the system does not list them.
pub fn list() -> Result<Vec<u32>, Errno> {
    let mut pids = vec![0_u32; 1024];
    loop {
        let room = (pids.len() * 4) as u32;
        let mut bytes = 0;
        // SAFETY: the list has that room.
        if unsafe { K32EnumProcesses(pids.as_mut_ptr(), room, &raw mut bytes) } == 0 {
            return Err(Errno::last());
        }
        if bytes < room {
            pids.truncate(bytes as usize / 4);
            return Ok(pids);
        }
        pids.resize(pids.len() * 2, 0);
    }
}

/// A section that another process shows by name ([`SharedRegion::create_visible`](crate::memory::SharedRegion::create_visible)).
#[derive(Debug)]
pub struct Visible(View);

impl Visible {
    /// That of process `pid`. `None`: there is none, or it may not be looked at.
    pub fn of(pid: u32, name: &CStr) -> Option<Self> {
        View::open(&visible_name(name, pid)).ok().map(Self)
    }

    /// `length` bytes from `offset`, as they are at some moment. `None` if they do not lie inside.
    pub fn read(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        let offset = usize::try_from(offset).ok()?;
        if offset.checked_add(length)? > self.0.len() {
            return None;
        }
        let mut bytes = vec![0; length];
        // SAFETY: inside the mapping; a copy that is written meanwhile holds any mixture of bytes.
        unsafe {
            self.0.start().add(offset).copy_to_nonoverlapping(NonNull::from(&mut bytes[..]).cast(), length)
        };
        Some(bytes)
    }
}

pub use super::inject::{is_loaded_into, load_into};

/// The process ends when this one does, however that comes about. What it starts itself goes on.
///
/// # Errors
///
/// `BADF`, `ACCESS`, `NOMEM`.
pub fn end_with_caller(process: i32) -> Result<(), Errno> {
    // SAFETY: no attributes, no name. What is returned is ours alone.
    let job = unsafe { Handle::returned(CreateJobObjectW(core::ptr::null(), core::ptr::null())) }?;
    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    limits.BasicLimitInformation.LimitFlags =
        JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK;
    let length = size_of::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>() as u32;
    // SAFETY: exactly the limits are read; a number that is no handle of a process is answered with an error.
    let tied = unsafe {
        let place = (&raw const limits).cast();
        SetInformationJobObject(job.raw(), JobObjectExtendedLimitInformation, place, length) != 0
            && AssignProcessToJobObject(job.raw(), process as u32 as usize as HANDLE) != 0
    };
    if !tied {
        return Err(Errno::last());
    }
    // Its handle is closed with this process.
    core::mem::forget(job);
    Ok(())
}

/// Lets a process run that was made suspended.
///
/// # Errors
///
/// `INVAL` if that is none of a process.
pub fn resume(process: i32) -> Result<(), Errno> {
    // SAFETY: a number that is no handle of a process is answered with an error.
    let status = unsafe { NtResumeProcess(process as u32 as usize as HANDLE) };
    if status >= 0 { Ok(()) } else { Err(Errno::INVAL) }
}

#[link(name = "ntdll")]
unsafe extern "system" {
    fn NtResumeProcess(process: HANDLE) -> i32;
}

/// The names of a socket of another process, its own and its peer's.
///
/// # Errors
///
/// `SRCH`, `ACCESS`; `NOTCONN`, `NOTSOCK`.
pub fn socket_names(pid: u32, number: i32) -> Result<(SocketAddr, SocketAddr), Errno> {
    let copy = OwnedFd::from(Socket::of_stranger(&Partner::with_number(pid)?.take(number as u32, None)?)?);
    Ok((tcp::local_name(copy.as_fd())?, tcp::peer_name(copy.as_fd())?))
}

/// A descriptor that becomes readable when the process ends.
///
/// # Errors
///
/// `SRCH` if it has ended, `ACCESS`.
pub fn watch(process: ProcessId) -> Result<OwnedFd, Errno> {
    let handle = open(process.pid, PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE)?;
    // The number may have been another process's by then; once open, the handle stays with its process.
    if created(handle.raw())? == process.start { Ok(handle.into()) } else { Err(Errno::SRCH) }
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
        let start = created(handle.raw())?;
        Ok(Self { id: ProcessId { pid, start }, handle })
    }

    /// Its handle, whose wait ends when it ends.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// A handle of its for what this process calls `number`.
    ///
    /// # Errors
    ///
    /// As DuplicateHandle.
    pub(super) fn give(&self, number: u32) -> Result<u32, Errno> {
        // SAFETY: the handle of this process is always valid.
        duplicate(unsafe { GetCurrentProcess() }, number, self.handle.raw(), None)
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

fn created(process: HANDLE) -> Result<u64, Errno> {
    let mut times = [FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 }; 4];
    let [created, exited, kernel, user] = &mut times;
    // SAFETY: the handle is open while borrowed by the caller; four live variables.
    let done = unsafe { GetProcessTimes(process, created, exited, kernel, user) };
    if done == 0 {
        return Err(Errno::last());
    }
    Ok(u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime))
}
