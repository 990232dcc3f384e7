//! Doors called with bad arguments, and providers that panic.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

use wsd_spi::ffi::*;
use wsd_spi::{SPI_VERSION, WsaError};

use crate::support::{Kind, Plain, Raw, address, always, call, entry};

const FAULT: (i32, i32) = (SOCKET_ERROR, WsaError::WSAEFAULT.code());
const INVAL: (i32, i32) = (SOCKET_ERROR, WsaError::WSAEINVAL.code());
const NOT_A_SOCKET: i32 = WsaError::WSAENOTSOCK.code();

macro_rules! start {
    () => {
        Raw::start(entry!(Plain), SPI_VERSION).expect("it starts")
    };
}

#[test]
fn names() {
    let raw = start!();
    let (bind, connect) = (raw.procs.lpWSPBind.expect("filled"), raw.procs.lpWSPConnect.expect("filled"));
    let s = raw.socket();
    let (name, _) = address(5).encode();
    let bound = |pointer: *const u8, length| call!(bind, s, pointer.cast(), length);
    let connected = |pointer: *const u8, length| {
        call!(connect, s, pointer.cast(), length, null_mut(), null_mut(), null_mut(), null_mut())
    };
    for length in [-1, 0, 15] {
        assert_eq!(bound(name.as_ptr(), length), FAULT, "length {length}");
        assert_eq!(connected(name.as_ptr(), length), FAULT, "length {length}");
    }
    assert_eq!(bound(name.as_ptr(), 17), FAULT);
    assert_eq!(bound(std::ptr::null(), 16), FAULT);
    assert_eq!(connected(std::ptr::null(), 16), FAULT);

    // SP-010, section 0.3: an IPv6 name is no name to a provider that does not declare it.
    let (v6, length) =
        wsd_spi::SockAddr::from("[::1]:5".parse::<std::net::SocketAddr>().expect("valid")).encode();
    assert_eq!(length, 28);
    assert_eq!(bound(v6.as_ptr(), 28), FAULT);
    assert_eq!(connected(v6.as_ptr(), 28), (SOCKET_ERROR, WsaError::WSAEAFNOSUPPORT.code()));

    assert_eq!(bound(name.as_ptr(), 16), (0, 0));
    let mut byte = 0;
    for (buf, error) in [(&raw mut byte, WsaError::WSAEPROTONOSUPPORT), (null_mut(), WsaError::WSAEFAULT)] {
        let mut data = WSABUF { len: 1, buf };
        let caller_data =
            call!(connect, s, name.as_ptr().cast(), 16, &raw mut data, null_mut(), null_mut(), null_mut());
        assert_eq!(caller_data, (SOCKET_ERROR, error.code()));
    }
    let mut qos = QOS::zeroed();
    let flow = call!(connect, s, name.as_ptr().cast(), 16, null_mut(), null_mut(), &raw mut qos, null_mut());
    assert_eq!(flow, (SOCKET_ERROR, WsaError::WSAEOPNOTSUPP.code()));
}

/// SP-013: `INVALID_SOCKET` and closed descriptors are `WSAENOTSOCK`, and nothing crashes.
#[test]
fn no_socket() {
    let raw = start!();
    let closed = raw.socket();
    assert_eq!(call!(raw.procs.lpWSPCloseSocket.expect("filled"), closed), (0, 0));
    for s in [INVALID_SOCKET, closed] {
        let listen = call!(raw.procs.lpWSPListen.expect("filled"), s, 1);
        assert_eq!(listen, (SOCKET_ERROR, NOT_A_SOCKET));
        assert_eq!(call!(raw.procs.lpWSPCloseSocket.expect("filled"), s), (SOCKET_ERROR, NOT_A_SOCKET));
        let (mut flags, mut bytes, mut request) = (0, 0, WSAOVERLAPPED::zeroed());
        let recv = call!(
            raw.procs.lpWSPRecv.expect("filled"),
            s,
            null_mut(),
            0,
            &raw mut bytes,
            &raw mut flags,
            &raw mut request,
            None,
            null_mut(),
        );
        assert_eq!(recv, (SOCKET_ERROR, NOT_A_SOCKET));
        // SP-098: a BOOL.
        let result = call!(
            raw.procs.lpWSPGetOverlappedResult.expect("filled"),
            s,
            &raw mut request,
            &raw mut bytes,
            FALSE,
            &raw mut flags,
        );
        assert_eq!(result, (FALSE, NOT_A_SOCKET));
        // SAFETY: the identifier is of a function of that type.
        let deregister: LPFN_WSPDEREGISTERRDMAMEMORY =
            unsafe { std::mem::transmute(raw.extension(WSAID_DEREGISTERRDMAMEMORY).expect("mandatory")) };
        let mut descriptor = [0u8; 8];
        let result = call!(deregister, s, descriptor.as_mut_ptr().cast(), 8);
        assert_eq!(result, (SOCKET_ERROR, NOT_A_SOCKET));
    }
}

/// A NULL `lpErrno` is survived.
#[test]
fn no_place_for_the_error() {
    let raw = start!();
    // SAFETY: NULL is what is tested; the door survives it.
    let result = unsafe { raw.procs.lpWSPListen.expect("filled")(INVALID_SOCKET, 1, null_mut()) };
    assert_eq!(result, SOCKET_ERROR);
}

/// SP-051: too small a buffer gets the needed size.
#[test]
fn options() {
    let raw = start!();
    let s = raw.socket();
    let (get, set) = (raw.procs.lpWSPGetSockOpt.expect("filled"), raw.procs.lpWSPSetSockOpt.expect("filled"));
    let mut value = [0u8; 4];
    for room in [-1, 0, 3] {
        let mut length = room;
        let short = call!(get, s, SOL_SOCKET, SO_DEBUG, value.as_mut_ptr().cast(), &raw mut length);
        assert_eq!((short, length), (FAULT, 4), "room for {room}");
    }
    let mut length = 4;
    assert_eq!(call!(get, s, SOL_SOCKET, SO_DEBUG, null_mut(), &raw mut length), FAULT);
    assert_eq!(call!(get, s, SOL_SOCKET, SO_DEBUG, value.as_mut_ptr().cast(), null_mut()), FAULT);
    assert_eq!(call!(set, s, SOL_SOCKET, SO_DEBUG, std::ptr::null(), 4), FAULT);
    assert_eq!(call!(set, s, SOL_SOCKET, SO_DEBUG, value.as_ptr().cast(), -1), FAULT);
    assert_eq!(call!(set, s, SOL_SOCKET, SO_DEBUG, value.as_ptr().cast(), i32::MAX), FAULT);
}

/// SP-102: the size first, then the list. `*lpcbBytesReturned` is needed.
#[test]
fn address_list() {
    let raw = start!();
    let s = raw.socket();
    let ioctl = raw.procs.lpWSPIoctl.expect("filled");
    let mut written = 0;
    let mut list = [0u64; 9];
    let mut query = |room: u32, written: *mut u32| {
        call!(
            ioctl,
            s,
            SIO_ADDRESS_LIST_QUERY,
            null_mut(),
            0,
            if room == 0 { null_mut() } else { list.as_mut_ptr().cast() },
            room,
            written,
            null_mut(),
            None,
            null_mut(),
        )
    };
    assert_eq!(query(72, null_mut()), FAULT);
    for room in [0, 71] {
        assert_eq!((query(room, &raw mut written), written), (FAULT, 8 + 32 * 2));
    }
    assert_eq!((query(72, &raw mut written), written), ((0, 0), 72));
    assert_eq!(list[0] as u32, 2);
    assert_eq!(list[1] as usize, list.as_ptr() as usize + 8 + 2 * 16, "points into the buffer");
    assert_eq!(list[2] as u32, 16);
}

/// SP-120: the probe comes first, whatever the other arguments; SP-121: flags.
#[test]
fn descriptors() {
    let raw = start!();
    // SAFETY: the identifier is of a function of that type.
    let register: LPFN_WSPREGISTERRDMAMEMORY =
        unsafe { std::mem::transmute(raw.extension(WSAID_REGISTERRDMAMEMORY).expect("mandatory")) };
    let mut length = 7;
    let probe = call!(register, INVALID_SOCKET, null_mut(), 0, 99, null_mut(), &raw mut length);
    assert_eq!((probe, length), (FAULT, 8));
    let (s, _peer) = raw.pair();
    let (mut memory, mut descriptor) = ([0u8; 16], [0u8; 20]);
    let (start, target) = (memory.as_mut_ptr().cast(), descriptor.as_mut_ptr().cast());
    length = 20;
    assert_eq!(call!(register, s, start, 16, 0, target, &raw mut length), INVAL);
    assert_eq!(call!(register, s, start, 16, 4, target, &raw mut length), INVAL);
    assert_eq!(call!(register, s, null_mut(), 16, MEM_READ, target, &raw mut length), FAULT);
    assert_eq!(call!(register, s, start, 16, MEM_READ, null_mut(), &raw mut length), FAULT);
    assert_eq!(call!(register, s, start, 16, MEM_READ, target, null_mut()), FAULT);
    assert_eq!((call!(register, s, start, 16, MEM_READ, target, &raw mut length), length), ((0, 0), 8));
    // SAFETY: the identifier is of a function of that type.
    let deregister: LPFN_WSPDEREGISTERRDMAMEMORY =
        unsafe { std::mem::transmute(raw.extension(WSAID_DEREGISTERRDMAMEMORY).expect("mandatory")) };
    assert_eq!(call!(deregister, s, target, 7), INVAL, "SP-124: a wrong length");
    assert_eq!(call!(deregister, s, null_mut(), 8), FAULT);
    assert_eq!(call!(deregister, s, target, 8), (0, 0));
}

/// SP-110: other flags are `WSAEINVAL`.
#[test]
fn registration() {
    let raw = start!();
    let (s, _peer) = raw.pair();
    // SAFETY: the identifier is of a function of that type.
    let register: LPFN_WSPREGISTERMEMORY =
        unsafe { std::mem::transmute(raw.extension(WSAID_REGISTERMEMORY).expect("mandatory")) };
    let mut memory = [0u8; 16];
    for (start, flags, code) in [
        (memory.as_mut_ptr(), 0, WsaError::WSAEINVAL),
        (memory.as_mut_ptr(), 8, WsaError::WSAEINVAL),
        (null_mut(), MEM_READ, WsaError::WSAEFAULT),
        (std::ptr::without_provenance_mut(usize::MAX - 3), MEM_READ, WsaError::WSAEFAULT),
    ] {
        let (handle, errno) = call!(register, s, start.cast(), 16, flags);
        assert_eq!((handle.is_null(), errno), (true, code.code()));
    }
}

#[test]
fn accept() {
    let raw = start!();
    let s = raw.socket();
    let accept = raw.procs.lpWSPAccept.expect("filled");
    let mut name = SOCKADDR::zeroed();
    let mut length = 15;
    let mut try_accept = |condition, length: *mut i32| call!(accept, s, &raw mut name, length, condition, 0);
    let fault = (INVALID_SOCKET, WsaError::WSAEFAULT.code());
    assert_eq!(try_accept(Some(always as LPCONDITIONPROC), &raw mut length), fault, "short");
    assert_eq!(try_accept(Some(always), null_mut()), fault);
    length = 16;
    assert_eq!(try_accept(None, &raw mut length), fault);
}

/// SP-058: mask 0 needs no event. Other events than the two are `WSAEINVAL`.
#[test]
fn events() {
    let raw = start!();
    let s = raw.socket();
    let select = raw.procs.lpWSPEventSelect.expect("filled");
    let event: WSAEVENT = std::ptr::without_provenance_mut(8);
    assert_eq!(call!(select, s, event, FD_ACCEPT | FD_READ), INVAL);
    assert_eq!(call!(select, s, WSA_INVALID_EVENT, FD_ACCEPT), INVAL);
    assert_eq!(call!(select, s, event, FD_ACCEPT | FD_CONNECT), (0, 0));
    assert_eq!(call!(select, s, event, 0), (0, 0));
    assert_eq!(call!(select, s, WSA_INVALID_EVENT, 0), (0, 0));
    let enumerate = raw.procs.lpWSPEnumNetworkEvents.expect("filled");
    assert_eq!(call!(enumerate, s, event, null_mut()), FAULT);
}

/// SP-061: error codes are written only for events that have occurred.
#[test]
fn event_record() {
    let raw = start!();
    let (client, _server) = raw.pair();
    let mut record = WSANETWORKEVENTS { lNetworkEvents: -1, iErrorCode: [-7; 10] };
    let enumerate = raw.procs.lpWSPEnumNetworkEvents.expect("filled");
    assert_eq!(call!(enumerate, client, WSA_INVALID_EVENT, &raw mut record), (0, 0));
    assert_eq!(record.lNetworkEvents, FD_CONNECT);
    assert_eq!(record.iErrorCode, [-7, -7, -7, -7, 0, -7, -7, -7, -7, -7]);
}

#[test]
fn transfer() {
    let raw = start!();
    let (s, _peer) = raw.pair();
    let send = raw.procs.lpWSPSend.expect("filled");
    let mut request = WSAOVERLAPPED::zeroed();
    let mut bytes = 77;
    let mut message = *b"abc";
    let mut buffer = WSABUF { len: 3, buf: message.as_mut_ptr().cast() };
    let mut nowhere = WSABUF { len: 3, buf: null_mut() };
    let mut try_send = |buffers: LPWSABUF, count, request: LPWSAOVERLAPPED, routine| {
        call!(send, s, buffers, count, &raw mut bytes, 0, request, routine, null_mut())
    };
    assert_eq!(try_send(null_mut(), 1, &raw mut request, None), FAULT);
    assert_eq!(try_send(&raw mut nowhere, 1, &raw mut request, None), FAULT);
    assert_eq!(try_send(&raw mut buffer, 1, null_mut(), None), FAULT);
    assert_eq!(try_send(&raw mut buffer, 65, &raw mut request, None), INVAL);
    unsafe extern "system" fn routine(_: u32, _: u32, _: LPWSAOVERLAPPED, _: u32) {}
    let with_routine = try_send(&raw mut buffer, 1, &raw mut request, Some(routine as _));
    assert_eq!(with_routine, (SOCKET_ERROR, WsaError::WSAEOPNOTSUPP.code()));
    request.hEvent = std::ptr::without_provenance_mut(1);
    let pending = (SOCKET_ERROR, WsaError::WSA_IO_PENDING.code());
    assert_eq!(try_send(&raw mut buffer, 1, &raw mut request, None), pending);
    assert_eq!(bytes, 77, "SP-086: left alone");
}

static PANIC: AtomicBool = AtomicBool::new(false);
static PANIC_LATE: AtomicBool = AtomicBool::new(false);

struct Panicking;

impl Kind for Panicking {
    fn before() {
        assert!(!PANIC.load(Ordering::Relaxed), "asked to panic");
    }

    fn started() {
        assert!(!PANIC_LATE.load(Ordering::Relaxed), "asked to panic");
    }
}

/// A panic of the provider is `WSASYSCALLFAILURE` with the failure value of the function (SP-098 for BOOL), except
/// that a request which was started counts as started, and is completed.
#[test]
fn panics() {
    let raw = Raw::start(entry!(Panicking), SPI_VERSION).expect("it starts");
    let (s, _peer) = raw.pair();
    let failure = WsaError::WSASYSCALLFAILURE.code();
    let mut request = WSAOVERLAPPED::zeroed();
    request.hEvent = std::ptr::without_provenance_mut(1);
    let mut message = *b"abc";
    let mut buffer = WSABUF { len: 3, buf: message.as_mut_ptr().cast() };
    let (mut bytes, mut flags) = (0, 0);
    let send = raw.procs.lpWSPSend.expect("filled");
    let get_result = raw.procs.lpWSPGetOverlappedResult.expect("filled");

    PANIC_LATE.store(true, Ordering::Relaxed);
    let late = call!(send, s, &raw mut buffer, 1, &raw mut bytes, 0, &raw mut request, None, null_mut());
    assert_eq!(late, (SOCKET_ERROR, WsaError::WSA_IO_PENDING.code()));
    let result = call!(get_result, s, &raw mut request, &raw mut bytes, FALSE, &raw mut flags);
    assert_eq!(result, (FALSE, WsaError::WSA_OPERATION_ABORTED.code()));

    PANIC.store(true, Ordering::Relaxed);
    assert_eq!(call!(raw.procs.lpWSPListen.expect("filled"), s, 1), (SOCKET_ERROR, failure));
    let early = call!(send, s, &raw mut buffer, 1, &raw mut bytes, 0, &raw mut request, None, null_mut());
    assert_eq!(early, (SOCKET_ERROR, failure));
    let result = call!(get_result, s, &raw mut request, &raw mut bytes, FALSE, &raw mut flags);
    assert_eq!(result, (FALSE, failure));
    let accept = raw.procs.lpWSPAccept.expect("filled");
    assert_eq!(call!(accept, s, null_mut(), null_mut(), Some(always), 0), (INVALID_SOCKET, failure));
    // SAFETY: the identifier is of a function of that type.
    let register: LPFN_WSPREGISTERMEMORY =
        unsafe { std::mem::transmute(raw.extension(WSAID_REGISTERMEMORY).expect("mandatory")) };
    let (handle, errno) = call!(register, s, message.as_mut_ptr().cast(), 3, MEM_READ);
    assert_eq!((handle.is_null(), errno), (true, failure));
    assert_eq!(raw.cleanup(), (SOCKET_ERROR, failure));
    assert_eq!(raw.cleanup(), (SOCKET_ERROR, WsaError::WSANOTINITIALISED.code()));
    PANIC.store(false, Ordering::Relaxed);
}
