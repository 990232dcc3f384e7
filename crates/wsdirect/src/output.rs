//! What is printed, and where: results on standard output, everything else on standard error.

use std::io::{self, IsTerminal, Write};

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

pub(crate) fn warn(message: &str) {
    complain(&format!("warning: {message}"));
}

/// One line of standard error that is written over and over, on terminals only.
pub(crate) struct Progress {
    shown: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { shown: io::stderr().is_terminal() }
    }

    pub(crate) fn say(&self, message: &str) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K{message}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.say("");
    }
}
