//! The program's functions, which it passed to `WSPStartup`.

use core::ptr;

use wsd_spi::ffi::{
    BOOL, DWORD, DWORD_PTR, FALSE, HWND, INT, LPARAM, LPBLOCKINGCALLBACK, LPWPUCLOSESOCKETHANDLE,
    LPWPUCREATESOCKETHANDLE, LPWPURESETEVENT, LPWPUSETEVENT, SOCKET_ERROR, UINT, WSATHREADID, WSPUPCALLTABLE,
};
use wsd_spi::{Event, SwitchSocket, WsaError};

use crate::outcome::{Outcome, Overlapped, Routine};

/// The number under which a catalogue would have this library: there is none on Linux.
pub(crate) const CATALOG_ENTRY: DWORD = 0;

/// A copy of the program's up-call table; safe to use because `new` is not.
#[derive(Clone, Copy)]
pub(crate) struct UpCalls {
    create_socket_handle: LPWPUCREATESOCKETHANDLE,
    close_socket_handle: LPWPUCLOSESOCKETHANDLE,
    set_event: LPWPUSETEVENT,
    reset_event: LPWPURESETEVENT,
    table: WSPUPCALLTABLE,
}

/// Identity of a thread of the program's, as it gave it.
#[derive(Clone, Copy)]
pub(crate) struct ThreadId(WSATHREADID);

// SAFETY: an opaque handle, never dereferenced here.
unsafe impl Send for ThreadId {}

impl ThreadId {
    pub(crate) fn new(id: WSATHREADID) -> Self {
        Self(id)
    }
}

/// A window of the program's, as it gave it.
#[derive(Clone, Copy)]
pub(crate) struct Window(HWND);

// SAFETY: an opaque handle, never dereferenced here.
unsafe impl Send for Window {}

impl Window {
    /// The window; `None` for NULL.
    pub(crate) fn new(handle: HWND) -> Option<Self> {
        (!handle.is_null()).then_some(Self(handle))
    }
}

/// What the calling thread wants called while it blocks.
#[derive(Clone, Copy)]
pub(crate) struct BlockingCallback {
    function: LPBLOCKINGCALLBACK,
    context: DWORD_PTR,
}

impl BlockingCallback {
    /// Calls it: whether to go on waiting.
    pub(crate) fn goes_on(self) -> bool {
        // SAFETY: the program gave the function for exactly this, with this context.
        unsafe { (self.function)(self.context) != FALSE }
    }
}

/// What `WPUQueueApc` carries to the program's thread.
struct Apc {
    routine: Routine,
    overlapped: Overlapped,
    outcome: Outcome,
}

impl UpCalls {
    /// The functions of `table`; `None` if one is missing that no socket can do without: handles, and events.
    ///
    /// # Safety
    /// The functions keep to the SPI and stay callable until the last `WSPCleanup` has returned.
    pub(crate) unsafe fn new(table: &WSPUPCALLTABLE) -> Option<Self> {
        Some(Self {
            create_socket_handle: table.lpWPUCreateSocketHandle?,
            close_socket_handle: table.lpWPUCloseSocketHandle?,
            set_event: table.lpWPUSetEvent?,
            reset_event: table.lpWPUResetEvent?,
            table: *table,
        })
    }

    /// A new descriptor for the program.
    pub(crate) fn create_socket_handle(&self, context: usize) -> Result<SwitchSocket, WsaError> {
        let mut code = 0;
        // SAFETY: the contract of `new`; the code is a live variable.
        let handle = unsafe { (self.create_socket_handle)(CATALOG_ENTRY, context, &raw mut code) };
        match SwitchSocket::from_raw(handle) {
            SwitchSocket::INVALID => Err(WsaError::from_code(code).unwrap_or(WsaError::WSAENOBUFS)),
            handle => Ok(handle),
        }
    }

    /// Gives a descriptor back. What the program answers changes nothing.
    pub(crate) fn close_socket_handle(&self, handle: SwitchSocket) {
        let mut code = 0;
        // SAFETY: as above.
        unsafe { (self.close_socket_handle)(handle.raw(), &raw mut code) };
    }

    /// Sets an event. It may be gone by now: that is the program's own doing.
    pub(crate) fn set_event(&self, event: Event) {
        let mut code = 0;
        // SAFETY: as above.
        unsafe { (self.set_event)(event.handle(), &raw mut code) };
    }

    /// Resets an event.
    pub(crate) fn reset_event(&self, event: Event) -> Result<(), WsaError> {
        let mut code = 0;
        // SAFETY: as above.
        accepted(unsafe { (self.reset_event)(event.handle(), &raw mut code) }, code)
    }

    /// Whether messages can be posted.
    pub(crate) fn posts_messages(&self) -> bool {
        self.table.lpWPUPostMessage.is_some()
    }

    /// Posts a message of `WSPAsyncSelect`. A window that is gone gets none.
    pub(crate) fn post_message(
        &self,
        window: Window,
        message: UINT,
        socket: SwitchSocket,
        parameter: LPARAM,
    ) {
        if let Some(post) = self.table.lpWPUPostMessage {
            // SAFETY: as above.
            unsafe { post(window.0, message, socket.raw(), parameter) };
        }
    }

    /// Whether completion routines can be run.
    pub(crate) fn queues_apcs(&self) -> bool {
        self.table.lpWPUQueueApc.is_some()
    }

    /// Has the program's thread run a completion routine. A thread that is gone runs none.
    pub(crate) fn queue_completion(&self, routine: Routine, overlapped: Overlapped, outcome: Outcome) {
        let Some(queue) = self.table.lpWPUQueueApc else { return };
        let apc = Box::into_raw(Box::new(Apc { routine, overlapped, outcome }));
        let mut thread = routine.thread.0;
        let mut code = 0;
        // SAFETY: as above; the thread's identity is a live copy.
        let queued = unsafe { queue(&raw mut thread, Some(run_apc), apc.expose_provenance(), &raw mut code) };
        if queued == SOCKET_ERROR {
            // SAFETY: made by `into_raw` above, and refused: `run_apc` will not be called with it.
            drop(unsafe { Box::from_raw(apc) });
        }
    }

    /// What the calling thread wants called while it blocks, if anything.
    pub(crate) fn blocking_callback(&self) -> Option<BlockingCallback> {
        let query = self.table.lpWPUQueryBlockingCallback?;
        let (mut function, mut context, mut code) = (None, 0, 0);
        // SAFETY: as above; all three are live variables.
        let answer = unsafe { query(CATALOG_ENTRY, &raw mut function, &raw mut context, &raw mut code) };
        if answer == SOCKET_ERROR {
            return None;
        }
        Some(BlockingCallback { function: function?, context })
    }
}

fn accepted(answer: BOOL, code: INT) -> Result<(), WsaError> {
    if answer == FALSE { Err(WsaError::reported(code)) } else { Ok(()) }
}

/// Runs in the program's thread, once per queued completion.
unsafe extern "system" fn run_apc(context: DWORD_PTR) {
    let apc = ptr::with_exposed_provenance_mut::<Apc>(context);
    // SAFETY: the program passes the context of `queue_completion` on, once.
    let apc = unsafe { Box::from_raw(apc) };
    let code = WsaError::code_of(apc.outcome.status).cast_unsigned();
    let request = ptr::with_exposed_provenance_mut(apc.overlapped.address());
    // SAFETY: the program gave the routine for this request.
    unsafe { (apc.routine.function)(code, apc.outcome.bytes, request, apc.outcome.flags) };
}
