//! Events are Windows', which a provider may set itself (section 8).

use windows_sys::Win32::Foundation::GetLastError;
use windows_sys::Win32::System::Threading::{ResetEvent, SetEvent};

use crate::ffi::{BOOL, INT, LPINT, LPWPURESETEVENT, LPWPUSETEVENT, WSAEVENT};

/// What sets an event of a switch that leaves `WPUSetEvent` empty.
pub(super) const SET: Option<LPWPUSETEVENT> = Some(set);

/// What resets an event of a switch that leaves `WPUResetEvent` empty.
pub(super) const RESET: Option<LPWPURESETEVENT> = Some(reset);

/// As `WPUSetEvent`.
///
/// # Safety
/// `errno` is valid.
unsafe extern "system" fn set(event: WSAEVENT, errno: LPINT) -> BOOL {
    // SAFETY: what is no event of this process is answered with an error.
    let done = unsafe { SetEvent(event) };
    // SAFETY: the contract is the same.
    unsafe { told(done, errno) }
}

/// As `WPUResetEvent`.
///
/// # Safety
/// `errno` is valid.
unsafe extern "system" fn reset(event: WSAEVENT, errno: LPINT) -> BOOL {
    // SAFETY: what is no event of this process is answered with an error.
    let done = unsafe { ResetEvent(event) };
    // SAFETY: the contract is the same.
    unsafe { told(done, errno) }
}

/// Passes on what the system answered.
///
/// # Safety
/// `errno` is valid.
unsafe fn told(done: BOOL, errno: LPINT) -> BOOL {
    if done == 0 {
        // SAFETY: valid by the contract; the number is this thread's.
        unsafe { errno.write(GetLastError() as INT) };
    }
    done
}
