//! The C functions of the up-call tables.
//!
//! Safety of all of them: pointers are NULL or valid for what the SPI says about them.

#![allow(non_snake_case, reason = "parameters are named as in the SPI")]

use core::cell::Cell;
use core::ffi::c_int;
use core::ptr;
use core::sync::atomic::AtomicPtr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::slab::Notified;
use super::tracer::Shown;
use super::upcalls::{MAX_TABLES, Route, route};
use crate::error::WsaError;
use crate::ffi::*;
use crate::value::{Event, SwitchSocket};

/// The handlers, by number.
pub(super) static ROUTES: [AtomicPtr<Route>; MAX_TABLES] =
    [const { AtomicPtr::new(ptr::null_mut()) }; MAX_TABLES];

/// The tables, by number.
pub(super) static TABLES: [WSPUPCALLTABLEEX; MAX_TABLES] = [
    table::<0>(),
    table::<1>(),
    table::<2>(),
    table::<3>(),
    table::<4>(),
    table::<5>(),
    table::<6>(),
    table::<7>(),
    table::<8>(),
    table::<9>(),
    table::<10>(),
    table::<11>(),
    table::<12>(),
    table::<13>(),
    table::<14>(),
    table::<15>(),
];

const fn table<const N: usize>() -> WSPUPCALLTABLEEX {
    WSPUPCALLTABLEEX {
        lpWPUCloseEvent: Some(close_event),
        lpWPUCloseSocketHandle: Some(close_socket_handle::<N>),
        lpWPUCreateEvent: Some(create_event),
        lpWPUCreateSocketHandle: Some(create_socket_handle::<N>),
        lpWPUFDIsSet: Some(fd_is_set),
        lpWPUGetProviderPath: Some(get_provider_path),
        lpWPUModifyIFSHandle: Some(modify_ifs_handle),
        lpWPUPostMessage: Some(post_message),
        lpWPUQueryBlockingCallback: Some(query_blocking_callback),
        lpWPUQuerySocketHandleContext: Some(query_socket_handle_context::<N>),
        lpWPUQueueApc: Some(queue_apc),
        lpWPUResetEvent: Some(reset_event::<N>),
        lpWPUSetEvent: Some(set_event::<N>),
        lpWPUOpenCurrentThread: Some(open_current_thread),
        lpWPUCloseThread: Some(close_thread),
        lpWPUCompleteOverlappedRequest: Some(complete_overlapped_request::<N>),
    }
}

thread_local! {
    /// The handle that was last made on this thread, for the `WSPSocket` or `WSPAccept` around it.
    static LAST_HANDLE: Cell<usize> = const { Cell::new(INVALID_SOCKET) };
    /// How many up-calls this thread is in.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Whether this thread is inside an up-call.
pub(super) fn in_up_call() -> bool {
    DEPTH.get() != 0
}

/// Counts an up-call while it runs.
struct InUpCall;

impl InUpCall {
    fn enter() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for InUpCall {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// Runs `body` and says which handle the provider had made in it, if any.
pub(super) fn watching_handles<T>(body: impl FnOnce() -> T) -> (T, Option<SwitchSocket>) {
    let outer = LAST_HANDLE.replace(INVALID_SOCKET);
    let result = body();
    let made = LAST_HANDLE.replace(outer);
    (result, (made != INVALID_SOCKET).then(|| SwitchSocket::from_raw(made)))
}

/// Asks the handler: its answer, or `failure` with the code in `*errno`. `wakes`: another thread may act on the up-call before
/// it returns, and this is the answer if it succeeds: it is reported before.
///
/// # Safety
/// `errno` is NULL or valid for writes.
unsafe fn answer<const N: usize, T: core::fmt::Debug + Copy, R>(
    function: &'static str,
    arguments: core::fmt::Arguments<'_>,
    errno: LPINT,
    failure: R,
    wakes: Option<T>,
    body: impl FnOnce(&'static Route) -> Result<T, WsaError>,
    success: impl FnOnce(T) -> R,
) -> R {
    let _counted = InUpCall::enter();
    let result = route(N).ok_or(WsaError::WSANOTINITIALISED).and_then(|route| {
        let report = |result: &Result<T, WsaError>| {
            if let Some(tracer) = &route.tracer {
                tracer.up_call(function, arguments, format_args!("{}", Shown(result)));
            }
        };
        if let Some(success) = wakes {
            report(&Ok(success));
        }
        let result =
            catch_unwind(AssertUnwindSafe(|| body(route))).unwrap_or(Err(WsaError::WSASYSCALLFAILURE));
        if wakes.is_none() || result.is_err() {
            report(&result);
        }
        result
    });
    match result {
        Ok(value) => success(value),
        Err(error) => {
            // SAFETY: the contract is the same.
            unsafe { fail(errno, error) };
            failure
        }
    }
}

/// # Safety
/// `errno` is NULL or valid for writes.
unsafe fn fail(errno: LPINT, error: WsaError) {
    if !errno.is_null() {
        // SAFETY: valid by the contract of this function.
        unsafe { errno.write(error.code()) };
    }
}

unsafe extern "system" fn create_socket_handle<const N: usize>(
    dwCatalogEntryId: DWORD,
    dwContext: DWORD_PTR,
    lpErrno: LPINT,
) -> SOCKET {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe {
        answer::<N, _, _>(
            "WPUCreateSocketHandle",
            format_args!("entry={dwCatalogEntryId}, context={dwContext:#x}"),
            lpErrno,
            INVALID_SOCKET,
            None,
            |route| route.handler.create_socket_handle(dwCatalogEntryId, dwContext),
            |handle| {
                LAST_HANDLE.set(handle.raw());
                handle.raw()
            },
        )
    }
}

unsafe extern "system" fn close_socket_handle<const N: usize>(s: SOCKET, lpErrno: LPINT) -> c_int {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe {
        answer::<N, _, _>(
            "WPUCloseSocketHandle",
            format_args!("{s:#x}"),
            lpErrno,
            SOCKET_ERROR,
            None,
            |route| route.handler.close_socket_handle(SwitchSocket::from_raw(s)),
            |()| 0,
        )
    }
}

unsafe extern "system" fn query_socket_handle_context<const N: usize>(
    s: SOCKET,
    lpContext: PDWORD_PTR,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe {
        answer::<N, _, _>(
            "WPUQuerySocketHandleContext",
            format_args!("{s:#x}"),
            lpErrno,
            SOCKET_ERROR,
            None,
            |route| {
                if lpContext.is_null() {
                    return Err(WsaError::WSAEFAULT);
                }
                route.handler.query_socket_handle_context(SwitchSocket::from_raw(s))
            },
            |context| {
                // SAFETY: not NULL, hence valid for writes.
                lpContext.write(context);
                0
            },
        )
    }
}

unsafe extern "system" fn set_event<const N: usize>(hEvent: WSAEVENT, lpErrno: LPINT) -> BOOL {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe {
        answer::<N, _, _>(
            "WPUSetEvent",
            format_args!("{:#x}", hEvent.addr()),
            lpErrno,
            FALSE,
            Some(()),
            |route| route.handler.set_event(Event::from_handle(hEvent).ok_or(WsaError::WSA_INVALID_HANDLE)?),
            |()| TRUE,
        )
    }
}

unsafe extern "system" fn reset_event<const N: usize>(hEvent: WSAEVENT, lpErrno: LPINT) -> BOOL {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe {
        answer::<N, _, _>(
            "WPUResetEvent",
            format_args!("{:#x}", hEvent.addr()),
            lpErrno,
            FALSE,
            None,
            |route| {
                route.handler.reset_event(Event::from_handle(hEvent).ok_or(WsaError::WSA_INVALID_HANDLE)?)
            },
            |()| TRUE,
        )
    }
}

unsafe extern "system" fn complete_overlapped_request<const N: usize>(
    s: SOCKET,
    lpOverlapped: LPWSAOVERLAPPED,
    dwError: DWORD,
    cbTransferred: DWORD,
    lpErrno: LPINT,
) -> c_int {
    let handle = SwitchSocket::from_raw(s);
    let status = WsaError::result_of(dwError as c_int);
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe {
        answer::<N, _, _>(
            "WPUCompleteOverlappedRequest",
            format_args!("{handle:?}, {lpOverlapped:p}, {}, {cbTransferred}", Shown(&status)),
            lpErrno,
            SOCKET_ERROR,
            Some(()),
            |route| match Notified::take(lpOverlapped, cbTransferred) {
                Some(key) => {
                    route.handler.complete(handle, key, status, cbTransferred);
                    Ok(())
                }
                None => route.handler.complete_foreign(handle, lpOverlapped.addr(), status, cbTransferred),
            },
            |()| 0,
        )
    }
}

unsafe extern "system" fn close_event(_event: WSAEVENT, lpErrno: LPINT) -> BOOL {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe { fail(lpErrno, WsaError::WSAEOPNOTSUPP) };
    FALSE
}

unsafe extern "system" fn create_event(lpErrno: LPINT) -> WSAEVENT {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe { fail(lpErrno, WsaError::WSAEOPNOTSUPP) };
    WSA_INVALID_EVENT
}

unsafe extern "system" fn fd_is_set(_s: SOCKET, _set: *mut WS_FD_SET) -> c_int {
    0
}

unsafe extern "system" fn get_provider_path(
    _provider: LPGUID,
    _path: LPWSTR,
    _length: LPINT,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe { fail(lpErrno, WsaError::WSAEOPNOTSUPP) };
    SOCKET_ERROR
}

unsafe extern "system" fn modify_ifs_handle(_entry: DWORD, _proposed: SOCKET, lpErrno: LPINT) -> SOCKET {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe { fail(lpErrno, WsaError::WSAEOPNOTSUPP) };
    INVALID_SOCKET
}

unsafe extern "system" fn post_message(_window: HWND, _message: UINT, _w: WPARAM, _l: LPARAM) -> BOOL {
    FALSE
}

unsafe extern "system" fn query_blocking_callback(
    _entry: DWORD,
    _callback: *mut Option<LPBLOCKINGCALLBACK>,
    _context: PDWORD_PTR,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe { fail(lpErrno, WsaError::WSAEOPNOTSUPP) };
    SOCKET_ERROR
}

unsafe extern "system" fn queue_apc(
    _thread: LPWSATHREADID,
    _apc: Option<LPWSAUSERAPC>,
    _context: DWORD_PTR,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe { fail(lpErrno, WsaError::WSAEOPNOTSUPP) };
    SOCKET_ERROR
}

unsafe extern "system" fn open_current_thread(_thread: LPWSATHREADID, lpErrno: LPINT) -> c_int {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe { fail(lpErrno, WsaError::WSAEOPNOTSUPP) };
    SOCKET_ERROR
}

unsafe extern "system" fn close_thread(_thread: LPWSATHREADID, lpErrno: LPINT) -> c_int {
    // SAFETY: `lpErrno` is as the SPI says.
    unsafe { fail(lpErrno, WsaError::WSAEOPNOTSUPP) };
    SOCKET_ERROR
}
