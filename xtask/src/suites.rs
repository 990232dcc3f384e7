//! `cargo xtask test`: the suites, fast to slow, up to the first failure.

use crate::checks;
use crate::command::{Failure, cargo, cargo_has, target};
use crate::demo;
use crate::packages;
use crate::tally::{Tally, count};
use clap::ValueEnum;
use std::process::Command;
use std::time::Instant;

/// The test-only crate whose tests run real programs under the built library.
const PROGRAMS: &str = "wsd-programs";

/// The provider that injects faults. Its tests run programs under the built library too; they are not steady enough yet to
/// stand in the way of every change: `cargo nextest run -p wsd-faulty` after `cargo xtask demo`.
const FAULTY: &str = "wsd-faulty";

/// A part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// Formatting (rustfmt)
    Format,
    /// Lints (clippy)
    Lint,
    /// Documentation builds without a warning
    Docs,
    /// Orderings of the lock-free parts, by model checking (loom)
    Loom,
    /// Unit and integration tests of all crates
    Unit,
    /// Real programs under the switch
    Programs,
    /// The repository's own rules
    Checks,
}

/// Run one suite or all, and end with a line of counts.
pub(crate) fn run(only: Option<Suite>) -> Result<(), Failure> {
    let all = Suite::value_variants();
    let chosen: Vec<Suite> = only.map_or_else(|| all.to_vec(), |suite| vec![suite]);
    if chosen.contains(&Suite::Programs) {
        packages::provide(packages::ALL)?;
    }
    let begin = Instant::now();
    let mut total = Tally::default();
    let mut outcome = Ok(());
    for suite in chosen {
        let (tally, ended) =
            one(suite).unwrap_or_else(|failure| (Tally { passed: 0, failed: 1 }, Err(failure)));
        total.add(tally);
        if let Err(failure) = ended {
            if !failure.message.is_empty() {
                eprintln!("xtask: {}", failure.message);
            }
            // The counts are the last line.
            outcome = Err(Failure { message: String::new(), ..failure });
            break;
        }
    }
    println!("\nall in {:.1} s", begin.elapsed().as_secs_f64());
    println!("{} passed, {} failed", total.passed, total.failed);
    outcome
}

fn one(suite: Suite) -> Result<(Tally, Result<(), Failure>), Failure> {
    println!("\n=== {} ===", title(suite));
    let begin = Instant::now();
    let (tally, outcome) = match suite {
        Suite::Format => step(&mut cargo(&["fmt", "--all", "--check"])),
        Suite::Lint => {
            step(&mut cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))
        }
        Suite::Docs => {
            step(cargo(&["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"))
        }
        Suite::Loom => count(&mut loom()),
        Suite::Unit => count(&mut tests(&["--workspace", "--exclude", PROGRAMS, "--exclude", FAULTY])),
        Suite::Programs => programs(),
        Suite::Checks => checks::run(),
    }?;
    let seconds = begin.elapsed().as_secs_f64();
    println!("--- {}: {} passed, {} failed, {seconds:.1} s", title(suite), tally.passed, tally.failed);
    Ok((tally, outcome))
}

fn title(suite: Suite) -> String {
    suite.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// A command that counts as one test.
fn step(command: &mut Command) -> Result<(Tally, Result<(), Failure>), Failure> {
    let (tally, outcome) = count(command)?;
    Ok((if outcome.is_ok() { Tally::ONE } else { tally }, outcome))
}

/// Tests by nextest, or by the standard harness where nextest is not installed.
fn tests(selection: &[&str]) -> Command {
    if cargo_has("nextest") {
        let mut command = cargo(&["nextest", "run", "--no-tests", "pass"]);
        command.args(selection);
        return command;
    }
    let mut command = cargo(&["test"]);
    command.args(selection);
    command
}

fn loom() -> Command {
    let mut command = tests(&["-p", "wsd-os"]);
    // Other flags, other build: in a folder of its own neither build invalidates the other.
    command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", target().join("loom"));
    command
}

fn programs() -> Result<(Tally, Result<(), Failure>), Failure> {
    if let Err(failure) = demo::build() {
        return Ok((Tally { passed: 0, failed: 1 }, Err(failure)));
    }
    // One at a time: each starts two busy programs, and there may be two processors.
    let mut command = if cargo_has("nextest") {
        tests(&["-p", PROGRAMS, "--test-threads", "1"])
    } else {
        tests(&["-p", PROGRAMS, "--", "--test-threads", "1"])
    };
    command.env("WSDIRECT_BIN", target().join("release/wsdirect"));
    count(&mut command)
}
