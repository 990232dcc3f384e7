//! `TransmitFile`: what it sends goes the way of everything else, in its turn.

use core::ptr::null_mut;
use std::io::IoSlice;

use windows_sys::Win32::Foundation::{ERROR_HANDLE_EOF, ERROR_IO_PENDING, GetLastError, HANDLE};
use windows_sys::Win32::Networking::WinSock::{TRANSMIT_FILE_BUFFERS, WSA_IO_PENDING};
use windows_sys::Win32::Storage::FileSystem::{FILE_TYPE_DISK, GetFileType, ReadFile};
use windows_sys::Win32::System::IO::{GetOverlappedResult, OVERLAPPED, OVERLAPPED_0, OVERLAPPED_0_0};
use windows_sys::Win32::System::Threading::INFINITE;
use wsd_os::Errno;
use wsd_os::fd::borrow;
use wsd_os::tcp;
use wsd_switch::front::{self, Socket, Way};

use crate::notice::{Notice, Routine, Told, Work};
use crate::overlapped::{DONTWAIT, Piece};
use crate::own_event::Event;

/// As much of a file is read at a time.
const CHUNK: usize = 256 * 1024;

/// The program's file.
struct File {
    handle: HANDLE,
    /// Where the next byte is; none: where the file stands.
    offset: Option<u64>,
    /// How much is left to be read; none: up to the end.
    left: Option<usize>,
    event: Event,
}

impl File {
    /// The next bytes; none are its end.
    fn read(&mut self) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; self.left.unwrap_or(CHUNK).min(CHUNK)];
        let (place, length) = (bytes.as_mut_ptr(), bytes.len() as u32);
        let mut got = 0;
        let offset = self.offset.unwrap_or(0);
        let mut overlapped = OVERLAPPED {
            Anonymous: OVERLAPPED_0 {
                Anonymous: OVERLAPPED_0_0 { Offset: offset as u32, OffsetHigh: (offset >> 32) as u32 },
            },
            hEvent: self.event.without_port(),
            ..OVERLAPPED::default()
        };
        let position = if self.offset.is_some() { &raw mut overlapped } else { null_mut() };
        // SAFETY: all of it lives until the read is over, which is waited for.
        let error = unsafe {
            let mut done = ReadFile(self.handle, place, length, &raw mut got, position);
            if done == 0 && GetLastError() == ERROR_IO_PENDING {
                self.event.wait(INFINITE, false);
                done = GetOverlappedResult(self.handle, position, &raw mut got, 0);
            }
            if done == 0 { GetLastError() } else { 0 }
        };
        match error {
            0 => {}
            ERROR_HANDLE_EOF => got = 0,
            error => return Err(Errno::Winsock(error as i32)),
        }
        bytes.truncate(got as usize);
        self.offset = self.offset.map(|offset| offset + u64::from(got));
        self.left = self.left.map(|left| left - got as usize);
        Ok(bytes)
    }
}

/// What is to be sent: bytes, a file, bytes.
struct Transmission {
    head: Option<Piece>,
    file: Option<File>,
    tail: Option<Piece>,
    /// What was read of the file, and how much of what is being sent now has been sent.
    chunk: Vec<u8>,
    at: usize,
    total: usize,
}

// SAFETY: the program's memory and file are the operation's until it is told of its end, whatever thread does it.
unsafe impl Send for Transmission {}

impl Transmission {
    /// Sends of `piece` what goes now; whether it was all.
    fn push(&mut self, socket: Socket, piece: &[u8]) -> Result<(), Errno> {
        while self.at < piece.len() {
            let fd = socket.descriptor();
            let rest = [IoSlice::new(&piece[self.at..])];
            let kernel = |_| tcp::send(borrow(fd), &rest, tcp::Flags::NONE);
            let sent = front::send(socket, &rest, DONTWAIT, kernel)?;
            self.at += sent;
            self.total += sent;
        }
        self.at = 0;
        Ok(())
    }
}

impl Work for Transmission {
    fn go_on(&mut self, socket: Socket) -> Result<usize, Errno> {
        if let Some(head) = self.head {
            // SAFETY: the program's memory, see `begin`.
            self.push(socket, unsafe { head.bytes() })?;
            self.head = None;
        }
        while self.file.is_some() {
            let chunk = core::mem::take(&mut self.chunk);
            let pushed = self.push(socket, &chunk);
            if pushed.is_err() {
                self.chunk = chunk;
                pushed?;
            }
            self.chunk = self.file.as_mut().map_or(Ok(Vec::new()), File::read)?;
            if self.chunk.is_empty() {
                self.file = None;
            }
        }
        if let Some(tail) = self.tail {
            // SAFETY: as above.
            self.push(socket, unsafe { tail.bytes() })?;
            self.tail = None;
        }
        Ok(self.total)
    }
}

/// Whether a file's bytes can be read here without waiting for somebody.
pub(crate) fn is_file(file: HANDLE) -> bool {
    // SAFETY: a number that is no handle is answered with "unknown".
    file.is_null() || unsafe { GetFileType(file) } == FILE_TYPE_DISK
}

/// Transmits: what the call returns, the error being that it is pending.
///
/// # Safety
///
/// As TransmitFile, without `TF_DISCONNECT`, of a file for which [`is_file`] holds.
pub(crate) unsafe fn begin(
    socket: Socket,
    file: HANDLE,
    length: u32,
    overlapped: *mut OVERLAPPED,
    buffers: *const TRANSMIT_FILE_BUFFERS,
) -> Result<(), Errno> {
    let event = Event::new()?;
    let mut own = OVERLAPPED { hEvent: event.without_port(), ..OVERLAPPED::default() };
    // Without an OVERLAPPED the call ends with the operation, which ends with the socket at the latest.
    let waits = overlapped.is_null();
    let overlapped = if waits { &raw mut own } else { overlapped };
    // SAFETY: the contract.
    let (offset, buffers) = unsafe {
        let position = (*overlapped).Anonymous.Anonymous;
        let offset = u64::from(position.OffsetHigh) << 32 | u64::from(position.Offset);
        (offset, buffers.as_ref())
    };
    let part = |start: *mut core::ffi::c_void, length: u32| {
        (length != 0).then_some(Piece { start: start.cast(), length: length as usize })
    };
    let source = File {
        handle: file,
        offset: (!waits).then_some(offset),
        left: (length != 0).then_some(length as usize),
        event: Event::new()?,
    };
    let transmission = Transmission {
        head: buffers.and_then(|buffers| part(buffers.Head, buffers.HeadLength)),
        file: (!file.is_null()).then_some(source),
        tail: buffers.and_then(|buffers| part(buffers.Tail, buffers.TailLength)),
        chunk: Vec::new(),
        at: 0,
        total: 0,
    };
    // SAFETY: the contract; our own lives until the event is set.
    let notice = unsafe { Notice::new(socket.descriptor(), overlapped, Routine::Winsock(None)) };
    match front::submit(socket, Way::Send, Box::new(Told { work: transmission, notice })) {
        Some(result) => result.map(drop),
        None if !waits => Err(Errno::Winsock(WSA_IO_PENDING)),
        None => {
            event.wait(INFINITE, false);
            match own.Internal as i32 {
                0 => Ok(()),
                status => Err(crate::notice::error_of(status)),
            }
        }
    }
}
