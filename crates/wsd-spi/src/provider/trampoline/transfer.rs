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
    // SAFETY: all pointers are as the SPI says, and the request is the provider's until completion.
    unsafe {
        status::<I>(lpErrno, |started| {
            let s = descriptor(s)?;
            let buffers = plain_buffers(lpBuffers, dwBufferCount)?;
            let request =
                Request { overlapped: lpOverlapped, routine: lpCompletionRoutine, buffers, flags: dwFlags };
            request.submit(started, |submission| started.provider.send(s, submission))
        })
    }
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
    // SAFETY: all pointers are as the SPI says, and the request is the provider's until completion.
    unsafe {
        status::<I>(lpErrno, |started| {
            let s = descriptor(s)?;
            let buffers = plain_buffers(lpBuffers, dwBufferCount)?;
            if lpFlags.is_null() {
                return Err(WsaError::WSAEFAULT);
            }
            let flags = lpFlags.read_unaligned();
            let request = Request { overlapped: lpOverlapped, routine: lpCompletionRoutine, buffers, flags };
            request.submit(started, |submission| started.provider.recv(s, submission))
        })
    }
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
    // SAFETY: all pointers are as the SPI says, and the request is the provider's until completion.
    unsafe {
        status::<I>(lpErrno, |started| {
            let s = descriptor(s)?;
            let mut room: DescriptorBytes = [0; MAX_DESCRIPTOR_LEN];
            let remote = remote::<I>(
                lpTargetBufferDescriptor,
                dwTargetDescriptorLength,
                dwTargetBufferOffset,
                &mut room,
            )?;
            let buffers = registered_buffers(lpBuffers, dwBufferCount)?;
            let request =
                Request { overlapped: lpOverlapped, routine: lpCompletionRoutine, buffers, flags: dwFlags };
            request.submit(started, |submission| started.provider.rdma_write(s, remote, submission))
        })
    }
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
    // SAFETY: all pointers are as the SPI says, and the request is the provider's until completion.
    unsafe {
        status::<I>(lpErrno, |started| {
            let s = descriptor(s)?;
            let mut room: DescriptorBytes = [0; MAX_DESCRIPTOR_LEN];
            let remote = remote::<I>(
                lpTargetBufferDescriptor,
                dwTargetDescriptorLength,
                dwTargetBufferOffset,
                &mut room,
            )?;
            let buffers = registered_buffers(lpBuffers, dwBufferCount)?;
            let request =
                Request { overlapped: lpOverlapped, routine: lpCompletionRoutine, buffers, flags: dwFlags };
            request.submit(started, |submission| started.provider.rdma_read(s, remote, submission))
        })
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
