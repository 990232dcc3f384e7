//! Requests: from submission to their one completion (section 9).

use core::cell::Cell;
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::memory::UserBuffers;
use super::upcalls::UpCalls;
use crate::error::WsaError;
use crate::ffi::{LPWSAOVERLAPPED, WSAOVERLAPPED, WSS_OPERATION_IN_PROGRESS};
use crate::value::SwitchSocket;

/// A request that the provider may take or refuse.
///
/// Look at it, then either return an error, which refuses it, or take it with [`start`](Self::start).
pub struct Submission<'a> {
    request: NonNull<WSAOVERLAPPED>,
    upcalls: UpCalls,
    buffers: UserBuffers,
    flags: u32,
    started: &'a Cell<bool>,
}

impl<'a> Submission<'a> {
    /// A request of the caller, which is marked as pending (SP-086).
    ///
    /// # Safety
    /// `request` is exclusively the callee's until completion or refusal.
    pub(super) unsafe fn new(
        request: NonNull<WSAOVERLAPPED>,
        upcalls: UpCalls,
        buffers: UserBuffers,
        flags: u32,
        started: &'a Cell<bool>,
    ) -> Self {
        // SAFETY: the request is valid and ours by the contract of this function.
        unsafe {
            (&raw mut (*request.as_ptr()).InternalHigh).write(0);
            internal(request.as_ptr()).store(WSS_OPERATION_IN_PROGRESS, Ordering::Relaxed);
        }
        Self { request, upcalls, buffers, flags, started }
    }

    /// The data buffers.
    pub fn buffers(&self) -> &UserBuffers {
        &self.buffers
    }

    /// Flags of the call, 0 from every switch.
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// Takes the request: from here on the call counts as started, and the token is to be completed exactly once,
    /// on any thread, perhaps before this call returns. `handle` is the switch's handle of the socket, to which a
    /// notification goes. Whether there is one was decided by the request at this moment (SP-182).
    pub fn start(self, handle: SwitchSocket) -> Overlapped {
        self.started.set(true);
        // SAFETY: the request is valid and ours (see `new`).
        let mode = unsafe { (&raw const (*self.request.as_ptr()).hEvent).read() };
        Overlapped {
            request: Some(self.request),
            upcalls: self.upcalls,
            handle,
            polled: mode.addr() & 1 == 1,
            buffers: self.buffers,
        }
    }
}

/// A pending request, owned by the provider. Completing consumes it; dropping it completes it with
/// `WSA_OPERATION_ABORTED`.
pub struct Overlapped {
    request: Option<NonNull<WSAOVERLAPPED>>,
    upcalls: UpCalls,
    handle: SwitchSocket,
    polled: bool,
    buffers: UserBuffers,
}

// SAFETY: the request belongs to the token alone until completion, and the caller lets it be completed on any thread
// (SP-017, section 14).
unsafe impl Send for Overlapped {}

impl Overlapped {
    /// Completes the request with a status, the number of bytes transferred, and the flags of the operation.
    ///
    /// A polled request is completed in place (SP-180, SP-183), a notified one by an up-call on this thread
    /// (SP-181), so hold no lock (SP-018). Completions of one kind on one socket have to come in the order of their
    /// submission (SP-187).
    pub fn complete(mut self, status: Result<(), WsaError>, bytes: u32, flags: u32) {
        self.finish(status, bytes, flags);
    }

    /// The data buffers, usable until completion.
    pub fn buffers(&self) -> &UserBuffers {
        &self.buffers
    }

    /// Whether the switch polls for the result: then completing makes no up-call.
    pub fn is_polled(&self) -> bool {
        self.polled
    }

    fn finish(&mut self, status: Result<(), WsaError>, bytes: u32, flags: u32) {
        let Some(request) = self.request.take() else { return };
        let request = request.as_ptr();
        let error = WsaError::code_of(status) as u32;
        // SAFETY: the request is ours until the store to `Internal` or the up-call, and not touched after either
        // (SP-185); it was taken out of the token, so this runs once.
        unsafe {
            (&raw mut (*request).Offset).write(flags);
            (&raw mut (*request).OffsetHigh).write(error);
            (&raw mut (*request).InternalHigh).write(bytes as usize);
            if self.polled {
                internal(request).store(0, Ordering::Release);
            } else {
                // A switch that refuses the completion has lost the request; nothing can be done about it (section 8).
                let _ = self.upcalls.complete_overlapped(self.handle, request, error, bytes);
            }
        }
    }
}

impl Drop for Overlapped {
    fn drop(&mut self) {
        self.finish(Err(WsaError::WSA_OPERATION_ABORTED), 0, 0);
    }
}

impl fmt::Debug for Overlapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.polled { "polled" } else { "notified" };
        write!(f, "Overlapped({mode}, {:?}, {:?})", self.handle, self.buffers)
    }
}

/// The state word of a request, which both sides use atomically.
///
/// # Safety
/// `request` is valid for reads and writes for `'a`.
pub(crate) unsafe fn internal<'a>(request: LPWSAOVERLAPPED) -> &'a AtomicUsize {
    // SAFETY: valid by the contract of this function, aligned because the structure is.
    unsafe { AtomicUsize::from_ptr(&raw mut (*request).Internal) }
}
