//! On Linux a program starts as this command, which ties itself to its parent and then becomes the program.

use std::io;
use std::path::Path;
use std::process::Command;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::{Mode, Process};
use crate::cli::ChildArgs;
use crate::run;

/// A program that will run in a mode.
#[derive(Debug)]
pub(crate) struct Program(Command);

impl Program {
    pub(crate) fn new(program: &Path, mode: Mode) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        run::without_switch(&mut command);
        command.arg("child");
        if mode == Mode::Wsdirect {
            command.arg("--switch");
        }
        command.arg("--").arg(program);
        Ok(Self(command))
    }

    /// Its arguments and its streams are to be said here.
    pub(crate) fn command(&mut self) -> &mut Command {
        &mut self.0
    }

    pub(crate) fn start(&mut self) -> io::Result<Process> {
        Process::start(&mut self.0)
    }
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        command.spawn().map(Self)
    }
}

/// Does not return if all is well.
pub(crate) fn become_child(args: &ChildArgs) -> run::Error {
    let [program, arguments @ ..] = args.program.as_slice() else {
        return run::Error::NoProgram;
    };
    if let Err(source) = die_with_parent() {
        return run::Error::Execute { program: program.into(), source };
    }
    let mut command = Command::new(program);
    command.args(arguments);
    if args.switch {
        if let Err(error) = run::with_switch(&mut command) {
            return error.into();
        }
    } else {
        run::without_switch(&mut command);
    }
    run::execute(command)
}

/// The process is killed when its parent dies. An exec keeps this.
fn die_with_parent() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().is_none_or(|parent| parent.is_init()) {
        std::process::exit(1);
    }
    Ok(())
}
