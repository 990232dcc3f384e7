//! The library: where it is, and how a command is started with it or certainly without it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

const LIBRARY: &str = "libwsdirect.so";
const VARIABLE: &str = "LD_PRELOAD";

/// The command will run under the switch.
pub(crate) fn with_switch(command: &mut Command) -> Result<(), LibraryError> {
    let library = library()?;
    let list = prepend(&library, env::var_os(VARIABLE).as_deref());
    command.env(VARIABLE, list);
    Ok(())
}

/// The command will run without the switch, even if this process runs under it.
pub(crate) fn without_switch(command: &mut Command) {
    let Some(list) = env::var_os(VARIABLE) else { return };
    let rest = remove(&list);
    if rest.is_empty() {
        command.env_remove(VARIABLE);
    } else {
        command.env(VARIABLE, rest);
    }
}

/// Its path.
pub(crate) fn library() -> Result<PathBuf, LibraryError> {
    if let Some(named) = env::var_os("WSDIRECT_LIBRARY").filter(|value| !value.is_empty()) {
        let path = PathBuf::from(named);
        return match File::open(&path).and_then(|_| std::path::absolute(&path)) {
            Ok(path) => loadable(path),
            Err(source) => Err(LibraryError::Named { path, source }),
        };
    }
    let executable = env::current_exe().map_err(LibraryError::Executable)?;
    let folder = executable.parent().unwrap_or(Path::new("/"));
    let beside = folder.join(LIBRARY);
    let installed = folder.parent().unwrap_or(folder).join("lib/wsdirect").join(LIBRARY);
    for candidate in [&beside, &installed] {
        if candidate.is_file() {
            return loadable(candidate.clone());
        }
    }
    Err(LibraryError::Missing { beside, installed })
}

/// The dynamic loader splits the list at these characters and expands `$`, and has no way to quote them.
fn loadable(path: PathBuf) -> Result<PathBuf, LibraryError> {
    let quoted = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b':' | b'$');
    if path.as_os_str().as_bytes().iter().any(quoted) { Err(LibraryError::Name(path)) } else { Ok(path) }
}

fn prepend(library: &Path, list: Option<&OsStr>) -> OsString {
    let mut result = library.as_os_str().to_owned();
    let rest = remove(list.unwrap_or_default());
    if !rest.is_empty() {
        result.push(":");
        result.push(rest);
    }
    result
}

/// The list without any copy of the library.
fn remove(list: &OsStr) -> OsString {
    let kept: Vec<&[u8]> = list
        .as_bytes()
        .split(|byte| *byte == b':' || *byte == b' ')
        .filter(|entry| !entry.is_empty())
        .filter(|entry| Path::new(OsStr::from_bytes(entry)).file_name() != Some(OsStr::new(LIBRARY)))
        .collect();
    OsString::from_vec(kept.join(&b':'))
}

/// Why there is no library to load.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LibraryError {
    #[error("WSDIRECT_LIBRARY names {}, which cannot be read: {source}; correct or unset it", path.display())]
    Named { path: PathBuf, source: io::Error },
    #[error(
        "cannot tell where this command is installed: {0}; set WSDIRECT_LIBRARY to the path of {LIBRARY}"
    )]
    Executable(io::Error),
    #[error(
        "cannot find {LIBRARY}: it is neither {} nor {}; install it there, or set WSDIRECT_LIBRARY to its path",
        beside.display(), installed.display()
    )]
    Missing { beside: PathBuf, installed: PathBuf },
    #[error(
        "the dynamic loader cannot be given {}: the path contains a space, ':' or '$'; \
         install it elsewhere, or set WSDIRECT_LIBRARY to a link to it",
        .0.display()
    )]
    Name(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_comes_first_and_once() {
        let library = Path::new("/a/libwsdirect.so");
        assert_eq!(prepend(library, None), "/a/libwsdirect.so");
        assert_eq!(prepend(library, Some(OsStr::new(""))), "/a/libwsdirect.so");
        assert_eq!(
            prepend(library, Some(OsStr::new("x.so /b/libwsdirect.so:y.so"))),
            "/a/libwsdirect.so:x.so:y.so"
        );
    }

    #[test]
    fn names_that_the_loader_would_split_are_refused() {
        assert!(loadable("/a/b.so".into()).is_ok());
        for name in ["/a b/c.so", "/a:b.so", "/$LIB/a.so"] {
            assert!(matches!(loadable(name.into()), Err(LibraryError::Name(_))), "{name}");
        }
    }
}
