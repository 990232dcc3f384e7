//! How far a measurement is.

use std::io::{self, IsTerminal, Write};

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
