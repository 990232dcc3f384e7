//! A library for another process, which has not begun to run or runs.

use core::ffi::c_void;
use core::mem::transmute;
use core::ptr::{null, null_mut};
use std::os::windows::ffi::OsStrExt;
use std::path::Path;

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::Diagnostics::Debug::WriteProcessMemory;
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleA, GetProcAddress};
use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_READWRITE, VirtualAllocEx, VirtualFreeEx,
};
use windows_sys::Win32::System::Threading::{
    CreateRemoteThread, GetCurrentThread, GetExitCodeThread, INFINITE,
};

use super::Errno;
use super::handle::Handle;

/// Loads the library at `path` into the process with that handle, by a thread of its, and waits until it is loaded.
///
/// # Errors
///
/// `ACCESS` if we may not; `NOENT` if the process could not load it, which also happens if its machine code is of another kind.
pub fn load_into(process: i32, path: &Path) -> Result<(), Errno> {
    let process = process as u32 as usize as HANDLE;
    let path: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    let bytes = path.len() * 2;
    // SAFETY: a new range at an address of the system's choice.
    let place = unsafe { VirtualAllocEx(process, null(), bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE) };
    if place.is_null() {
        return Err(Errno::last());
    }
    // SAFETY: the range was made for it; exactly the path is read.
    let written = unsafe { WriteProcessMemory(process, place, path.as_ptr().cast(), bytes, null_mut()) };
    let loaded = if written == 0 { Err(Errno::last()) } else { load(process, place) };
    // SAFETY: our own range, which the thread that used it has read.
    unsafe { VirtualFreeEx(process, place, 0, MEM_RELEASE) };
    loaded
}

fn load(process: HANDLE, path: *const c_void) -> Result<(), Errno> {
    // At the same address in all processes of a session.
    let function = loader().ok_or(Errno::NOENT)?;
    // SAFETY: LoadLibraryW takes a pointer and returns one, as a thread's function does but for the upper half of the result.
    let function: unsafe extern "system" fn(*mut c_void) -> u32 = unsafe { transmute(function) };
    // SAFETY: a thread of the other process, where the path is.
    let thread = unsafe {
        let raw = CreateRemoteThread(process, null(), 0, Some(function), path, 0, null_mut());
        Handle::returned(raw)
    }?;
    thread.wait(INFINITE);
    let mut module = 0;
    // SAFETY: an open handle; a local variable.
    unsafe { GetExitCodeThread(thread.raw(), &raw mut module) };
    if module == 0 { Err(Errno::NOENT) } else { Ok(()) }
}

/// Whether the calling thread is one that [`load_into`] has made: such a thread does nothing but load a library.
pub fn is_loaded_into() -> bool {
    const START_ADDRESS: i32 = 9;
    let mut start = 0_usize;
    let (place, length) = ((&raw mut start).cast(), size_of::<usize>() as u32);
    // SAFETY: the answer is an address.
    let status =
        unsafe { NtQueryInformationThread(GetCurrentThread(), START_ADDRESS, place, length, null_mut()) };
    status == 0 && loader().is_some_and(|loader| loader as usize == start)
}

/// LoadLibraryW.
fn loader() -> Option<unsafe extern "system" fn() -> isize> {
    // SAFETY: both names end with a zero.
    unsafe {
        let module = GetModuleHandleA(c"kernel32.dll".as_ptr().cast());
        GetProcAddress(module, c"LoadLibraryW".as_ptr().cast())
    }
}

#[link(name = "ntdll")]
unsafe extern "system" {
    fn NtQueryInformationThread(
        thread: HANDLE,
        class: i32,
        place: *mut c_void,
        length: u32,
        written: *mut u32,
    ) -> i32;
}
