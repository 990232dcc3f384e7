//! `cargo xtask windows`: the tests of the crates that exist for Windows, as Windows programs, under Wine.
//!
//! The compiler is Debian's, which comes with the source of its standard library: the target needs no toolchain of its own then.
//! What is built and Wine's files are in a folder of their own below cargo's.

pub(crate) mod programs;
mod toolchain;
mod wine;

use crate::command::{Failure, succeed, target};
use crate::packages::{self, Package, package};
use crate::tally::{Tally, count, step};
use clap::Args;
use std::path::Path;
use std::process::Command;
use std::time::Instant;
use toolchain::{NATIVE, Native};
use wine::Wine;

/// The compiler, its standard library's source, its lints, the linker with Windows' headers, and what runs the programs.
pub(crate) const PACKAGES: &[Package] = &[
    package("rustc-web", "/usr/bin/rustc"),
    package("cargo-web", "/usr/bin/cargo"),
    package("rust-web-src", "/usr/lib/rustlib/src/rust/library/std/Cargo.toml"),
    package("gcc-mingw-w64-x86-64", "x86_64-w64-mingw32-gcc"),
    package("rust-web-clippy", "/usr/bin/cargo-clippy"),
    package("make", "make"),
    package("util-linux", "setarch"),
    package("wine64", wine::LOADER),
];

/// The crates that build and pass their tests for Windows.
const CRATES: &[&str] = &[
    "wsd-spi",
    "wsd-session",
    "wsd-os",
    "wsd-engine",
    "wsd-shm",
    "wsd-conformance",
    "wsd-switch",
    "wsd-winsock",
    "wsdirect",
];

/// It needs a library in C, which only Microsoft's own compiler compiles for Microsoft's target.
const WITH_C: &str = "wsd-winsock";

/// Which tests run.
#[derive(Args)]
pub(crate) struct Selection {
    /// Only tests whose name contains it
    #[arg(last = true, value_name = "TEST-FILTER")]
    filter: Option<String>,
}

/// Install what is missing, build, run, and end with a line of counts.
pub(crate) fn run(selection: &Selection) -> Result<(), Failure> {
    packages::provide(PACKAGES.iter().chain(programs::PACKAGES))?;
    let begin = Instant::now();
    let (total, outcome) = suite(selection.filter.as_deref())?;
    println!("\nall in {:.1} s", begin.elapsed().as_secs_f64());
    println!("{} passed, {} failed", total.passed, total.failed);
    outcome
}

/// Build, and run the tests whose names contain the filter.
pub(crate) fn suite(filter: Option<&str>) -> Result<(Tally, Result<(), Failure>), Failure> {
    let folder = target().join("windows");
    programs::provide(&folder.join(toolchain::PROGRAMS))?;
    let wine = Wine::start(&folder.join("wine"))?;
    timed(|| succeed(&mut toolchain::build(&folder, CRATES)))?;
    succeed(&mut toolchain::example(&folder))?;
    let mut total = Tally::default();
    let mut outcome = Ok(());
    if filter.is_none() {
        let of_rust: Vec<&str> = CRATES.iter().copied().filter(|name| *name != WITH_C).collect();
        for mut whole in [toolchain::lints(&folder, CRATES), toolchain::microsofts(&folder, &of_rust)] {
            let (tally, ended) = timed(|| step(&mut whole))?;
            total.add(tally);
            outcome = outcome.and(ended);
        }
    }
    wine.stay()?;
    for mut tests in commands(&folder, filter, &wine) {
        let (tally, ended) = timed(|| count(&mut tests))?;
        total.add(tally);
        outcome = outcome.and(ended);
    }
    Ok((total, outcome))
}

/// All tests that are Windows programs, then the others, if any are wanted.
fn commands(folder: &Path, filter: Option<&str>, wine: &Wine) -> Vec<Command> {
    let wanted = |test: &&Native| filter.is_none_or(|filter| test.name.contains(filter));
    let native: Vec<&Native> = NATIVE.iter().filter(wanted).collect();
    let native = (!native.is_empty()).then(|| toolchain::native(folder, &native, wine));
    [toolchain::tests(folder, CRATES, filter, wine)].into_iter().chain(native).collect()
}

/// Say how long it took.
fn timed<T>(work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let done = work();
    println!("--- {:.1} s", begin.elapsed().as_secs_f64());
    done
}
