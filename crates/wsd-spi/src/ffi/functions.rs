//! Types of the 30 functions in `WSPPROC_TABLE` and of the start-up entry (section 6, section 7).
//!
//! All of them write the error code to `*lpErrno` when they return their failure value, and leave it alone
//! otherwise; `WSPStartup` and `WSPStartupEx` return the code itself. All may be called on any thread (SP-017).

use core::ffi::{c_char, c_int};

use super::structures::*;
use super::tables::WSPPROC_TABLE;
use super::types::*;
use super::upcalls::{WSPUPCALLTABLE, WSPUPCALLTABLEEX};

/// Condition function of `WSPAccept` (SP-076): parameters are caller id, caller data, sending and group QoS, callee
/// id, callee data, group, and the callback data given to `WSPAccept`. Answers `CF_ACCEPT`, `CF_REJECT` or
/// `CF_DEFER`. Called once, on the thread that is inside `WSPAccept`.
pub type LPCONDITIONPROC = unsafe extern "system" fn(
    LPWSABUF,
    LPWSABUF,
    LPQOS,
    LPQOS,
    LPWSABUF,
    LPWSABUF,
    *mut GROUP,
    DWORD_PTR,
) -> c_int;

/// Completion routine; never used by the switch (SP-015). Parameters are error, bytes, request, flags.
pub type LPWSAOVERLAPPED_COMPLETION_ROUTINE = unsafe extern "system" fn(DWORD, DWORD, LPWSAOVERLAPPED, DWORD);

/// `WSPStartup` of generic Winsock, never called on a SAN provider: the up-call table is passed by value. The SPI front
/// end exports it to programs.
pub type LPWSPSTARTUP = unsafe extern "system" fn(
    wVersionRequested: WORD,
    lpWSPData: LPWSPDATA,
    lpProtocolInfo: LPWSAPROTOCOL_INFOW,
    UpcallTable: WSPUPCALLTABLE,
    lpProcTable: *mut WSPPROC_TABLE,
) -> c_int;

/// The one entry that a SAN provider exports (section 1.1, 6.1): 0 or the error code.
pub type LPWSPSTARTUPEX = unsafe extern "system" fn(
    wVersionRequested: WORD,
    lpWSPData: LPWSPDATA,
    lpProtocolInfo: LPWSAPROTOCOL_INFOW,
    lpUpcallTable: *mut WSPUPCALLTABLEEX,
    lpProcTable: *mut WSPPROC_TABLE,
) -> c_int;

/// Section 6.10: the new descriptor or `INVALID_SOCKET`.
pub type LPWSPACCEPT = unsafe extern "system" fn(
    s: SOCKET,
    addr: *mut SOCKADDR,
    addrlen: LPINT,
    lpfnCondition: Option<LPCONDITIONPROC>,
    dwCallbackData: DWORD_PTR,
    lpErrno: LPINT,
) -> SOCKET;

/// Not required of a SAN provider.
pub type LPWSPADDRESSTOSTRING = unsafe extern "system" fn(
    lpsaAddress: *mut SOCKADDR,
    dwAddressLength: DWORD,
    lpProtocolInfo: LPWSAPROTOCOL_INFOW,
    lpszAddressString: LPWSTR,
    lpdwAddressStringLength: LPDWORD,
    lpErrno: LPINT,
) -> c_int;

/// Not required of a SAN provider.
pub type LPWSPASYNCSELECT =
    unsafe extern "system" fn(s: SOCKET, hWnd: HWND, wMsg: UINT, lEvent: LONG, lpErrno: LPINT) -> c_int;

/// Section 6.4: 0 or `SOCKET_ERROR`.
pub type LPWSPBIND =
    unsafe extern "system" fn(s: SOCKET, name: *const SOCKADDR, namelen: c_int, lpErrno: LPINT) -> c_int;

/// Not required of a SAN provider.
pub type LPWSPCANCELBLOCKINGCALL = unsafe extern "system" fn(lpErrno: LPINT) -> c_int;

/// Section 6.2: 0 or `SOCKET_ERROR`.
pub type LPWSPCLEANUP = unsafe extern "system" fn(lpErrno: LPINT) -> c_int;

/// Section 6.21: 0 or `SOCKET_ERROR`.
pub type LPWSPCLOSESOCKET = unsafe extern "system" fn(s: SOCKET, lpErrno: LPINT) -> c_int;

/// Section 6.8: 0 or `SOCKET_ERROR`.
pub type LPWSPCONNECT = unsafe extern "system" fn(
    s: SOCKET,
    name: *const SOCKADDR,
    namelen: c_int,
    lpCallerData: LPWSABUF,
    lpCalleeData: LPWSABUF,
    lpSQOS: LPQOS,
    lpGQOS: LPQOS,
    lpErrno: LPINT,
) -> c_int;

/// Section 6.19: 0 or `SOCKET_ERROR`.
pub type LPWSPDUPLICATESOCKET = unsafe extern "system" fn(
    s: SOCKET,
    dwProcessId: DWORD,
    lpProtocolInfo: LPWSAPROTOCOL_INFOW,
    lpErrno: LPINT,
) -> c_int;

/// Section 6.7: 0 or `SOCKET_ERROR`.
pub type LPWSPENUMNETWORKEVENTS = unsafe extern "system" fn(
    s: SOCKET,
    hEventObject: WSAEVENT,
    lpNetworkEvents: LPWSANETWORKEVENTS,
    lpErrno: LPINT,
) -> c_int;

/// Section 6.6: 0 or `SOCKET_ERROR`.
pub type LPWSPEVENTSELECT = unsafe extern "system" fn(
    s: SOCKET,
    hEventObject: WSAEVENT,
    lNetworkEvents: LONG,
    lpErrno: LPINT,
) -> c_int;

/// Section 6.13: `TRUE` or `FALSE` (SP-098).
pub type LPWSPGETOVERLAPPEDRESULT = unsafe extern "system" fn(
    s: SOCKET,
    lpOverlapped: LPWSAOVERLAPPED,
    lpcbTransfer: LPDWORD,
    fWait: BOOL,
    lpdwFlags: LPDWORD,
    lpErrno: LPINT,
) -> BOOL;

/// Not required of a SAN provider.
pub type LPWSPGETPEERNAME =
    unsafe extern "system" fn(s: SOCKET, name: *mut SOCKADDR, namelen: LPINT, lpErrno: LPINT) -> c_int;

/// Not required of a SAN provider.
pub type LPWSPGETSOCKNAME =
    unsafe extern "system" fn(s: SOCKET, name: *mut SOCKADDR, namelen: LPINT, lpErrno: LPINT) -> c_int;

/// Section 6.5: 0 or `SOCKET_ERROR`.
pub type LPWSPGETSOCKOPT = unsafe extern "system" fn(
    s: SOCKET,
    level: c_int,
    optname: c_int,
    optval: *mut c_char,
    optlen: LPINT,
    lpErrno: LPINT,
) -> c_int;

/// Section 6.15: `TRUE` or `FALSE`.
pub type LPWSPGETQOSBYNAME =
    unsafe extern "system" fn(s: SOCKET, lpQOSName: LPWSABUF, lpQOS: LPQOS, lpErrno: LPINT) -> BOOL;

/// Section 6.14: 0 or `SOCKET_ERROR`.
pub type LPWSPIOCTL = unsafe extern "system" fn(
    s: SOCKET,
    dwIoControlCode: DWORD,
    lpvInBuffer: LPVOID,
    cbInBuffer: DWORD,
    lpvOutBuffer: LPVOID,
    cbOutBuffer: DWORD,
    lpcbBytesReturned: LPDWORD,
    lpOverlapped: LPWSAOVERLAPPED,
    lpCompletionRoutine: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE>,
    lpThreadId: LPWSATHREADID,
    lpErrno: LPINT,
) -> c_int;

/// Not required of a SAN provider.
pub type LPWSPJOINLEAF = unsafe extern "system" fn(
    s: SOCKET,
    name: *const SOCKADDR,
    namelen: c_int,
    lpCallerData: LPWSABUF,
    lpCalleeData: LPWSABUF,
    lpSQOS: LPQOS,
    lpGQOS: LPQOS,
    dwFlags: DWORD,
    lpErrno: LPINT,
) -> SOCKET;

/// Section 6.9: 0 or `SOCKET_ERROR`.
pub type LPWSPLISTEN = unsafe extern "system" fn(s: SOCKET, backlog: c_int, lpErrno: LPINT) -> c_int;

/// Section 6.12: 0 or `SOCKET_ERROR`, as a rule with `WSA_IO_PENDING`.
pub type LPWSPRECV = unsafe extern "system" fn(
    s: SOCKET,
    lpBuffers: LPWSABUF,
    dwBufferCount: DWORD,
    lpNumberOfBytesRecvd: LPDWORD,
    lpFlags: LPDWORD,
    lpOverlapped: LPWSAOVERLAPPED,
    lpCompletionRoutine: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE>,
    lpThreadId: LPWSATHREADID,
    lpErrno: LPINT,
) -> c_int;

/// Not required of a SAN provider.
pub type LPWSPRECVDISCONNECT =
    unsafe extern "system" fn(s: SOCKET, lpInboundDisconnectData: LPWSABUF, lpErrno: LPINT) -> c_int;

/// Not required of a SAN provider.
pub type LPWSPRECVFROM = unsafe extern "system" fn(
    s: SOCKET,
    lpBuffers: LPWSABUF,
    dwBufferCount: DWORD,
    lpNumberOfBytesRecvd: LPDWORD,
    lpFlags: LPDWORD,
    lpFrom: *mut SOCKADDR,
    lpFromlen: LPINT,
    lpOverlapped: LPWSAOVERLAPPED,
    lpCompletionRoutine: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE>,
    lpThreadId: LPWSATHREADID,
    lpErrno: LPINT,
) -> c_int;

/// Not required of a SAN provider.
pub type LPWSPSELECT = unsafe extern "system" fn(
    nfds: c_int,
    readfds: *mut WS_FD_SET,
    writefds: *mut WS_FD_SET,
    exceptfds: *mut WS_FD_SET,
    timeout: *const WS_TIMEVAL,
    lpErrno: LPINT,
) -> c_int;

/// Section 6.11: 0 or `SOCKET_ERROR`, as a rule with `WSA_IO_PENDING`.
pub type LPWSPSEND = unsafe extern "system" fn(
    s: SOCKET,
    lpBuffers: LPWSABUF,
    dwBufferCount: DWORD,
    lpNumberOfBytesSent: LPDWORD,
    dwFlags: DWORD,
    lpOverlapped: LPWSAOVERLAPPED,
    lpCompletionRoutine: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE>,
    lpThreadId: LPWSATHREADID,
    lpErrno: LPINT,
) -> c_int;

/// Not required of a SAN provider.
pub type LPWSPSENDDISCONNECT =
    unsafe extern "system" fn(s: SOCKET, lpOutboundDisconnectData: LPWSABUF, lpErrno: LPINT) -> c_int;

/// Not required of a SAN provider.
pub type LPWSPSENDTO = unsafe extern "system" fn(
    s: SOCKET,
    lpBuffers: LPWSABUF,
    dwBufferCount: DWORD,
    lpNumberOfBytesSent: LPDWORD,
    dwFlags: DWORD,
    lpTo: *const SOCKADDR,
    iTolen: c_int,
    lpOverlapped: LPWSAOVERLAPPED,
    lpCompletionRoutine: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE>,
    lpThreadId: LPWSATHREADID,
    lpErrno: LPINT,
) -> c_int;

/// Section 6.5: 0 or `SOCKET_ERROR`.
pub type LPWSPSETSOCKOPT = unsafe extern "system" fn(
    s: SOCKET,
    level: c_int,
    optname: c_int,
    optval: LPCSTR,
    optlen: c_int,
    lpErrno: LPINT,
) -> c_int;

/// Not required of a SAN provider.
pub type LPWSPSHUTDOWN = unsafe extern "system" fn(s: SOCKET, how: c_int, lpErrno: LPINT) -> c_int;

/// Section 6.3: the new descriptor or `INVALID_SOCKET`.
pub type LPWSPSOCKET = unsafe extern "system" fn(
    af: c_int,
    r#type: c_int,
    protocol: c_int,
    lpProtocolInfo: LPWSAPROTOCOL_INFOW,
    g: GROUP,
    dwFlags: DWORD,
    lpErrno: LPINT,
) -> SOCKET;

/// Not required of a SAN provider.
pub type LPWSPSTRINGTOADDRESS = unsafe extern "system" fn(
    AddressString: LPWSTR,
    AddressFamily: INT,
    lpProtocolInfo: LPWSAPROTOCOL_INFOW,
    lpAddress: *mut SOCKADDR,
    lpAddressLength: LPINT,
    lpErrno: LPINT,
) -> c_int;
