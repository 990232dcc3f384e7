//! `wsdirect run` on Windows: starts the program, loads the switch into it before it runs, and waits for its end.

#[path = "settings.rs"]
mod settings;

use std::env;
use std::io;
use std::os::windows::io::AsRawHandle;
use std::os::windows::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};

use wsd_os::process::{end_with_caller, load_into, resume};

use crate::cli::RunArgs;
use settings::SettingError;

const LIBRARY: &str = "wsd_winsock.dll";
/// CreateProcess makes a process that does not run yet.
const SUSPENDED: u32 = 0x4;

/// Runs the program to its end, whose exit code this is.
pub(crate) fn run(args: &RunArgs) -> Result<ExitCode, Error> {
    let [program, arguments @ ..] = args.program.as_slice() else {
        return Err(Error::NoProgram);
    };
    let library = library()?;
    let mut command = Command::new(program);
    command.args(arguments);
    settings::apply(&mut command, args)?;
    let unexecutable = |source| Error::Execute { program: program.into(), source };
    let mut child = start(&mut command, Some(&library)).map_err(unexecutable)?;
    let status = child.wait().map_err(unexecutable)?;
    // What does not fit into it is a failure in any case.
    Ok(ExitCode::from(status.code().map_or(1, |code| u8::try_from(code).unwrap_or(1))))
}

/// Makes the process, which ends with this one, and loads the library into it before it runs.
pub(crate) fn start(command: &mut Command, library: Option<&Path>) -> io::Result<Child> {
    let mut child = command.creation_flags(SUSPENDED).spawn()?;
    let process = child.as_raw_handle() as usize as i32;
    // As if it were this process: who ends the command means the program.
    let tied = end_with_caller(process);
    let loaded = tied.and_then(|()| library.map_or(Ok(()), |library| load_into(process, library)));
    if let Err(problem) = loaded.and_then(|()| resume(process)) {
        // It has not begun to run.
        let _ = child.kill();
        let what = library
            .map_or_else(String::new, |path| format!(" with {}, into programs for x64 only", path.display()));
        return Err(io::Error::other(format!("cannot start it{what}: {problem}")));
    }
    Ok(child)
}

/// The library's path.
pub(crate) fn library() -> Result<PathBuf, LibraryError> {
    if let Some(named) = env::var_os("WSDIRECT_LIBRARY").filter(|value| !value.is_empty()) {
        let path = PathBuf::from(named);
        return std::path::absolute(&path).map_err(|source| LibraryError::Named { path, source });
    }
    let executable = env::current_exe().map_err(LibraryError::Executable)?;
    let beside = executable.with_file_name(LIBRARY);
    if beside.is_file() { Ok(beside) } else { Err(LibraryError::Missing(beside)) }
}

/// Why a program was not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no program given; see `wsdirect run --help`")]
    NoProgram,
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(transparent)]
    Library(#[from] LibraryError),
    #[error("cannot run {}: {source}", program.display())]
    Execute { program: PathBuf, source: io::Error },
}

/// Why there is no library to load.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LibraryError {
    #[error("WSDIRECT_LIBRARY names {}, which is no path: {source}; correct or unset it", path.display())]
    Named { path: PathBuf, source: io::Error },
    #[error(
        "cannot tell where this command is installed: {0}; set WSDIRECT_LIBRARY to the path of {LIBRARY}"
    )]
    Executable(io::Error),
    #[error("cannot find {}; install it there, or set WSDIRECT_LIBRARY to its path", .0.display())]
    Missing(PathBuf),
}

impl Error {
    /// As shells do.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Execute { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            Self::Execute { .. } => 126,
            _ => 2,
        }
    }
}
