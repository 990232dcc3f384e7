//! Sending, receiving, RDMA, and asking for results.

use core::ptr;

use serde::{Deserialize, Serialize};
use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use super::code::{Answer, Code};
use super::extensions::Extensions;
use super::memory::Memory;
use super::recorder::recorder;
use super::request::{Mode, Request};
use super::table::{Table, call, entry, truth, zero};

/// A local buffer of an RDMA operation: registered memory with the handle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) memory: Memory,
    pub(crate) handle: usize,
}

/// The remote side of an RDMA operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) descriptor: &'a [u8],
    pub(crate) offset: u32,
}

/// How an operation ended, as `WSPGetOverlappedResult` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finished {
    /// `None` is success.
    pub(crate) error: Option<Code>,
    /// `*lpcbTransfer`.
    pub(crate) bytes: u32,
    /// `*lpdwFlags`.
    pub(crate) flags: u32,
}

/// What `*lpNumberOfBytesSent` and the like hold before a call.
const NOT_WRITTEN: u32 = 0xBAAD_F00D;

/// Both arrays of buffers begin alike; this is what is left in them after a call (SP-087).
const TRANSIENT: WSABUFEX = WSABUFEX { len: 1, buf: ptr::null_mut(), handle: ptr::null_mut() };

impl Table {
    /// `WSPSend`. The array of buffers is overwritten on return (SP-087).
    ///
    /// # Errors
    /// As the provider says, except that `WSA_IO_PENDING` and success are both success here.
    pub(crate) fn send(&self, s: usize, buffers: &[Memory], request: Request) -> Answer<()> {
        let function = entry!(self.lpWSPSend);
        let array = plain(buffers).leak();
        let mut count = NOT_WRITTEN;
        let (array_at, length) = (array.as_mut_ptr(), array.len() as u32);
        let submitted = submit(request, || {
            call(
                // SAFETY: the buffers and the request are never freed, the array lives during the call (module notes).
                |errno| unsafe {
                    function(
                        s,
                        array_at,
                        length,
                        &raw mut count,
                        0,
                        request.pointer(),
                        None,
                        ptr::null_mut(),
                        errno,
                    )
                },
                zero,
            )
        });
        array.fill(WSABUF { len: 1, buf: ptr::null_mut() });
        submitted.map(|immediately| count_is_kept("WSPSend", immediately, count))
    }

    /// `WSPRecv`, as [`send`](Self::send).
    pub(crate) fn recv(&self, s: usize, buffers: &[Memory], request: Request) -> Answer<()> {
        let function = entry!(self.lpWSPRecv);
        let array = plain(buffers).leak();
        let (mut count, mut flags) = (NOT_WRITTEN, 0);
        let (array_at, length) = (array.as_mut_ptr(), array.len() as u32);
        let submitted = submit(request, || {
            call(
                // SAFETY: as in `send`.
                |errno| unsafe {
                    function(
                        s,
                        array_at,
                        length,
                        &raw mut count,
                        &raw mut flags,
                        request.pointer(),
                        None,
                        ptr::null_mut(),
                        errno,
                    )
                },
                zero,
            )
        });
        array.fill(WSABUF { len: 1, buf: ptr::null_mut() });
        submitted.map(|immediately| count_is_kept("WSPRecv", immediately, count))
    }

    /// `WSPSend` or `WSPRecv` with NULL for the buffers, one of them, and a request.
    pub(crate) fn without_buffers(&self, s: usize, send: bool) -> Answer<()> {
        let request = Request::new(Mode::Polled);
        let (mut count, mut flags) = (0, 0);
        let (none, request) = (ptr::null_mut(), request.pointer());
        if send {
            let function = entry!(self.lpWSPSend);
            // SAFETY: pointers are NULL, or to what lives during the call (module notes).
            let send = |errno| unsafe {
                function(s, none, 1, &raw mut count, 0, request, None, ptr::null_mut(), errno)
            };
            call(send, zero)
        } else {
            let function = entry!(self.lpWSPRecv);
            // SAFETY: as above.
            let recv = |errno| unsafe {
                function(s, none, 1, &raw mut count, &raw mut flags, request, None, ptr::null_mut(), errno)
            };
            call(recv, zero)
        }
    }

    /// `WSPGetOverlappedResult`: `None` while pending.
    ///
    /// # Errors
    /// A return value that is neither true nor false, and `WSAENOTSOCK`, `WSAEINVAL` for a question that cannot be asked.
    pub(crate) fn result(&self, s: usize, request: Request, wait: bool) -> Answer<Option<Finished>> {
        let function = entry!(self.lpWSPGetOverlappedResult);
        let (mut bytes, mut flags) = (NOT_WRITTEN, NOT_WRITTEN);
        let answer = call(
            // SAFETY: the request is never freed (module notes).
            |errno| unsafe {
                function(s, request.pointer(), &raw mut bytes, BOOL::from(wait), &raw mut flags, errno)
            },
            truth,
        );
        let ended = |error| Ok(Some(Finished { error, bytes, flags }));
        match answer {
            Ok(()) => ended(None),
            Err(code) if code.is(WsaError::WSA_IO_INCOMPLETE) => Ok(None),
            Err(code) if request.is_marked_pending() || code.is(WsaError::WSAENOTSOCK) => Err(code),
            Err(code @ Code::Number(_)) => ended(Some(code)),
            Err(code) => Err(code),
        }
    }
}

impl Extensions {
    /// `WSPRdmaWrite`, or `WSPRdmaRead`: as [`Table::send`].
    pub(crate) fn rdma(
        &self,
        s: usize,
        write: bool,
        parts: &[Part],
        target: Target<'_>,
        request: Request,
    ) -> Answer<()> {
        let function = if write { self.write } else { self.read }.ok_or(Code::Unset)?;
        let mut descriptor = target.descriptor.to_vec();
        let array: &mut [WSABUFEX] = parts
            .iter()
            .map(|part| WSABUFEX {
                len: part.memory.len() as u32,
                buf: part.memory.start().cast(),
                handle: ptr::without_provenance_mut(part.handle),
            })
            .collect::<Vec<_>>()
            .leak();
        let mut count = NOT_WRITTEN;
        let (array_at, length) = (array.as_mut_ptr(), array.len() as u32);
        let submitted = submit(request, || {
            call(
                // SAFETY: as in `Table::send`; the descriptor has the stated length.
                |errno| unsafe {
                    function(
                        s,
                        array_at,
                        length,
                        descriptor.as_mut_ptr().cast(),
                        descriptor.len() as u32,
                        target.offset,
                        &raw mut count,
                        0,
                        request.pointer(),
                        None,
                        ptr::null_mut(),
                        errno,
                    )
                },
                zero,
            )
        });
        array.fill(TRANSIENT);
        submitted.map(|immediately| count_is_kept("RDMA", immediately, count))
    }
}

fn plain(buffers: &[Memory]) -> Vec<WSABUF> {
    let buffer = |memory: &Memory| WSABUF { len: memory.len() as u32, buf: memory.start().cast() };
    buffers.iter().map(buffer).collect()
}

/// Makes the request known, submits it, and forgets it again if it was refused: whether it was done at once.
fn submit(request: Request, submission: impl FnOnce() -> Answer<()>) -> Answer<bool> {
    recorder().expects(request);
    match submission() {
        Ok(()) => Ok(true),
        Err(code) if code.is(WsaError::WSA_IO_PENDING) => Ok(false),
        Err(code) => {
            recorder().refused(request);
            Err(code)
        }
    }
}

/// SP-086: a pending operation leaves the caller's byte count alone.
fn count_is_kept(function: &'static str, immediately: bool, count: u32) {
    if !immediately && count != NOT_WRITTEN {
        recorder()
            .breach("SP-086", format!("{function} answered WSA_IO_PENDING and wrote {count} as byte count"));
    }
}
