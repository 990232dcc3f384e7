//! Transfers that complete later.

use std::io::{IoSlice, IoSliceMut};

use windows_sys::Win32::Networking::WinSock::{WSA_IO_PENDING, WSABUF};
use windows_sys::Win32::System::IO::OVERLAPPED;
use wsd_os::Errno;
use wsd_os::fd::borrow;
use wsd_os::tcp;
use wsd_switch::front::{self, Event, Socket, Way};

use crate::data::flags_of;
use crate::notice::{Notice, Routine, Told, Work};

/// `MSG_DONTWAIT`, as the switch knows it.
pub(crate) const DONTWAIT: u32 = 0x40;
/// `MSG_PEEK`, too.
const PEEK: u32 = 0x2;

/// A part of the program's memory.
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) start: *mut u8,
    pub(crate) length: usize,
}

impl Piece {
    /// What is in it.
    ///
    /// # Safety
    ///
    /// It can be read, and is not written, for `'a`.
    pub(crate) unsafe fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: the contract.
        unsafe { core::slice::from_raw_parts(self.start, self.length) }
    }
}

/// One transfer.
pub(crate) struct Transfer {
    pieces: Vec<Piece>,
    way: Way,
    flags: u32,
    done: usize,
}

// SAFETY: the program's memory is the operation's until it is told of its end, whatever thread does it.
unsafe impl Send for Transfer {}

impl Transfer {
    /// # Safety
    ///
    /// The buffers, of which there are `count`, and `overlapped` are the operation's until the program is told of its end: to be
    /// written if it receives.
    pub(crate) unsafe fn new(
        socket: Socket,
        way: Way,
        buffers: *const WSABUF,
        count: u32,
        flags: u32,
        overlapped: *mut OVERLAPPED,
        routine: Routine,
    ) -> Result<Told<Self>, Errno> {
        if buffers.is_null() {
            return Err(Errno::FAULT);
        }
        // SAFETY: the contract.
        let buffers = unsafe { core::slice::from_raw_parts(buffers, count as usize) };
        if buffers.iter().any(|buffer| buffer.buf.is_null() && buffer.len != 0) {
            return Err(Errno::FAULT);
        }
        let pieces = buffers.iter().filter(|buffer| buffer.len != 0);
        let pieces = pieces.map(|buffer| Piece { start: buffer.buf, length: buffer.len as usize }).collect();
        // SAFETY: the contract.
        let notice = unsafe { Notice::new(socket.descriptor(), overlapped, routine) };
        let work = Self { pieces, way, flags: flags_of(flags) | DONTWAIT, done: 0 };
        Ok(Told { work, notice })
    }

    /// Of one piece of memory.
    ///
    /// # Safety
    ///
    /// The piece is the operation's until the program is told of its end: to be written if it receives.
    pub(crate) unsafe fn of(way: Way, piece: Piece) -> Self {
        Self { pieces: vec![piece], way, flags: flags_of(0) | DONTWAIT, done: 0 }
    }

    fn total(&self) -> usize {
        self.pieces.iter().map(|piece| piece.length).sum()
    }

    fn receive(&mut self, socket: Socket) -> Result<usize, Errno> {
        let fd = socket.descriptor();
        if self.pieces.is_empty() {
            // Until there is something to receive, or nothing ever will be.
            let mut byte = [0];
            let kernel = |data: &mut [IoSliceMut<'_>], _| {
                tcp::recv(borrow(fd), data, tcp::Flags::PEEK).map(|got| got.len)
            };
            return front::recv(socket, &mut [IoSliceMut::new(&mut byte)], DONTWAIT | PEEK, kernel)
                .map(|_| 0);
        }
        let flags = tcp::Flags((self.flags & (PEEK | 1)) as i32);
        // SAFETY: see `Transfer::new`.
        let place = |piece: &Piece| unsafe { core::slice::from_raw_parts_mut(piece.start, piece.length) };
        let mut data: Vec<IoSliceMut<'_>> =
            self.pieces.iter().map(|piece| IoSliceMut::new(place(piece))).collect();
        let kernel = |data: &mut [IoSliceMut<'_>], _| tcp::recv(borrow(fd), data, flags).map(|got| got.len);
        front::recv(socket, &mut data, self.flags, kernel)
    }

    fn send(&mut self, socket: Socket) -> Result<usize, Errno> {
        let (fd, total) = (socket.descriptor(), self.total());
        while self.done < total {
            // SAFETY: see `Transfer::new`.
            let bytes = |piece: &Piece| unsafe { IoSlice::new(piece.bytes()) };
            let mut data: Vec<IoSlice<'_>> = self.pieces.iter().map(bytes).collect();
            let mut rest = &mut data[..];
            IoSlice::advance_slices(&mut rest, self.done);
            let flags = tcp::Flags((self.flags & 1) as i32);
            self.done += front::send(socket, rest, self.flags, |_| tcp::send(borrow(fd), rest, flags))?;
        }
        Ok(total)
    }
}

impl Told<Transfer> {
    /// Does it, or has it done. What the call returns: the number of bytes, or an error, which is that it is pending.
    pub(crate) fn begin(self, socket: Socket) -> Result<usize, Errno> {
        let way = self.work.way;
        let result = front::submit(socket, way, Box::new(self));
        if way == Way::Receive {
            front::enable(socket, Event::Read);
        }
        result.unwrap_or(Err(Errno::Winsock(WSA_IO_PENDING)))
    }
}

impl Work for Transfer {
    fn go_on(&mut self, socket: Socket) -> Result<usize, Errno> {
        match self.way {
            Way::Receive => self.receive(socket),
            Way::Send => self.send(socket),
        }
    }
}
