//! Processes that this command starts: killed when no longer held, and dying with it whatever happens to it.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::cli::ChildArgs;
use crate::run;

/// Whether a process runs under the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Tcp,
    Wsdirect,
}

impl Mode {
    /// In the order in which they are measured.
    pub(crate) const BOTH: [Self; 2] = [Self::Tcp, Self::Wsdirect];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Wsdirect => "wsdirect",
        }
    }

    pub(crate) fn apply(self, command: &mut Command) -> Result<(), run::LibraryError> {
        match self {
            Self::Tcp => {
                run::without_switch(command);
                Ok(())
            }
            Self::Wsdirect => run::with_switch(command),
        }
    }
}

/// A child that is killed and waited for when dropped.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        command.spawn().map(Self)
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Its end, if it comes in time.
    pub(crate) fn wait(&mut self, patience: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only for a child that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The process is killed when its parent dies. An exec keeps this.
pub(crate) fn die_with_parent() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().is_none_or(|parent| parent.is_init()) {
        std::process::exit(1);
    }
    Ok(())
}

/// A command that runs a program through [`become_child`].
pub(crate) fn command(program: &std::path::Path, mode: Mode) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    run::without_switch(&mut command);
    command.arg("child");
    if mode == Mode::Wsdirect {
        command.arg("--switch");
    }
    command.arg("--").arg(program);
    Ok(command)
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
    let mode = if args.switch { Mode::Wsdirect } else { Mode::Tcp };
    match mode.apply(&mut command) {
        Ok(()) => run::execute(command),
        Err(error) => error.into(),
    }
}
