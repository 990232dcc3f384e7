//! The extension functions that the switch has for programs (SW-171): `AcceptEx` and `TransmitFile` as operations of a
//! socket's queue.

use std::io::{IoSlice, IoSliceMut};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use wsd_os::fd::OwnedFd;
use wsd_spi::ffi::SOCKET;
use wsd_spi::{SockAddr, WsaError};

use crate::convert;
use crate::operation::{Delivery, Incoming, Operation, Outgoing, Sources, Step, Work};
use crate::outcome::{Completion, Outcome, Request};
use crate::socket::{Direction, Socket, State};
use crate::tcpip::{Kernel, Kind};

/// What the address areas of `AcceptEx` need beyond the longest address, by its documentation.
pub(crate) const ADDRESS_MARGIN: usize = 16;

/// `AcceptEx`: puts a listener's next connection into a socket that has none.
pub(crate) struct AcceptInto {
    target: Arc<Socket>,
    listener: SOCKET,
    /// First data, empty if the program wants none.
    data: IoSliceMut<'static>,
    local: IoSliceMut<'static>,
    remote: IoSliceMut<'static>,
    request: Request,
}

impl AcceptInto {
    pub(crate) fn new(
        target: Arc<Socket>,
        listener: SOCKET,
        data: IoSliceMut<'static>,
        local: IoSliceMut<'static>,
        remote: IoSliceMut<'static>,
        request: Request,
    ) -> Self {
        Self { target, listener, data, local, remote, request }
    }

    /// Puts the connection of `listener` into the target. If the program wants data with it, the request goes on as the
    /// target's first receive (SW-095).
    pub(crate) fn place(&mut self, listener: &mut State, kernel: Kernel, peer: SockAddr) -> Step {
        let Ok(local) = kernel.local_name() else { return Step::Blocked };
        write_address(&mut self.local, local);
        write_address(&mut self.remote, peer);
        // Locks are taken from listener to target only: a target never listens.
        let Ok(mut target) = self.target.open() else {
            return Step::Done(Outcome::failed(WsaError::WSA_OPERATION_ABORTED));
        };
        if !target.is_fresh() {
            return Step::Done(Outcome::failed(WsaError::WSAEINVAL));
        }
        target.become_accepted(kernel, self.listener);
        listener.outbox.push_back(Delivery::Drive(Arc::clone(&self.target)));
        if self.data.is_empty() {
            return Step::Done(Outcome::done(0));
        }
        let data = core::mem::replace(&mut self.data, IoSliceMut::new(&mut []));
        let receive = Incoming::new(vec![data], RecvFlags::empty(), false, None);
        let completion = Completion::Request(self.request);
        target.queue(Direction::In).push_back(Operation { work: Work::Receive(receive), completion });
        Step::Passed
    }
}

fn write_address(area: &mut IoSliceMut<'static>, address: SockAddr) {
    let (bytes, length) = address.encode();
    area[..length].copy_from_slice(&bytes[..length]);
}

/// Bytes of a file that are read at a time.
const CHUNK: usize = 64 * 1024;

/// `TransmitFile`: a head, a file, a tail.
pub(crate) struct FileSend {
    head: Option<Outgoing>,
    file: Option<FilePart>,
    tail: Option<Outgoing>,
    sent: usize,
}

/// The file of a `TransmitFile`.
pub(crate) struct FilePart {
    file: OwnedFd,
    /// Where to read; `None`: at the file's own position.
    position: Option<u64>,
    /// Bytes to read still; `None`: to the end.
    left: Option<u64>,
    /// Read and not sent yet: from `at` on.
    chunk: Vec<u8>,
    at: usize,
}

impl FilePart {
    pub(crate) fn new(file: OwnedFd, position: Option<u64>, left: Option<u64>) -> Self {
        Self { file, position, left, chunk: Vec::new(), at: 0 }
    }

    /// Reads the next bytes; false at the end.
    fn read(&mut self) -> Result<bool, WsaError> {
        let length = self.left.map_or(CHUNK, |left| left.min(CHUNK as u64) as usize);
        self.chunk.resize(length, 0);
        self.at = 0;
        let bytes = loop {
            let read = match self.position {
                Some(position) => rustix::io::pread(&self.file, &mut self.chunk[..], position),
                None => rustix::io::read(&self.file, &mut self.chunk[..]),
            };
            match read {
                Err(Errno::INTR) => {}
                read => break read.map_err(convert::error)?,
            }
        };
        self.chunk.truncate(bytes);
        self.position = self.position.map(|position| position + bytes as u64);
        self.left = self.left.map(|left| left - bytes as u64);
        Ok(bytes > 0)
    }

    /// Sends until nothing is left or the socket takes no more; adds to `sent`.
    fn attempt(&mut self, kernel: &Kernel, sent: &mut usize) -> Step {
        loop {
            if self.at == self.chunk.len() {
                match self.read() {
                    Ok(true) => {}
                    Ok(false) => return Step::Done(Outcome::done(0)),
                    Err(error) => return Step::Done(Outcome::failed(error)),
                }
            }
            match kernel.send(&[IoSlice::new(&self.chunk[self.at..])], SendFlags::empty(), None) {
                Ok(bytes) => {
                    self.at += bytes;
                    *sent += bytes;
                }
                Err(WsaError::WSAEWOULDBLOCK) => return Step::Blocked,
                Err(error) => return Step::Done(Outcome::failed(error)),
            }
        }
    }
}

impl FileSend {
    pub(crate) fn new(head: Sources, file: Option<FilePart>, tail: Sources) -> Self {
        let part =
            |pieces: Sources| (!pieces.is_empty()).then(|| Outgoing::new(pieces, SendFlags::empty(), None));
        Self { head: part(head), file, tail: part(tail), sent: 0 }
    }

    pub(crate) fn attempt(&mut self, kernel: &Kernel, kind: Kind) -> Step {
        if let Some(step) = advance(&mut self.head, &mut self.sent, kernel, kind) {
            return step;
        }
        if let Some(file) = &mut self.file {
            match file.attempt(kernel, &mut self.sent) {
                Step::Done(Outcome { status: Ok(()), .. }) => self.file = None,
                step => return step,
            }
        }
        if let Some(step) = advance(&mut self.tail, &mut self.sent, kernel, kind) {
            return step;
        }
        Ok(self.sent).into()
    }
}

/// Sends a part; `None` when it is through.
fn advance(part: &mut Option<Outgoing>, sent: &mut usize, kernel: &Kernel, kind: Kind) -> Option<Step> {
    match part.as_mut()?.attempt(kernel, kind) {
        Step::Done(Outcome { status: Ok(()), bytes, .. }) => {
            *sent += bytes as usize;
            *part = None;
            None
        }
        step => Some(step),
    }
}
