//! Scalar types (section 0.2).

use core::ffi::{c_char, c_int, c_void};

/// 16-bit unsigned.
pub type WORD = u16;
/// 32-bit unsigned, also where C writes `u_long`.
pub type DWORD = u32;
/// 32-bit signed.
pub type INT = c_int;
/// 32-bit signed on every platform, unlike C's `long` on Linux.
pub type LONG = i32;
/// 32-bit unsigned.
pub type UINT = u32;
/// 32-bit truth value: 0 is false, everything else is true (so -1 reads as true, SP-098).
pub type BOOL = c_int;
/// UTF-16 code unit.
pub type WCHAR = u16;
/// Socket group, reserved.
pub type GROUP = u32;
/// Descriptor: either the switch's or the provider's, never to be mixed (SP-011).
pub type SOCKET = usize;
/// Opaque pointer-sized handle.
pub type HANDLE = *mut c_void;
/// Event object of the switch.
///
/// Declared difference on Linux: there is no Win32 `SetEvent`. The value is an opaque handle owned by the switch; a
/// provider may only pass it to `WPUSetEvent` and `WPUResetEvent` of the up-call table that it got at
/// `WSPStartupEx`, and never closes it.
pub type WSAEVENT = HANDLE;
/// Pointer-sized unsigned.
pub type DWORD_PTR = usize;
/// Pointer-sized unsigned.
pub type ULONG_PTR = usize;
/// Pointer-sized unsigned.
pub type SIZE_T = usize;
/// Window handle, unused.
pub type HWND = HANDLE;
/// Message parameter, unused.
pub type WPARAM = usize;
/// Message parameter, unused.
pub type LPARAM = isize;
/// Untyped pointer.
pub type LPVOID = *mut c_void;
/// Pointer to an `int`; as `lpErrno` it receives the error code of a failed call.
pub type LPINT = *mut INT;
/// Pointer to a `DWORD`.
pub type LPDWORD = *mut DWORD;
/// Pointer to a pointer-sized value.
pub type PDWORD_PTR = *mut DWORD_PTR;
/// Pointer to bytes.
pub type LPSTR = *mut c_char;
/// Pointer to constant bytes.
pub type LPCSTR = *const c_char;
/// Pointer to UTF-16.
pub type LPWSTR = *mut WCHAR;

/// The value that is no socket: all bits set.
pub const INVALID_SOCKET: SOCKET = SOCKET::MAX;
/// Failure value of functions that return `int`.
pub const SOCKET_ERROR: INT = -1;
/// The value that is no event.
pub const WSA_INVALID_EVENT: WSAEVENT = core::ptr::null_mut();
/// True as a `BOOL`.
pub const TRUE: BOOL = 1;
/// False as a `BOOL`.
pub const FALSE: BOOL = 0;
