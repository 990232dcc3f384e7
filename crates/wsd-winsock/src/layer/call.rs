//! On whose behalf a thread calls: which provider is below, and what that has to know of the thread.

use core::cell::Cell;
use core::ptr::null;

use windows_sys::Win32::Networking::WinSock::{WSAGetLastError, WSANOTINITIALISED, WSATHREADID};

use super::lower::{self, Lower};
use crate::result::set_last;

#[derive(Clone, Copy)]
struct Call {
    lower: Option<&'static Lower>,
    thread: *const WSATHREADID,
    /// What comes by Winsock now was asked of the switch before.
    passes: bool,
}

thread_local! {
    static CALL: Cell<Call> = const { Cell::new(Call { lower: None, thread: null(), passes: false }) };
}

/// Serves a call of the table with this number, by `serve`, which is told whether to ask the switch. The error is that of the thread.
pub(super) fn serve<T: Copy + PartialEq>(
    number: usize,
    thread: *const WSATHREADID,
    errno: *mut i32,
    failure: T,
    serve: impl FnOnce(bool) -> T,
) -> T {
    let Some(lower) = lower::of(number) else {
        tell(errno, WSANOTINITIALISED);
        return failure;
    };
    let before = CALL.replace(Call { lower: Some(lower), thread, passes: false });
    let result = serve(lower.serves && !before.passes);
    // To look at a variable of the thread resets it.
    // SAFETY: reads a number of this thread.
    let error = unsafe { WSAGetLastError() };
    CALL.set(before);
    if result == failure {
        tell(errno, error);
    }
    result
}

/// Calls the provider below, for whom the thread is in a call of a table, with a place for the error; else Winsock, which comes to that
/// provider by the table: on a thread of our own, or in an extension function.
pub(super) fn below<T: Copy + PartialEq>(
    failure: T,
    by_provider: impl FnOnce(&'static Lower, *mut i32) -> T,
    by_winsock: impl FnOnce() -> T,
) -> T {
    let call = CALL.get();
    let mut errno = 0;
    let result = if let Some(lower) = call.lower {
        by_provider(lower, &raw mut errno)
    } else {
        CALL.set(Call { passes: true, ..call });
        let result = by_winsock();
        // SAFETY: reads a number of this thread.
        errno = unsafe { WSAGetLastError() };
        CALL.set(call);
        result
    };
    if result == failure {
        set_last(errno);
    }
    result
}

/// What Winsock says of the calling thread.
pub(super) fn thread() -> *const WSATHREADID {
    CALL.get().thread
}

/// Tells the caller of an error.
pub(super) fn tell(errno: *mut i32, error: i32) {
    if !errno.is_null() {
        // SAFETY: the caller's place for it.
        unsafe { errno.write(error) };
    }
}
