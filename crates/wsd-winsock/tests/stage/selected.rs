//! A connection that is used as WSAEventSelect and WSAAsyncSelect have it: nothing is tried again before it was told.

use std::net::TcpStream;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Networking::WinSock as ws;
use windows_sys::Win32::System::Threading::WaitForSingleObject;
use windows_sys::Win32::UI::WindowsAndMessaging::{
    CreateWindowExA, DispatchMessageA, GetMessageA, HWND_MESSAGE, MSG,
};

use crate::acts::{event, socket};

/// Longest wait for an event, in milliseconds: an event that is lost is found by it.
const LIMIT: u32 = 30_000;
const MESSAGE: u32 = 0x0401;
const WANTED: u32 = ws::FD_READ | ws::FD_WRITE | ws::FD_CLOSE;

pub(crate) struct Selected {
    socket: ws::SOCKET,
    event: HANDLE,
    /// None: by an event.
    window: HANDLE,
    told: u32,
}

impl Selected {
    pub(crate) fn new(stream: &TcpStream, by_messages: bool) -> Self {
        let socket = socket(stream);
        let mut selected = Self { socket, event: event(), window: null_mut(), told: 0 };
        // SAFETY: a class of the system's; numbers and handles.
        let done = unsafe {
            if by_messages {
                selected.window = CreateWindowExA(
                    0,
                    c"STATIC".as_ptr().cast(),
                    null(),
                    0,
                    0,
                    0,
                    0,
                    0,
                    HWND_MESSAGE,
                    null_mut(),
                    null_mut(),
                    null(),
                );
                assert!(!selected.window.is_null(), "{}", std::io::Error::last_os_error());
                ws::WSAAsyncSelect(socket, selected.window, MESSAGE, WANTED as i32)
            } else {
                ws::WSAEventSelect(socket, selected.event as isize, WANTED as i32)
            }
        };
        assert_eq!(done, 0);
        selected
    }

    /// Until something of `events` was told that nobody has used.
    fn wait(&mut self, events: u32) {
        while self.told & events == 0 {
            let news = if self.window.is_null() { self.by_event() } else { self.by_message() };
            self.told |= news;
        }
    }

    fn by_event(&self) -> u32 {
        // SAFETY: an event of ours; room for what is told.
        unsafe {
            assert_eq!(WaitForSingleObject(self.event, LIMIT), 0, "{:#x} was told", self.told);
            let mut news: ws::WSANETWORKEVENTS = core::mem::zeroed();
            assert_eq!(ws::WSAEnumNetworkEvents(self.socket, self.event as isize, &raw mut news), 0);
            assert_eq!(news.iErrorCode, [0; 10]);
            news.lNetworkEvents as u32
        }
    }

    fn by_message(&self) -> u32 {
        // SAFETY: integers and pointers; room for what is told.
        unsafe {
            let mut message: MSG = core::mem::zeroed();
            loop {
                assert!(GetMessageA(&raw mut message, self.window, 0, 0) > 0);
                if message.message == MESSAGE {
                    assert_eq!((message.wParam, message.lParam >> 16), (self.socket, 0));
                    return message.lParam as u32 & 0xFFFF;
                }
                DispatchMessageA(&raw const message);
            }
        }
    }

    /// Sends all of it.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) {
        // It can be written to from the beginning.
        self.wait(ws::FD_WRITE);
        while !bytes.is_empty() {
            // SAFETY: exactly those bytes are read.
            let sent = unsafe { ws::send(self.socket, bytes.as_ptr(), bytes.len() as i32, 0) };
            if let Ok(sent) = usize::try_from(sent) {
                bytes = &bytes[sent..];
                continue;
            }
            // SAFETY: a number of this thread.
            assert_eq!(unsafe { ws::WSAGetLastError() }, ws::WSAEWOULDBLOCK);
            self.told &= !ws::FD_WRITE;
            self.wait(ws::FD_WRITE);
        }
    }

    /// Receives up to the end, once for each time that it is told.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = vec![0; 100_000];
        loop {
            self.wait(ws::FD_READ | ws::FD_CLOSE);
            if self.told & ws::FD_READ == 0 {
                // SAFETY: at most the buffer is written.
                let end = unsafe { ws::recv(self.socket, buffer.as_mut_ptr(), buffer.len() as i32, 0) };
                assert_eq!(end, 0, "behind the end");
                return all;
            }
            self.told &= !ws::FD_READ;
            // SAFETY: as above.
            let got = unsafe { ws::recv(self.socket, buffer.as_mut_ptr(), buffer.len() as i32, 0) };
            assert!(got > 0, "{got}, as told");
            all.extend_from_slice(&buffer[..got as usize]);
        }
    }
}
