//! The door of `WSPGetOverlappedResult`: answers from the request, after the provider has made progress.

use core::hint;
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::thread;

use super::{answer, descriptor, store};
use crate::error::WsaError;
use crate::ffi::{
    BOOL, FALSE, LPDWORD, LPINT, LPWSAOVERLAPPED, SOCKET, TRUE, WSAOVERLAPPED, WSS_OPERATION_IN_PROGRESS,
};
use crate::provider::overlapped::internal;
use crate::provider::{Instance, SanProvider};

/// `WSPGetOverlappedResult` (section 6.13).
pub(super) unsafe extern "system" fn get_overlapped_result<I: Instance>(
    s: SOCKET,
    lpOverlapped: LPWSAOVERLAPPED,
    lpcbTransfer: LPDWORD,
    fWait: BOOL,
    lpdwFlags: LPDWORD,
    lpErrno: LPINT,
) -> BOOL {
    // SAFETY: all pointers are as the SPI says.
    unsafe {
        answer::<I, _>(FALSE, lpErrno, |started| {
            let s = descriptor(s)?;
            if lpOverlapped.is_null() || lpcbTransfer.is_null() || lpdwFlags.is_null() {
                return Err(WsaError::WSAEFAULT);
            }
            let mut patience = Patience::default();
            loop {
                started.provider.progress(s, is_pending(lpOverlapped))?;
                if !is_pending(lpOverlapped) {
                    break;
                }
                if fWait == FALSE {
                    return Err(WsaError::WSA_IO_INCOMPLETE);
                }
                patience.rest();
            }
            let result = Outcome::read(lpOverlapped);
            store(lpcbTransfer, result.bytes);
            store(lpdwFlags, result.flags);
            WsaError::result_of(result.error).map(|()| TRUE)
        })
    }
}

/// Whether the request is still pending. If not, its other fields may be read.
///
/// # Safety
/// `request` is valid.
unsafe fn is_pending(request: LPWSAOVERLAPPED) -> bool {
    // SAFETY: valid by the contract of this function.
    unsafe { internal(request) }.load(Ordering::Acquire) == WSS_OPERATION_IN_PROGRESS
}

/// What a completed request says (SP-183).
struct Outcome {
    bytes: u32,
    flags: u32,
    error: i32,
}

impl Outcome {
    /// # Safety
    /// `request` is valid and was seen not to be pending.
    unsafe fn read(request: *const WSAOVERLAPPED) -> Self {
        // SAFETY: valid, and written before `Internal` was, by the contract of this function.
        unsafe {
            Self {
                bytes: (&raw const (*request).InternalHigh).read() as u32,
                flags: (&raw const (*request).Offset).read(),
                error: (&raw const (*request).OffsetHigh).read() as i32,
            }
        }
    }
}

/// Waiting by polling: the low bit of a polled request's event makes it useless for waiting (SP-097).
#[derive(Default)]
struct Patience {
    rounds: u32,
}

impl Patience {
    const SPINS: u32 = 200;
    const YIELDS: u32 = 400;
    const NAP: Duration = Duration::from_micros(50);

    fn rest(&mut self) {
        self.rounds = self.rounds.saturating_add(1);
        match self.rounds {
            ..Self::SPINS => hint::spin_loop(),
            Self::SPINS..Self::YIELDS => thread::yield_now(),
            _ => thread::sleep(Self::NAP),
        }
    }
}
