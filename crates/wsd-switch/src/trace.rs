//! `--trace`: one line per SPI call and up-call of every companion, and notes of the switch.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::sync::OnceLock;

use wsd_os::fd::OwnedFd;
use wsd_os::{clock, file, thread};
use wsd_spi::client::Tracer;

static FILE: OnceLock<OwnedFd> = OnceLock::new();

/// Opens the trace file.
///
/// # Errors
/// As open(2).
pub(crate) fn start(path: &Path) -> Result<(), wsd_os::Errno> {
    let fd = file::append(path)?;
    let _ = FILE.set(fd);
    Ok(())
}

/// The trace file's descriptor, which forks share.
#[cfg(target_os = "linux")]
pub(crate) fn descriptor() -> i32 {
    FILE.get().map_or(-1, wsd_os::fd::AsRawFd::as_raw_fd)
}

/// Whether there is a trace.
pub(crate) fn enabled() -> bool {
    FILE.get().is_some()
}

/// Writes one line: time in seconds of the monotonic clock, process, text.
pub(crate) fn note(text: fmt::Arguments<'_>) {
    let Some(fd) = FILE.get() else { return };
    let now = clock::now();
    let mut line = String::new();
    let _ = writeln!(line, "{}.{:09} {} {text}", now.as_secs(), now.subsec_nanos(), thread::pid());
    // One write per line keeps the lines of several processes whole (O_APPEND).
    let _ = file::write(fd, line.as_bytes());
}

/// Traces the calls of one provider.
pub(crate) struct ProviderTracer {
    /// The provider's name.
    pub(crate) name: String,
}

impl Tracer for ProviderTracer {
    fn call(&self, function: &'static str, arguments: fmt::Arguments<'_>, result: fmt::Arguments<'_>) {
        note(format_args!("{} {function}({arguments}) = {result}", self.name));
    }
}
