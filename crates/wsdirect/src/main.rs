//! `wsdirect`: runs programs under the switch, shows what their connections do, and measures what it brings.
//!
//! Exit codes: 0 done; 1 the command failed; 2 it could not start (usage, configuration, library);
//! `run` ends as the program ends, or with 126 (cannot be executed) or 127 (not found).
#![forbid(unsafe_code)]

mod bench;
mod check;
mod cli;
mod demo;
#[cfg(windows)]
mod install;
mod list;
mod output;
mod process;
mod progress;
mod providers;
#[cfg_attr(windows, path = "run/windows.rs")]
mod run;
mod table;

use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command, ProvidersCommand};

fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(code) => code,
        Err(failure) => {
            output::complain(&failure.message);
            ExitCode::from(failure.code)
        }
    }
}

/// Why a command ended without doing its work, and the exit code that says so.
struct Failure {
    message: String,
    code: u8,
}

fn dispatch(command: Command) -> Result<ExitCode, Failure> {
    match command {
        #[cfg(target_os = "linux")]
        Command::Run(args) => {
            let error = run::run(&args);
            Err(Failure { code: error.exit_code(), message: error.to_string() })
        }
        #[cfg(windows)]
        Command::Run(args) => {
            run::run(&args).map_err(|error| Failure { code: error.exit_code(), message: error.to_string() })
        }
        Command::List { json } => done(list::run(json)),
        Command::Providers(args) => match args.command {
            None => done(providers::run(args.json)),
            Some(ProvidersCommand::Check(args)) => {
                let met =
                    check::run(&args).map_err(|error| Failure { message: error.to_string(), code: 2 })?;
                Ok(ExitCode::from(u8::from(!met)))
            }
            Some(ProvidersCommand::CheckPeer) => done(wsd_conformance::serve()),
        },
        #[cfg(windows)]
        Command::Install(args) => done(install::install(args.layered)),
        #[cfg(windows)]
        Command::Uninstall => done(install::uninstall()),
        Command::Bench(args) => {
            let complete = bench::run(&args)
                .map_err(|error| Failure { code: error.exit_code(), message: error.to_string() })?;
            Ok(ExitCode::from(u8::from(!complete)))
        }
        Command::Demo(args) => demo::run(&args)
            .map(|()| ExitCode::SUCCESS)
            .map_err(|error| Failure { code: error.exit_code(), message: error.to_string() }),
        Command::BenchServer(args) => done(bench::serve(&args)),
        Command::BenchClient(args) => done(bench::drive(&args)),
        #[cfg(target_os = "linux")]
        Command::Child(args) => {
            let error = process::become_child(&args);
            Err(Failure { code: error.exit_code(), message: error.to_string() })
        }
    }
}

fn done<E: std::error::Error>(result: Result<(), E>) -> Result<ExitCode, Failure> {
    result.map(|()| ExitCode::SUCCESS).map_err(failed)
}

fn failed<E: std::error::Error>(error: E) -> Failure {
    Failure { message: error.to_string(), code: 1 }
}
