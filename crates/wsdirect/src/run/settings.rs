//! What a program under the switch is told by its environment.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf, is_separator};
use std::process::Command;

use crate::cli::RunArgs;

/// Sets what the arguments say.
pub(super) fn apply(command: &mut Command, args: &RunArgs) -> Result<(), SettingError> {
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
    Ok(())
}

/// A path must stay right when the program changes its folder; a name is a name.
fn provider_name(provider: &OsStr) -> Result<PathBuf, SettingError> {
    let path = Path::new(provider);
    if provider.to_string_lossy().contains(is_separator) { readable(path) } else { Ok(path.to_path_buf()) }
}

fn readable(path: &Path) -> Result<PathBuf, SettingError> {
    let unreadable = |source| SettingError::Unreadable { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(unreadable(io::ErrorKind::IsADirectory.into()));
    }
    std::path::absolute(path).map_err(unreadable)
}

fn appendable(path: &Path) -> Result<PathBuf, SettingError> {
    let unwritable = |source| SettingError::Unwritable { path: path.to_path_buf(), source };
    OpenOptions::new().append(true).create(true).open(path).map_err(unwritable)?;
    std::path::absolute(path).map_err(unwritable)
}

/// Why a setting cannot be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingError {
    #[error("cannot read {}: {source}; give a file that exists and that you may read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("cannot write the trace file {}: {source}; give a file in a folder that you may write to", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
}
