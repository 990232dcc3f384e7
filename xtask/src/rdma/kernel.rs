//! The kernels that guests run, in a cache folder of the user.

use crate::command::{Failure, command, root, succeed};
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Kernels that were tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Suite {
    /// Linux 6.1
    Bookworm,
    /// Linux 6.12
    BookwormBackports,
    /// Linux 7.2 or later
    TrixieBackports,
}

/// The folder with the suite's kernel, which is made if it is not there.
pub(super) fn folder(suite: Suite) -> Result<PathBuf, Failure> {
    let suite = suite.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    let cache = cache().ok_or_else(|| Failure::new("neither XDG_CACHE_HOME nor HOME is set"))?;
    let folder = cache.join(&suite);
    if folder.join("initrd.gz").is_file() {
        return Ok(folder);
    }
    println!("fetching the kernel of {suite}");
    let failed = |what: &Path, error| Failure::new(format!("{}: {error}", what.display()));
    // Made beside, then moved: another run may be at it, and this one may be interrupted.
    let new = cache.join(format!("{suite}.{}", std::process::id()));
    std::fs::create_dir_all(&new).map_err(|error| failed(&new, error))?;
    let sources = root().join("xtask/src/rdma");
    let mut build = command("sh", &[]);
    build.arg(sources.join("kernel.sh")).arg(&suite).arg(&new).arg(sources.join("init.sh"));
    let made = succeed(build.stdout(Stdio::null())).and_then(|()| match std::fs::rename(&new, &folder) {
        Err(error) if !folder.is_dir() => Err(failed(&folder, error)),
        _ => Ok(()),
    });
    // Gone already if it was moved.
    let _ = std::fs::remove_dir_all(&new);
    made.map(|()| folder)
}

fn cache() -> Option<PathBuf> {
    let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))?;
    Some(base.join("wsdirect/rdma-guest"))
}
