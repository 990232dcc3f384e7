//! The functions that Winsock calls: each asks the switch, as the hook of the same function does, or passes. What the switch has
//! nothing to do with is the provider's own below.

use core::ffi::c_void;
use core::ptr::null;

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Networking::WinSock::{
    FD_SET, FIONBIO, FROM_PROTOCOL_INFO, INVALID_SOCKET, LPCONDITIONPROC, LPWSAOVERLAPPED_COMPLETION_ROUTINE,
    QOS, SOCKADDR, SOCKET, SOCKET_ERROR, TIMEVAL, WSABUF, WSAEVENT, WSANETWORKEVENTS, WSAPROTOCOL_INFOW,
    WSATHREADID, WSPPROC_TABLE,
};
use windows_sys::Win32::System::IO::OVERLAPPED;
use windows_sys::core::BOOL;

use super::{below, call, lower};
use crate::{connect, events, messages, options, sockets, wait, waiters};

/// A call that the switch is asked about by the first function, and that passes by the second.
macro_rules! asked {
    ($(
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(of $thread:ident)? -> $result:ty, or $failure:expr
            => $served:path, $passed:path;
    )*) => {$(
        unsafe extern "system" fn $name<const N: usize>(
            $($argument: $type,)* $($thread: *const WSATHREADID,)? errno: *mut i32,
        ) -> $result {
            type Function = unsafe extern "system" fn($($type),*) -> $result;
            let (served, passed): (Function, Function) = ($served, $passed);
            let thread = None::<*const WSATHREADID> $(.or(Some($thread)))?;
            call::serve(N, thread.unwrap_or(null()), errno, $failure, |asks| {
                let function = if asks { served } else { passed };
                // SAFETY: the program's own arguments.
                unsafe { function($($argument),*) }
            })
        }
    )*};
}

asked! {
    fn accept(
        socket: SOCKET, name: *mut SOCKADDR, length: *mut i32, condition: LPCONDITIONPROC, context: usize,
    ) -> SOCKET, or INVALID_SOCKET => connect::wsa_accept, below::wsa_accept;
    fn async_select(socket: SOCKET, window: HANDLE, message: u32, events: i32) -> i32, or SOCKET_ERROR
        => events::async_select, below::async_select;
    fn close(socket: SOCKET) -> i32, or SOCKET_ERROR => sockets::closesocket, below::closesocket;
    fn duplicate(socket: SOCKET, process: u32, info: *mut WSAPROTOCOL_INFOW) -> i32, or SOCKET_ERROR
        => sockets::duplicate_w, below::duplicate_w;
    fn enum_events(socket: SOCKET, event: HANDLE, place: *mut WSANETWORKEVENTS) -> i32, or SOCKET_ERROR
        => events::enum_events, below::enum_events;
    fn get_overlapped_result(
        socket: SOCKET, overlapped: *const OVERLAPPED, bytes: *mut u32, wait: BOOL, flags: *mut u32,
    ) -> BOOL, or 0 => waiters::wsa_result, below::wsa_result;
    fn get_option(socket: SOCKET, level: i32, name: i32, value: *mut u8, length: *mut i32) -> i32, or SOCKET_ERROR
        => options::getsockopt, below::getsockopt;
    fn listen(socket: SOCKET, backlog: i32) -> i32, or SOCKET_ERROR => connect::listen, below::listen;
    fn recv(
        socket: SOCKET, buffers: *const WSABUF, count: u32, received: *mut u32, flags: *mut u32,
        overlapped: *mut OVERLAPPED, routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
    ) of thread -> i32, or SOCKET_ERROR => messages::wsa_recv, below::wsa_recv;
    fn recv_disconnect(socket: SOCKET, data: *const WSABUF) -> i32, or SOCKET_ERROR
        => sockets::recv_disconnect, below::recv_disconnect;
    fn recv_from(
        socket: SOCKET, buffers: *const WSABUF, count: u32, received: *mut u32, flags: *mut u32,
        name: *mut SOCKADDR, name_length: *mut i32, overlapped: *mut OVERLAPPED,
        routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
    ) of thread -> i32, or SOCKET_ERROR => messages::wsa_recv_from, below::wsa_recv_from;
    fn select(
        count: i32, reads: *mut FD_SET, writes: *mut FD_SET, errors: *mut FD_SET, timeout: *const TIMEVAL,
    ) -> i32, or SOCKET_ERROR => wait::select, below::select;
    fn send(
        socket: SOCKET, buffers: *const WSABUF, count: u32, sent: *mut u32, flags: u32,
        overlapped: *mut OVERLAPPED, routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
    ) of thread -> i32, or SOCKET_ERROR => messages::wsa_send, below::wsa_send;
    fn send_disconnect(socket: SOCKET, data: *const WSABUF) -> i32, or SOCKET_ERROR
        => sockets::send_disconnect, below::send_disconnect;
    fn send_to(
        socket: SOCKET, buffers: *const WSABUF, count: u32, sent: *mut u32, flags: u32, name: *const SOCKADDR,
        name_length: i32, overlapped: *mut OVERLAPPED, routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
    ) of thread -> i32, or SOCKET_ERROR => messages::wsa_send_to, below::wsa_send_to;
    fn set_option(socket: SOCKET, level: i32, name: i32, value: *const u8, length: i32) -> i32, or SOCKET_ERROR
        => options::setsockopt, below::setsockopt;
    fn shutdown(socket: SOCKET, how: i32) -> i32, or SOCKET_ERROR => sockets::shutdown, below::shutdown;
}

unsafe extern "system" fn event_select<const N: usize>(
    socket: SOCKET,
    event: WSAEVENT,
    events: i32,
    errno: *mut i32,
) -> i32 {
    call::serve(N, null(), errno, SOCKET_ERROR, |asks| {
        let function = if asks { events::event_select } else { below::event_select };
        // SAFETY: the program's own arguments.
        unsafe { function(socket, event as HANDLE, events) }
    })
}

unsafe extern "system" fn connect<const N: usize>(
    socket: SOCKET,
    name: *const SOCKADDR,
    length: i32,
    caller: *const WSABUF,
    callee: *mut WSABUF,
    sqos: *const QOS,
    gqos: *const QOS,
    errno: *mut i32,
) -> i32 {
    call::serve(N, null(), errno, SOCKET_ERROR, |asks| {
        let function = if asks { connect::wsa_connect } else { below::wsa_connect };
        // SAFETY: the program's own arguments.
        unsafe { function(socket, name, length, caller, callee, sqos.cast(), gqos.cast()) }
    })
}

/// A socket that another process has given is known by what that has written into `info`; else that is only this layer's entry.
unsafe extern "system" fn socket<const N: usize>(
    family: i32,
    kind: i32,
    protocol: i32,
    info: *const WSAPROTOCOL_INFOW,
    group: u32,
    flags: u32,
    errno: *mut i32,
) -> SOCKET {
    call::serve(N, null(), errno, INVALID_SOCKET, |asks| {
        let function = if asks { sockets::wsa_socket_w } else { below::wsa_socket_w };
        // SAFETY: the program's own, or null.
        let known = unsafe { info.as_ref() };
        let given = known.is_some_and(|info| info.dwProviderReserved != 0);
        let or = |value: i32, of: fn(&WSAPROTOCOL_INFOW) -> i32| match known {
            Some(info) if value == 0 || value == FROM_PROTOCOL_INFO => of(info),
            _ => value,
        };
        let (family, kind) = (or(family, |info| info.iAddressFamily), or(kind, |info| info.iSocketType));
        let protocol = or(protocol, |info| info.iProtocol);
        // SAFETY: the program's own arguments.
        unsafe { function(family, kind, protocol, if given { info } else { null() }, group, flags) }
    })
}

unsafe extern "system" fn ioctl<const N: usize>(
    socket: SOCKET,
    code: u32,
    input: *const c_void,
    input_length: u32,
    output: *mut c_void,
    output_length: u32,
    returned: *mut u32,
    overlapped: *mut OVERLAPPED,
    routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
    thread: *const WSATHREADID,
    errno: *mut i32,
) -> i32 {
    call::serve(N, thread, errno, SOCKET_ERROR, |asks| {
        // Winsock's ioctlsocket is no other request.
        let plain = overlapped.is_null() && !input.is_null() && input_length as usize >= size_of::<u32>();
        if asks && plain && code.cast_signed() == FIONBIO {
            // SAFETY: the program's place for it, or null.
            if let Some(returned) = unsafe { returned.as_mut() } {
                *returned = 0;
            }
            // SAFETY: the program's own argument.
            return unsafe { options::ioctlsocket(socket, FIONBIO, input.cast::<u32>().cast_mut()) };
        }
        let function = if asks { options::wsa_ioctl } else { below::wsa_ioctl };
        // SAFETY: the program's own arguments.
        unsafe {
            function(socket, code, input, input_length, output, output_length, returned, overlapped, routine)
        }
    })
}

unsafe extern "system" fn cleanup<const N: usize>(errno: *mut i32) -> i32 {
    let mut error = 0;
    let result = lower::cleanup(N, &mut error);
    if result == SOCKET_ERROR {
        call::tell(errno, error);
    }
    result
}

/// The table with a number, on top of the functions below.
fn table<const N: usize>(below: &WSPPROC_TABLE) -> WSPPROC_TABLE {
    WSPPROC_TABLE {
        lpWSPAccept: Some(accept::<N>),
        lpWSPAsyncSelect: Some(async_select::<N>),
        lpWSPCleanup: Some(cleanup::<N>),
        lpWSPCloseSocket: Some(close::<N>),
        lpWSPConnect: Some(connect::<N>),
        lpWSPDuplicateSocket: Some(duplicate::<N>),
        lpWSPEnumNetworkEvents: Some(enum_events::<N>),
        lpWSPEventSelect: Some(event_select::<N>),
        lpWSPGetOverlappedResult: Some(get_overlapped_result::<N>),
        lpWSPGetSockOpt: Some(get_option::<N>),
        lpWSPIoctl: Some(ioctl::<N>),
        lpWSPListen: Some(listen::<N>),
        lpWSPRecv: Some(recv_to_const::<N>),
        lpWSPRecvDisconnect: Some(recv_disconnect::<N>),
        lpWSPRecvFrom: Some(recv_from::<N>),
        lpWSPSelect: Some(select::<N>),
        lpWSPSend: Some(send::<N>),
        lpWSPSendDisconnect: Some(send_disconnect::<N>),
        lpWSPSendTo: Some(send_to::<N>),
        lpWSPSetSockOpt: Some(set_option::<N>),
        lpWSPShutdown: Some(shutdown::<N>),
        lpWSPSocket: Some(socket::<N>),
        ..*below
    }
}

/// The type of WSPRecv says that the error is not written.
unsafe extern "system" fn recv_to_const<const N: usize>(
    socket: SOCKET,
    buffers: *const WSABUF,
    count: u32,
    received: *mut u32,
    flags: *mut u32,
    overlapped: *mut OVERLAPPED,
    routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
    thread: *const WSATHREADID,
    errno: *const i32,
) -> i32 {
    // SAFETY: the program's own arguments; it is.
    unsafe {
        recv::<N>(socket, buffers, count, received, flags, overlapped, routine, thread, errno.cast_mut())
    }
}

type Table = fn(&WSPPROC_TABLE) -> WSPPROC_TABLE;

/// As many chains can be started in one process. A call does not say for which chain it is, so each has functions of its own.
const TABLES: [Table; 16] = [
    table::<0>,
    table::<1>,
    table::<2>,
    table::<3>,
    table::<4>,
    table::<5>,
    table::<6>,
    table::<7>,
    table::<8>,
    table::<9>,
    table::<10>,
    table::<11>,
    table::<12>,
    table::<13>,
    table::<14>,
    table::<15>,
];

pub(super) const COUNT: usize = TABLES.len();

pub(super) fn of(number: usize, below: &WSPPROC_TABLE) -> WSPPROC_TABLE {
    TABLES[number](below)
}
