//! How operations end, and how the program learns of it.

use core::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use wsd_os::atomic::{AtomicUsize, Ordering};
use wsd_spi::ffi::{
    LPWSAOVERLAPPED, LPWSAOVERLAPPED_COMPLETION_ROUTINE, WSAOVERLAPPED, WSS_OPERATION_IN_PROGRESS,
};
use wsd_spi::{Event, WsaError};

use crate::blocking::Bell;
use crate::upcalls::{ThreadId, UpCalls};

/// Result of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Whether it succeeded.
    pub(crate) status: Result<(), WsaError>,
    /// Bytes transferred, also of a receive that failed because the message was longer than the buffers.
    pub(crate) bytes: u32,
    /// `MSG_*` of the SPI.
    pub(crate) flags: u32,
}

impl Outcome {
    /// Success.
    pub(crate) fn done(bytes: usize) -> Self {
        Self { status: Ok(()), bytes: u32::try_from(bytes).unwrap_or(u32::MAX), flags: 0 }
    }

    /// Failure without a byte.
    pub(crate) fn failed(error: WsaError) -> Self {
        Self { status: Err(error), bytes: 0, flags: 0 }
    }
}

/// A `WSAOVERLAPPED` of the program.
#[derive(Clone, Copy)]
pub(crate) struct Overlapped(NonNull<WSAOVERLAPPED>);

// SAFETY: `new` demands that the structure is ours until completion, on whichever thread that is; `Internal`, which the
// program may read meanwhile, is only accessed as an atomic.
unsafe impl Send for Overlapped {}

impl Overlapped {
    /// The structure behind a pointer; `None` for NULL.
    ///
    /// # Safety
    /// NULL, or valid and the callee's until the operation is complete or refused.
    pub(crate) unsafe fn new(pointer: LPWSAOVERLAPPED) -> Option<Self> {
        NonNull::new(pointer).map(Self)
    }

    /// What tells one request from another.
    pub(crate) fn address(self) -> usize {
        self.0.addr().get()
    }

    /// The event in `hEvent`.
    pub(crate) fn event(self) -> Option<Event> {
        // SAFETY: valid by the contract of `new`; the program does not change it while the request is pending.
        Event::from_handle(unsafe { (&raw const (*self.0.as_ptr()).hEvent).read() })
    }

    /// Position in a file of `TransmitFile`, `None` for the file's own.
    pub(crate) fn position(self) -> Option<u64> {
        // SAFETY: valid by the contract of `new`, and not yet begun.
        let (low, high) = unsafe { ((*self.0.as_ptr()).Offset, (*self.0.as_ptr()).OffsetHigh) };
        (low != 0 || high != 0).then_some(u64::from(high) << 32 | u64::from(low))
    }

    /// Marks the request as pending.
    pub(crate) fn begin(self) {
        self.internal().store(WSS_OPERATION_IN_PROGRESS, Ordering::Relaxed);
    }

    /// Writes the outcome, `Internal` last.
    pub(crate) fn finish(self, outcome: Outcome) {
        let code = WsaError::code_of(outcome.status);
        let request = self.0.as_ptr();
        // SAFETY: valid and ours until `Internal` says otherwise, by the contract of `new`.
        unsafe {
            (&raw mut (*request).Offset).write(outcome.flags);
            (&raw mut (*request).OffsetHigh).write(code.cast_unsigned());
            (&raw mut (*request).InternalHigh).write(outcome.bytes as usize);
        }
        // Release: whoever sees it complete, in `outcome` or by itself, sees the rest.
        self.internal().store(code.cast_unsigned() as usize, Ordering::Release);
    }

    /// The outcome; `None` while the request is pending.
    pub(crate) fn outcome(self) -> Option<Outcome> {
        // Acquire: pairs with the release in `finish`.
        if self.internal().load(Ordering::Acquire) == WSS_OPERATION_IN_PROGRESS {
            return None;
        }
        let request = self.0.as_ptr();
        // SAFETY: valid by the contract of `new`, and complete: nobody writes any more.
        let (flags, code, bytes) =
            unsafe { ((*request).Offset, (*request).OffsetHigh, (*request).InternalHigh) };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Some(Outcome { status: WsaError::result_of(code.cast_signed()), bytes, flags })
    }

    fn internal(&self) -> &AtomicUsize {
        // SAFETY: valid and aligned by the contract of `new`; the field is only accessed as an atomic.
        unsafe { AtomicUsize::from_ptr(&raw mut (*self.0.as_ptr()).Internal) }
    }
}

/// A completion routine with the request that it is about.
#[derive(Clone, Copy)]
pub(crate) struct Routine {
    pub(crate) function: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
    pub(crate) thread: ThreadId,
}

/// An overlapped request: how its end is told.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) overlapped: Overlapped,
    event: Option<Event>,
    routine: Option<Routine>,
}

impl Request {
    /// The request of one call. With a completion routine the event is the program's own and left alone.
    pub(crate) fn new(overlapped: Overlapped, routine: Option<Routine>) -> Self {
        let event = if routine.is_some() { None } else { overlapped.event() };
        Self { overlapped, event, routine }
    }

    /// Completes the request, and tells.
    pub(crate) fn complete(self, outcome: Outcome, upcalls: &UpCalls) {
        self.overlapped.finish(outcome);
        if let Some(event) = self.event {
            upcalls.set_event(event);
        }
        if let Some(routine) = self.routine {
            upcalls.queue_completion(routine, self.overlapped, outcome);
        }
    }
}

/// Who waits for an operation.
pub(crate) enum Completion {
    /// An overlapped request.
    Request(Request),
    /// A thread inside a blocking call.
    Call(Arc<Call>),
}

/// A blocking call whose operation waits in a queue.
pub(crate) struct Call {
    outcome: Mutex<Option<Outcome>>,
    bell: Arc<Bell>,
}

impl Call {
    /// A call of the thread with that bell.
    pub(crate) fn new(bell: Arc<Bell>) -> Self {
        Self { outcome: Mutex::new(None), bell }
    }

    /// Ends the call.
    pub(crate) fn finish(&self, outcome: Outcome) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.bell.ring();
    }

    /// How it ended, if it has.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
