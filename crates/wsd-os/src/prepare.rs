//! What is found out once per process.

use crate::{clock, memory, thread};

/// Finds out now what other functions would find out at their first use (the vDSO, the page size, the page that notices
/// forks). To be called once from a constructor or `main`: the first use may call `dlsym`, which a signal handler must
/// not. Everything works without it too. May be called again.
pub fn prepare() {
    clock::now_ns();
    memory::page_size();
    thread::tid();
}
