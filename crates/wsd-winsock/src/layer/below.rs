//! Winsock's functions as the provider below has them: what `original` leads to where the switch is a layer.

use core::ffi::c_void;
use core::ptr::null_mut;

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Networking::WinSock::{
    self as ws, FD_SET, INVALID_SOCKET, LPCONDITIONPROC, LPWSAOVERLAPPED_COMPLETION_ROUTINE,
    SO_PROTOCOL_INFOA, SO_PROTOCOL_INFOW, SOCKADDR, SOCKET, SOCKET_ERROR, SOL_SOCKET, TIMEVAL, WSABUF,
    WSAEVENT, WSANETWORKEVENTS, WSAPROTOCOL_INFOA, WSAPROTOCOL_INFOW,
};
use windows_sys::Win32::System::IO::OVERLAPPED;
use windows_sys::core::BOOL;

use super::call::{self, thread};
use super::lower::{Lower, lacking};

/// Calls a function of the provider below, which may lack it.
macro_rules! provider {
    ($lower:ident.$function:ident($($given:expr),* $(,)?; $errno:ident) else $failure:expr) => {
        match $lower.functions.$function {
            // SAFETY: the caller's own arguments, and a place for the error.
            Some(function) => unsafe { function($($given,)* $errno) },
            None => lacking($errno, $failure),
        }
    };
}

macro_rules! below {
    ($(
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $result:ty, or $failure:expr
            => $function:ident($($given:expr),* $(,)?), $winsock:path;
    )*) => {$(
        /// # Safety
        /// As that function.
        #[allow(clippy::too_many_arguments, reason = "as it is")]
        pub(crate) unsafe extern "system" fn $name($($argument: $type),*) -> $result {
            let by_provider = |lower: &'static Lower, errno: *mut i32| {
                provider!(lower.$function($($given),*; errno) else $failure)
            };
            // SAFETY: the caller's own arguments.
            call::below($failure, by_provider, || unsafe { $winsock($($argument),*) })
        }
    )*};
}

below! {
    fn closesocket(socket: SOCKET) -> i32, or SOCKET_ERROR => lpWSPCloseSocket(socket), ws::closesocket;
    fn shutdown(socket: SOCKET, how: i32) -> i32, or SOCKET_ERROR => lpWSPShutdown(socket, how), ws::shutdown;
    fn listen(socket: SOCKET, backlog: i32) -> i32, or SOCKET_ERROR => lpWSPListen(socket, backlog), ws::listen;
    fn send_disconnect(socket: SOCKET, data: *const WSABUF) -> i32, or SOCKET_ERROR
        => lpWSPSendDisconnect(socket, data), ws::WSASendDisconnect;
    fn recv_disconnect(socket: SOCKET, data: *const WSABUF) -> i32, or SOCKET_ERROR
        => lpWSPRecvDisconnect(socket, data), ws::WSARecvDisconnect;
    fn wsa_send(
        socket: SOCKET, buffers: *const WSABUF, count: u32, sent: *mut u32, flags: u32,
        overlapped: *mut OVERLAPPED, routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
    ) -> i32, or SOCKET_ERROR
        => lpWSPSend(socket, buffers, count, sent, flags, overlapped, routine, thread()), ws::WSASend;
    fn wsa_recv(
        socket: SOCKET, buffers: *const WSABUF, count: u32, received: *mut u32, flags: *mut u32,
        overlapped: *mut OVERLAPPED, routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
    ) -> i32, or SOCKET_ERROR
        => lpWSPRecv(socket, buffers, count, received, flags, overlapped, routine, thread()), ws::WSARecv;
    fn wsa_send_to(
        socket: SOCKET, buffers: *const WSABUF, count: u32, sent: *mut u32, flags: u32, name: *const SOCKADDR,
        name_length: i32, overlapped: *mut OVERLAPPED, routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
    ) -> i32, or SOCKET_ERROR
        => lpWSPSendTo(socket, buffers, count, sent, flags, name, name_length, overlapped, routine, thread()),
        ws::WSASendTo;
    fn wsa_recv_from(
        socket: SOCKET, buffers: *const WSABUF, count: u32, received: *mut u32, flags: *mut u32,
        name: *mut SOCKADDR, name_length: *mut i32, overlapped: *mut OVERLAPPED,
        routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
    ) -> i32, or SOCKET_ERROR
        => lpWSPRecvFrom(socket, buffers, count, received, flags, name, name_length, overlapped, routine, thread()),
        ws::WSARecvFrom;
    fn wsa_ioctl(
        socket: SOCKET, code: u32, input: *const c_void, input_length: u32, output: *mut c_void,
        output_length: u32, returned: *mut u32, overlapped: *mut OVERLAPPED,
        routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
    ) -> i32, or SOCKET_ERROR
        => lpWSPIoctl(
            socket, code, input, input_length, output, output_length, returned, overlapped, routine, thread(),
        ),
        ws::WSAIoctl;
    fn setsockopt(socket: SOCKET, level: i32, name: i32, value: *const u8, length: i32) -> i32, or SOCKET_ERROR
        => lpWSPSetSockOpt(socket, level, name, value, length), ws::setsockopt;
    fn select(
        count: i32, reads: *mut FD_SET, writes: *mut FD_SET, errors: *mut FD_SET, timeout: *const TIMEVAL,
    ) -> i32, or SOCKET_ERROR => lpWSPSelect(count, reads, writes, errors, timeout), ws::select;
    fn wsa_result(
        socket: SOCKET, overlapped: *const OVERLAPPED, bytes: *mut u32, wait: BOOL, flags: *mut u32,
    ) -> BOOL, or 0 => lpWSPGetOverlappedResult(socket, overlapped, bytes, wait, flags), ws::WSAGetOverlappedResult;
    fn async_select(socket: SOCKET, window: HANDLE, message: u32, events: i32) -> i32, or SOCKET_ERROR
        => lpWSPAsyncSelect(socket, window, message, events), ws::WSAAsyncSelect;
}

/// # Safety
/// As WSAEventSelect.
pub(crate) unsafe extern "system" fn event_select(socket: SOCKET, event: HANDLE, events: i32) -> i32 {
    let by_provider = |lower: &'static Lower, errno: *mut i32| provider!(lower.lpWSPEventSelect(socket, event as WSAEVENT, events; errno) else SOCKET_ERROR);
    // SAFETY: the caller's own arguments.
    let by_winsock = || unsafe { ws::WSAEventSelect(socket, event as WSAEVENT, events) };
    call::below(SOCKET_ERROR, by_provider, by_winsock)
}

/// # Safety
/// As WSAEnumNetworkEvents.
pub(crate) unsafe extern "system" fn enum_events(
    socket: SOCKET,
    event: HANDLE,
    place: *mut WSANETWORKEVENTS,
) -> i32 {
    let by_provider = |lower: &'static Lower, errno: *mut i32| provider!(lower.lpWSPEnumNetworkEvents(socket, event, place; errno) else SOCKET_ERROR);
    // SAFETY: the caller's own arguments.
    let by_winsock = || unsafe { ws::WSAEnumNetworkEvents(socket, event as WSAEVENT, place) };
    call::below(SOCKET_ERROR, by_provider, by_winsock)
}

/// # Safety
/// As WSASocketW; a socket that another process has given is known by what that has written into `info`.
pub(crate) unsafe extern "system" fn wsa_socket_w(
    family: i32,
    kind: i32,
    protocol: i32,
    info: *const WSAPROTOCOL_INFOW,
    group: u32,
    flags: u32,
) -> SOCKET {
    let by_provider = |lower: &'static Lower, errno: *mut i32| {
        // SAFETY: the caller's own, or null.
        let given = unsafe { info.as_ref() }.map_or(0, |info| info.dwProviderReserved);
        let below = WSAPROTOCOL_INFOW { dwProviderReserved: given, ..lower.below };
        let below = &raw const below;
        let made = provider!(lower.lpWSPSocket(family, kind, protocol, below, group, flags; errno) else INVALID_SOCKET);
        lower.adopt(made, errno)
    };
    // SAFETY: the caller's own arguments.
    let by_winsock = || unsafe { ws::WSASocketW(family, kind, protocol, info, group, flags) };
    call::below(INVALID_SOCKET, by_provider, by_winsock)
}

/// # Safety
/// As WSAAccept.
pub(crate) unsafe extern "system" fn wsa_accept(
    socket: SOCKET,
    name: *mut SOCKADDR,
    length: *mut i32,
    condition: LPCONDITIONPROC,
    context: usize,
) -> SOCKET {
    let by_provider = |lower: &'static Lower, errno: *mut i32| {
        let made =
            provider!(lower.lpWSPAccept(socket, name, length, condition, context; errno) else INVALID_SOCKET);
        lower.adopt(made, errno)
    };
    // SAFETY: the caller's own arguments.
    let by_winsock = || unsafe { ws::WSAAccept(socket, name, length, condition, context) };
    call::below(INVALID_SOCKET, by_provider, by_winsock)
}

/// # Safety
/// As WSAConnect.
pub(crate) unsafe extern "system" fn wsa_connect(
    socket: SOCKET,
    name: *const SOCKADDR,
    length: i32,
    caller: *const WSABUF,
    callee: *mut WSABUF,
    sqos: *const c_void,
    gqos: *const c_void,
) -> i32 {
    let (sqos, gqos) = (sqos.cast(), gqos.cast());
    let by_provider = |lower: &'static Lower, errno: *mut i32| provider!(lower.lpWSPConnect(socket, name, length, caller, callee, sqos, gqos; errno) else SOCKET_ERROR);
    // SAFETY: the caller's own arguments.
    let by_winsock = || unsafe { ws::WSAConnect(socket, name, length, caller, callee, sqos, gqos) };
    call::below(SOCKET_ERROR, by_provider, by_winsock)
}

/// # Safety
/// As WSADuplicateSocketW. The other process is to come to this layer, too.
pub(crate) unsafe extern "system" fn duplicate_w(
    socket: SOCKET,
    process: u32,
    info: *mut WSAPROTOCOL_INFOW,
) -> i32 {
    let by_provider = |lower: &'static Lower, errno: *mut i32| {
        let result = provider!(lower.lpWSPDuplicateSocket(socket, process, info; errno) else SOCKET_ERROR);
        if result == 0 {
            // SAFETY: just filled in.
            lower.describe(unsafe { &mut *info });
        }
        result
    };
    // SAFETY: the caller's own arguments.
    let by_winsock = || unsafe { ws::WSADuplicateSocketW(socket, process, info) };
    call::below(SOCKET_ERROR, by_provider, by_winsock)
}

/// # Safety
/// As ioctlsocket, which is a request like others below.
pub(crate) unsafe extern "system" fn ioctlsocket(socket: SOCKET, command: i32, argument: *mut u32) -> i32 {
    let (place, length) = (argument.cast::<c_void>(), size_of::<u32>() as u32);
    let mut written = 0;
    let by_provider = |lower: &'static Lower, errno: *mut i32| {
        let code = command.cast_unsigned();
        let written = &raw mut written;
        provider!(
            lower.lpWSPIoctl(
                socket, code, place, length, place, length, written, null_mut(), None, thread(); errno
            ) else SOCKET_ERROR
        )
    };
    // SAFETY: the caller's own arguments.
    call::below(SOCKET_ERROR, by_provider, || unsafe { ws::ioctlsocket(socket, command, argument) })
}

/// # Safety
/// As getsockopt. The provider of a socket is this layer.
pub(crate) unsafe extern "system" fn getsockopt(
    socket: SOCKET,
    level: i32,
    name: i32,
    value: *mut u8,
    length: *mut i32,
) -> i32 {
    let by_provider = |lower: &'static Lower, errno: *mut i32| {
        let result =
            provider!(lower.lpWSPGetSockOpt(socket, level, name, value, length; errno) else SOCKET_ERROR);
        match (result, level, name) {
            // SAFETY: just filled in.
            (0, SOL_SOCKET, SO_PROTOCOL_INFOW) => lower.describe(unsafe { &mut *value.cast() }),
            // SAFETY: as above.
            (0, SOL_SOCKET, SO_PROTOCOL_INFOA) => describe_narrow(lower, unsafe { &mut *value.cast() }),
            _ => {}
        }
        result
    };
    // SAFETY: the caller's own arguments.
    let by_winsock = || unsafe { ws::getsockopt(socket, level, name, value, length) };
    call::below(SOCKET_ERROR, by_provider, by_winsock)
}

/// As [`Lower::describe`], but for the name, which stays that of what is below.
fn describe_narrow(lower: &Lower, info: &mut WSAPROTOCOL_INFOA) {
    info.ProviderId = lower.entry.ProviderId;
    info.dwCatalogEntryId = lower.entry.dwCatalogEntryId;
    info.ProtocolChain = lower.entry.ProtocolChain;
}
