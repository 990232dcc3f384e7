//! How processes end, on Linux.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// Has the kernel end this process when its parent ends, whose number it needs not be told.
///
/// # Errors
/// As prctl(2).
pub(crate) fn die_with(_parent: u32) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().is_none_or(|parent| parent.is_init()) {
        std::process::exit(1);
    }
    Ok(())
}

/// How a process ended.
pub(crate) fn how(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("signal {signal}"),
        None => format!("exit code {}", status.code().unwrap_or_default()),
    }
}
