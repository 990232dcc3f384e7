//! What a developer of wsdirect runs: `cargo xtask demo`, `cargo xtask test`, `cargo xtask packages`.

mod checks;
mod command;
mod demo;
mod packages;
mod suites;
mod tally;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Demo, tests and packages of wsdirect.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the release and show the switch at work between real programs
    Demo,
    /// Run all suites, fast ones first, up to the first failure
    Test {
        /// Run this suite alone
        #[arg(long, value_name = "SUITE", value_enum)]
        only: Option<suites::Suite>,
    },
    /// Install the Debian packages that the demo and the tests use
    Packages,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Demo => demo::run(),
        Task::Test { only } => suites::run(only),
        Task::Packages => packages::provide(packages::ALL),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("xtask: {}", failure.message);
            }
            ExitCode::from(failure.status)
        }
    }
}
