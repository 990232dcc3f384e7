//! What one end of a promoted connection does, a thing at a time, by Winsock itself.

use core::ffi::c_void;
use std::net::TcpStream;
use std::os::windows::io::AsRawSocket;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Networking::WinSock as ws;
use windows_sys::Win32::System::IO::OVERLAPPED;
use windows_sys::Win32::System::Threading::CreateEventW;
use windows_sys::core::{BOOL, GUID};

/// An overlapped send or receive with an event, and its memory.
pub(crate) struct Pending {
    socket: ws::SOCKET,
    overlapped: Box<OVERLAPPED>,
    pub(crate) bytes: Vec<u8>,
}

/// A new event.
pub(crate) fn event() -> HANDLE {
    // SAFETY: no attributes, no name.
    unsafe { CreateEventW(null(), 1, 0, null()) }
}

pub(crate) fn socket(stream: &TcpStream) -> ws::SOCKET {
    stream.as_raw_socket() as ws::SOCKET
}

impl Pending {
    pub(crate) fn send(stream: &TcpStream, bytes: Vec<u8>) -> Self {
        Self::begin(stream, bytes, true, event())
    }

    pub(crate) fn receive(stream: &TcpStream, length: usize) -> Self {
        Self::begin(stream, vec![0; length], false, event())
    }

    fn begin(stream: &TcpStream, mut bytes: Vec<u8>, sends: bool, event: HANDLE) -> Self {
        let mut overlapped = Box::new(OVERLAPPED { hEvent: event, ..OVERLAPPED::default() });
        let (socket, place) = (socket(stream), &raw mut *overlapped);
        let buffer = ws::WSABUF { len: bytes.len() as u32, buf: bytes.as_mut_ptr() };
        let mut flags = 0;
        // SAFETY: all of it lives until the operation is over, which `end` waits for.
        let (begun, error) = unsafe {
            let begun = if sends {
                ws::WSASend(socket, &raw const buffer, 1, null_mut(), 0, place, None)
            } else {
                ws::WSARecv(socket, &raw const buffer, 1, null_mut(), &raw mut flags, place, None)
            };
            (begun, ws::WSAGetLastError())
        };
        assert!(begun == 0 || error == ws::WSA_IO_PENDING, "{error}");
        Self { socket, overlapped, bytes }
    }

    pub(crate) fn receive_without_event(stream: &TcpStream, length: usize) -> Self {
        Self::begin(stream, vec![0; length], false, null_mut())
    }

    /// Waits for its end; the number of bytes.
    pub(crate) fn end(&mut self) -> usize {
        let (mut bytes, mut flags) = (0, 0);
        let place = &raw const *self.overlapped;
        // SAFETY: the operation's own.
        let done =
            unsafe { ws::WSAGetOverlappedResult(self.socket, place, &raw mut bytes, 1, &raw mut flags) };
        assert_ne!(done, 0, "{}", std::io::Error::last_os_error());
        bytes as usize
    }
}

pub(crate) fn shutdown(stream: &TcpStream) {
    // SAFETY: numbers only.
    assert_eq!(unsafe { ws::shutdown(socket(stream), ws::SD_SEND) }, 0);
}

/// Sends a message; when it is sent, a second one by its routine. Both stay where they are for ever.
pub(crate) fn send_by_routines(stream: &TcpStream, first: &'static [u8], second: &'static [u8]) {
    let chain = Box::leak(Box::new(Chain { socket: socket(stream), second }));
    send_with(chain.socket, first, Some(send_second), core::ptr::from_mut(chain).cast());
}

struct Chain {
    socket: ws::SOCKET,
    second: &'static [u8],
}

fn send_with(
    socket: ws::SOCKET,
    bytes: &'static [u8],
    routine: ws::LPWSAOVERLAPPED_COMPLETION_ROUTINE,
    datum: *mut c_void,
) {
    let place = Box::leak(Box::new(OVERLAPPED { hEvent: datum, ..OVERLAPPED::default() }));
    let buffer = ws::WSABUF { len: bytes.len() as u32, buf: bytes.as_ptr().cast_mut() };
    // SAFETY: all of it stays; a send only reads.
    let (begun, error) = unsafe {
        (ws::WSASend(socket, &raw const buffer, 1, null_mut(), 0, place, routine), ws::WSAGetLastError())
    };
    assert!(begun == 0 || error == ws::WSA_IO_PENDING, "{error}");
}

/// # Safety
/// The event of the OVERLAPPED is a [`Chain`].
unsafe extern "system" fn send_second(error: u32, _: u32, overlapped: *mut OVERLAPPED, _: u32) {
    assert_eq!(error, 0);
    // SAFETY: the contract.
    let chain = unsafe { &*(*overlapped).hEvent.cast::<Chain>() };
    send_with(chain.socket, chain.second, Some(nothing), null_mut());
}

unsafe extern "system" fn nothing(_: u32, _: u32, _: *mut OVERLAPPED, _: u32) {}

/// An extension function of Microsoft's.
pub(crate) fn extension<F: Copy>(socket: ws::SOCKET, name: &GUID) -> F {
    let mut function: *mut c_void = null_mut();
    let mut length = 0;
    // SAFETY: exactly the name is read and a pointer is written.
    let told = unsafe {
        ws::WSAIoctl(
            socket,
            ws::SIO_GET_EXTENSION_FUNCTION_POINTER,
            core::ptr::from_ref(name).cast(),
            size_of::<GUID>() as u32,
            (&raw mut function).cast(),
            size_of::<*mut c_void>() as u32,
            &raw mut length,
            null_mut(),
            None,
        )
    };
    assert!(told == 0 && !function.is_null());
    assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
    // SAFETY: the caller names the function's type.
    unsafe { core::mem::transmute_copy(&function) }
}

pub(crate) type TransmitFile = unsafe extern "system" fn(
    ws::SOCKET,
    HANDLE,
    u32,
    u32,
    *mut OVERLAPPED,
    *const ws::TRANSMIT_FILE_BUFFERS,
    u32,
) -> BOOL;

pub(crate) type AcceptEx = unsafe extern "system" fn(
    ws::SOCKET,
    ws::SOCKET,
    *mut c_void,
    u32,
    u32,
    u32,
    *mut u32,
    *mut OVERLAPPED,
) -> BOOL;
