//! `cargo xtask test`: the suites, fast to slow, up to the first failure.

use crate::checks;
use crate::command::{Failure, cargo, cargo_has, succeed, target};
use crate::demo;
use crate::dependencies;
use crate::packages::{self, Package};
use crate::rdma::{self, suite};
use crate::tally::{Tally, count, step};
use crate::windows;
use clap::ValueEnum;
use std::process::Command;
use std::time::Instant;

/// The test-only crate whose tests run real programs under the built library.
const PROGRAMS: &str = "wsd-programs";

/// The suite for providers; its tests load built libraries.
const CONFORMANCE: &str = "wsd-conformance";

/// The provider that injects faults; its tests run programs under the built library too.
const FAULTY: &str = "wsd-faulty";

/// The built-in provider, as a library of its own.
const SHM: &str = "wsd-shm";

/// A part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// Formatting (rustfmt)
    Format,
    /// The repository's own rules
    Checks,
    /// Lints (clippy)
    Lint,
    /// Documentation builds without a warning
    Docs,
    /// Orderings of the lock-free parts, by model checking (loom)
    Loom,
    /// Unit and integration tests of all crates
    Unit,
    /// The conformance suite on the providers of this repository
    Conformance,
    /// Real programs under the switch
    Programs,
    /// Licences, origins and versions of the crates we depend on (cargo-deny)
    Dependencies,
    /// The RDMA provider, and real programs over it, in guests with soft RoCE
    Rdma,
    /// What exists for Windows, under Wine
    Windows,
}

impl Suite {
    /// The Debian packages that its tests run.
    fn packages(self) -> impl Iterator<Item = &'static Package> {
        let (programs, others): (&[Package], &[Package]) = match self {
            Self::Programs => (packages::PROGRAMS, packages::C),
            Self::Rdma => (packages::PROGRAMS, rdma::PACKAGES),
            Self::Windows => (windows::programs::PACKAGES, windows::PACKAGES),
            Self::Unit | Self::Conformance => (&[], packages::C),
            _ => (&[], &[]),
        };
        programs.iter().chain(others)
    }
}

/// Run one suite, or all, and end with a line of counts.
pub(crate) fn run(only: Option<Suite>) -> Result<(), Failure> {
    let chosen = only.as_ref().map_or(Suite::value_variants(), core::slice::from_ref);
    packages::provide(chosen.iter().flat_map(|suite| suite.packages()))?;
    let begin = Instant::now();
    let mut total = Tally::default();
    let mut outcome = Ok(());
    for &suite in chosen {
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
        Suite::Checks => checks::run(),
        Suite::Lint => {
            step(&mut cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))
        }
        Suite::Docs => {
            step(cargo(&["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"))
        }
        Suite::Loom => count(&mut loom()),
        Suite::Unit => count(&mut tests(&[
            "--workspace",
            "--exclude",
            PROGRAMS,
            "--exclude",
            FAULTY,
            "--exclude",
            CONFORMANCE,
        ])),
        Suite::Conformance => conformance(),
        Suite::Programs => programs(),
        Suite::Dependencies => dependencies::run(),
        Suite::Rdma => suite::run(),
        Suite::Windows => windows::suite(None),
    }?;
    let seconds = begin.elapsed().as_secs_f64();
    println!("--- {}: {} passed, {} failed, {seconds:.1} s", title(suite), tally.passed, tally.failed);
    Ok((tally, outcome))
}

fn title(suite: Suite) -> String {
    suite.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
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

fn conformance() -> Result<(Tally, Result<(), Failure>), Failure> {
    if let Err(failure) = succeed(&mut cargo(&["build", "--quiet", "-p", SHM, "-p", FAULTY])) {
        return Ok((Tally { passed: 0, failed: 1 }, Err(failure)));
    }
    count(&mut tests(&["-p", CONFORMANCE]))
}

fn programs() -> Result<(Tally, Result<(), Failure>), Failure> {
    if let Err(failure) = demo::build() {
        return Ok((Tally { passed: 0, failed: 1 }, Err(failure)));
    }
    // One at a time: each starts two busy programs, and there may be two processors.
    let mut command = if cargo_has("nextest") {
        tests(&["-p", PROGRAMS, "-p", FAULTY, "--test-threads", "1"])
    } else {
        tests(&["-p", PROGRAMS, "-p", FAULTY, "--", "--test-threads", "1"])
    };
    command.env("WSDIRECT_BIN", target().join("release/wsdirect"));
    count(&mut command)
}
