//! Sends, receives and the like: what is left to do of each.

use std::io::{IoSlice, IoSliceMut};
use std::sync::Arc;

use rustix::net::{RecvFlags, SendFlags};
use wsd_spi::ffi::{MSG_PARTIAL, MSG_PEEK};
use wsd_spi::{SockAddr, WsaError};

use crate::extension::{AcceptInto, FileSend};
use crate::outcome::{Completion, Outcome, Request};
use crate::place::Place;
use crate::tcpip::{Kernel, Kind};

/// One operation that waits in a socket's queue.
pub(crate) struct Operation {
    pub(crate) work: Work,
    pub(crate) completion: Completion,
}

/// What an operation does.
pub(crate) enum Work {
    Send(Outgoing),
    Receive(Incoming),
    File(FileSend),
    Accept(AcceptInto),
}

/// What one attempt came to.
pub(crate) enum Step {
    Done(Outcome),
    /// To be tried again when the socket is ready. Some of it may be done.
    Blocked,
    /// Another socket's operation has the request now.
    Passed,
}

impl From<Result<usize, WsaError>> for Step {
    fn from(result: Result<usize, WsaError>) -> Self {
        Self::Done(result.map_or_else(Outcome::failed, Outcome::done))
    }
}

/// Buffers of the program, captured from its array, theirs again when the operation is done.
pub(crate) type Sources = Vec<IoSlice<'static>>;
/// The same for receiving.
pub(crate) type Targets = Vec<IoSliceMut<'static>>;

/// A send.
pub(crate) struct Outgoing {
    pieces: Sources,
    /// How many of the pieces are sent, and how many bytes in all.
    first: usize,
    sent: usize,
    flags: SendFlags,
    to: Option<SockAddr>,
}

impl Outgoing {
    pub(crate) fn new(pieces: Sources, flags: SendFlags, to: Option<SockAddr>) -> Self {
        Self { pieces, first: 0, sent: 0, flags, to }
    }

    /// Bytes that have left.
    pub(crate) fn sent(&self) -> usize {
        self.sent
    }

    /// The receiver of a datagram, if the call named one.
    pub(crate) fn peer(&self) -> Option<SockAddr> {
        self.to
    }

    pub(crate) fn attempt(&mut self, kernel: &Kernel, kind: Kind) -> Step {
        loop {
            match kernel.send(&self.pieces[self.first..], self.flags, self.to) {
                Ok(bytes) if !kind.is_stream() => return Ok(bytes).into(),
                Ok(bytes) => {
                    self.sent += bytes;
                    let mut rest = &mut self.pieces[self.first..];
                    IoSlice::advance_slices(&mut rest, bytes);
                    let left = rest.len();
                    self.first = self.pieces.len() - left;
                    if self.first == self.pieces.len() {
                        return Ok(self.sent).into();
                    }
                }
                Err(WsaError::WSAEWOULDBLOCK) => return Step::Blocked,
                Err(error) => return Step::Done(Outcome::failed(error)),
            }
        }
    }
}

/// Where the sender of a datagram goes.
pub(crate) struct Sender {
    pub(crate) address: IoSliceMut<'static>,
    pub(crate) length: Place<i32>,
}

impl Sender {
    fn fill(&mut self, sender: Option<SockAddr>) {
        let Some(sender) = sender else { return };
        let (bytes, length) = sender.encode();
        let fits = length.min(self.address.len());
        self.address[..fits].copy_from_slice(&bytes[..fits]);
        // At most 28.
        self.length.set(length as i32);
    }
}

/// A receive.
pub(crate) struct Incoming {
    pieces: Targets,
    first: usize,
    received: usize,
    flags: RecvFlags,
    /// Wait until all pieces are full.
    all: bool,
    from: Option<Sender>,
}

impl Incoming {
    pub(crate) fn new(pieces: Targets, flags: RecvFlags, all: bool, from: Option<Sender>) -> Self {
        Self { pieces, first: 0, received: 0, flags, all, from }
    }

    /// Bytes that have come.
    pub(crate) fn received(&self) -> usize {
        self.received
    }

    /// What it waits for, as `poll` names it.
    pub(crate) fn wants(&self) -> i16 {
        if self.flags.contains(RecvFlags::OOB) { libc::POLLPRI } else { libc::POLLIN }
    }

    pub(crate) fn attempt(&mut self, kernel: &Kernel, kind: Kind) -> Step {
        if kind.is_stream() { self.take_bytes(kernel) } else { self.take_message(kernel) }
    }

    fn take_bytes(&mut self, kernel: &Kernel) -> Step {
        // The kernel answers a receive of nothing at once; the SPI's waits for data.
        if self.pieces.iter().all(|piece| piece.is_empty()) && kernel.ready(self.wants()) == 0 {
            return Step::Blocked;
        }
        loop {
            let received = match kernel.receive(&mut self.pieces[self.first..], self.flags) {
                Ok(received) => received,
                Err(WsaError::WSAEWOULDBLOCK) => return Step::Blocked,
                // "No urgent data now": a wait for it goes on.
                Err(WsaError::WSAEINVAL) if self.flags.contains(RecvFlags::OOB) && !has_ended(kernel) => {
                    return Step::Blocked;
                }
                Err(error) => return Step::Done(Outcome::failed(error)),
            };
            self.received += received.bytes;
            if let Some(from) = &mut self.from {
                from.fill(kernel.peer_name().ok());
            }
            let mut rest = &mut self.pieces[self.first..];
            IoSliceMut::advance_slices(&mut rest, received.bytes);
            let left = rest.len();
            self.first = self.pieces.len() - left;
            let full = self.first == self.pieces.len();
            if !self.all || full || received.bytes == 0 {
                return Ok(self.received).into();
            }
        }
    }

    fn take_message(&mut self, kernel: &Kernel) -> Step {
        let received = match kernel.receive(&mut self.pieces, self.flags) {
            Ok(received) => received,
            Err(WsaError::WSAEWOULDBLOCK) => return Step::Blocked,
            // An ICMP error that an earlier datagram got, as Winsock reports it.
            Err(WsaError::WSAECONNREFUSED) => return Step::Done(Outcome::failed(WsaError::WSAECONNRESET)),
            Err(error) => return Step::Done(Outcome::failed(error)),
        };
        if let Some(from) = &mut self.from {
            from.fill(received.from);
        }
        let mut outcome = Outcome::done(received.bytes);
        if received.truncated {
            outcome.status = Err(WsaError::WSAEMSGSIZE);
            outcome.flags = MSG_PARTIAL;
        }
        Step::Done(outcome)
    }
}

/// Whether the peer has ended the stream, or it is broken.
fn has_ended(kernel: &Kernel) -> bool {
    kernel.ready(libc::POLLRDHUP) != 0
}

/// The kernel's flags for those of a receive.
///
/// # Errors
/// `WSAEOPNOTSUPP` for combinations and flags that the socket's kind does not have.
pub(crate) fn receive_flags(flags: u32, kind: Kind) -> Result<(RecvFlags, bool), WsaError> {
    use wsd_spi::ffi::{MSG_OOB, MSG_PUSH_IMMEDIATE, MSG_WAITALL};
    let known = MSG_PEEK | MSG_OOB | MSG_WAITALL | MSG_PUSH_IMMEDIATE | MSG_PARTIAL;
    let all = flags & MSG_WAITALL != 0;
    let stream_only = flags & (MSG_OOB | MSG_WAITALL) != 0;
    if flags & !known != 0 || (stream_only && !kind.is_stream()) || (all && flags & (MSG_PEEK | MSG_OOB) != 0)
    {
        return Err(WsaError::WSAEOPNOTSUPP);
    }
    let mut kernel = RecvFlags::empty();
    kernel.set(RecvFlags::PEEK, flags & MSG_PEEK != 0);
    kernel.set(RecvFlags::OOB, flags & MSG_OOB != 0);
    Ok((kernel, all))
}

/// The kernel's flags for those of a send.
///
/// # Errors
/// `WSAEOPNOTSUPP` for flags that the socket's kind does not have.
pub(crate) fn send_flags(flags: u32, kind: Kind) -> Result<SendFlags, WsaError> {
    use wsd_spi::ffi::{MSG_DONTROUTE, MSG_OOB};
    if flags & !(MSG_OOB | MSG_DONTROUTE) != 0 || (flags & MSG_OOB != 0 && !kind.is_stream()) {
        return Err(WsaError::WSAEOPNOTSUPP);
    }
    let mut kernel = SendFlags::empty();
    kernel.set(SendFlags::OOB, flags & MSG_OOB != 0);
    kernel.set(SendFlags::DONTROUTE, flags & MSG_DONTROUTE != 0);
    Ok(kernel)
}

/// Something to deliver after the socket's lock is released, in order.
pub(crate) enum Delivery {
    Completed(Request, Outcome),
    Notice(crate::events::Notice),
    /// A socket got an operation from another one: it has to be looked after.
    Drive(Arc<crate::socket::Socket>),
    /// The descriptor goes back to the program.
    Closed,
}
