//! The functions that are hooked, as they were, or what is below them.

use core::ffi::c_void;

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Networking::WinSock::{
    FD_SET, LPCONDITIONPROC, LPWSAOVERLAPPED_COMPLETION_ROUTINE, SOCKADDR, SOCKET, TIMEVAL, WSABUF, WSAMSG,
    WSANETWORKEVENTS, WSAPOLLFD, WSAPROTOCOL_INFOA, WSAPROTOCOL_INFOW,
};
use windows_sys::Win32::Storage::FileSystem::FILE_SEGMENT_ELEMENT;
use windows_sys::Win32::System::IO::{IO_STATUS_BLOCK, LPOVERLAPPED_COMPLETION_ROUTINE, OVERLAPPED};
use windows_sys::core::BOOL;

use crate::hook::hooks;
use crate::layer::below;
use crate::{
    cancel, children, connect, data, events, files, messages, options, ports, sockets, wait, waiters,
};

hooks! {
    c"ws2_32.dll" {
        fn socket(family: i32, kind: i32, protocol: i32) -> SOCKET = sockets::socket;
        fn WSASocketW(family: i32, kind: i32, protocol: i32, info: *const WSAPROTOCOL_INFOW, group: u32, flags: u32) -> SOCKET
            = sockets::wsa_socket_w, below::wsa_socket_w;
        fn WSASocketA(family: i32, kind: i32, protocol: i32, info: *const WSAPROTOCOL_INFOA, group: u32, flags: u32) -> SOCKET
            = sockets::wsa_socket_a;
        fn closesocket(socket: SOCKET) -> i32 = sockets::closesocket, below::closesocket;
        fn shutdown(socket: SOCKET, how: i32) -> i32 = sockets::shutdown, below::shutdown;
        fn WSADuplicateSocketW(socket: SOCKET, process: u32, info: *mut WSAPROTOCOL_INFOW) -> i32
            = sockets::duplicate_w, below::duplicate_w;
        fn WSADuplicateSocketA(socket: SOCKET, process: u32, info: *mut WSAPROTOCOL_INFOA) -> i32
            = sockets::duplicate_a;
        fn listen(socket: SOCKET, backlog: i32) -> i32 = connect::listen, below::listen;
        fn connect(socket: SOCKET, name: *const SOCKADDR, length: i32) -> i32 = connect::connect;
        fn WSAConnect(
            socket: SOCKET, name: *const SOCKADDR, length: i32, caller: *const WSABUF, callee: *mut WSABUF,
            sqos: *const c_void, gqos: *const c_void,
        ) -> i32 = connect::wsa_connect, below::wsa_connect;
        fn accept(socket: SOCKET, name: *mut SOCKADDR, length: *mut i32) -> SOCKET = connect::accept;
        fn WSAAccept(
            socket: SOCKET, name: *mut SOCKADDR, length: *mut i32, condition: LPCONDITIONPROC, context: usize,
        ) -> SOCKET = connect::wsa_accept, below::wsa_accept;
        fn send(socket: SOCKET, data: *const u8, length: i32, flags: i32) -> i32 = data::send;
        fn recv(socket: SOCKET, data: *mut u8, length: i32, flags: i32) -> i32 = data::recv;
        fn sendto(
            socket: SOCKET, data: *const u8, length: i32, flags: i32, name: *const SOCKADDR, name_length: i32,
        ) -> i32 = data::sendto;
        fn recvfrom(
            socket: SOCKET, data: *mut u8, length: i32, flags: i32, name: *mut SOCKADDR, name_length: *mut i32,
        ) -> i32 = data::recvfrom;
        fn WSASend(
            socket: SOCKET, buffers: *const WSABUF, count: u32, sent: *mut u32, flags: u32,
            overlapped: *mut OVERLAPPED, routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
        ) -> i32 = messages::wsa_send, below::wsa_send;
        fn WSARecv(
            socket: SOCKET, buffers: *const WSABUF, count: u32, received: *mut u32, flags: *mut u32,
            overlapped: *mut OVERLAPPED, routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
        ) -> i32 = messages::wsa_recv, below::wsa_recv;
        fn WSASendTo(
            socket: SOCKET, buffers: *const WSABUF, count: u32, sent: *mut u32, flags: u32, name: *const SOCKADDR,
            name_length: i32, overlapped: *mut OVERLAPPED, routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
        ) -> i32 = messages::wsa_send_to, below::wsa_send_to;
        fn WSARecvFrom(
            socket: SOCKET, buffers: *const WSABUF, count: u32, received: *mut u32, flags: *mut u32,
            name: *mut SOCKADDR, name_length: *mut i32, overlapped: *mut OVERLAPPED,
            routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
        ) -> i32 = messages::wsa_recv_from, below::wsa_recv_from;
        fn WSASendMsg(
            socket: SOCKET, message: *const WSAMSG, flags: u32, sent: *mut u32, overlapped: *mut OVERLAPPED,
            routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
        ) -> i32 = messages::wsa_send_msg;
        fn WSASendDisconnect(socket: SOCKET, data: *const WSABUF) -> i32 = sockets::send_disconnect, below::send_disconnect;
        fn WSARecvDisconnect(socket: SOCKET, data: *const WSABUF) -> i32 = sockets::recv_disconnect, below::recv_disconnect;
        fn ioctlsocket(socket: SOCKET, command: i32, argument: *mut u32) -> i32 = options::ioctlsocket, below::ioctlsocket;
        fn WSAIoctl(
            socket: SOCKET, code: u32, input: *const c_void, input_length: u32, output: *mut c_void,
            output_length: u32, returned: *mut u32, overlapped: *mut OVERLAPPED,
            routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
        ) -> i32 = options::wsa_ioctl, below::wsa_ioctl;
        fn setsockopt(socket: SOCKET, level: i32, name: i32, value: *const u8, length: i32) -> i32
            = options::setsockopt, below::setsockopt;
        fn getsockopt(socket: SOCKET, level: i32, name: i32, value: *mut u8, length: *mut i32) -> i32
            = options::getsockopt, below::getsockopt;
        fn select(
            count: i32, reads: *mut FD_SET, writes: *mut FD_SET, errors: *mut FD_SET, timeout: *const TIMEVAL,
        ) -> i32 = wait::select, below::select;
        fn WSAPoll(sockets: *mut WSAPOLLFD, count: u32, timeout: i32) -> i32 = wait::poll;
        fn WSAGetOverlappedResult(
            socket: SOCKET, overlapped: *const OVERLAPPED, bytes: *mut u32, wait: BOOL, flags: *mut u32,
        ) -> BOOL = waiters::wsa_result, below::wsa_result;
        fn WSAEventSelect(socket: SOCKET, event: HANDLE, events: i32) -> i32 = events::event_select, below::event_select;
        fn WSAAsyncSelect(socket: SOCKET, window: HANDLE, message: u32, events: i32) -> i32 = events::async_select, below::async_select;
        fn WSAEnumNetworkEvents(socket: SOCKET, event: HANDLE, place: *mut WSANETWORKEVENTS) -> i32
            = events::enum_events, below::enum_events;
    }
    c"ntdll.dll" {
        fn NtSetInformationFile(
            file: HANDLE, status: *mut IO_STATUS_BLOCK, information: *const c_void, length: u32, class: i32,
        ) -> i32 = ports::set_information;
    }
    c"kernelbase.dll" {
        fn CloseHandle(handle: HANDLE) -> BOOL = sockets::close_handle;
        fn DuplicateHandle(
            from: HANDLE, handle: HANDLE, to: HANDLE, made: *mut HANDLE, access: u32, inherit: BOOL, options: u32,
        ) -> BOOL = sockets::duplicate_handle;
        fn ReadFile(file: HANDLE, data: *mut u8, length: u32, read: *mut u32, overlapped: *mut OVERLAPPED) -> BOOL
            = files::read_file;
        fn WriteFile(file: HANDLE, data: *const u8, length: u32, written: *mut u32, overlapped: *mut OVERLAPPED) -> BOOL
            = files::write_file;
        fn ReadFileEx(
            file: HANDLE, data: *mut u8, length: u32, overlapped: *mut OVERLAPPED,
            routine: LPOVERLAPPED_COMPLETION_ROUTINE,
        ) -> BOOL = files::read_file_ex;
        fn WriteFileEx(
            file: HANDLE, data: *const u8, length: u32, overlapped: *mut OVERLAPPED,
            routine: LPOVERLAPPED_COMPLETION_ROUTINE,
        ) -> BOOL = files::write_file_ex;
        fn ReadFileScatter(
            file: HANDLE, pieces: *const FILE_SEGMENT_ELEMENT, length: u32, reserved: *const u32,
            overlapped: *mut OVERLAPPED,
        ) -> BOOL = files::read_file_scatter;
        fn WriteFileGather(
            file: HANDLE, pieces: *const FILE_SEGMENT_ELEMENT, length: u32, reserved: *const u32,
            overlapped: *mut OVERLAPPED,
        ) -> BOOL = files::write_file_gather;
        fn GetOverlappedResultEx(
            file: HANDLE, overlapped: *const OVERLAPPED, bytes: *mut u32, milliseconds: u32, alertable: BOOL,
        ) -> BOOL = waiters::result_within;
        fn GetOverlappedResult(file: HANDLE, overlapped: *const OVERLAPPED, bytes: *mut u32, wait: BOOL) -> BOOL
            = waiters::result;
        fn CancelIoEx(file: HANDLE, overlapped: *const OVERLAPPED) -> BOOL = cancel::cancel_ex;
        fn CancelIo(file: HANDLE) -> BOOL = cancel::cancel;
        fn CreateProcessInternalW(
            token: HANDLE, program: *const u16, line: *mut u16, process_security: *const c_void,
            thread_security: *const c_void, inherit: BOOL, flags: u32, environment: *const c_void,
            folder: *const u16, startup: *const c_void, information: *mut c_void, restricted: *mut HANDLE,
        ) -> BOOL = children::create_process;
    }
}
