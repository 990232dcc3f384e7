//! `wsdirect providers check`: what a provider keeps of the interface's requirements.

use std::io;

use wsd_conformance::{Helper, RunError, Tally};

use crate::cli::CheckArgs;
use crate::output;

/// Why there are no results.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("no check is about {0}: requirements are written like SP-021")]
    NothingToCheck(String),
    #[error("cannot print the results: {0}")]
    Output(#[from] io::Error),
    #[error("cannot write the results as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Whether nothing failed.
pub(crate) fn run(args: &CheckArgs) -> Result<bool, Error> {
    let wanted = |check: &wsd_conformance::Check| match &args.only {
        Some(only) => check.requirements().contains(&only.as_str()),
        None => true,
    };
    if let Some(only) = &args.only
        && !wsd_conformance::checks().any(&wanted)
    {
        return Err(Error::NothingToCheck(only.clone()));
    }
    let helper = Helper::current(["providers", "check-peer"])?;
    let mut printed = Ok(());
    let findings = wsd_conformance::run(&args.library, &helper, wanted, |finding| {
        if !args.json && printed.is_ok() {
            printed = output::print(&finding.to_string());
        }
    })?;
    printed?;
    let tally = Tally::of(&findings);
    if args.json {
        output::print(&serde_json::to_string_pretty(&findings)?)?;
    } else {
        output::print(&tally.to_string())?;
    }
    Ok(tally.failed == 0)
}
