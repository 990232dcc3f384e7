//! The one value of a provider per process, and who may reach it when.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use super::SanProvider;
use super::upcalls::{UpCallCell, UpCalls};
use crate::error::WsaError;
use crate::ffi::WSPUPCALLTABLEEX;

/// Names the door of a provider: implemented by [`san_provider!`](crate::san_provider), not by hand.
pub trait Instance: 'static {
    /// The provider's type.
    type Provider: SanProvider;

    /// Its door, always the same one.
    fn door() -> &'static Door<Self::Provider>;
}

/// Start-ups of one provider in this process, and its value between the first start-up and the last clean-up.
///
/// The value lives on after the last clean-up, unreachable, since a call that came too late may still be in it.
pub struct Door<P> {
    current: AtomicPtr<Started<P>>,
    ledger: Mutex<Ledger>,
    changed: Condvar,
}

/// A provider with the up-calls that it was started with.
pub(super) struct Started<P> {
    pub(super) provider: P,
    pub(super) upcalls: UpCalls,
}

struct Ledger {
    phase: Phase,
    tables: Vec<&'static UpCallCell>,
    open: Option<&'static UpCallCell>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Starting(ThreadId),
    Running(usize),
    Stopping(ThreadId),
}

impl<P: SanProvider> Default for Door<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: SanProvider> Door<P> {
    /// A door of a provider that has not been started.
    pub const fn new() -> Self {
        assert!(P::RDMA_DESCRIPTOR_LEN <= super::MAX_DESCRIPTOR_LEN);
        assert!(P::ALLOCATION_DESCRIPTOR_LEN <= super::MAX_DESCRIPTOR_LEN);
        let ledger = Ledger { phase: Phase::Idle, tables: Vec::new(), open: None };
        Self { current: AtomicPtr::new(ptr::null_mut()), ledger: Mutex::new(ledger), changed: Condvar::new() }
    }

    /// The running provider.
    ///
    /// # Errors
    /// `WSANOTINITIALISED` outside of start-up and clean-up.
    pub(super) fn started(&self) -> Result<&'static Started<P>, WsaError> {
        let started = self.current.load(Ordering::Acquire);
        // SAFETY: the pointer is NULL or comes from `Box::leak` in `enter`, and is never freed.
        unsafe { started.as_ref() }.ok_or(WsaError::WSANOTINITIALISED)
    }

    /// Counts a start-up; the first one makes the provider with `start` (SP-030).
    ///
    /// # Errors
    /// What `start` answers, with nothing left behind (SP-032); `WSASYSNOTREADY` if called from inside a start-up or
    /// a clean-up.
    pub(super) fn enter(
        &self,
        table: &WSPUPCALLTABLEEX,
        start: impl FnOnce(UpCalls) -> Result<P, WsaError>,
    ) -> Result<(), WsaError> {
        let mut ledger = self.settled().ok_or(WsaError::WSASYSNOTREADY)?;
        if let Phase::Running(count) = ledger.phase {
            ledger.phase = Phase::Running(count + 1);
            return Ok(());
        }
        let cell = ledger.open(table);
        ledger.phase = Phase::Starting(thread::current().id());
        drop(ledger);

        // No lock is held here: the provider may call up (SP-018). If it panics, the door is idle again.
        let mut settle = Settle { door: self, then: Phase::Idle };
        let upcalls = cell.up_calls();
        let provider = start(upcalls)?;
        self.current.store(Box::leak(Box::new(Started { provider, upcalls })), Ordering::Release);
        settle.then = Phase::Running(1);
        Ok(())
    }

    /// Counts a clean-up; the last one calls the provider's (SP-035).
    ///
    /// # Errors
    /// `WSANOTINITIALISED` without a matching start-up.
    pub(super) fn leave(&self) -> Result<(), WsaError> {
        let mut ledger = self.settled().ok_or(WsaError::WSANOTINITIALISED)?;
        match ledger.phase {
            Phase::Running(1) => ledger.phase = Phase::Stopping(thread::current().id()),
            Phase::Running(count) => {
                ledger.phase = Phase::Running(count - 1);
                return Ok(());
            }
            _ => return Err(WsaError::WSANOTINITIALISED),
        }
        drop(ledger);

        // No lock is held here: completing what is pending calls up (SP-018).
        let _settle = Settle { door: self, then: Phase::Idle };
        let started = self.started()?;
        started.provider.cleanup();
        Ok(())
    }

    /// The ledger once no other thread is starting or stopping; `None` if this thread itself is.
    fn settled(&self) -> Option<MutexGuard<'_, Ledger>> {
        let mut ledger = self.ledger();
        loop {
            match ledger.phase {
                Phase::Starting(thread) | Phase::Stopping(thread) if thread == thread::current().id() => {
                    return None;
                }
                Phase::Starting(_) | Phase::Stopping(_) => {
                    ledger = self.changed.wait(ledger).unwrap_or_else(PoisonError::into_inner);
                }
                Phase::Idle | Phase::Running(_) => return Some(ledger),
            }
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// A copy of the table that is open for calls. The same table is copied once only.
    fn open(&mut self, table: &WSPUPCALLTABLEEX) -> &'static UpCallCell {
        let cell = match self.tables.iter().find(|cell| cell.holds(table)) {
            Some(cell) => *cell,
            None => {
                let cell = UpCallCell::leak(*table);
                self.tables.push(cell);
                cell
            }
        };
        cell.set_open(true);
        self.open = Some(cell);
        cell
    }
}

/// Ends a start-up or a clean-up, also when it panics.
struct Settle<'a, P: SanProvider> {
    door: &'a Door<P>,
    then: Phase,
}

impl<P: SanProvider> Drop for Settle<'_, P> {
    fn drop(&mut self) {
        let mut ledger = self.door.ledger();
        ledger.phase = self.then;
        if self.then == Phase::Idle {
            self.door.current.store(ptr::null_mut(), Ordering::Release);
            if let Some(cell) = ledger.open.take() {
                cell.set_open(false);
            }
        }
        drop(ledger);
        self.door.changed.notify_all();
    }
}
