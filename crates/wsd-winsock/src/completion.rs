//! How the program learns that an operation is over: events, completion ports, routines.

use core::ffi::c_void;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use windows_sys::Win32::Foundation::{
    CloseHandle, HANDLE, STATUS_CANCELLED, STATUS_CONNECTION_ABORTED, STATUS_CONNECTION_INVALID,
    STATUS_CONNECTION_RESET, STATUS_IO_TIMEOUT, STATUS_PENDING, STATUS_PIPE_DISCONNECTED, STATUS_SUCCESS,
    STATUS_UNSUCCESSFUL,
};
use windows_sys::Win32::Networking::WinSock::LPWSAOVERLAPPED_COMPLETION_ROUTINE;
use windows_sys::Win32::System::IO::OVERLAPPED;
use windows_sys::Win32::System::Threading::{
    GetCurrentThreadId, OpenThread, QueueUserAPC, ResetEvent, SetEvent, THREAD_SET_CONTEXT, WakeByAddressAll,
};
use windows_sys::core::BOOL;
use wsd_os::Errno;
use wsd_os::thread::Inside;
use wsd_switch::front;

use crate::original;
use crate::result::number;

/// The port that a socket's completions go to.
#[derive(Clone, Copy)]
struct Port {
    port: usize,
    key: usize,
    /// What succeeds at once is not told there.
    skips: bool,
}

/// By sockets.
static PORTS: Mutex<Option<HashMap<i32, Port>>> = Mutex::new(None);

/// `FILE_SKIP_COMPLETION_PORT_ON_SUCCESS`.
const SKIP: u8 = 1;

fn ports() -> MutexGuard<'static, Option<HashMap<i32, Port>>> {
    PORTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The socket is closed.
pub(crate) fn forget(socket: i32) {
    if let Some(ports) = ports().as_mut() {
        ports.remove(&socket);
    }
}

/// # Safety
/// As CreateIoCompletionPort.
pub(crate) unsafe extern "system" fn create_port(
    file: HANDLE,
    port: HANDLE,
    key: usize,
    threads: u32,
) -> HANDLE {
    // SAFETY: the program's own arguments.
    let made = unsafe { original::CreateIoCompletionPort(file, port, key, threads) };
    let socket = number(file as usize);
    if !made.is_null() && front::find(socket).is_some() {
        let place = Port { port: made as usize, key, skips: false };
        ports().get_or_insert_default().insert(socket, place);
    }
    made
}

/// # Safety
/// As SetFileCompletionNotificationModes.
pub(crate) unsafe extern "system" fn set_modes(file: HANDLE, modes: u8) -> BOOL {
    // SAFETY: the program's own arguments.
    let set = unsafe { original::SetFileCompletionNotificationModes(file, modes) };
    if set != 0
        && let Some(port) = ports().get_or_insert_default().get_mut(&number(file as usize))
    {
        port.skips |= modes & SKIP != 0;
    }
    set
}

/// What is to be done when an operation is over.
pub(crate) struct Notice {
    overlapped: *mut OVERLAPPED,
    event: HANDLE,
    port: Option<Port>,
    routine: Option<(LPWSAOVERLAPPED_COMPLETION_ROUTINE, HANDLE)>,
}

impl Notice {
    /// The program's wish; the operation is pending from now on.
    ///
    /// # Safety
    ///
    /// `overlapped` stays the operation's until [`Notice::give`]; the routine is the program's.
    pub(crate) unsafe fn new(
        socket: i32,
        overlapped: *mut OVERLAPPED,
        routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
    ) -> Self {
        // SAFETY: the contract.
        let event = unsafe {
            (*overlapped).Internal = STATUS_PENDING as usize;
            (*overlapped).InternalHigh = 0;
            (*overlapped).hEvent
        };
        if routine.is_some() {
            // SAFETY: no pointers. The caller's own thread exists.
            let thread = unsafe { OpenThread(THREAD_SET_CONTEXT, 0, GetCurrentThreadId()) };
            return Self {
                overlapped,
                event: core::ptr::null_mut(),
                port: None,
                routine: Some((routine, thread)),
            };
        }
        // The lowest bit says that no port is to be told.
        let tells = event as usize & 1 == 0;
        let event = (event as usize & !1) as HANDLE;
        if !event.is_null() {
            // SAFETY: the program's event; what is none is answered with an error.
            unsafe { ResetEvent(event) };
        }
        let port = ports().as_ref().and_then(|ports| ports.get(&socket)).copied().filter(|_| tells);
        Self { overlapped, event, port, routine: None }
    }

    /// By what the program knows the operation.
    pub(crate) fn key(&self) -> usize {
        self.overlapped as usize
    }

    /// Tells the program that the operation is over. From now on the OVERLAPPED is the program's again.
    pub(crate) fn give(self, result: Result<usize, Errno>, at_once: bool) {
        let (status, bytes) = match result {
            Ok(bytes) => (STATUS_SUCCESS, bytes),
            Err(error) => (status_of(error), 0),
        };
        // SAFETY: the operation's until the status is written, which whoever waits sees last; the address is only compared then.
        unsafe {
            (&raw mut (*self.overlapped).InternalHigh).write_volatile(bytes);
            let place = &raw mut (*self.overlapped).Internal;
            core::sync::atomic::AtomicUsize::from_ptr(place)
                .store(status as u32 as usize, core::sync::atomic::Ordering::Release);
            WakeByAddressAll(place.cast());
        }
        if let Some((routine, thread)) = self.routine {
            let code = result.map_or_else(Errno::raw_os_error, |_| 0) as u32;
            let call = Box::new(Call { routine, code, bytes: bytes as u32, overlapped: self.overlapped });
            // SAFETY: `run` takes the box back. The thread is open; if it has ended nobody waits any more.
            unsafe {
                if QueueUserAPC(Some(run), thread, Box::into_raw(call) as usize) == 0 {
                    // What the box holds needs no destructor.
                }
                CloseHandle(thread);
            }
            return;
        }
        if !self.event.is_null() {
            // SAFETY: as in `new`.
            unsafe { SetEvent(self.event) };
        }
        if let Some(port) = self.port.filter(|port| !(at_once && port.skips)) {
            // SAFETY: numbers only; a port that is closed is answered with an error.
            unsafe {
                NtSetIoCompletion(port.port as HANDLE, port.key, self.overlapped as usize, status, bytes)
            };
        }
    }
}

/// A routine that is to be called.
struct Call {
    routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
    code: u32,
    bytes: u32,
    overlapped: *mut OVERLAPPED,
}

/// # Safety
/// `call` comes from [`Notice::give`], once.
unsafe extern "system" fn run(call: usize) {
    // SAFETY: the contract.
    let call = unsafe { Box::from_raw(call as *mut Call) };
    if let Some(routine) = call.routine {
        // SAFETY: the program's own, as it has asked for it.
        unsafe { routine(call.code, call.bytes, call.overlapped, 0) };
    }
}

/// What the system calls an error.
fn status_of(error: Errno) -> i32 {
    match error {
        Errno::CONNRESET => STATUS_CONNECTION_RESET,
        Errno::CONNABORTED => STATUS_CONNECTION_ABORTED,
        Errno::PIPE => STATUS_PIPE_DISCONNECTED,
        Errno::NOTCONN => STATUS_CONNECTION_INVALID,
        Errno::TIMEDOUT => STATUS_IO_TIMEOUT,
        Errno::CANCELED => STATUS_CANCELLED,
        _ => STATUS_UNSUCCESSFUL,
    }
}

#[link(name = "ntdll")]
unsafe extern "system" {
    fn NtSetIoCompletion(port: HANDLE, key: usize, value: usize, status: i32, bytes: usize) -> i32;
}

/// # Safety
/// As CancelIoEx.
pub(crate) unsafe extern "system" fn cancel_ex(file: HANDLE, overlapped: *const OVERLAPPED) -> BOOL {
    let key = (!overlapped.is_null()).then_some(overlapped as usize);
    if let Some(socket) = front::find(number(file as usize))
        && let Some(_inside) = Inside::enter()
        && front::cancel(socket, key) != 0
    {
        return 1;
    }
    // SAFETY: the program's own arguments.
    unsafe { original::CancelIoEx(file, overlapped) }
}

/// # Safety
/// As CancelIo.
pub(crate) unsafe extern "system" fn cancel(file: HANDLE) -> BOOL {
    if let Some(socket) = front::find(number(file as usize))
        && let Some(_inside) = Inside::enter()
    {
        front::cancel(socket, None);
    }
    // SAFETY: the program's own argument.
    unsafe { original::CancelIo(file) }
}

/// Waits until an operation is over, which the system cannot without an event.
///
/// # Safety
///
/// `overlapped` is null, or the program's.
pub(crate) unsafe fn wait_for(socket: usize, overlapped: *const OVERLAPPED) {
    use windows_sys::Win32::System::Threading::{INFINITE, WaitOnAddress};
    if overlapped.is_null() || front::find(number(socket)).is_none() {
        return;
    }
    let pending = STATUS_PENDING as usize;
    // SAFETY: the contract; the word may change at any time.
    unsafe {
        let place = &raw const (*overlapped).Internal;
        while (*overlapped).hEvent.is_null() && place.read_volatile() == pending {
            WaitOnAddress(place.cast::<c_void>(), (&raw const pending).cast(), size_of::<usize>(), INFINITE);
        }
    }
}

/// # Safety
/// As WSAGetOverlappedResult.
pub(crate) unsafe extern "system" fn wsa_result(
    socket: usize,
    overlapped: *const OVERLAPPED,
    bytes: *mut u32,
    wait: BOOL,
    flags: *mut u32,
) -> BOOL {
    if wait != 0 {
        // SAFETY: the program's own argument.
        unsafe { wait_for(socket, overlapped) };
    }
    // SAFETY: the program's own arguments.
    unsafe { original::WSAGetOverlappedResult(socket, overlapped, bytes, wait, flags) }
}

/// # Safety
/// As GetOverlappedResult.
pub(crate) unsafe extern "system" fn result(
    file: HANDLE,
    overlapped: *const OVERLAPPED,
    bytes: *mut u32,
    wait: BOOL,
) -> BOOL {
    if wait != 0 {
        // SAFETY: the program's own argument.
        unsafe { wait_for(file as usize, overlapped) };
    }
    // SAFETY: the program's own arguments.
    unsafe { original::GetOverlappedResult(file, overlapped, bytes, wait) }
}
