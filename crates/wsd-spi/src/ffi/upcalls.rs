//! The functions of the switch that a provider may call, and their tables (section 1.3, section 8).

use core::ffi::c_int;

use super::macros::structures;
use super::structures::*;
use super::types::*;

/// Called again and again by a provider that blocks: `TRUE` to go on waiting, `FALSE` once the wait was cancelled.
pub type LPBLOCKINGCALLBACK = unsafe extern "system" fn(dwContext: DWORD_PTR) -> BOOL;

/// What `WPUQueueApc` runs in the thread of its choice.
pub type LPWSAUSERAPC = unsafe extern "system" fn(dwContext: DWORD_PTR);

/// Closes an event that `WPUCreateEvent` made: `TRUE` or `FALSE`. Unused.
pub type LPWPUCLOSEEVENT = unsafe extern "system" fn(hEvent: WSAEVENT, lpErrno: LPINT) -> BOOL;

/// The last up-call for a handle, once per handle: 0 or `SOCKET_ERROR`.
pub type LPWPUCLOSESOCKETHANDLE = unsafe extern "system" fn(s: SOCKET, lpErrno: LPINT) -> c_int;

/// Makes an event that is reset: the handle, or `WSA_INVALID_EVENT`. Unused.
pub type LPWPUCREATEEVENT = unsafe extern "system" fn(lpErrno: LPINT) -> WSAEVENT;

/// Makes the switch's handle of a socket: the handle or `INVALID_SOCKET`.
pub type LPWPUCREATESOCKETHANDLE =
    unsafe extern "system" fn(dwCatalogEntryId: DWORD, dwContext: DWORD_PTR, lpErrno: LPINT) -> SOCKET;

/// Whether the socket is in the set. Unused.
pub type LPWPUFDISSET = unsafe extern "system" fn(s: SOCKET, fdset: *mut WS_FD_SET) -> c_int;

/// Unused.
pub type LPWPUGETPROVIDERPATH = unsafe extern "system" fn(
    lpProviderId: LPGUID,
    lpszProviderDllPath: LPWSTR,
    lpProviderDllPathLen: LPINT,
    lpErrno: LPINT,
) -> c_int;

/// Unused.
pub type LPWPUMODIFYIFSHANDLE =
    unsafe extern "system" fn(dwCatalogEntryId: DWORD, ProposedHandle: SOCKET, lpErrno: LPINT) -> SOCKET;

/// Posts a message of `WSPAsyncSelect` to a window: `TRUE` or `FALSE`. Not for SAN providers.
pub type LPWPUPOSTMESSAGE =
    unsafe extern "system" fn(hWnd: HWND, Msg: UINT, wParam: WPARAM, lParam: LPARAM) -> BOOL;

/// The blocking callback of the calling thread, NULL if it has none: 0 or `SOCKET_ERROR`. Not for SAN providers.
pub type LPWPUQUERYBLOCKINGCALLBACK = unsafe extern "system" fn(
    dwCatalogEntryId: DWORD,
    lplpfnCallback: *mut Option<LPBLOCKINGCALLBACK>,
    lpdwContext: PDWORD_PTR,
    lpErrno: LPINT,
) -> c_int;

/// The context given when the handle was made: 0 or `SOCKET_ERROR`.
pub type LPWPUQUERYSOCKETHANDLECONTEXT =
    unsafe extern "system" fn(s: SOCKET, lpContext: PDWORD_PTR, lpErrno: LPINT) -> c_int;

/// Runs a function in a thread that waits alertably: 0 or `SOCKET_ERROR`. Not for SAN providers.
pub type LPWPUQUEUEAPC = unsafe extern "system" fn(
    lpThreadId: LPWSATHREADID,
    lpfnUserApc: Option<LPWSAUSERAPC>,
    dwContext: DWORD_PTR,
    lpErrno: LPINT,
) -> c_int;

/// Resets an event of `WSPEventSelect`: `TRUE` or `FALSE`.
pub type LPWPURESETEVENT = unsafe extern "system" fn(hEvent: WSAEVENT, lpErrno: LPINT) -> BOOL;

/// Sets an event of `WSPEventSelect`: `TRUE` or `FALSE`.
pub type LPWPUSETEVENT = unsafe extern "system" fn(hEvent: WSAEVENT, lpErrno: LPINT) -> BOOL;

/// Identity of the calling thread, for `WPUQueueApc`: 0 or `SOCKET_ERROR`. Not for SAN providers.
pub type LPWPUOPENCURRENTTHREAD =
    unsafe extern "system" fn(lpThreadId: LPWSATHREADID, lpErrno: LPINT) -> c_int;

/// Gives an identity back: 0 or `SOCKET_ERROR`. Not for SAN providers.
pub type LPWPUCLOSETHREAD = unsafe extern "system" fn(lpThreadId: LPWSATHREADID, lpErrno: LPINT) -> c_int;

/// Completes a notified request (SP-181): 0 or `SOCKET_ERROR`.
pub type LPWPUCOMPLETEOVERLAPPEDREQUEST = unsafe extern "system" fn(
    s: SOCKET,
    lpOverlapped: LPWSAOVERLAPPED,
    dwError: DWORD,
    cbTransferred: DWORD,
    lpErrno: LPINT,
) -> c_int;

structures! {
    /// Layouts of the up-call tables.
    table UPCALL_LAYOUTS;

    /// The generic table, passed by value to `WSPStartup`, which no SAN provider has: the SPI front end gets it.
    struct WSPUPCALLTABLE = 120 {
        /// Unused.
        lpWPUCloseEvent: Option<LPWPUCLOSEEVENT> = 0,
        /// The last up-call for a handle, once per handle: 0 or `SOCKET_ERROR`.
        lpWPUCloseSocketHandle: Option<LPWPUCLOSESOCKETHANDLE> = 8,
        /// Unused.
        lpWPUCreateEvent: Option<LPWPUCREATEEVENT> = 16,
        /// Makes the switch's handle of a socket: the handle or `INVALID_SOCKET`.
        lpWPUCreateSocketHandle: Option<LPWPUCREATESOCKETHANDLE> = 24,
        /// Unused.
        lpWPUFDIsSet: Option<LPWPUFDISSET> = 32,
        /// Unused.
        lpWPUGetProviderPath: Option<LPWPUGETPROVIDERPATH> = 40,
        /// Unused.
        lpWPUModifyIFSHandle: Option<LPWPUMODIFYIFSHANDLE> = 48,
        /// Unused.
        lpWPUPostMessage: Option<LPWPUPOSTMESSAGE> = 56,
        /// Unused.
        lpWPUQueryBlockingCallback: Option<LPWPUQUERYBLOCKINGCALLBACK> = 64,
        /// The context given when the handle was made: 0 or `SOCKET_ERROR`.
        lpWPUQuerySocketHandleContext: Option<LPWPUQUERYSOCKETHANDLECONTEXT> = 72,
        /// Unused.
        lpWPUQueueApc: Option<LPWPUQUEUEAPC> = 80,
        /// Resets an event of `WSPEventSelect`: `TRUE` or `FALSE`.
        lpWPUResetEvent: Option<LPWPURESETEVENT> = 88,
        /// Sets an event of `WSPEventSelect`: `TRUE` or `FALSE`.
        lpWPUSetEvent: Option<LPWPUSETEVENT> = 96,
        /// Unused.
        lpWPUOpenCurrentThread: Option<LPWPUOPENCURRENTTHREAD> = 104,
        /// Unused.
        lpWPUCloseThread: Option<LPWPUCLOSETHREAD> = 112,
    }

    /// The table passed by pointer to `WSPStartupEx`; the provider copies it (SP-003).
    struct WSPUPCALLTABLEEX = 128 {
        /// Unused.
        lpWPUCloseEvent: Option<LPWPUCLOSEEVENT> = 0,
        /// The last up-call for a handle, once per handle: 0 or `SOCKET_ERROR`.
        lpWPUCloseSocketHandle: Option<LPWPUCLOSESOCKETHANDLE> = 8,
        /// Unused.
        lpWPUCreateEvent: Option<LPWPUCREATEEVENT> = 16,
        /// Makes the switch's handle of a socket: the handle or `INVALID_SOCKET`.
        lpWPUCreateSocketHandle: Option<LPWPUCREATESOCKETHANDLE> = 24,
        /// Unused.
        lpWPUFDIsSet: Option<LPWPUFDISSET> = 32,
        /// Unused.
        lpWPUGetProviderPath: Option<LPWPUGETPROVIDERPATH> = 40,
        /// Unused.
        lpWPUModifyIFSHandle: Option<LPWPUMODIFYIFSHANDLE> = 48,
        /// Unused.
        lpWPUPostMessage: Option<LPWPUPOSTMESSAGE> = 56,
        /// Unused.
        lpWPUQueryBlockingCallback: Option<LPWPUQUERYBLOCKINGCALLBACK> = 64,
        /// The context given when the handle was made: 0 or `SOCKET_ERROR`.
        lpWPUQuerySocketHandleContext: Option<LPWPUQUERYSOCKETHANDLECONTEXT> = 72,
        /// Unused.
        lpWPUQueueApc: Option<LPWPUQUEUEAPC> = 80,
        /// Resets an event of `WSPEventSelect`: `TRUE` or `FALSE`.
        lpWPUResetEvent: Option<LPWPURESETEVENT> = 88,
        /// Sets an event of `WSPEventSelect`: `TRUE` or `FALSE`.
        lpWPUSetEvent: Option<LPWPUSETEVENT> = 96,
        /// Unused.
        lpWPUOpenCurrentThread: Option<LPWPUOPENCURRENTTHREAD> = 104,
        /// Unused.
        lpWPUCloseThread: Option<LPWPUCLOSETHREAD> = 112,
        /// Completes a notified request (SP-181): 0 or `SOCKET_ERROR`.
        lpWPUCompleteOverlappedRequest: Option<LPWPUCOMPLETEOVERLAPPEDREQUEST> = 120,
    }
}

impl WSPUPCALLTABLE {
    /// The table without any entry.
    pub const fn empty() -> Self {
        Self {
            lpWPUCloseEvent: None,
            lpWPUCloseSocketHandle: None,
            lpWPUCreateEvent: None,
            lpWPUCreateSocketHandle: None,
            lpWPUFDIsSet: None,
            lpWPUGetProviderPath: None,
            lpWPUModifyIFSHandle: None,
            lpWPUPostMessage: None,
            lpWPUQueryBlockingCallback: None,
            lpWPUQuerySocketHandleContext: None,
            lpWPUQueueApc: None,
            lpWPUResetEvent: None,
            lpWPUSetEvent: None,
            lpWPUOpenCurrentThread: None,
            lpWPUCloseThread: None,
        }
    }
}

/// Pointer to the table.
pub type LPWSPUPCALLTABLEEX = *mut WSPUPCALLTABLEEX;

impl WSPUPCALLTABLEEX {
    /// The table without any entry.
    pub const fn empty() -> Self {
        Self {
            lpWPUCloseEvent: None,
            lpWPUCloseSocketHandle: None,
            lpWPUCreateEvent: None,
            lpWPUCreateSocketHandle: None,
            lpWPUFDIsSet: None,
            lpWPUGetProviderPath: None,
            lpWPUModifyIFSHandle: None,
            lpWPUPostMessage: None,
            lpWPUQueryBlockingCallback: None,
            lpWPUQuerySocketHandleContext: None,
            lpWPUQueueApc: None,
            lpWPUResetEvent: None,
            lpWPUSetEvent: None,
            lpWPUOpenCurrentThread: None,
            lpWPUCloseThread: None,
            lpWPUCompleteOverlappedRequest: None,
        }
    }
}
