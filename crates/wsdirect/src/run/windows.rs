//! `wsdirect run` on Windows: starts the program, loads the switch into it before it runs, and waits for its end.

#[path = "settings.rs"]
mod settings;

use std::env;
use std::io;
use std::os::windows::io::AsRawHandle;
use std::os::windows::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

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
    let program = Path::new(program);
    let unexecutable = |source| Error::Execute { program: program.to_path_buf(), source };
    let mut child = command.creation_flags(SUSPENDED).spawn().map_err(unexecutable)?;
    let process = child.as_raw_handle() as usize as i32;
    // As if it were this process: who ends the command means the program.
    let tied = end_with_caller(process);
    let begun = tied.and_then(|()| load_into(process, &library)).and_then(|()| resume(process));
    if let Err(problem) = begun {
        // It has not begun to run.
        let _ = child.kill();
        return Err(Error::Load { program: program.to_path_buf(), library, problem: problem.to_string() });
    }
    let status = child.wait().map_err(unexecutable)?;
    // What does not fit into it is a failure in any case.
    Ok(ExitCode::from(status.code().map_or(1, |code| u8::try_from(code).unwrap_or(1))))
}

/// The library's path.
fn library() -> Result<PathBuf, Error> {
    if let Some(named) = env::var_os("WSDIRECT_LIBRARY").filter(|value| !value.is_empty()) {
        let path = PathBuf::from(named);
        return std::path::absolute(&path).map_err(|source| Error::Named { path, source });
    }
    let executable = env::current_exe().map_err(Error::Executable)?;
    let beside = executable.with_file_name(LIBRARY);
    if beside.is_file() { Ok(beside) } else { Err(Error::Missing(beside)) }
}

/// Why a program was not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no program given; see `wsdirect run --help`")]
    NoProgram,
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error("WSDIRECT_LIBRARY names {}, which is no path: {source}; correct or unset it", path.display())]
    Named { path: PathBuf, source: io::Error },
    #[error(
        "cannot tell where this command is installed: {0}; set WSDIRECT_LIBRARY to the path of {LIBRARY}"
    )]
    Executable(io::Error),
    #[error("cannot find {}; install it there, or set WSDIRECT_LIBRARY to its path", .0.display())]
    Missing(PathBuf),
    #[error(
        "cannot load {} into {}: {problem}; only programs for x64 can be run under the switch",
        library.display(), program.display()
    )]
    Load { program: PathBuf, library: PathBuf, problem: String },
    #[error("cannot run {}: {source}", program.display())]
    Execute { program: PathBuf, source: io::Error },
}

impl Error {
    /// As shells do.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Execute { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            Self::Execute { .. } | Self::Load { .. } => 126,
            _ => 2,
        }
    }
}
