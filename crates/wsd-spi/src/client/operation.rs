//! Polled operations.

use core::fmt;
use core::task::Poll;
use std::sync::{Mutex, PoisonError};

use super::san;
use super::slab::Polled;
use super::tracer::trace;
use super::upcall_doors::in_up_call;
use crate::error::WsaError;
use crate::ffi::FALSE;

/// What a completed operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Bytes transferred.
    pub bytes: u32,
    /// Flags of the operation.
    pub flags: u32,
}

/// A started operation whose result is polled for.
///
/// Owns the request and keeps the data buffers alive until completion. Dropped before completion it goes on, and its
/// memory is kept until the provider has completed it.
pub struct Operation {
    pending: Option<Polled>,
    result: Option<Result<Transfer, WsaError>>,
}

impl Operation {
    pub(super) fn new(pending: Polled) -> Self {
        Self { pending: Some(pending), result: None }
    }

    /// The result, if there is one by now; otherwise the provider makes progress (SP-095). Cheap, never blocks. Once
    /// there is a result, it stays.
    pub fn poll(&mut self) -> Poll<Result<Transfer, WsaError>> {
        if let Some(result) = self.result {
            return Poll::Ready(result);
        }
        let pending = self.pending.as_ref().expect("there is a request as long as there is no result");
        let Poll::Ready(result) = check(pending) else { return Poll::Pending };
        self.result = Some(result);
        self.pending.take().expect("checked above").release();
        Poll::Ready(result)
    }

    /// Address of the request, as a trace shows it.
    pub fn request(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| pending.overlapped().addr())
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if let Some(pending) = self.pending.take() {
            abandon(pending);
        }
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Operation({:#x})", self.request())
    }
}

/// Asks the provider for a result. After the socket has been closed there is nobody to ask, and the request itself
/// tells (SP-170, SP-183).
fn check(pending: &Polled) -> Poll<Result<Transfer, WsaError>> {
    let socket = pending.socket();
    if socket.is_closed() {
        return check_fields(pending);
    }
    let (mut bytes, mut flags, mut errno) = (0, 0, 0);
    // SAFETY: the request is one of this provider and lives until it is complete; the others are local variables.
    let done = unsafe {
        (socket.functions().get_overlapped_result)(
            socket.descriptor.raw(),
            pending.overlapped(),
            &raw mut bytes,
            FALSE,
            &raw mut flags,
            &raw mut errno,
        )
    };
    let result = if done != FALSE {
        Ok(Transfer { bytes, flags })
    } else {
        let error = WsaError::reported(errno);
        if error == WsaError::WSA_IO_INCOMPLETE || pending.is_pending() {
            // Either it says so, or the call failed without telling anything about the operation.
            return Poll::Pending;
        }
        if matches!(error, WsaError::WSAENOTSOCK | WsaError::WSANOTINITIALISED) {
            // Closed meanwhile by another thread.
            return check_fields(pending);
        }
        Err(error)
    };
    trace!(
        &socket.san.tracer,
        "WSPGetOverlappedResult",
        result,
        "{:?}, {:p}",
        socket.descriptor,
        pending.overlapped()
    );
    Poll::Ready(result)
}

fn check_fields(pending: &Polled) -> Poll<Result<Transfer, WsaError>> {
    if pending.is_pending() {
        return Poll::Pending;
    }
    let (bytes, flags, error) = pending.fields();
    Poll::Ready(WsaError::result_of(error).map(|()| Transfer { bytes, flags }))
}

/// Operations that nobody waits for any more.
static ABANDONED: Mutex<Vec<Polled>> = Mutex::new(Vec::new());

fn abandon(pending: Polled) {
    if check(&pending).is_ready() {
        pending.release();
    } else {
        ABANDONED.lock().unwrap_or_else(PoisonError::into_inner).push(pending);
    }
}

/// Frees what was given up earlier and could not be freed then: abandoned operations that have completed by now, and
/// providers whose last reference was dropped inside an up-call. Done by
/// [`Provider::startup`](super::Provider::startup) and whenever a socket is closed; a switch may call it now and then.
/// Inside an up-call it does nothing.
pub fn reap() {
    if in_up_call() {
        return;
    }
    let abandoned = core::mem::take(&mut *ABANDONED.lock().unwrap_or_else(PoisonError::into_inner));
    abandoned.into_iter().for_each(abandon);
    san::clean_up_deferred();
}
