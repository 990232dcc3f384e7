//! The command under test, with a library that does nothing in place of the real one.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder with a harmless `libwsdirect.so`.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::copy(some_library(), folder.path().join("libwsdirect.so")).expect("a library to load");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command, run in the folder.
    pub(crate) fn wsdirect(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wsdirect"));
        command.args(args).current_dir(self.folder.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WSDIRECT_") {
                command.env_remove(name);
            }
        }
        command.env_remove("LD_PRELOAD").env("WSDIRECT_LIBRARY", self.path("libwsdirect.so"));
        command
    }

    pub(crate) fn output(&self, args: &[&str]) -> Output {
        self.wsdirect(args).output().expect("the command starts")
    }
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// One that this test has loaded itself; loading a copy of it into a program changes nothing.
fn some_library() -> PathBuf {
    let maps = fs::read_to_string("/proc/self/maps").expect("the test's own mappings");
    let names = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let found =
        names.filter(|name| name.contains("libgcc_s") || name.contains("libm.so")).map(Path::new).next();
    found.expect("libgcc_s or libm is loaded").to_path_buf()
}
