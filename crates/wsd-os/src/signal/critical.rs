//! Critical sections: stretches of our code that no handler of the program interrupts.

use core::marker::PhantomData;

use super::Mask;
use crate::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence};

/// What a thread knows about its critical sections. Only its own thread and the handlers that interrupt it use it, so
/// relaxed operations and compiler fences are enough.
struct State {
    /// How many critical sections the thread is in.
    depth: AtomicU32,
    /// The signals that the trampoline blocked in this thread until the outermost section ends.
    deferred: AtomicU64,
}

thread_local! {
    static STATE: State = const { State { depth: AtomicU32::new(0), deferred: AtomicU64::new(0) } };
}

/// Being in a critical section: while a value of this type lives, handlers that were installed through
/// [`defer`](super::defer) do not run in this thread; what came in between runs when the outermost one is dropped.
///
/// Sections nest. Entering and leaving cost a few instructions. Do not wait for a peer in one: Ctrl-C would have to wait
/// too.
#[derive(Debug)]
#[must_use = "the section ends when this is dropped"]
pub struct Critical {
    _not_send: PhantomData<*const ()>,
}

impl Critical {
    /// Enters a critical section.
    #[inline]
    pub fn enter() -> Self {
        STATE.with(|state| state.depth.store(state.depth.load(Ordering::Relaxed) + 1, Ordering::Relaxed));
        compiler_fence(Ordering::SeqCst);
        Self { _not_send: PhantomData }
    }

    /// Whether the calling thread is in a critical section.
    ///
    /// True at the entry of a call from the program means that a handler runs that could not be deferred (a crash
    /// handler): locks may be held below.
    #[inline]
    pub fn active() -> bool {
        STATE.with(|state| state.depth.load(Ordering::Relaxed) != 0)
    }
}

impl Drop for Critical {
    #[inline]
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        STATE.with(|state| {
            let depth = state.depth.load(Ordering::Relaxed) - 1;
            state.depth.store(depth, Ordering::Relaxed);
            compiler_fence(Ordering::SeqCst);
            if depth == 0 && state.deferred.load(Ordering::Relaxed) != 0 {
                release();
            }
        });
    }
}

/// Lets the kernel deliver what was deferred: the handlers run before this returns.
#[cold]
fn release() {
    Mask::from_bits(swap_deferred(0)).unblock();
}

/// Notes that `signal` was blocked until the end of the outermost section.
pub(super) fn note_deferred(signal: Mask) {
    STATE.with(|state| {
        state.deferred.store(state.deferred.load(Ordering::Relaxed) | signal.bits(), Ordering::Relaxed);
    });
}

/// Sets the deferred signals and returns what they were.
pub(super) fn swap_deferred(new: u64) -> u64 {
    STATE.with(|state| {
        let old = state.deferred.load(Ordering::Relaxed);
        state.deferred.store(new, Ordering::Relaxed);
        old
    })
}
