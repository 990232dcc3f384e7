//! The up-calls of this program: descriptors, messages, APCs, blocking callbacks.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use wsd_spi::ffi::*;

use super::{Apc, events, lock};

/// Descriptors that the library made and has not given back.
static HANDLES: LazyLock<Mutex<HashSet<SOCKET>>> = LazyLock::new(Mutex::default);
/// Messages of every window.
static MESSAGES: LazyLock<Mutex<HashMap<usize, Vec<Message>>>> = LazyLock::new(Mutex::default);
/// Calls that wait for a thread.
static APCS: LazyLock<Mutex<HashMap<usize, Vec<Apc>>>> = LazyLock::new(Mutex::default);
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// A message of `WSPAsyncSelect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) number: UINT,
    pub(crate) socket: SOCKET,
    pub(crate) event: i32,
    pub(crate) error: i32,
}

thread_local! {
    static CALLBACK: Cell<Option<LPBLOCKINGCALLBACK>> = const { Cell::new(None) };
    static THREAD: usize = NEXT.fetch_add(1, Ordering::Relaxed);
}

/// The up-call table.
pub(crate) fn upcalls() -> WSPUPCALLTABLE {
    WSPUPCALLTABLE {
        lpWPUCloseSocketHandle: Some(close_handle),
        lpWPUCreateSocketHandle: Some(create_handle),
        lpWPUPostMessage: Some(post_message),
        lpWPUQueryBlockingCallback: Some(query_callback),
        lpWPUQueueApc: Some(queue_apc),
        lpWPUResetEvent: Some(events::reset),
        lpWPUSetEvent: Some(events::set),
        ..WSPUPCALLTABLE::empty()
    }
}

pub(crate) fn protocol_info() -> WSAPROTOCOL_INFOW {
    WSAPROTOCOL_INFOW::tcp_ip(AF_INET)
}

/// What this thread wants called while it blocks.
pub(crate) fn blocking_callback(callback: Option<LPBLOCKINGCALLBACK>) {
    CALLBACK.set(callback);
}

/// Messages that a window has got so far.
pub(crate) fn messages(window: usize) -> Vec<Message> {
    lock(&MESSAGES).get(&window).cloned().unwrap_or_default()
}

/// Whether the descriptor has been given back.
pub(crate) fn is_given_back(handle: SOCKET) -> bool {
    !lock(&HANDLES).contains(&handle)
}

/// This thread, as the library gets it for its APCs.
pub(crate) fn this_thread() -> WSATHREADID {
    WSATHREADID { ThreadHandle: std::ptr::without_provenance_mut(THREAD.with(|number| *number)), Reserved: 0 }
}

/// Calls queued for this thread.
pub(crate) struct Apcs;

impl Apcs {
    /// Runs what is queued, as an alertable wait does, and says how many it was.
    pub(crate) fn run() -> usize {
        let queued = lock(&APCS).remove(&THREAD.with(|number| *number)).unwrap_or_default();
        for (function, context) in &queued {
            // SAFETY: the library queued the function with this context, once.
            unsafe { function(*context) };
        }
        queued.len()
    }
}

unsafe extern "system" fn create_handle(_entry: DWORD, _context: DWORD_PTR, _code: LPINT) -> SOCKET {
    let handle = NEXT.fetch_add(1, Ordering::Relaxed) * 4 + 0x10000;
    assert!(lock(&HANDLES).insert(handle));
    handle
}

unsafe extern "system" fn close_handle(s: SOCKET, _code: LPINT) -> INT {
    assert!(lock(&HANDLES).remove(&s), "given back twice");
    0
}

unsafe extern "system" fn post_message(
    window: HWND,
    number: UINT,
    socket: WPARAM,
    parameter: LPARAM,
) -> BOOL {
    let message = Message {
        number,
        socket,
        event: (parameter & 0xFFFF) as i32,
        error: (parameter >> 16 & 0xFFFF) as i32,
    };
    lock(&MESSAGES).entry(window.addr()).or_default().push(message);
    TRUE
}

unsafe extern "system" fn query_callback(
    _entry: DWORD,
    callback: *mut Option<LPBLOCKINGCALLBACK>,
    context: PDWORD_PTR,
    _code: LPINT,
) -> INT {
    // SAFETY: the library passes live variables.
    unsafe {
        callback.write(CALLBACK.get());
        context.write(42);
    }
    0
}

unsafe extern "system" fn queue_apc(
    thread: LPWSATHREADID,
    function: Option<LPWSAUSERAPC>,
    context: DWORD_PTR,
    _code: LPINT,
) -> INT {
    // SAFETY: the library passes a live variable.
    let thread = unsafe { (*thread).ThreadHandle.addr() };
    lock(&APCS).entry(thread).or_default().push((function.expect("a function"), context));
    0
}
