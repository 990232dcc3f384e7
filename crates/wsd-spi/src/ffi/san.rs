//! Types of the 7 extension functions of Windows Sockets Direct (section 4, 6.16-6.18, 6.20). They are obtained with
//! `SIO_GET_EXTENSION_FUNCTION_POINTER`, not from the table.

use core::ffi::{c_int, c_void};

use super::functions::LPWSAOVERLAPPED_COMPLETION_ROUTINE;
use super::structures::*;
use super::types::*;

/// Section 6.16: the handle, or NULL.
pub type LPFN_WSPREGISTERMEMORY = unsafe extern "system" fn(
    s: SOCKET,
    lpBuffer: *mut c_void,
    dwBufferLength: DWORD,
    dwFlags: DWORD,
    lpErrno: LPINT,
) -> HANDLE;

/// Section 6.16: 0 or `SOCKET_ERROR`.
pub type LPFN_WSPDEREGISTERMEMORY =
    unsafe extern "system" fn(s: SOCKET, handle: HANDLE, lpErrno: LPINT) -> c_int;

/// Section 6.17: 0 or `SOCKET_ERROR` (the Windows header says BOOL, which is a slip; section 12, row 4).
pub type LPFN_WSPREGISTERRDMAMEMORY = unsafe extern "system" fn(
    s: SOCKET,
    lpBuffer: *mut c_void,
    dwBufferLength: DWORD,
    dwFlags: DWORD,
    lpRdmaBufferDescriptor: LPVOID,
    lpdwDescriptorLength: LPDWORD,
    lpErrno: LPINT,
) -> c_int;

/// Section 6.17: 0 or `SOCKET_ERROR`.
pub type LPFN_WSPDEREGISTERRDMAMEMORY = unsafe extern "system" fn(
    s: SOCKET,
    lpRdmaBufferDescriptor: LPVOID,
    dwDescriptorLength: DWORD,
    lpErrno: LPINT,
) -> c_int;

/// Section 6.18: 0 or `SOCKET_ERROR`, as a rule with `WSA_IO_PENDING`.
pub type LPFN_WSPRDMAWRITE = unsafe extern "system" fn(
    s: SOCKET,
    lpBuffers: LPWSABUFEX,
    dwBufferCount: DWORD,
    lpTargetBufferDescriptor: LPVOID,
    dwTargetDescriptorLength: DWORD,
    dwTargetBufferOffset: DWORD,
    lpdwNumberOfBytesWritten: LPDWORD,
    dwFlags: DWORD,
    lpOverlapped: LPWSAOVERLAPPED,
    lpCompletionRoutine: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE>,
    lpThreadId: LPWSATHREADID,
    lpErrno: LPINT,
) -> c_int;

/// Section 6.18: 0 or `SOCKET_ERROR`, as a rule with `WSA_IO_PENDING`.
pub type LPFN_WSPRDMAREAD = LPFN_WSPRDMAWRITE;

/// Section 6.20: 0 or `SOCKET_ERROR`. Process-wide, without a socket.
pub type LPFN_WSPMEMORYREGISTRATIONCACHECALLBACK =
    unsafe extern "system" fn(lpvAddress: LPVOID, Size: SIZE_T, lpErrno: LPINT) -> c_int;
