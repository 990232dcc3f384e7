//! Doors of data transfer: capture the request, hand it to the provider, tell whether it was started (SP-086).

use core::cell::Cell;
use core::ffi::c_int;
use core::ptr::NonNull;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{DescriptorBytes, descriptor, known_descriptor, status};
use crate::error::WsaError;
use crate::ffi::{
    DWORD, LPDWORD, LPINT, LPVOID, LPWSABUF, LPWSABUFEX, LPWSAOVERLAPPED, LPWSAOVERLAPPED_COMPLETION_ROUTINE,
    LPWSATHREADID, SOCKET,
};
use crate::provider::door::Started;
use crate::provider::{
    Instance, MAX_DESCRIPTOR_LEN, RemoteBuffer, SanProvider, Submission, UserBuffer, UserBuffers,
};
use crate::value::SanSocket;

/// `WSPSend` (section 6.11).
pub(super) unsafe extern "system" fn send<I: Instance>(
    s: SOCKET,
    lpBuffers: LPWSABUF,
    dwBufferCount: DWORD,
    lpNumberOfBytesSent: LPDWORD,
    dwFlags: DWORD,
    lpOverlapped: LPWSAOVERLAPPED,
    lpCompletionRoutine: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE>,
    lpThreadId: LPWSATHREADID,
    lpErrno: LPINT,
) -> c_int {
    let _untouched = (lpNumberOfBytesSent, lpThreadId);
    let call = Transfer::new(s, dwBufferCount, lpOverlapped, lpCompletionRoutine, lpErrno);
    // SAFETY: all pointers are as the SPI says, and the request is the provider's until completion.
    unsafe { call.message::<I>(lpBuffers, &raw const dwFlags, I::Provider::send) }
}

/// `WSPRecv` (section 6.12).
pub(super) unsafe extern "system" fn recv<I: Instance>(
    s: SOCKET,
    lpBuffers: LPWSABUF,
    dwBufferCount: DWORD,
    lpNumberOfBytesRecvd: LPDWORD,
    lpFlags: LPDWORD,
    lpOverlapped: LPWSAOVERLAPPED,
    lpCompletionRoutine: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE>,
    lpThreadId: LPWSATHREADID,
    lpErrno: LPINT,
) -> c_int {
    let _untouched = (lpNumberOfBytesRecvd, lpThreadId);
    let call = Transfer::new(s, dwBufferCount, lpOverlapped, lpCompletionRoutine, lpErrno);
    // SAFETY: all pointers are as the SPI says, and the request is the provider's until completion.
    unsafe { call.message::<I>(lpBuffers, lpFlags.cast_const(), I::Provider::recv) }
}

/// `WSPRdmaWrite` (section 6.18).
pub(super) unsafe extern "system" fn rdma_write<I: Instance>(
    s: SOCKET,
    lpBuffers: LPWSABUFEX,
    dwBufferCount: DWORD,
    lpTargetBufferDescriptor: LPVOID,
    dwTargetDescriptorLength: DWORD,
    dwTargetBufferOffset: DWORD,
    lpdwNumberOfBytesWritten: LPDWORD,
    dwFlags: DWORD,
    lpOverlapped: LPWSAOVERLAPPED,
    lpCompletionRoutine: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE>,
    lpThreadId: LPWSATHREADID,
    lpErrno: LPINT,
) -> c_int {
    let _untouched = (lpdwNumberOfBytesWritten, lpThreadId);
    let call = Transfer::new(s, dwBufferCount, lpOverlapped, lpCompletionRoutine, lpErrno);
    let target = (lpTargetBufferDescriptor, dwTargetDescriptorLength, dwTargetBufferOffset);
    // SAFETY: all pointers are as the SPI says, and the request is the provider's until completion.
    unsafe { call.rdma::<I>(lpBuffers, target, dwFlags, I::Provider::rdma_write) }
}

/// `WSPRdmaRead` (section 6.18).
pub(super) unsafe extern "system" fn rdma_read<I: Instance>(
    s: SOCKET,
    lpBuffers: LPWSABUFEX,
    dwBufferCount: DWORD,
    lpTargetBufferDescriptor: LPVOID,
    dwTargetDescriptorLength: DWORD,
    dwTargetBufferOffset: DWORD,
    lpdwNumberOfBytesRead: LPDWORD,
    dwFlags: DWORD,
    lpOverlapped: LPWSAOVERLAPPED,
    lpCompletionRoutine: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE>,
    lpThreadId: LPWSATHREADID,
    lpErrno: LPINT,
) -> c_int {
    let _untouched = (lpdwNumberOfBytesRead, lpThreadId);
    let call = Transfer::new(s, dwBufferCount, lpOverlapped, lpCompletionRoutine, lpErrno);
    let target = (lpTargetBufferDescriptor, dwTargetDescriptorLength, dwTargetBufferOffset);
    // SAFETY: all pointers are as the SPI says, and the request is the provider's until completion.
    unsafe { call.rdma::<I>(lpBuffers, target, dwFlags, I::Provider::rdma_read) }
}

/// What all four calls are given.
struct Transfer {
    s: SOCKET,
    overlapped: LPWSAOVERLAPPED,
    routine: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE>,
    count: DWORD,
    errno: LPINT,
}

impl Transfer {
    fn new(
        s: SOCKET,
        count: DWORD,
        overlapped: LPWSAOVERLAPPED,
        routine: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE>,
        errno: LPINT,
    ) -> Self {
        Self { s, overlapped, routine, count, errno }
    }

    /// A message to or from the peer.
    ///
    /// # Safety
    /// All pointers are as the SPI says, and the request is the provider's until completion.
    unsafe fn message<I: Instance>(
        self,
        buffers: LPWSABUF,
        flags: *const DWORD,
        provider: impl FnOnce(&I::Provider, SanSocket, Submission<'_>) -> Result<(), WsaError>,
    ) -> c_int {
        // SAFETY: the contract is the same.
        unsafe {
            status::<I>(self.errno, |started| {
                let s = descriptor(self.s)?;
                let buffers = plain_buffers(buffers, self.count)?;
                if flags.is_null() {
                    return Err(WsaError::WSAEFAULT);
                }
                let request = self.request(buffers, flags.read_unaligned());
                request.submit(started, |submission| provider(&started.provider, s, submission))
            })
        }
    }

    /// Bytes to or from the peer's memory: a descriptor, its length, and the offset in what it describes.
    ///
    /// # Safety
    /// As [`Transfer::message`].
    unsafe fn rdma<I: Instance>(
        self,
        buffers: LPWSABUFEX,
        (start, length, offset): (LPVOID, DWORD, DWORD),
        flags: DWORD,
        provider: impl FnOnce(&I::Provider, SanSocket, RemoteBuffer<'_>, Submission<'_>) -> Result<(), WsaError>,
    ) -> c_int {
        // SAFETY: the contract is the same.
        unsafe {
            status::<I>(self.errno, |started| {
                let s = descriptor(self.s)?;
                let mut room: DescriptorBytes = [0; MAX_DESCRIPTOR_LEN];
                let remote = remote::<I>(start, length, offset, &mut room)?;
                let request = self.request(registered_buffers(buffers, self.count)?, flags);
                request.submit(started, |submission| provider(&started.provider, s, remote, submission))
            })
        }
    }

    fn request(&self, buffers: UserBuffers, flags: DWORD) -> Request {
        Request { overlapped: self.overlapped, routine: self.routine, buffers, flags }
    }
}

/// One captured call.
struct Request {
    overlapped: LPWSAOVERLAPPED,
    routine: Option<LPWSAOVERLAPPED_COMPLETION_ROUTINE>,
    buffers: UserBuffers,
    flags: DWORD,
}

impl Request {
    /// Hands the request to the provider. The answer is always an error: `WSA_IO_PENDING` if the provider has taken
    /// the request, whatever else it says, and otherwise the reason why it has not.
    ///
    /// # Safety
    /// The request and its buffers belong to the provider until completion, if it is started.
    unsafe fn submit<P: SanProvider>(
        self,
        started: &Started<P>,
        provider: impl FnOnce(Submission<'_>) -> Result<(), WsaError>,
    ) -> Result<(), WsaError> {
        let overlapped = NonNull::new(self.overlapped).ok_or(WsaError::WSAEFAULT)?;
        if self.routine.is_some() {
            return Err(WsaError::WSAEOPNOTSUPP);
        }
        let taken = Cell::new(false);
        // SAFETY: not NULL; the rest is the contract of this function.
        let submission =
            unsafe { Submission::new(overlapped, started.upcalls, self.buffers, self.flags, &taken) };
        let result = catch_unwind(AssertUnwindSafe(|| provider(submission)));
        match result {
            _ if taken.get() => Err(WsaError::WSA_IO_PENDING),
            Ok(Err(error)) if error != WsaError::WSA_IO_PENDING => Err(error),
            _ => Err(WsaError::WSASYSCALLFAILURE),
        }
    }
}

/// Captures an array of `WSABUF` (SP-087).
///
/// # Safety
/// `array` is NULL or valid for reads of `count` entries; the buffers belong to the operation until completion.
unsafe fn plain_buffers(array: LPWSABUF, count: DWORD) -> Result<UserBuffers, WsaError> {
    let count = segment_count(array.is_null(), count)?;
    // SAFETY: the array has `count` entries, and its buffers live, by the contract of this function.
    UserBuffers::capture((0..count).map(|index| unsafe {
        let buffer = array.add(index).read_unaligned();
        UserBuffer::new(buffer.buf.cast(), buffer.len, core::ptr::null_mut())
    }))
}

/// Captures an array of `WSABUFEX` (SP-087).
///
/// # Safety
/// As [`plain_buffers`].
unsafe fn registered_buffers(array: LPWSABUFEX, count: DWORD) -> Result<UserBuffers, WsaError> {
    let count = segment_count(array.is_null(), count)?;
    // SAFETY: the array has `count` entries, and its buffers live, by the contract of this function.
    UserBuffers::capture((0..count).map(|index| unsafe {
        let buffer = array.add(index).read_unaligned();
        UserBuffer::new(buffer.buf.cast(), buffer.len, buffer.handle)
    }))
}

fn segment_count(null: bool, count: DWORD) -> Result<usize, WsaError> {
    match count as usize {
        0 => Ok(0),
        _ if null => Err(WsaError::WSAEFAULT),
        count if count > UserBuffers::MAX => Err(WsaError::WSAEINVAL),
        count => Ok(count),
    }
}

/// The remote side of the call.
///
/// # Safety
/// `start` is NULL or valid for reads of `length` bytes.
unsafe fn remote<I: Instance>(
    start: LPVOID,
    length: DWORD,
    offset: DWORD,
    room: &mut DescriptorBytes,
) -> Result<RemoteBuffer<'_>, WsaError> {
    // SAFETY: the contract is the same.
    let descriptor = unsafe { known_descriptor(start, length, I::Provider::RDMA_DESCRIPTOR_LEN, room)? };
    Ok(RemoteBuffer { descriptor, offset })
}
