//! `wsdirect run`: becomes the program, with the switch loaded into it.

mod elf;
mod preload;
mod program;

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::RunArgs;
use crate::output;

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
    if let Some(provider) = &args.provider {
        command.env("WSDIRECT_PROVIDER", provider_name(provider)?);
    }
    if let Some(connect) = args.connect {
        command.env("WSDIRECT_CONNECT", connect.name());
    }
    if let Some(config) = &args.config {
        command.env("WSDIRECT_CONFIG", readable(config)?);
    }
    if let Some(trace) = &args.trace {
        command.env("WSDIRECT_TRACE", appendable(trace)?);
    }
    Ok(command)
}

/// A path must stay right when the program changes its folder; a name is a name.
fn provider_name(provider: &OsStr) -> Result<PathBuf, Error> {
    let path = Path::new(provider);
    if provider.as_bytes().contains(&b'/') { readable(path) } else { Ok(path.to_path_buf()) }
}

fn readable(path: &Path) -> Result<PathBuf, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(unreadable(io::ErrorKind::IsADirectory.into()));
    }
    std::path::absolute(path).map_err(unreadable)
}

fn appendable(path: &Path) -> Result<PathBuf, Error> {
    let unwritable = |source| Error::Unwritable { path: path.to_path_buf(), source };
    OpenOptions::new().append(true).create(true).open(path).map_err(unwritable)?;
    std::path::absolute(path).map_err(unwritable)
}

/// Why a program was not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no program given; see `wsdirect run --help`")]
    NoProgram,
    #[error(transparent)]
    Library(#[from] LibraryError),
    #[error("cannot read {}: {source}; give a file that exists and that you may read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("cannot write the trace file {}: {source}; give a file in a folder that you may write to", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
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
