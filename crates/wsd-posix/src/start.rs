//! Setting up, before the program's `main`.

use crate::{notice, real};

#[used]
// SAFETY: the loader calls what this section holds once, when libc is ready; `start` needs no arguments.
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    real::resolve_all();
    if let Some(problem) = notice::start() {
        let text = format!("wsdirect: {problem}; this program runs over TCP\n");
        // Nobody to tell if standard error is closed.
        let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
    }
    // SAFETY: the three functions live as long as the process (a preloaded library is never unloaded).
    // Without memory for the registration a child would have no tables of its own; the switch recognises such a child by
    // its process number.
    unsafe { pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child)) };
}

type AtFork = Option<unsafe extern "C" fn()>;

unsafe extern "C" {
    fn pthread_atfork(prepare: AtFork, parent: AtFork, child: AtFork) -> std::ffi::c_int;
}

/// # Safety
/// None needed; the type is pthread_atfork's.
unsafe extern "C" fn before_fork() {
    notice::before_fork();
}

/// # Safety
/// As above.
unsafe extern "C" fn after_fork_in_parent() {
    notice::in_parent();
}

/// # Safety
/// As above.
unsafe extern "C" fn after_fork_in_child() {
    wsd_shm::after_fork_in_child();
    notice::after_fork_in_child();
    notice::serve_in_child();
}
