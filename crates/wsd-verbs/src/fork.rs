//! `fork(2)`: the child closes its copies of the parent's channels and devices, so that the parent's connections end with
//! the parent; and no call into the libraries is under way meanwhile, so that the child finds none of their locks held.

use std::cell::RefCell;
use std::sync::{Mutex, OnceLock, PoisonError};

use wsd_engine::{Held, close_inherited};
use wsd_spi::WsaError;

use crate::state::{Core, Engine};

/// How long a fork waits for a call that is under way. Only one that it came out of, through a signal handler, takes
/// longer: then the child may not be able to use RDMA.
const LIMIT_NS: u64 = 1_000_000_000;

/// All engines, also those of a parent.
static ENGINES: Mutex<Vec<&'static Engine>> = Mutex::new(Vec::new());

thread_local! {
    /// The engines that stand still while this thread forks.
    static HELD: RefCell<Vec<Held<Core>>> = const { RefCell::new(Vec::new()) };
}

/// Has an engine stand still in every fork from now on.
///
/// # Errors
/// `WSAENOBUFS` if there is no memory for it.
pub(crate) fn watch(engine: &'static Engine) -> Result<(), WsaError> {
    static REGISTERED: OnceLock<i32> = OnceLock::new();
    // SAFETY: the functions live as long as this library, which the C library forgets together with it.
    let register = || unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    if *REGISTERED.get_or_init(register) != 0 {
        return Err(WsaError::WSAENOBUFS);
    }
    ENGINES.lock().unwrap_or_else(PoisonError::into_inner).push(engine);
    Ok(())
}

/// # Safety
/// None needed; the type is that of pthread_atfork.
unsafe extern "C" fn before() {
    // Held for a moment by a thread that starts an engine: that one has nothing yet.
    let Ok(engines) = ENGINES.try_lock().map(|engines| engines.clone()) else { return };
    let held =
        engines.into_iter().filter(|engine| engine.is_ours()).filter_map(|engine| engine.hold(LIMIT_NS));
    HELD.with_borrow_mut(|all| all.extend(held));
}

/// # Safety
/// As above.
unsafe extern "C" fn in_parent() {
    HELD.take();
}

/// # Safety
/// As above.
unsafe extern "C" fn in_child() {
    // The engines are the parent's: nothing here uses them, or their locks, again.
    std::mem::forget(HELD.take());
    close_inherited(true);
}
