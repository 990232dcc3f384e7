//! `wsdirect run`: becomes the program, with the switch loaded into it.

mod elf;
mod preload;
mod program;
mod settings;

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::RunArgs;
use crate::output;

use settings::SettingError;

pub(crate) use preload::{LibraryError, library, with_switch, without_switch};

/// Does not return if all is well: the process is then the program.
pub(crate) fn run(args: &RunArgs) -> Error {
    match prepare(args) {
        Ok(command) => execute(command),
        Err(error) => error,
    }
}

/// Becomes the program that `command` describes.
pub(crate) fn execute(mut command: Command) -> Error {
    for message in program::warnings(command.get_program()) {
        output::warn(&message);
    }
    let source = command.exec();
    Error::Execute { program: Path::new(command.get_program()).to_path_buf(), source }
}

fn prepare(args: &RunArgs) -> Result<Command, Error> {
    let [program, arguments @ ..] = args.program.as_slice() else {
        return Err(Error::NoProgram);
    };
    let mut command = Command::new(program);
    command.args(arguments);
    with_switch(&mut command)?;
    settings::apply(&mut command, args)?;
    Ok(command)
}

/// Why a program was not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no program given; see `wsdirect run --help`")]
    NoProgram,
    #[error(transparent)]
    Library(#[from] LibraryError),
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error("cannot run {}: {}", program.display(), explain(source))]
    Execute { program: PathBuf, source: io::Error },
}

impl Error {
    /// As shells and env(1) do.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Execute { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            Self::Execute { .. } => 126,
            _ => 2,
        }
    }
}

fn explain(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::NotFound => {
            "not found; check the name, PATH, and the interpreter that a script names".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "not executable by you; check its mode (chmod +x) and the folders above it".to_owned()
        }
        _ => source.to_string(),
    }
}
