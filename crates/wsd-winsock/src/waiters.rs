//! `GetOverlappedResult` and its like, which wait for the socket itself if the operation has no event: the system does not know of
//! operations that the switch has, so whoever waits for one has an event of its own here.

use std::sync::{Mutex, MutexGuard, PoisonError};

use windows_sys::Win32::Foundation::{HANDLE, SetLastError, WAIT_IO_COMPLETION, WAIT_OBJECT_0, WAIT_TIMEOUT};
use windows_sys::Win32::System::IO::OVERLAPPED;
use windows_sys::Win32::System::Threading::{INFINITE, SetEvent};
use windows_sys::core::BOOL;
use wsd_switch::front;

use crate::own_event::Event;
use crate::result::number;
use crate::{original, staged};

/// Operations that somebody waits for, and by which events.
static WAITERS: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

fn waiters() -> MutexGuard<'static, Vec<(usize, usize)>> {
    WAITERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An operation is over.
pub(crate) fn wake(key: usize) {
    for (_, event) in waiters().iter().filter(|(waited, _)| *waited == key) {
        // SAFETY: open as long as it is in the list.
        unsafe { SetEvent(*event as HANDLE) };
    }
}

/// An event that is set at the end of an operation.
struct Waiter(Event);

impl Waiter {
    /// `None`: the system has no room for one.
    fn new(key: usize) -> Option<Self> {
        let event = Event::new().ok()?;
        waiters().push((key, event.handle() as usize));
        Some(Self(event))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // Before the event is closed.
        waiters().retain(|(_, event)| *event != self.0.handle() as usize);
    }
}

/// Waits until an operation is over that the switch has and that has no event. What ended the wait: `WAIT_OBJECT_0` also if there
/// is nothing to wait for.
///
/// # Safety
///
/// `overlapped` is null, or the program's.
unsafe fn wait_for(socket: usize, overlapped: *const OVERLAPPED, milliseconds: u32, alertable: bool) -> u32 {
    let Some(found) = front::find(number(socket)) else { return WAIT_OBJECT_0 };
    // SAFETY: the contract.
    if overlapped.is_null() || unsafe { (*overlapped).hEvent as usize } & !1 != 0 {
        return WAIT_OBJECT_0;
    }
    let Some(waiter) = Waiter::new(overlapped as usize) else { return WAIT_OBJECT_0 };
    // Asked for after the event is known: what ends from here on sets it.
    let key = overlapped as usize;
    if !front::is_pending(found, key) && !staged::is_pending(found.descriptor(), key) {
        return WAIT_OBJECT_0;
    }
    waiter.0.wait(milliseconds, alertable)
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
        unsafe { wait_for(socket, overlapped, INFINITE, false) };
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
        unsafe { wait_for(file as usize, overlapped, INFINITE, false) };
    }
    // SAFETY: the program's own arguments.
    unsafe { original::GetOverlappedResult(file, overlapped, bytes, wait) }
}

/// # Safety
/// As GetOverlappedResultEx.
pub(crate) unsafe extern "system" fn result_within(
    file: HANDLE,
    overlapped: *const OVERLAPPED,
    bytes: *mut u32,
    milliseconds: u32,
    alertable: BOOL,
) -> BOOL {
    if milliseconds != 0 {
        // SAFETY: the program's own argument.
        let ended = unsafe { wait_for(file as usize, overlapped, milliseconds, alertable != 0) };
        if ended == WAIT_TIMEOUT || ended == WAIT_IO_COMPLETION {
            // SAFETY: writes a number of this thread.
            unsafe { SetLastError(ended) };
            return 0;
        }
    }
    // SAFETY: the program's own arguments.
    unsafe { original::GetOverlappedResultEx(file, overlapped, bytes, milliseconds, alertable) }
}
