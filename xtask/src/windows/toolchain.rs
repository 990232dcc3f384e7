//! The commands that build and run tests for Windows.

use super::wine::{self, Wine};
use crate::command::{cargo, nested};
use std::path::Path;
use std::process::Command;

/// Windows 7 and later: programs for the target without that name need a system library that Wine 8 lacks.
const TARGET: &str = "x86_64-win7-windows-gnu";

/// What compares the headers.
pub(super) const HEADER_TEST: &str = "windows_headers::layouts_constants_and_identifiers";

/// All tests of the crates, as Windows programs.
pub(super) fn tests(folder: &Path, crates: &[&str], wine: &Wine) -> Command {
    let mut command = nested("/usr/bin/cargo", &["test", "--locked", "--no-fail-fast"]);
    command.args(["-Z", "build-std=std,panic_unwind", "--target", TARGET]);
    command.args(crates.iter().flat_map(|name| ["-p", name]));
    // What started this program may have said which compiler it is, and where that one's libraries are.
    for name in ["RUSTC", "RUSTDOC", "LD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    // The target is not among the stable ones, nor is building the standard library.
    command.env("RUSTC_BOOTSTRAP", "1");
    command.env("CARGO_TARGET_DIR", folder.join("build"));
    command.env("CARGO_TARGET_X86_64_WIN7_WINDOWS_GNU_RUNNER", wine::PROGRAM);
    wine.apply(&mut command);
    command
}

/// The test that compares with Windows' own headers. It has a compiler for Windows at work, so it is no Windows program itself.
pub(super) fn header_test(wine: &Wine) -> Command {
    let mut command = cargo(&["test", "--package", "wsd-spi", "--test", "spi", HEADER_TEST]);
    command.args(["--", "--ignored", "--exact"]).env("WSD_WINDOWS_RUNNER", wine::PROGRAM);
    wine.apply(&mut command);
    command
}
