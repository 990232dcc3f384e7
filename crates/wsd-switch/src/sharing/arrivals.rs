//! Connections that have come to this process, and that its service thread has yet to take up.

use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wsd_os::memory::SharedRegion;

use crate::service::pump::Unsettled;
use crate::stream::state::Stream;

/// What the service thread is to take up.
struct Arrival {
    index: u32,
    generation: u32,
    /// The memory that came with it. `None`: a fork has brought the mapping.
    memory: Option<SharedRegion>,
    /// A process that ends waits until its service thread has left for it.
    unsettled: Unsettled,
}

static ARRIVALS: Mutex<Vec<Arrival>> = Mutex::new(Vec::new());

thread_local! {
    static FORKING: RefCell<Option<MutexGuard<'static, Vec<Arrival>>>> = const { RefCell::new(None) };
}

fn all() -> MutexGuard<'static, Vec<Arrival>> {
    ARRIVALS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection has come.
pub(super) fn add(stream: &Stream, memory: Option<SharedRegion>) {
    all().push(Arrival {
        index: stream.index,
        generation: stream.generation,
        memory,
        unsettled: Unsettled::new(),
    });
}

/// Takes up a connection: the memory that came with it, if any did. `None`: it is taken up already.
pub(crate) fn take_arrival(index: u32, generation: u32) -> Option<(Option<SharedRegion>, Unsettled)> {
    let mut arrivals = all();
    // What belonged to a record that was used again is nobody's.
    arrivals.retain(|arrival| arrival.index != index || arrival.generation == generation);
    let place = arrivals.iter().position(|arrival| arrival.index == index)?;
    let Arrival { memory, unsettled, .. } = arrivals.swap_remove(place);
    Some((memory, unsettled))
}

/// Before a fork: nobody is in the middle of a change.
#[cfg(target_os = "linux")]
pub(super) fn hold_for_fork() {
    FORKING.set(Some(all()));
}

/// After a fork, in the parent.
#[cfg(target_os = "linux")]
pub(super) fn release_after_fork() {
    FORKING.set(None);
}

/// After a fork, in the child: what the parent has yet to take up is the parent's.
#[cfg(target_os = "linux")]
pub(super) fn restart_in_child() {
    if let Some(mut arrivals) = FORKING.take() {
        // Not dropped: the mappings are what the child has inherited.
        std::mem::forget(std::mem::take(&mut *arrivals));
    }
}
