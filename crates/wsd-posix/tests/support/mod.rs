//! What the tests of this crate share: the library, and programs run with and without it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What a program did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Standard output and standard error, in the order in which they were written.
    pub(crate) output: String,
    /// Whether it ended by itself with status 0 in time.
    pub(crate) success: bool,
}

/// The library, built in the profile of this test.
pub(crate) fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let test = std::env::current_exe().expect("a test has a path");
        let profile = test.ancestors().nth(2).expect("tests are in target/PROFILE/deps");
        let mut build = Command::new(env!("CARGO"));
        build.args([
            "build",
            "--quiet",
            "--lib",
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ]);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo starts").success(), "the library is built");
        let library = profile.join("libwsdirect.so");
        assert!(library.is_file(), "no library at {}", library.display());
        library
    })
}

/// Runs a command for at most `limit`, under the library or not.
pub(crate) fn run(command: &mut Command, under: bool, limit: Duration) -> Run {
    command.env_remove("LD_PRELOAD");
    if under {
        command.env("LD_PRELOAD", library());
    }
    let mut output = tempfile::tempfile().expect("a temporary file");
    let copy = |file: &File| Stdio::from(file.try_clone().expect("a copy of a descriptor"));
    command.stdin(Stdio::null()).stdout(copy(&output)).stderr(copy(&output));
    let mut child = command.spawn().expect("the program starts");
    let end = Instant::now() + limit;
    let status = loop {
        match child.try_wait().expect("a child can be waited for") {
            Some(status) => break Some(status),
            None if Instant::now() > end => {
                child.kill().expect("a child can be killed");
                child.wait().expect("a child can be waited for");
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let mut text = Vec::new();
    std::io::Seek::rewind(&mut output).expect("a file has a beginning");
    output.read_to_end(&mut text).expect("a file can be read");
    Run {
        output: String::from_utf8_lossy(&text).into_owned(),
        success: status.is_some_and(|status| status.success()),
    }
}

/// The first lines in which two outputs differ, with what was before; `None` if they are equal.
pub(crate) fn difference(without: &Run, with: &Run) -> Option<String> {
    if without == with {
        return None;
    }
    let (mut expected, mut found) = (without.output.lines(), with.output.lines());
    let mut before = Vec::new();
    loop {
        match (expected.next(), found.next()) {
            (Some(a), Some(b)) if a == b => before.push(a),
            (None, None) => {
                return Some(format!("ended well: {} without, {} with", without.success, with.success));
            }
            (a, b) => {
                let context = before[before.len().saturating_sub(4)..].join("\n    ");
                let (a, b) = (a.unwrap_or("(end)"), b.unwrap_or("(end)"));
                return Some(format!("    {context}\n  without: {a}\n  with:    {b}"));
            }
        }
    }
}
