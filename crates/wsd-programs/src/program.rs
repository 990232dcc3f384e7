//! What to run: a program, its arguments, its user, its input and output.

use crate::user::User;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Folders of a Debian system's programs. A version manager's wrapper in somebody's home is not meant.
const FOLDERS: &[&str] = &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A program to start.
#[derive(Clone, Debug)]
pub struct Program {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) options: Vec<OsString>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) user: Option<User>,
    pub(crate) piped: bool,
    pub(crate) input: Option<PathBuf>,
    pub(crate) stop: libc::c_int,
}

impl Program {
    /// An installed program.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::at(&find(name))
    }

    /// The program of that path.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            arguments: Vec::new(),
            options: Vec::new(),
            environment: Vec::new(),
            user: None,
            piped: false,
            input: None,
            stop: libc::SIGKILL,
        }
    }

    /// A Python script given by its text.
    #[must_use]
    pub fn python(script: &str) -> Self {
        Self::named("python3").args(["-u", "-c", script])
    }

    /// Add arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Add one argument, whatever can be displayed.
    #[must_use]
    pub fn arg(mut self, argument: impl ToString) -> Self {
        self.arguments.push(argument.to_string().into());
        self
    }

    /// Give `wsdirect run` these options, where it is used.
    #[must_use]
    pub fn under<A: AsRef<OsStr>>(mut self, options: impl IntoIterator<Item = A>) -> Self {
        self.options.extend(options.into_iter().map(|option| option.as_ref().to_owned()));
        self
    }

    /// Set a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Run it as that user, or as the user of this process if there is none.
    #[must_use]
    pub fn as_user(mut self, user: Option<User>) -> Self {
        self.user = user;
        self
    }

    /// Connect its standard input and output to this process.
    #[must_use]
    pub fn piped(mut self) -> Self {
        self.piped = true;
        self
    }

    /// Let it read that file.
    #[must_use]
    pub fn reading(mut self, file: &Path) -> Self {
        self.input = Some(file.to_owned());
        self
    }

    /// How it likes to be stopped, if not by SIGKILL.
    #[must_use]
    pub fn stopped_by(mut self, signal: libc::c_int) -> Self {
        self.stop = signal;
        self
    }

    /// The name to call it by.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// Where an installed program is.
///
/// # Panics
///
/// When it is not installed.
#[must_use]
pub fn find(name: &str) -> PathBuf {
    let found = FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed (cargo xtask packages)"))
}

/// Where a program is that lies in `parent/VERSION/bin`; the newest.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn find_beside(parent: &str, name: &str) -> PathBuf {
    let versions = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let found =
        versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.is_file()).max();
    found.unwrap_or_else(|| panic!("{name} is not installed (cargo xtask packages)"))
}
