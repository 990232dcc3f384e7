//! Programs that the program starts: they get the library, too.

use core::ffi::c_void;
use core::sync::atomic::{AtomicPtr, Ordering};
use std::os::windows::ffi::OsStringExt;
use std::path::PathBuf;

use windows_sys::Win32::Foundation::{HANDLE, HMODULE};
use windows_sys::Win32::System::LibraryLoader::GetModuleFileNameW;
use windows_sys::Win32::System::Threading::{
    CREATE_SUSPENDED, DEBUG_ONLY_THIS_PROCESS, DEBUG_PROCESS, IsWow64Process, PROCESS_INFORMATION,
    ResumeThread,
};
use windows_sys::core::BOOL;
use wsd_os::process;
use wsd_os::thread::Inside;
use wsd_switch::front;

use crate::{original, start};

/// This library in this process.
static MODULE: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());

/// Told by the loader.
pub(crate) fn remember(module: HMODULE) {
    MODULE.store(module, Ordering::Relaxed);
}

/// Where the library is.
fn path() -> PathBuf {
    let mut name = [0_u16; 1024];
    // SAFETY: the array has that length.
    let length =
        unsafe { GetModuleFileNameW(MODULE.load(Ordering::Relaxed), name.as_mut_ptr(), name.len() as u32) };
    std::ffi::OsString::from_wide(&name[..(length as usize).min(name.len())]).into()
}

/// Whether a process has machine code like ours: a thread that begins where our functions are would end one for 32 bits.
fn is_alike(process: HANDLE) -> bool {
    let mut emulated = 0;
    // SAFETY: a local variable; what is no handle is answered with an error.
    let told = unsafe { IsWow64Process(process, &raw mut emulated) };
    told != 0 && emulated == 0
}

/// # Safety
/// As CreateProcessInternalW, which CreateProcess, CreateProcessAsUser and the others come to.
pub(crate) unsafe extern "system" fn create_process(
    token: HANDLE,
    program: *const u16,
    line: *mut u16,
    process_security: *const c_void,
    thread_security: *const c_void,
    inherit: BOOL,
    flags: u32,
    environment: *const c_void,
    folder: *const u16,
    startup: *const c_void,
    information: *mut c_void,
    restricted: *mut HANDLE,
) -> BOOL {
    let create = |flags| {
        // SAFETY: the program's own arguments.
        unsafe {
            original::CreateProcessInternalW(
                token,
                program,
                line,
                process_security,
                thread_security,
                inherit,
                flags,
                environment,
                folder,
                startup,
                information,
                restricted,
            )
        }
    };
    let Some(_inside) = Inside::enter() else { return create(flags) };
    if inherit != 0 {
        front::before_exec();
    }
    // Nothing of it runs until its debugger, the caller, has been told of it. The catalogue is everybody's.
    if start::is_layer() || flags & (DEBUG_PROCESS | DEBUG_ONLY_THIS_PROCESS) != 0 {
        return create(flags);
    }
    let made = create(flags | CREATE_SUSPENDED);
    if made == 0 {
        return made;
    }
    // SAFETY: filled in, as the process has been made.
    let made_process = unsafe { information.cast::<PROCESS_INFORMATION>().read_unaligned() };
    if is_alike(made_process.hProcess) {
        // What cannot be loaded there the program runs without.
        let _ = process::load_into(made_process.hProcess as usize as i32, &path());
    }
    if flags & CREATE_SUSPENDED == 0 {
        // SAFETY: the handle that was just made.
        unsafe { ResumeThread(made_process.hThread) };
    }
    made
}
