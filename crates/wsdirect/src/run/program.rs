//! Looks at a program before it is run, for what would keep the switch out of it.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::{getgid, getuid};

use super::elf::{self, Linkage};

/// Why the connections of this program will stay on TCP. Whether it can be run at all is found out by running it.
pub(crate) fn warnings(program: &OsStr) -> Vec<String> {
    locate(program)
        .and_then(|path| interpreter(path, 4))
        .and_then(|path| warning(&path))
        .into_iter()
        .collect()
}

fn warning(path: &Path) -> Option<String> {
    let why = if gains_privileges(path, &fs::metadata(path).ok()?) {
        "runs with other privileges than yours (setuid, setgid or file capabilities), \
         so the dynamic loader ignores the switch"
    } else {
        match elf::linkage(path).ok()? {
            Linkage::Dynamic | Linkage::NotElf => return None,
            Linkage::Static => "is statically linked, so the switch cannot be loaded into it",
            Linkage::OtherMachine => "is built for another kind of processor than the switch",
        }
    };
    Some(format!("{} {why}: its connections stay on plain TCP", path.display()))
}

/// As execvp(3) searches.
fn locate(program: &OsStr) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(program));
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| {
        fs::metadata(candidate).is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0)
    })
}

/// The program that the kernel loads for a script (`#!`).
fn interpreter(path: PathBuf, depth: u32) -> Option<PathBuf> {
    let mut line = Vec::new();
    BufReader::new(File::open(&path).ok()?.take(256)).read_until(b'\n', &mut line).ok()?;
    let Some(rest) = line.strip_prefix(b"#!") else {
        return Some(path);
    };
    let name = rest.split(u8::is_ascii_whitespace).find(|word| !word.is_empty())?;
    interpreter(PathBuf::from(OsStr::from_bytes(name)), depth.checked_sub(1)?)
}

fn gains_privileges(path: &Path, meta: &Metadata) -> bool {
    let user = getuid().as_raw();
    let other_user = meta.mode() & 0o4000 != 0 && meta.uid() != user;
    let other_group = meta.mode() & 0o2010 == 0o2010 && meta.gid() != getgid().as_raw();
    other_user || other_group || (user != 0 && has_capabilities(path))
}

fn has_capabilities(path: &Path) -> bool {
    let mut value = [0u8; 64];
    rustix::fs::getxattr(path, "security.capability", &mut value[..]).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn shells_are_found_and_dynamic() {
        assert!(locate(OsStr::new("sh")).is_some());
        assert_eq!(warnings(OsStr::new("sh")), Vec::<String>::new());
        assert_eq!(warnings(OsStr::new("no-such-program-here")), Vec::<String>::new());
    }

    #[test]
    fn scripts_lead_to_their_interpreter() {
        let mut script = tempfile::NamedTempFile::new().expect("a temporary file");
        writeln!(script, "#! /bin/sh -e\nexit 0").expect("written");
        assert_eq!(interpreter(script.path().to_path_buf(), 4), Some(PathBuf::from("/bin/sh")));
        assert_eq!(interpreter(script.path().to_path_buf(), 0), None);
    }
}
