//! Sending, receiving, RDMA.

use core::ffi::c_int;
use core::{fmt, ptr};
use std::sync::Arc;

use super::memory::{MemorySlice, StableMemory};
use super::operation::Operation;
use super::registration::Segment;
use super::slab::{Notified, Prepared, SEGMENTS};
use super::socket::Socket;
use super::tracer::trace;
use crate::error::WsaError;
use crate::ffi::{
    DWORD, LPFN_WSPRDMAWRITE, LPINT, LPWSAOVERLAPPED, LPWSAOVERLAPPED_COMPLETION_ROUTINE, SOCKET, WSABUF,
    WSABUFEX,
};

/// Flags of every call: what a program asks for by flags is the switch's work (SW-126).
const FLAGS: DWORD = 0;
/// Completions are polled for or come by up-call (SW-114).
const ROUTINE: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE> = None;

/// A place in memory of the peer.
#[derive(Clone, Copy, Debug)]
pub struct Remote<'a> {
    /// The descriptor that the peer sent.
    pub descriptor: &'a [u8],
    /// Offset in bytes in the peer's buffer.
    pub offset: u32,
}

impl Socket {
    /// `WSPSend` of one message from up to 4 buffers, to be polled. The buffers are not to be changed until then.
    ///
    /// # Errors
    /// Section 6.12: nothing was started. `WSAEINVAL` for more buffers.
    pub fn send(&self, buffers: &[MemorySlice]) -> Result<Operation, WsaError> {
        self.polled(Direction::Send, Buffers::Plain(buffers), None)
    }

    /// As [`send`](Self::send), to be notified: `UpCallHandler::complete` gets `key`, perhaps before this returns.
    ///
    /// # Errors
    /// As [`send`](Self::send); then there is no notification.
    pub fn send_notified(&self, buffers: &[MemorySlice], key: u64) -> Result<(), WsaError> {
        self.notified(Direction::Send, Buffers::Plain(buffers), None, key)
    }

    /// `WSPRecv` of one message into up to 4 buffers, to be polled. The buffers are the provider's until then.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn recv(&self, buffers: &[MemorySlice]) -> Result<Operation, WsaError> {
        self.polled(Direction::Recv, Buffers::Plain(buffers), None)
    }

    /// As [`recv`](Self::recv), to be notified: `UpCallHandler::complete` gets `key`, perhaps before this returns.
    ///
    /// # Errors
    /// As [`send`](Self::send); then there is no notification.
    pub fn recv_notified(&self, buffers: &[MemorySlice], key: u64) -> Result<(), WsaError> {
        self.notified(Direction::Recv, Buffers::Plain(buffers), None, key)
    }

    /// `WSPRdmaWrite` from up to 4 segments to the peer's memory, to be polled.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn rdma_write(&self, segments: &[Segment], remote: Remote<'_>) -> Result<Operation, WsaError> {
        self.polled(Direction::RdmaWrite, Buffers::Registered(segments), Some(remote))
    }

    /// As [`rdma_write`](Self::rdma_write), to be notified with `key`, perhaps before this returns.
    ///
    /// # Errors
    /// As [`send`](Self::send); then there is no notification.
    pub fn rdma_write_notified(
        &self,
        segments: &[Segment],
        remote: Remote<'_>,
        key: u64,
    ) -> Result<(), WsaError> {
        self.notified(Direction::RdmaWrite, Buffers::Registered(segments), Some(remote), key)
    }

    /// `WSPRdmaRead` from the peer's memory to up to 4 segments, to be polled.
    ///
    /// # Errors
    /// As [`send`](Self::send); `WSAEOPNOTSUPP` without the function.
    pub fn rdma_read(&self, segments: &[Segment], remote: Remote<'_>) -> Result<Operation, WsaError> {
        self.polled(Direction::RdmaRead, Buffers::Registered(segments), Some(remote))
    }

    /// As [`rdma_read`](Self::rdma_read), to be notified with `key`, perhaps before this returns.
    ///
    /// # Errors
    /// As [`rdma_read`](Self::rdma_read); then there is no notification.
    pub fn rdma_read_notified(
        &self,
        segments: &[Segment],
        remote: Remote<'_>,
        key: u64,
    ) -> Result<(), WsaError> {
        self.notified(Direction::RdmaRead, Buffers::Registered(segments), Some(remote), key)
    }

    fn polled(
        &self,
        direction: Direction,
        buffers: Buffers<'_>,
        remote: Option<Remote<'_>>,
    ) -> Result<Operation, WsaError> {
        let call = self.prepare(direction, buffers, remote)?;
        let mut prepared = Prepared::take()?;
        let array = buffers.fill(&mut prepared);
        let pending = prepared.polled(self.inner.clone());
        match self.submit(&call, buffers, array, pending.overlapped()) {
            Ok(()) => Ok(Operation::new(pending)),
            Err(error) => {
                pending.release();
                Err(error)
            }
        }
    }

    fn notified(
        &self,
        direction: Direction,
        buffers: Buffers<'_>,
        remote: Option<Remote<'_>>,
        key: u64,
    ) -> Result<(), WsaError> {
        let call = self.prepare(direction, buffers, remote)?;
        let mut prepared = Prepared::take()?;
        let array = buffers.fill(&mut prepared);
        let pending: Notified = prepared.notified(key);
        match self.submit(&call, buffers, array, pending.overlapped()) {
            // A provider that refuses an operation and completes it has completed it.
            Err(error) if pending.refuse() => Err(error),
            _ => Ok(()),
        }
    }

    fn prepare<'a>(
        &self,
        direction: Direction,
        buffers: Buffers<'_>,
        remote: Option<Remote<'a>>,
    ) -> Result<Call<'a>, WsaError> {
        let s = self.inner.open()?;
        if buffers.count() > SEGMENTS {
            return Err(WsaError::WSAEINVAL);
        }
        let rdma = match direction {
            Direction::Send | Direction::Recv => None,
            Direction::RdmaWrite => Some(self.inner.extensions().rdma_write),
            Direction::RdmaRead => Some(self.inner.extensions().rdma_read.ok_or(WsaError::WSAEOPNOTSUPP)?),
        };
        Ok(Call { direction, s, count: buffers.count() as u32, rdma: rdma.zip(remote) })
    }

    /// Makes the call. Success means that the operation was started; if the provider has completed it at once, it
    /// still reports the completion as it does any other (SP-186).
    fn submit(
        &self,
        call: &Call<'_>,
        buffers: Buffers<'_>,
        array: Array,
        request: LPWSAOVERLAPPED,
    ) -> Result<(), WsaError> {
        let mut errno = 0;
        // SAFETY: the request is a slot, which lives forever, and the provider has not seen it yet.
        let polled = unsafe { (*request).hEvent }.addr() & 1 != 0;
        // SAFETY: the entry is of a started provider; the array has `count` entries, and it, the buffers and the
        // request stay valid until completion, because the slot holds them.
        let result = unsafe { call.make(self, array, request, &raw mut errno) };
        let result = match WsaError::reported(errno) {
            _ if result == 0 => Ok(()),
            WsaError::WSA_IO_PENDING => Ok(()),
            error => Err(error),
        };
        trace!(
            &self.inner.san.tracer,
            call.direction.name(),
            result,
            "{:?}, {buffers:?}, flags={FLAGS:#x}, {} {request:p}, routine={ROUTINE:?}, remote offset {}",
            self.inner.descriptor,
            if polled { "polled" } else { "notified" },
            call.rdma.map_or(0, |(_, remote)| remote.offset)
        );
        result
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Send,
    Recv,
    RdmaWrite,
    RdmaRead,
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Self::Send => "WSPSend",
            Self::Recv => "WSPRecv",
            Self::RdmaWrite => "WSPRdmaWrite",
            Self::RdmaRead => "WSPRdmaRead",
        }
    }
}

/// One call without its buffers and its request.
struct Call<'a> {
    direction: Direction,
    s: SOCKET,
    count: u32,
    rdma: Option<(LPFN_WSPRDMAWRITE, Remote<'a>)>,
}

impl Call<'_> {
    /// # Safety
    /// The array has `count` entries of the kind of the direction; it, the buffers and the request stay valid until
    /// completion; `errno` is valid.
    unsafe fn make(&self, socket: &Socket, array: Array, request: LPWSAOVERLAPPED, errno: LPINT) -> c_int {
        let functions = socket.inner.functions();
        let (mut bytes, mut flags) = (0, FLAGS);
        // SAFETY: the contract is the same; `bytes` and `flags` are local variables, which the provider uses before
        // it returns (SP-086).
        unsafe {
            match (self.rdma, self.direction) {
                (Some((function, remote)), _) => function(
                    self.s,
                    array.0.cast::<WSABUFEX>(),
                    self.count,
                    remote.descriptor.as_ptr().cast_mut().cast(),
                    remote.descriptor.len() as u32,
                    remote.offset,
                    &raw mut bytes,
                    FLAGS,
                    request,
                    ROUTINE,
                    ptr::null_mut(),
                    errno,
                ),
                (None, Direction::Recv) => (functions.recv)(
                    self.s,
                    array.0.cast::<WSABUF>(),
                    self.count,
                    &raw mut bytes,
                    &raw mut flags,
                    request,
                    ROUTINE,
                    ptr::null_mut(),
                    errno,
                ),
                (None, _) => (functions.send)(
                    self.s,
                    array.0.cast::<WSABUF>(),
                    self.count,
                    &raw mut bytes,
                    FLAGS,
                    request,
                    ROUTINE,
                    ptr::null_mut(),
                    errno,
                ),
            }
        }
    }
}

/// The array of buffer descriptions, of either kind.
#[derive(Clone, Copy)]
struct Array(*mut u8);

#[derive(Clone, Copy)]
enum Buffers<'a> {
    Plain(&'a [MemorySlice]),
    Registered(&'a [Segment]),
}

impl Buffers<'_> {
    fn count(&self) -> usize {
        match self {
            Self::Plain(buffers) => buffers.len(),
            Self::Registered(segments) => segments.len(),
        }
    }

    /// Writes the descriptions into the slot, which keeps the memory alive.
    fn fill(&self, prepared: &mut Prepared) -> Array {
        let memory = |slice: &MemorySlice| -> Arc<dyn StableMemory> { slice.memory().clone() };
        match self {
            Self::Plain(buffers) => Array(
                prepared
                    .plain(buffers.iter().map(|slice| {
                        (WSABUF { len: slice.len() as u32, buf: slice.start().cast() }, memory(slice))
                    }))
                    .cast(),
            ),
            Self::Registered(segments) => Array(
                prepared
                    .registered(segments.iter().map(|segment| {
                        let slice = segment.slice();
                        let handle = ptr::without_provenance_mut(segment.handle().raw());
                        (
                            WSABUFEX { len: slice.len() as u32, buf: slice.start().cast(), handle },
                            memory(slice),
                        )
                    }))
                    .cast(),
            ),
        }
    }
}

impl fmt::Debug for Buffers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(buffers) => f.debug_list().entries(*buffers).finish(),
            Self::Registered(segments) => {
                f.debug_list().entries(segments.iter().map(Segment::slice)).finish()
            }
        }
    }
}
