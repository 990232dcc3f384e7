//! Microsoft's extension functions, which programs get by pointers: ours are in front of them.

use core::ffi::c_void;
use core::mem::transmute;
use core::ptr::null;
use core::sync::atomic::{AtomicPtr, Ordering};

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Networking::WinSock::{
    LPWSAOVERLAPPED_COMPLETION_ROUTINE, SOCKADDR, SOCKET, TF_DISCONNECT, TF_REUSE_SOCKET,
    TRANSMIT_FILE_BUFFERS, TRANSMIT_PACKETS_ELEMENT, WSA_IO_PENDING, WSAID_ACCEPTEX, WSAID_CONNECTEX,
    WSAID_DISCONNECTEX, WSAID_TRANSMITFILE, WSAID_TRANSMITPACKETS, WSAID_WSARECVMSG, WSAID_WSASENDMSG,
    WSAMSG,
};
use windows_sys::Win32::System::IO::OVERLAPPED;
use windows_sys::core::{BOOL, GUID};
use wsd_os::Errno;
use wsd_os::thread::outside;
use wsd_switch::front::{self, Way};
use wsd_switch::reason::Reason;

use crate::overlapped::Piece;
use crate::result::{answer_bool, number, set_last, succeeded, tracked};
use crate::{messages, sockets, staged, transmit, turns};

type AcceptEx =
    unsafe extern "system" fn(SOCKET, SOCKET, *mut c_void, u32, u32, u32, *mut u32, *mut OVERLAPPED) -> BOOL;
type ConnectEx = unsafe extern "system" fn(
    SOCKET,
    *const SOCKADDR,
    i32,
    *const c_void,
    u32,
    *mut u32,
    *mut OVERLAPPED,
) -> BOOL;
type DisconnectEx = unsafe extern "system" fn(SOCKET, *mut OVERLAPPED, u32, u32) -> BOOL;
type TransmitFile = unsafe extern "system" fn(
    SOCKET,
    HANDLE,
    u32,
    u32,
    *mut OVERLAPPED,
    *const TRANSMIT_FILE_BUFFERS,
    u32,
) -> BOOL;
type TransmitPackets = unsafe extern "system" fn(
    SOCKET,
    *const TRANSMIT_PACKETS_ELEMENT,
    u32,
    u32,
    *mut OVERLAPPED,
    u32,
) -> BOOL;
type RecvMsg = unsafe extern "system" fn(
    SOCKET,
    *mut WSAMSG,
    *mut u32,
    *mut OVERLAPPED,
    LPWSAOVERLAPPED_COMPLETION_ROUTINE,
) -> i32;
type SendMsg = unsafe extern "system" fn(
    SOCKET,
    *const WSAMSG,
    u32,
    *mut u32,
    *mut OVERLAPPED,
    LPWSAOVERLAPPED_COMPLETION_ROUTINE,
) -> i32;

static ACCEPT: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
static CONNECT: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
static DISCONNECT: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
static TRANSMIT: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
static PACKETS: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
static RECV_MSG: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
static SEND_MSG: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());

/// Puts our function in the place of the one that the program has asked for.
///
/// # Safety
///
/// `wanted` names the function that `place` leads to.
pub(crate) unsafe fn stand_before(wanted: *const GUID, place: *mut *mut c_void) {
    // SAFETY: the contract.
    let wanted = unsafe { wanted.read_unaligned() };
    let same = |one: &GUID| {
        (one.data1, one.data2, one.data3, one.data4)
            == (wanted.data1, wanted.data2, wanted.data3, wanted.data4)
    };
    let ours: [(&GUID, &AtomicPtr<c_void>, *mut c_void); 7] = [
        (&WSAID_ACCEPTEX, &ACCEPT, accept_ex as AcceptEx as *mut c_void),
        (&WSAID_CONNECTEX, &CONNECT, connect_ex as ConnectEx as *mut c_void),
        (&WSAID_DISCONNECTEX, &DISCONNECT, disconnect_ex as DisconnectEx as *mut c_void),
        (&WSAID_TRANSMITFILE, &TRANSMIT, transmit_file as TransmitFile as *mut c_void),
        (&WSAID_TRANSMITPACKETS, &PACKETS, transmit_packets as TransmitPackets as *mut c_void),
        (&WSAID_WSARECVMSG, &RECV_MSG, recv_msg as RecvMsg as *mut c_void),
        (&WSAID_WSASENDMSG, &SEND_MSG, send_msg as SendMsg as *mut c_void),
    ];
    if let Some((_, original, function)) = ours.into_iter().find(|(guid, _, _)| same(guid)) {
        // SAFETY: the contract.
        unsafe {
            original.store(place.read_unaligned(), Ordering::Release);
            place.write_unaligned(function);
        }
    }
}

/// Bytes of the connection go, or may go, a way that the switch does not see.
pub(crate) fn leave(socket: SOCKET) {
    let _ = tracked(socket, |found, _| front::leave(found, Reason::KernelCall));
}

/// Makes a call that connects a socket, or accepts into it, which may have been disconnected before.
fn connecting(socket: SOCKET, call: impl FnOnce() -> BOOL) -> BOOL {
    let anew = sockets::begins_anew(socket);
    let result = call();
    if anew
        && let Err(error) = succeeded(result)
        && error != Errno::Winsock(WSA_IO_PENDING)
    {
        // It may be the connection that it was before, of which the switch has forgotten what went by it.
        leave(socket);
        set_last(error.raw_os_error());
    }
    result
}

/// # Safety
/// As AcceptEx.
unsafe extern "system" fn accept_ex(
    listener: SOCKET,
    socket: SOCKET,
    place: *mut c_void,
    data: u32,
    local: u32,
    peer: u32,
    received: *mut u32,
    overlapped: *mut OVERLAPPED,
) -> BOOL {
    // SAFETY: stored before the program has got this function.
    let function: AcceptEx = unsafe { transmute(ACCEPT.load(Ordering::Acquire)) };
    connecting(socket, || {
        if data != 0 && !place.is_null() && !overlapped.is_null() {
            // The names are where they would be if the data were before them.
            let kernel = |overlapped| {
                let mut received = 0;
                // SAFETY: the program's own arguments; it has room for the data and the names.
                unsafe {
                    let names = place.byte_add(data as usize);
                    function(listener, socket, names, 0, local, peer, &raw mut received, overlapped)
                }
            };
            let into = (Way::Receive, Piece { start: place.cast(), length: data as usize });
            // SAFETY: the program's own arguments.
            let begin =
                |listener, socket| unsafe { staged::begin(listener, socket, into, overlapped, kernel) };
            let served = tracked(listener, |listener, _| {
                front::find(number(socket)).map(|socket| answer_bool(begin(listener, socket)))
            });
            if let Some(result) = served.flatten() {
                return result;
            }
        }
        if data != 0 {
            leave(socket);
        }
        // SAFETY: the program's own arguments.
        unsafe { function(listener, socket, place, data, local, peer, received, overlapped) }
    })
}

/// # Safety
/// As ConnectEx.
unsafe extern "system" fn connect_ex(
    socket: SOCKET,
    name: *const SOCKADDR,
    length: i32,
    data: *const c_void,
    data_length: u32,
    sent: *mut u32,
    overlapped: *mut OVERLAPPED,
) -> BOOL {
    // SAFETY: stored before the program has got this function.
    let function: ConnectEx = unsafe { transmute(CONNECT.load(Ordering::Acquire)) };
    connecting(socket, || {
        if !data.is_null() && data_length != 0 && !overlapped.is_null() {
            let kernel = |overlapped| {
                let mut sent = 0;
                // SAFETY: the program's own arguments.
                unsafe { function(socket, name, length, null(), 0, &raw mut sent, overlapped) }
            };
            let from = (Way::Send, Piece { start: data.cast_mut().cast(), length: data_length as usize });
            // SAFETY: the program's own arguments.
            let begin = |socket| unsafe { staged::begin(socket, socket, from, overlapped, kernel) };
            if let Some(result) = tracked(socket, |socket, _| answer_bool(begin(socket))) {
                return result;
            }
        }
        // SAFETY: the program's own arguments.
        unsafe { function(socket, name, length, data, data_length, sent, overlapped) }
    })
}

/// Ends a connection, or more, by the kernel, behind what is being sent. `flags`: those of DisconnectEx, or TransmitFile. `call` makes the
/// kernel's call.
///
/// # Safety
///
/// `overlapped` is null, or the operation's until it is over; `call` may be made while it is.
unsafe fn in_turn(
    socket: SOCKET,
    overlapped: *mut OVERLAPPED,
    flags: u32,
    call: impl Fn() -> BOOL + Send + 'static,
) -> Option<BOOL> {
    let serve = |found| {
        // What is left to be sent goes by the kernel, too.
        let _ = front::leave(found, Reason::KernelCall);
        let call = move || {
            if flags & TF_REUSE_SOCKET != 0 {
                front::disconnected(found);
            }
            call()
        };
        if overlapped.is_null() {
            let _turn = front::turn(found, Way::Send)?;
            return succeeded(outside(&call));
        }
        // SAFETY: the contract.
        unsafe { turns::hand_over(found, overlapped, call) }
    };
    tracked(socket, |found, _| answer_bool(serve(found)))
}

/// # Safety
/// As DisconnectEx.
unsafe extern "system" fn disconnect_ex(
    socket: SOCKET,
    overlapped: *mut OVERLAPPED,
    flags: u32,
    rest: u32,
) -> BOOL {
    let place = overlapped as usize;
    let call = move || {
        // SAFETY: stored before the program has got this function.
        let function: DisconnectEx = unsafe { transmute(DISCONNECT.load(Ordering::Acquire)) };
        // SAFETY: the program's own arguments.
        unsafe { function(socket, place as *mut OVERLAPPED, flags, rest) }
    };
    // SAFETY: the program's own arguments.
    unsafe { in_turn(socket, overlapped, flags, call) }.unwrap_or_else(call)
}

/// # Safety
/// As TransmitFile.
unsafe extern "system" fn transmit_file(
    socket: SOCKET,
    file: HANDLE,
    length: u32,
    piece: u32,
    overlapped: *mut OVERLAPPED,
    buffers: *const TRANSMIT_FILE_BUFFERS,
    flags: u32,
) -> BOOL {
    if flags & (TF_DISCONNECT | TF_REUSE_SOCKET) == 0 && transmit::is_file(file) {
        // SAFETY: the program's own arguments.
        let serve = |found| unsafe { transmit::begin(found, file, length, overlapped, buffers) };
        if let Some(result) = tracked(socket, |found, _| answer_bool(serve(found))) {
            return result;
        }
    }
    let (file, place, buffers) = (file as usize, overlapped as usize, buffers as usize);
    let call = move || {
        let (file, overlapped) = (file as HANDLE, place as *mut OVERLAPPED);
        let buffers = buffers as *const TRANSMIT_FILE_BUFFERS;
        // SAFETY: stored before the program has got this function.
        let function: TransmitFile = unsafe { transmute(TRANSMIT.load(Ordering::Acquire)) };
        // SAFETY: the program's own arguments.
        unsafe { function(socket, file, length, piece, overlapped, buffers, flags) }
    };
    // SAFETY: the program's own arguments.
    unsafe { in_turn(socket, overlapped, flags, call) }.unwrap_or_else(call)
}

/// # Safety
/// As TransmitPackets.
unsafe extern "system" fn transmit_packets(
    socket: SOCKET,
    packets: *const TRANSMIT_PACKETS_ELEMENT,
    count: u32,
    piece: u32,
    overlapped: *mut OVERLAPPED,
    flags: u32,
) -> BOOL {
    let (packets, place) = (packets as usize, overlapped as usize);
    let call = move || {
        let (packets, overlapped) = (packets as *const TRANSMIT_PACKETS_ELEMENT, place as *mut OVERLAPPED);
        // SAFETY: stored before the program has got this function.
        let function: TransmitPackets = unsafe { transmute(PACKETS.load(Ordering::Acquire)) };
        // SAFETY: the program's own arguments.
        unsafe { function(socket, packets, count, piece, overlapped, flags) }
    };
    // SAFETY: the program's own arguments.
    unsafe { in_turn(socket, overlapped, flags, call) }.unwrap_or_else(call)
}

/// # Safety
/// As WSARecvMsg.
unsafe extern "system" fn recv_msg(
    socket: SOCKET,
    message: *mut WSAMSG,
    received: *mut u32,
    overlapped: *mut OVERLAPPED,
    routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
) -> i32 {
    // SAFETY: the program's own arguments; there is no control data on a stream.
    unsafe {
        if messages::is_stream(socket)
            && let Some(message) = message.as_mut()
        {
            let (buffers, count, flags) =
                (message.lpBuffers, message.dwBufferCount, &raw mut message.dwFlags);
            return messages::wsa_recv(socket, buffers, count, received, flags, overlapped, routine);
        }
    }
    // SAFETY: stored before the program has got this function.
    let function: RecvMsg = unsafe { transmute(RECV_MSG.load(Ordering::Acquire)) };
    // SAFETY: the program's own arguments.
    unsafe { function(socket, message, received, overlapped, routine) }
}

/// # Safety
/// As WSASendMsg.
unsafe extern "system" fn send_msg(
    socket: SOCKET,
    message: *const WSAMSG,
    flags: u32,
    sent: *mut u32,
    overlapped: *mut OVERLAPPED,
    routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
) -> i32 {
    if messages::is_stream(socket) {
        // SAFETY: the program's own arguments.
        return unsafe { messages::wsa_send_msg(socket, message, flags, sent, overlapped, routine) };
    }
    // SAFETY: stored before the program has got this function.
    let function: SendMsg = unsafe { transmute(SEND_MSG.load(Ordering::Acquire)) };
    // SAFETY: the program's own arguments.
    unsafe { function(socket, message, flags, sent, overlapped, routine) }
}
