//! Types of the extension functions that the switch offers to programs (section 4): obtained with
//! `SIO_GET_EXTENSION_FUNCTION_POINTER`, never asked of a SAN provider.
//!
//! They have no `lpErrno`: a failed call leaves its code where `WSAGetLastError` finds it, per thread.

use super::structures::*;
use super::types::*;

/// `AcceptEx`: `TRUE` or `FALSE`, as a rule with `WSA_IO_PENDING`.
pub type LPFN_ACCEPTEX = unsafe extern "system" fn(
    sListenSocket: SOCKET,
    sAcceptSocket: SOCKET,
    lpOutputBuffer: LPVOID,
    dwReceiveDataLength: DWORD,
    dwLocalAddressLength: DWORD,
    dwRemoteAddressLength: DWORD,
    lpdwBytesReceived: LPDWORD,
    lpOverlapped: LPWSAOVERLAPPED,
) -> BOOL;

/// `GetAcceptExSockaddrs`: finds the addresses in what `AcceptEx` filled.
pub type LPFN_GETACCEPTEXSOCKADDRS = unsafe extern "system" fn(
    lpOutputBuffer: LPVOID,
    dwReceiveDataLength: DWORD,
    dwLocalAddressLength: DWORD,
    dwRemoteAddressLength: DWORD,
    LocalSockaddr: *mut *mut SOCKADDR,
    LocalSockaddrLength: LPINT,
    RemoteSockaddr: *mut *mut SOCKADDR,
    RemoteSockaddrLength: LPINT,
);

/// `TransmitFile`: `TRUE` or `FALSE`, with an overlapped structure as a rule with `WSA_IO_PENDING`.
///
/// Declared difference on Linux: `hFile` is a file descriptor as a handle; NULL, which descriptor 0 would be, means no file.
pub type LPFN_TRANSMITFILE = unsafe extern "system" fn(
    hSocket: SOCKET,
    hFile: HANDLE,
    nNumberOfBytesToWrite: DWORD,
    nNumberOfBytesPerSend: DWORD,
    lpOverlapped: LPWSAOVERLAPPED,
    lpTransmitBuffers: LPTRANSMIT_FILE_BUFFERS,
    dwFlags: DWORD,
) -> BOOL;
