//! Overlapped requests, seen from outside.

use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use wsd_spi::ffi::{LPWSAOVERLAPPED, WSAOVERLAPPED, WSS_OPERATION_IN_PROGRESS};

/// How the end of a request is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Bit 0 of `hEvent` set (SP-180).
    Polled,
    /// Bit 0 of `hEvent` clear (SP-181).
    Notified,
}

/// A `WSAOVERLAPPED` that is never freed.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    cell: &'static Cell,
}

struct Cell(UnsafeCell<WSAOVERLAPPED>);

// SAFETY: shared with the provider; it is read and written by single volatile or atomic accesses only.
unsafe impl Sync for Cell {}

/// `InternalHigh` before anybody has written it.
const NO_COUNT: usize = 0x0DD_C0DE;

impl Request {
    /// A fresh one.
    pub(crate) fn new(mode: Mode) -> Self {
        let mut overlapped = WSAOVERLAPPED::zeroed();
        overlapped.InternalHigh = NO_COUNT;
        let cell: &'static Cell = Box::leak(Box::new(Cell(UnsafeCell::new(overlapped))));
        let request = Self { cell };
        request.switch_to(mode);
        request
    }

    pub(super) fn pointer(self) -> LPWSAOVERLAPPED {
        self.cell.0.get()
    }

    /// Its address, by which up-calls name it.
    pub(crate) fn address(self) -> usize {
        self.pointer().addr()
    }

    /// Sets or clears bit 0 of `hEvent`.
    pub(crate) fn switch_to(self, mode: Mode) {
        let event = usize::from(mode == Mode::Polled);
        // SAFETY: the request is never freed; see `Cell`.
        unsafe { (&raw mut (*self.pointer()).hEvent).write_volatile(ptr::without_provenance_mut(event)) };
    }

    pub(super) fn is_polled(self) -> bool {
        // SAFETY: as in `switch_to`.
        let event = unsafe { (&raw const (*self.pointer()).hEvent).read_volatile() };
        event.addr() & 1 == 1
    }

    fn internal(self) -> &'static AtomicUsize {
        // SAFETY: the field is never freed, aligned, and other accesses of this process are atomic too.
        unsafe { AtomicUsize::from_ptr(&raw mut (*self.pointer()).Internal) }
    }

    /// Whether `Internal` says that the operation is under way.
    pub(crate) fn is_marked_pending(self) -> bool {
        // Acquire: with the release by which the provider, or `complete`, writes the result before it.
        self.internal().load(Ordering::Acquire) == WSS_OPERATION_IN_PROGRESS
    }

    /// Byte count and error as the provider left them in `InternalHigh` and `OffsetHigh`; no count if never written.
    pub(crate) fn result_fields(self) -> (Option<usize>, u32) {
        // SAFETY: as in `switch_to`.
        let (count, error) = unsafe {
            let fields = self.pointer();
            (
                (&raw const (*fields).InternalHigh).read_volatile(),
                (&raw const (*fields).OffsetHigh).read_volatile(),
            )
        };
        ((count != NO_COUNT).then_some(count), error)
    }

    /// What the switch does at `WPUCompleteOverlappedRequest`: the byte count first, `Internal` last (section 8).
    pub(super) fn complete(self, bytes: u32) {
        // SAFETY: as in `switch_to`.
        unsafe { (&raw mut (*self.pointer()).InternalHigh).write_volatile(bytes as usize) };
        // Release: with the acquire in `is_marked_pending`.
        self.internal().store(0, Ordering::Release);
    }

    /// Fills it with a pattern, as a switch that uses the memory for something else (SP-185).
    pub(crate) fn scribble(self) {
        // SAFETY: as in `switch_to`; all fields are integers or plain pointers.
        unsafe { self.pointer().cast::<[usize; 4]>().write_volatile([SCRIBBLE; 4]) };
    }

    /// Whether the pattern is as it was.
    pub(crate) fn is_scribbled(self) -> bool {
        // SAFETY: as in `scribble`.
        unsafe { self.pointer().cast::<[usize; 4]>().read_volatile() == [SCRIBBLE; 4] }
    }
}

const SCRIBBLE: usize = 0x00A5_A5A5_A5A5_A5A4;
