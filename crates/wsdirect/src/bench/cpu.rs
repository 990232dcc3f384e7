//! The processors of the two processes.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// One for the server, one for the client, of those that this process may use; none if there is only one.
pub(crate) fn two() -> Option<[usize; 2]> {
    let allowed = sched_getaffinity(None).ok()?;
    let mut ids = (0..CpuSet::MAX_CPU).filter(|id| allowed.is_set(*id));
    Some([ids.next()?, ids.next()?])
}

/// This thread, and those it will start, run there only.
pub(crate) fn pin(id: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(id);
    Ok(sched_setaffinity(None, &set)?)
}
