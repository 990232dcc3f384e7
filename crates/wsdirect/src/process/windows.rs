//! On Windows a program is made suspended, tied to this process, given the switch, and let run.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Mode, Process};
use crate::run;

/// A program that will run in a mode.
#[derive(Debug)]
pub(crate) struct Program {
    command: Command,
    /// The library to load into it.
    library: Option<PathBuf>,
}

impl Program {
    pub(crate) fn new(program: &Path, mode: Mode) -> io::Result<Self> {
        let library = match mode {
            Mode::Tcp => None,
            Mode::Wsdirect => Some(run::library().map_err(io::Error::other)?),
        };
        Ok(Self { command: Command::new(program), library })
    }

    /// Its arguments and its streams are to be said here.
    pub(crate) fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    pub(crate) fn start(&mut self) -> io::Result<Process> {
        run::start(&mut self.command, self.library.as_deref()).map(Process)
    }
}
