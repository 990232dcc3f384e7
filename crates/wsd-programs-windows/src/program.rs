//! Starting Windows programs, and waiting for them within bounds.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What runs a Windows program.
const RUNNER: &str = "WSD_WINDOWS_RUNNER";

/// The command, `wsdirect.exe`.
const COMMAND: &str = "WSD_WINDOWS_COMMAND";

/// How often to look whether a program has ended.
const PAUSE: Duration = Duration::from_millis(5);

/// What `cargo xtask windows` says by the environment.
///
/// # Panics
/// It says nothing.
#[must_use]
pub fn told(name: &str) -> OsString {
    std::env::var_os(name).unwrap_or_else(|| panic!("cargo xtask windows says {name}"))
}

/// What runs the Windows program that its first argument names.
///
/// # Panics
/// Nobody says where it is.
#[must_use]
pub fn runner() -> Command {
    Command::new(told(RUNNER))
}

/// The command of this project, with its first arguments.
///
/// # Panics
/// Nobody says where it is.
#[must_use]
pub fn wsdirect(arguments: &[&str]) -> Command {
    let mut command = runner();
    command.arg(windows_path(Path::new(&told(COMMAND)))).args(arguments).stdin(Stdio::null());
    command
}

/// As Windows programs know it: the drive Z is the whole machine.
#[must_use]
pub fn windows_path(path: &Path) -> String {
    format!("Z:{}", path.display()).replace('/', r"\")
}

/// Whose calls a program's are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under {
    /// Winsock's alone.
    Winsock,
    /// The switch's, in front of Winsock.
    Switch,
    /// The switch's, below Winsock: the program comes with what plays Winsock.
    Layer,
}

/// A Windows program, and the folder for what it says.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    under: Under,
    folder: tempfile::TempDir,
    told: Option<(&'static str, &'static str)>,
}

impl Program {
    /// # Panics
    /// There are no temporary folders.
    #[must_use]
    pub fn new(under: Under, path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            under,
            folder: tempfile::tempdir().expect("a temporary folder"),
            told: None,
        }
    }

    /// A program that is made first, at the path that the maker is given.
    ///
    /// # Panics
    /// There are no temporary folders.
    #[must_use]
    pub fn made(under: Under, name: &str, make: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(name);
        make(&path);
        Self { path, under, folder, told: None }
    }

    /// The program finds this variable in its environment.
    #[must_use]
    pub fn told(mut self, name: &'static str, value: &'static str) -> Self {
        self.told = Some((name, value));
        self
    }

    /// Whose calls its are.
    #[must_use]
    pub fn under(&self) -> Under {
        self.under
    }

    /// Whether its calls come to the switch.
    #[must_use]
    pub fn is_switched(&self) -> bool {
        self.under != Under::Winsock
    }

    /// A folder that ends with this.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it. What it says goes into the file of that name in its folder.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn start(&self, name: &str, arguments: &[&str]) -> Running {
        let output = self.folder().join(name);
        let file = std::fs::File::create(&output).expect("a file for what it says");
        let errors = file.try_clone().expect("a second handle of it");
        let mut command = match self.under {
            Under::Winsock | Under::Layer => runner(),
            Under::Switch => wsdirect(&["run", "--"]),
        };
        command.arg(windows_path(&self.path)).args(arguments).envs(self.told);
        command.current_dir(self.folder()).stdin(Stdio::null()).stdout(file).stderr(errors);
        Running { child: command.spawn().expect("the runner starts"), output }
    }
}

/// A program that is ended when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    output: PathBuf,
}

impl Running {
    /// What it has said so far.
    ///
    /// # Panics
    /// Its file is gone.
    #[must_use]
    pub fn said(&self) -> String {
        let bytes = std::fs::read(&self.output).expect("what it says is in a file");
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    /// The rest of the first whole line that begins with the word, as soon as it is there.
    #[must_use]
    pub fn line(&mut self, word: &str, limit: Duration) -> Option<String> {
        let end = Instant::now() + limit;
        loop {
            let ended = self.has_ended().is_some();
            let said = self.said();
            let whole = said.rfind('\n').map_or("", |at| &said[..at]);
            let found = whole.lines().find_map(|line| line.strip_prefix(word));
            if let Some(rest) = found {
                return Some(rest.trim().to_owned());
            }
            if ended || Instant::now() > end {
                return None;
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// How it ended, if it did so within the limit.
    #[must_use]
    pub fn end(&mut self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            let status = self.has_ended();
            if status.is_some() || Instant::now() > end {
                return status;
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of this process")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
