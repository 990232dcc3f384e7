//! Event objects: what this program means by a `WSAEVENT`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex};

use wsd_spi::ffi::{BOOL, FALSE, INT, LPINT, TRUE, WSAEVENT};

use super::{PATIENCE, lock};

type Object = Arc<(Mutex<bool>, Condvar)>;

static OBJECTS: LazyLock<Mutex<HashMap<usize, Object>>> = LazyLock::new(Mutex::default);
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// A manual-reset event, not set.
pub(crate) struct Event {
    number: usize,
    object: Object,
}

impl Event {
    pub(crate) fn new() -> Self {
        // Every second number: bit 0 of a handle is free.
        let number = NEXT.fetch_add(1, Ordering::Relaxed) * 2;
        let object = Object::default();
        lock(&OBJECTS).insert(number, object.clone());
        Self { number, object }
    }

    pub(crate) fn handle(&self) -> WSAEVENT {
        std::ptr::without_provenance_mut(self.number)
    }

    pub(crate) fn is_set(&self) -> bool {
        *lock(&self.object.0)
    }

    /// Waits until it is set.
    pub(crate) fn wait(&self) {
        let (state, changed) = &*self.object;
        let (set, _) = changed.wait_timeout_while(lock(state), PATIENCE, |set| !*set).expect("no panic");
        assert!(*set, "the event is never set");
    }

    pub(crate) fn reset(&self) {
        *lock(&self.object.0) = false;
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        lock(&OBJECTS).remove(&self.number);
    }
}

fn change(event: WSAEVENT, code: LPINT, set: bool) -> BOOL {
    const WSA_INVALID_HANDLE: INT = 6;
    let object = lock(&OBJECTS).get(&event.addr()).cloned();
    let Some(object) = object else {
        // SAFETY: the library passes a live variable.
        unsafe { code.write(WSA_INVALID_HANDLE) };
        return FALSE;
    };
    *lock(&object.0) = set;
    object.1.notify_all();
    TRUE
}

pub(super) unsafe extern "system" fn set(event: WSAEVENT, code: LPINT) -> BOOL {
    change(event, code, true)
}

pub(super) unsafe extern "system" fn reset(event: WSAEVENT, code: LPINT) -> BOOL {
    change(event, code, false)
}
