//! What is printed, and where: results on standard output, everything else on standard error.

use std::io::{self, Write};

/// Prints a result. A reader that stopped reading (`| head`) is no error.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

pub(crate) fn complain(message: &str) {
    // Nothing can be done for a message that cannot be written.
    let _ = writeln!(io::stderr(), "wsdirect: {message}");
}

#[cfg(target_os = "linux")]
pub(crate) fn warn(message: &str) {
    complain(&format!("warning: {message}"));
}
