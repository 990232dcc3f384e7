//! The switch in this process: its start, and what becomes of it in a forked child.

use std::sync::Once;

use wsd_os::atomic::{AtomicBool, Ordering};
use wsd_switch::config::{CONNECT_VARIABLE, MAP_VARIABLE};
use wsd_switch::front;
use wsd_switch::registry::BuiltIn;

static START: Once = Once::new();
/// This process is a forked child of one that started the library.
static FORKED: AtomicBool = AtomicBool::new(false);

/// Starts the switch, once per process. Without it, all goes by TCP/IP: what is wrong is told on standard error.
pub(crate) fn start() {
    START.call_once(|| {
        let built_in = [BuiltIn { name: "shm", entry: wsd_shm::SAN_PROVIDER_ENTRY }];
        if let Err(problem) = front::start(&built_in, setting) {
            let text = format!("wsdirect: {problem}; this program runs over TCP\n");
            // Nobody to tell if standard error is closed.
            let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
        }
        // SAFETY: the library is never unloaded (build.rs), so the functions stay where they are. Without memory for the
        // registrations a child is not kept from sockets of its parent's, which no thread serves there, and a connection of a
        // process that ends may break instead of ending.
        unsafe {
            libc::pthread_atfork(Some(before_fork), Some(in_parent), Some(in_child));
            libc::atexit(at_exit);
        }
    });
}

/// What the switch is told of the environment. A program of the SPI has the order that is documented: the SAN first. Any of its
/// connections can be given to another process (SP-041), which a connection with mapped rings cannot.
fn setting(name: &str) -> Option<String> {
    match name {
        CONNECT_VARIABLE => Some("san-first".to_owned()),
        MAP_VARIABLE => Some("no".to_owned()),
        _ => std::env::var(name).ok(),
    }
}

/// Whether this process has no sockets although its memory says so.
pub(crate) fn is_forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// What the program has sent, and is still in its memory, leaves it before that is gone (SW-161).
extern "C" fn at_exit() {
    if !is_forked() {
        front::ending();
    }
}

unsafe extern "C" fn before_fork() {
    wsd_os::fd::hold_for_fork();
}

unsafe extern "C" fn in_parent() {
    wsd_os::fd::release_after_fork();
}

unsafe extern "C" fn in_child() {
    wsd_os::fd::release_after_fork();
    FORKED.store(true, Ordering::Relaxed);
    wsd_shm::after_fork_in_child();
    front::forget_in_child();
}
