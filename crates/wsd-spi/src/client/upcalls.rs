//! What a switch answers to up-calls, and the tables of C functions in front of it.
//!
//! The C functions have no context argument, so there is one set of them per running provider: set number n asks
//! route number n for its handler.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::startup::StartupError;
use super::tracer::Tracer;
use super::upcall_doors::{ROUTES, TABLES};
use crate::error::WsaError;
use crate::ffi::{LPWSPSTARTUPEX, WSPUPCALLTABLEEX};
use crate::value::{Event, SwitchSocket};

/// The switch's side of the up-calls of one provider (section 8). Methods are called on any thread, also on one that
/// is inside a call to the provider, and may themselves call the provider, except for the two on events. A panic is
/// answered with `WSASYSCALLFAILURE`. Up-calls that no SAN provider needs are answered with `WSAEOPNOTSUPP`.
pub trait UpCallHandler: Send + Sync {
    /// `WPUCreateSocketHandle`: a new handle, unique in the process, from which `context` can be asked back. Called
    /// inside `WSPSocket` or `WSPAccept`; see [`Socket::handle`](super::Socket::handle).
    ///
    /// # Errors
    /// `WSAENOBUFS`.
    fn create_socket_handle(&self, catalog_entry_id: u32, context: usize) -> Result<SwitchSocket, WsaError>;

    /// `WPUCloseSocketHandle`: the last up-call for this handle.
    ///
    /// # Errors
    /// `WSAENOTSOCK` for an unknown handle.
    fn close_socket_handle(&self, handle: SwitchSocket) -> Result<(), WsaError>;

    /// `WPUQuerySocketHandleContext`: the context that the handle was made with.
    ///
    /// # Errors
    /// `WSAENOTSOCK` for an unknown handle.
    fn query_socket_handle_context(&self, handle: SwitchSocket) -> Result<usize, WsaError>;

    /// `WPUSetEvent`. The provider may hold locks: do not call it from here.
    ///
    /// # Errors
    /// `WSA_INVALID_HANDLE`.
    fn set_event(&self, event: Event) -> Result<(), WsaError>;

    /// `WPUResetEvent`. The provider may hold locks: do not call it from here.
    ///
    /// # Errors
    /// `WSA_INVALID_HANDLE`.
    fn reset_event(&self, event: Event) -> Result<(), WsaError>;

    /// `WPUCompleteOverlappedRequest` for an operation submitted with `key` (`*_notified`): once per operation, also
    /// before its submission returns. Its buffers are no longer used.
    fn complete(&self, handle: SwitchSocket, key: u64, status: Result<(), WsaError>, bytes: u32);

    /// `WPUCompleteOverlappedRequest` for a request at address `request` that no method of this module submitted:
    /// made through the raw [`Table`](super::Table), already completed, or no request at all.
    ///
    /// # Errors
    /// `WSAEINVAL`, which is the default.
    fn complete_foreign(
        &self,
        handle: SwitchSocket,
        request: usize,
        status: Result<(), WsaError>,
        bytes: u32,
    ) -> Result<(), WsaError> {
        let _ = (handle, request, status, bytes);
        Err(WsaError::WSAEINVAL)
    }
}

/// Most providers that can run at a time in one process.
pub(super) const MAX_TABLES: usize = 16;

/// Where the up-calls of one set of functions go. Never freed: a faulty provider may call at any time.
pub(super) struct Route {
    pub(super) handler: Arc<dyn UpCallHandler>,
    pub(super) tracer: Option<Arc<dyn Tracer>>,
}

/// An up-call table that leads to a handler until the value is dropped.
#[derive(Debug)]
pub struct UpCallTable {
    number: usize,
}

/// Who uses which table.
static HOLDERS: Mutex<[Option<Holder>; MAX_TABLES]> = Mutex::new([const { None }; MAX_TABLES]);

struct Holder {
    /// Address of the provider's entry, or 0.
    provider: usize,
    /// The process that has started it. A child of fork inherits the table of a provider that it has not started.
    process: u32,
    count: usize,
    handler: Arc<dyn UpCallHandler>,
}

impl Holder {
    /// The first holder of a table, which leads to its handler from now on.
    fn new(
        number: usize,
        provider: usize,
        handler: Arc<dyn UpCallHandler>,
        tracer: Option<Arc<dyn Tracer>>,
    ) -> Self {
        let route = Box::leak(Box::new(Route { handler: handler.clone(), tracer }));
        ROUTES[number].store(route, Ordering::Release);
        Self { provider, process: std::process::id(), count: 1, handler }
    }
}

impl UpCallTable {
    /// A table of its own for `handler`, for those who call [`Provider::entry`](super::Provider::entry) themselves.
    ///
    /// # Errors
    /// [`StartupError::TooMany`].
    pub fn new(
        handler: Arc<dyn UpCallHandler>,
        tracer: Option<Arc<dyn Tracer>>,
    ) -> Result<Self, StartupError> {
        Self::claim(&mut holders(), 0, handler, tracer)
    }

    /// The table for a provider: the same one as long as the provider runs, and the same again in a child of fork, where
    /// the provider may still know it: there it leads to the child's own handler.
    pub(super) fn for_provider(
        entry: LPWSPSTARTUPEX,
        handler: Arc<dyn UpCallHandler>,
        tracer: Option<Arc<dyn Tracer>>,
    ) -> Result<Self, StartupError> {
        let provider = entry as usize;
        let mut holders = holders();
        for (number, holder) in holders.iter_mut().enumerate() {
            if let Some(holder) = holder.as_mut().filter(|holder| holder.provider == provider) {
                if holder.process != std::process::id() {
                    *holder = Holder::new(number, provider, handler, tracer);
                    return Ok(Self { number });
                }
                if !ptr::addr_eq(Arc::as_ptr(&holder.handler), Arc::as_ptr(&handler)) {
                    return Err(StartupError::AlreadyStarted);
                }
                holder.count += 1;
                return Ok(Self { number });
            }
        }
        Self::claim(&mut holders, provider, handler, tracer)
    }

    fn claim(
        holders: &mut [Option<Holder>; MAX_TABLES],
        provider: usize,
        handler: Arc<dyn UpCallHandler>,
        tracer: Option<Arc<dyn Tracer>>,
    ) -> Result<Self, StartupError> {
        let number = holders.iter().position(Option::is_none).ok_or(StartupError::TooMany)?;
        holders[number] = Some(Holder::new(number, provider, handler, tracer));
        Ok(Self { number })
    }

    /// The table itself, for `WSPStartupEx`.
    pub fn table(&self) -> &'static WSPUPCALLTABLEEX {
        &TABLES[self.number]
    }
}

impl Drop for UpCallTable {
    fn drop(&mut self) {
        let mut holders = holders();
        let Some(holder) = holders[self.number].as_mut() else { return };
        holder.count -= 1;
        if holder.count == 0 {
            ROUTES[self.number].store(ptr::null_mut(), Ordering::Release);
            holders[self.number] = None;
        }
    }
}

fn holders() -> MutexGuard<'static, [Option<Holder>; MAX_TABLES]> {
    HOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Route number `number`, while somebody holds that table.
pub(super) fn route(number: usize) -> Option<&'static Route> {
    let route: &AtomicPtr<Route> = &ROUTES[number];
    // SAFETY: NULL, or a leaked value that is never changed.
    unsafe { route.load(Ordering::Acquire).as_ref() }
}
