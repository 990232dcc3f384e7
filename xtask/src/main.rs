//! What a developer of wsdirect runs: demo, tests, packages, coverage of the specification.

mod checks;
mod command;
mod demo;
mod dependencies;
mod mutations;
mod packages;
mod rdma;
mod spec;
mod suites;
mod tally;
mod windows;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Demo, tests and specification of wsdirect.
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
    /// List the requirements of the specification with the tests that cite them
    Spec {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Fail while a requirement is neither tested nor stated to be something else
        #[arg(long)]
        complete: bool,
    },
    /// Run a command in a guest with RDMA (soft RoCE)
    Rdma(rdma::Run),
    /// Build for Windows what exists there, and run the tests under Wine (all: `test --only windows`)
    Windows(windows::Selection),
    /// Break requirements, and see that the tests that cite them notice
    Mutations(mutations::Selection),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Demo => demo::run(),
        Task::Test { only } => suites::run(only),
        Task::Packages => packages::provide(packages::PROGRAMS.iter().chain(packages::C)),
        Task::Rdma(run) => rdma::run(&run),
        Task::Windows(selection) => windows::run(&selection),
        Task::Mutations(selection) => mutations::run(&selection),
        Task::Spec { json, complete } => spec::run(json, complete),
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
