//! The completion ports that sockets' completions go to, however they were bound: `CreateIoCompletionPort`,
//! `BindIoCompletionCallback` and thread pools all come to `NtSetInformationFile`.

use core::ffi::c_void;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use windows_sys::Wdk::Storage::FileSystem::{
    FILE_COMPLETION_INFORMATION, FileCompletionInformation as BIND,
    FileIoCompletionNotificationInformation as NOTIFY, FileReplaceCompletionInformation as BIND_ANEW,
};
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::IO::IO_STATUS_BLOCK;
use wsd_switch::front;

use crate::original;
use crate::result::number;

/// Where a socket's completions go.
#[derive(Clone, Copy)]
pub(crate) struct Port {
    port: usize,
    key: usize,
    /// What succeeds at once is not told there.
    pub(crate) skips: bool,
}

/// By sockets.
static PORTS: Mutex<Option<HashMap<i32, Port>>> = Mutex::new(None);

/// `FILE_SKIP_COMPLETION_PORT_ON_SUCCESS`.
const SKIP: u32 = 1;

fn ports() -> MutexGuard<'static, Option<HashMap<i32, Port>>> {
    PORTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// That of a socket.
pub(crate) fn of(socket: i32) -> Option<Port> {
    ports().as_ref()?.get(&socket).copied()
}

/// The socket is closed.
pub(crate) fn forget(socket: i32) {
    if let Some(ports) = ports().as_mut() {
        ports.remove(&socket);
    }
}

impl Port {
    /// Puts a packet there, as the system does at the end of an operation.
    pub(crate) fn post(self, value: usize, status: i32, bytes: usize) {
        // SAFETY: numbers only; a port that is closed is answered with an error.
        unsafe { NtSetIoCompletion(self.port as HANDLE, self.key, value, status, bytes) };
    }
}

/// # Safety
/// As NtSetInformationFile.
pub(crate) unsafe extern "system" fn set_information(
    file: HANDLE,
    status: *mut IO_STATUS_BLOCK,
    information: *const c_void,
    length: u32,
    class: i32,
) -> i32 {
    // SAFETY: the program's own arguments.
    let result = unsafe { original::NtSetInformationFile(file, status, information, length, class) };
    let socket = number(file as usize);
    if result >= 0 && front::find(socket).is_some() {
        match class {
            BIND | BIND_ANEW => {
                // SAFETY: the system has just read one there.
                let told = unsafe { information.cast::<FILE_COMPLETION_INFORMATION>().read_unaligned() };
                bound(socket, told.Port as usize, told.Key as usize);
            }
            NOTIFY => {
                // SAFETY: the system has just read a number there.
                let flags = unsafe { information.cast::<u32>().read_unaligned() };
                if let Some(port) = ports().get_or_insert_default().get_mut(&socket) {
                    port.skips |= flags & SKIP != 0;
                }
            }
            _ => {}
        }
    }
    result
}

/// The socket's completions go there from now on; null: nowhere.
fn bound(socket: i32, port: usize, key: usize) {
    let mut ports = ports();
    let ports = ports.get_or_insert_default();
    let skips = ports.get(&socket).is_some_and(|before| before.skips);
    if port == 0 {
        ports.remove(&socket);
    } else {
        ports.insert(socket, Port { port, key, skips });
    }
}

#[link(name = "ntdll")]
unsafe extern "system" {
    fn NtSetIoCompletion(port: HANDLE, key: usize, value: usize, status: i32, bytes: usize) -> i32;
}
