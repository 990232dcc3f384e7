//! Commands that a task runs: in the workspace's root, without standard input, with their exit status kept.

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Why a task ended early, and the exit status that says so.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: u8,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { status: 1, message: message.into() }
    }

    pub(crate) fn of(status: ExitStatus, message: impl Into<String>) -> Self {
        let code = status.code().or_else(|| status.signal().map(|number| 128 + number)).unwrap_or(1);
        Self { status: u8::try_from(code).unwrap_or(1).max(1), message: message.into() }
    }
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    manifest.parent().map(Path::to_path_buf).unwrap_or_else(|| PathBuf::from("."))
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |named| root().join(named))
}

pub(crate) fn command(program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root()).stdin(Stdio::null());
    command
}

/// The cargo that runs this program.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    nested(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), arguments)
}

/// Any cargo, as if nothing had run this program.
pub(crate) fn nested(cargo: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = command(cargo, arguments);
    // `cargo run` leaves these behind for the program it runs; a nested cargo would take them for its own.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || text == "RUST_RECURSION_COUNT"
        {
            command.env_remove(&name);
        }
    }
    command
}

/// Whether this cargo has the subcommand.
pub(crate) fn cargo_has(subcommand: &str) -> bool {
    let asked = cargo(&[subcommand, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

/// Run it with this program's output and demand success.
pub(crate) fn succeed(command: &mut Command) -> Result<(), Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|error| Failure::new(format!("{name}: {error}")))?;
    if status.success() { Ok(()) } else { Err(Failure::of(status, format!("{name}: {status}"))) }
}
