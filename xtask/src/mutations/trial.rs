//! Building one test of the copy and running it.

use super::store::Noticer;
use super::tree::Tree;
use crate::command::{Failure, cargo, target};
use crate::spec::number::Number;
use serde::Deserialize;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest run of a test. Tests end their own waits long before.
const LIMIT: Duration = Duration::from_secs(150);

/// What tests that run programs need.
const PROGRAMS: [&str; 4] = ["wsdirect", "wsd-posix", "wsd-shm", "wsd-faulty"];

/// What the suite for providers is run on.
const PROVIDERS: [&str; 2] = ["wsd-shm", "wsd-faulty"];

/// How a test ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It ran and passed.
    Passed,
    /// It ran and failed, saying this.
    Failed(String),
    /// It did not run, or did not end.
    Neither(String),
}

/// A test program's target, and what else has to be built.
struct Needs<'a> {
    package: &'a str,
    target: Option<&'a str>,
    others: &'a [&'a str],
}

/// The test of the suite for providers that is told what to check.
const SUITE: (&str, &str, &str) = ("wsd-conformance", "one_requirement", "is_met");

/// Build what the copy holds now, and run who has to notice a mutation.
pub(crate) fn run(tree: &Tree, noticer: &Noticer, number: Number) -> Result<Outcome, Failure> {
    let (needs, test, variables) = match noticer {
        Noticer::Test { package, target, name, programs } => {
            let others: &[&str] = if *programs { &PROGRAMS } else { &[] };
            (Needs { package, target: target.as_deref(), others }, name.as_str(), Vec::new())
        }
        Noticer::Suite { provider, faults } => {
            let variables = vec![
                ("WSD_CONFORMANCE_REQUIREMENT", number.to_string()),
                ("WSD_CONFORMANCE_PROVIDER", provider.clone()),
                ("WSD_FAULTY", faults.clone()),
            ];
            let (package, target, test) = SUITE;
            (Needs { package, target: Some(target), others: &PROVIDERS }, test, variables)
        }
    };
    let program = match build(tree, &needs)? {
        Ok(program) => program,
        Err(said) => return Ok(Outcome::Neither(format!("it does not compile\n{said}"))),
    };
    let output = target().join("mutations/output");
    let failure = |error: std::io::Error| Failure::new(format!("{}: {error}", program.display()));
    let file = File::create(&output).map_err(failure)?;
    let mut command = Command::new(&program);
    command
        .args(["--exact", test, "--include-ignored", "--test-threads", "1"])
        .current_dir(tree.path(Path::new("crates").join(needs.package)))
        .env("WSDIRECT_BIN", built().join("debug/wsdirect"))
        // Seconds that `wsd-programs` gives a test, of which most take two.
        .env("WSD_PROGRAMS_LIMIT", "40")
        .envs(variables)
        .stdin(Stdio::null())
        .stdout(file.try_clone().map_err(failure)?)
        .stderr(file)
        // What the test leaves behind when it fails ends with its group.
        .process_group(0);
    let mut child = command.spawn().map_err(failure)?;
    let ended = wait(&mut child);
    end_group(child.id());
    let ended = match ended.map_err(failure)? {
        Some(status) => status,
        None => {
            child.wait().map_err(failure)?;
            return Ok(Outcome::Neither(format!("it did not end in {} s", LIMIT.as_secs())));
        }
    };
    let said = String::from_utf8_lossy(&std::fs::read(&output).map_err(failure)?).into_owned();
    let ran = said.lines().any(|line| line.trim() == "running 1 test");
    Ok(match (ran, ended.success()) {
        (false, _) => Outcome::Neither(format!("there is no test {test}")),
        (true, true) => Outcome::Passed,
        (true, false) => Outcome::Failed(said),
    })
}

/// What cargo says about something it has made.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// The test program, or what the compiler said.
fn build(tree: &Tree, needs: &Needs<'_>) -> Result<Result<PathBuf, String>, Failure> {
    if !needs.others.is_empty() {
        let mut command = cargo(&["build", "--quiet"]);
        command.args(needs.others.iter().flat_map(|package| ["--package", package]));
        if let Err(said) = in_copy(tree, &mut command)? {
            return Ok(Err(said));
        }
    }
    let mut command = cargo(&["test", "--no-run", "--quiet", "--message-format", "json-render-diagnostics"]);
    command.args(["--package", needs.package]);
    match needs.target {
        Some(name) => command.args(["--test", name]),
        None => command.arg("--lib"),
    };
    let messages = match in_copy(tree, &mut command)? {
        Ok(messages) => messages,
        Err(said) => return Ok(Err(said)),
    };
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    let mut tests = messages.filter(|message| message.profile.as_ref().is_some_and(|profile| profile.test));
    let program = tests.find_map(|message| message.executable);
    program.map(Ok).ok_or_else(|| Failure::new(format!("cargo made no test of {}", needs.package)))
}

/// What cargo prints when run in the copy, or what it says when it fails.
fn in_copy(tree: &Tree, command: &mut Command) -> Result<Result<String, String>, Failure> {
    // Nobody debugs what is built here, and linking without it is quicker.
    command
        .current_dir(tree.path(""))
        .env("CARGO_TARGET_DIR", built())
        .env("CARGO_PROFILE_DEV_DEBUG", "none")
        .env("CARGO_PROFILE_TEST_DEBUG", "none");
    let output = command.output().map_err(|error| Failure::new(format!("cargo: {error}")))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
}

/// Where the copy is built.
fn built() -> PathBuf {
    target().join("mutations/build")
}

/// Wait for the end, but not for ever.
fn wait(child: &mut Child) -> std::io::Result<Option<std::process::ExitStatus>> {
    let begin = Instant::now();
    loop {
        let ended = child.try_wait()?;
        if ended.is_some() || begin.elapsed() > LIMIT {
            return Ok(ended);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// End every process that the test has started, and itself.
fn end_group(leader: u32) {
    // Usually there is none left.
    let kill = format!("kill -KILL -- -{leader}");
    let _ = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status();
}
