//! The switch's functions, as a provider calls them.

use core::sync::atomic::{AtomicBool, Ordering};

use super::events;
use crate::error::WsaError;
use crate::ffi::{INT, INVALID_SOCKET, LPWSAOVERLAPPED, SOCKET_ERROR, WSPUPCALLTABLEEX};
use crate::value::{Event, SwitchSocket};

/// The up-call table of the switch, copied at start-up (SP-003). Cheap to copy, usable on any thread.
///
/// Every method answers `WSAEOPNOTSUPP` if the switch left the entry empty (on Windows those on events do without), and `WSANOTINITIALISED` after the last
/// `WSPCleanup`. Except for the two on events, call them without holding a lock that the trait's methods take
/// (SP-018).
#[derive(Clone, Copy)]
pub struct UpCalls(&'static UpCallCell);

impl UpCalls {
    /// `WPUCreateSocketHandle`: makes the switch's handle of a socket. `catalog_entry_id` may be 0, `context` is any
    /// value of the provider.
    ///
    /// # Errors
    /// `WSAENOBUFS`, and what the switch answers.
    pub fn create_socket_handle(
        &self,
        catalog_entry_id: u32,
        context: usize,
    ) -> Result<SwitchSocket, WsaError> {
        let function = self.0.entry(|table| table.lpWPUCreateSocketHandle)?;
        let mut errno: INT = 0;
        // SAFETY: the entry is callable until the last clean-up by the contract of `startup_ex`; `errno` is valid.
        let handle = unsafe { function(catalog_entry_id, context, &raw mut errno) };
        if handle == INVALID_SOCKET {
            Err(WsaError::reported(errno))
        } else {
            Ok(SwitchSocket::from_raw(handle))
        }
    }

    /// `WPUCloseSocketHandle`: the last up-call for that handle.
    ///
    /// # Errors
    /// `WSAENOTSOCK` for a foreign handle.
    pub fn close_socket_handle(&self, handle: SwitchSocket) -> Result<(), WsaError> {
        let function = self.0.entry(|table| table.lpWPUCloseSocketHandle)?;
        let mut errno: INT = 0;
        // SAFETY: the entry is callable until the last clean-up by the contract of `startup_ex`; `errno` is valid.
        let result = unsafe { function(handle.raw(), &raw mut errno) };
        zero_or(result, errno)
    }

    /// `WPUQuerySocketHandleContext`: the context that the handle was made with.
    ///
    /// # Errors
    /// `WSAENOTSOCK` for a foreign handle.
    pub fn query_context(&self, handle: SwitchSocket) -> Result<usize, WsaError> {
        let function = self.0.entry(|table| table.lpWPUQuerySocketHandleContext)?;
        let mut errno: INT = 0;
        let mut context = 0;
        // SAFETY: the entry is callable until the last clean-up by the contract of `startup_ex`; both pointers are
        // to local variables.
        let result = unsafe { function(handle.raw(), &raw mut context, &raw mut errno) };
        zero_or(result, errno).map(|()| context)
    }

    /// `WPUSetEvent`: signals an event of `WSPEventSelect`. May be called with a lock held.
    ///
    /// # Errors
    /// What the switch answers.
    pub fn set_event(&self, event: Event) -> Result<(), WsaError> {
        let function = self.0.entry(|table| table.lpWPUSetEvent.or(events::SET))?;
        let mut errno: INT = 0;
        // SAFETY: the entry is callable until the last clean-up by the contract of `startup_ex`; `errno` is valid.
        let result = unsafe { function(event.handle(), &raw mut errno) };
        true_or(result, errno)
    }

    /// `WPUResetEvent`: the opposite of [`set_event`](Self::set_event). May be called with a lock held.
    ///
    /// # Errors
    /// What the switch answers.
    pub fn reset_event(&self, event: Event) -> Result<(), WsaError> {
        let function = self.0.entry(|table| table.lpWPUResetEvent.or(events::RESET))?;
        let mut errno: INT = 0;
        // SAFETY: the entry is callable until the last clean-up by the contract of `startup_ex`; `errno` is valid.
        let result = unsafe { function(event.handle(), &raw mut errno) };
        true_or(result, errno)
    }

    /// `WPUCompleteOverlappedRequest` (SP-181).
    ///
    /// # Safety
    /// `request` is a notified request of this switch that has not been completed, and is not touched afterwards.
    pub(super) unsafe fn complete_overlapped(
        &self,
        handle: SwitchSocket,
        request: LPWSAOVERLAPPED,
        error: u32,
        bytes: u32,
    ) -> Result<(), WsaError> {
        let function = self.0.entry(|table| table.lpWPUCompleteOverlappedRequest)?;
        let mut errno: INT = 0;
        // SAFETY: the entry is callable until the last clean-up by the contract of `startup_ex`; the request is
        // pending by the contract of this function; `errno` is valid.
        let result = unsafe { function(handle.raw(), request, error, bytes, &raw mut errno) };
        zero_or(result, errno)
    }
}

impl core::fmt::Debug for UpCalls {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("UpCalls")
    }
}

/// One copied table. It is never freed, since a token of a provider that breaks SP-212 may ask it at any time.
pub(super) struct UpCallCell {
    table: WSPUPCALLTABLEEX,
    open: AtomicBool,
}

impl UpCallCell {
    /// A copy of `table`, open for calls.
    pub(super) fn leak(table: WSPUPCALLTABLEEX) -> &'static Self {
        Box::leak(Box::new(Self { table, open: AtomicBool::new(true) }))
    }

    /// Whether it is a copy of the same table.
    pub(super) fn holds(&self, table: &WSPUPCALLTABLEEX) -> bool {
        addresses(&self.table) == addresses(table)
    }

    /// Allows or forbids calls.
    pub(super) fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Release);
    }

    /// The object for the provider.
    pub(super) fn up_calls(&'static self) -> UpCalls {
        UpCalls(self)
    }

    fn entry<F>(&self, choose: impl FnOnce(&WSPUPCALLTABLEEX) -> Option<F>) -> Result<F, WsaError> {
        if !self.open.load(Ordering::Acquire) {
            return Err(WsaError::WSANOTINITIALISED);
        }
        choose(&self.table).ok_or(WsaError::WSAEOPNOTSUPP)
    }
}

/// The 16 entries as numbers, NULL as 0.
fn addresses(table: &WSPUPCALLTABLEEX) -> [usize; 16] {
    // SAFETY: the table is 16 optional function pointers, which have the size of `usize`; only their values matter.
    unsafe { core::mem::transmute(*table) }
}

fn zero_or(result: INT, errno: INT) -> Result<(), WsaError> {
    if result == SOCKET_ERROR { Err(WsaError::reported(errno)) } else { Ok(()) }
}

fn true_or(result: INT, errno: INT) -> Result<(), WsaError> {
    if result == 0 { Err(WsaError::reported(errno)) } else { Ok(()) }
}
