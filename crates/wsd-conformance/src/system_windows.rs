//! How processes end, on Windows.

use std::io;
use std::process::ExitStatus;

use wsd_os::fd::{AsFd, AsRawFd};
use wsd_os::poll::{POLLIN, PollFd, ppoll};
use wsd_os::process::{ProcessId, watch};

/// Ends this process when the process with that number ends, by a thread that waits for it.
///
/// # Errors
/// The system has no threads left.
pub(crate) fn die_with(parent: u32) -> io::Result<()> {
    let ended = ProcessId::of(parent).and_then(watch).map_err(io::Error::other)?;
    std::thread::Builder::new().spawn(move || {
        let mut fds = [PollFd { fd: ended.as_fd().as_raw_fd(), events: POLLIN, revents: 0 }];
        // Whatever it says: without a parent nobody hears us.
        let _ = ppoll(&mut fds, None, None);
        std::process::exit(1);
    })?;
    Ok(())
}

/// How a process ended: exceptions are numbers from 0xC0000000 on.
pub(crate) fn how(status: ExitStatus) -> String {
    format!("exit code {:#x}", status.code().unwrap_or_default())
}
