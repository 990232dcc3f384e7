//! What the numbers of descriptors stand for, and waits of the system's thread pool.

use core::ffi::c_void;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::System::Threading::{
    INFINITE, RegisterWaitForSingleObject, UnregisterWaitEx, WT_EXECUTEINWAITTHREAD, WT_EXECUTEONLYONCE,
};

use super::Errno;
use super::door::Door;
use super::end::End;
use super::fd::RawFd;
use super::handle::Handle;
use super::poll::Set;
use crate::atomic::{AtomicBool, Ordering};

/// A descriptor that is more than a kernel handle.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// An end of a link.
    End(Weak<End>),
    /// A door.
    Door(Weak<Door>),
    /// A set of descriptors.
    Set(Weak<Set>),
}

static ENTRIES: Mutex<Option<HashMap<RawFd, Entry>>> = Mutex::new(None);

fn entries() -> MutexGuard<'static, Option<HashMap<RawFd, Entry>>> {
    ENTRIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number means this from now on.
pub(super) fn enter(number: RawFd, entry: Entry) {
    entries().get_or_insert_default().insert(number, entry);
}

/// The number means nothing any more. To be called before its handle is closed.
pub(super) fn leave(number: RawFd) {
    entries().get_or_insert_default().remove(&number);
}

/// What the number means, unless it is a plain handle.
pub(super) fn find(number: RawFd) -> Option<Entry> {
    entries().as_ref()?.get(&number).cloned()
}

/// A wait in the system's thread pool, which sets an event when it is over. Taken back when dropped.
#[derive(Debug)]
pub(super) struct Watch {
    wait: HANDLE,
    ended: Arc<Ended>,
}

#[derive(Debug)]
struct Ended {
    happened: AtomicBool,
    event: Arc<Handle>,
    /// What is waited for, open as long as the wait.
    _object: Handle,
}

// SAFETY: a handle of the process, which is used once.
unsafe impl Send for Watch {}
// SAFETY: as for Send.
unsafe impl Sync for Watch {}

impl Watch {
    /// Sets `event`, once, when `object` is signalled.
    ///
    /// # Errors
    ///
    /// `NFILE`, `NOMEM`.
    pub(super) fn new(object: &Handle, event: Arc<Handle>) -> Result<Self, Errno> {
        let object = object.duplicate()?;
        let raw = object.raw();
        let ended = Arc::new(Ended { happened: AtomicBool::new(false), event, _object: object });
        let mut wait = core::ptr::null_mut();
        let context = Arc::as_ptr(&ended).cast();
        let flags = WT_EXECUTEONLYONCE | WT_EXECUTEINWAITTHREAD;
        // SAFETY: `wait` is a local variable; the context lives until the wait has been taken back, which waits for `signalled`.
        let done = unsafe {
            RegisterWaitForSingleObject(&raw mut wait, raw, Some(signalled), context, INFINITE, flags)
        };
        if done == 0 { Err(Errno::last()) } else { Ok(Self { wait, ended }) }
    }

    /// Whether it is over.
    pub(super) fn is_over(&self) -> bool {
        self.ended.happened.load(Ordering::Acquire)
    }
}

/// Sets the event of an [`Ended`].
unsafe extern "system" fn signalled(context: *mut c_void, _: bool) {
    // SAFETY: see `Watch::new`.
    let ended = unsafe { &*context.cast::<Ended>() };
    ended.happened.store(true, Ordering::Release);
    ended.event.set();
}

impl Drop for Watch {
    fn drop(&mut self) {
        // SAFETY: our own wait, taken back once. Waits until `signalled` has returned, which takes no lock.
        unsafe { UnregisterWaitEx(self.wait, INVALID_HANDLE_VALUE) };
    }
}
