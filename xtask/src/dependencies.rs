//! What the crates we depend on have to be (`deny.toml`): licences, origins, no two versions of one.

use std::path::Path;

use crate::command::{Failure, cargo, cargo_has, succeed, target};
use crate::tally::Tally;

/// Those of cargo-deny's checks that need no network once the crates are there.
const CHECKS: [&str; 3] = ["bans", "licenses", "sources"];

/// Run cargo-deny, and count each of its checks as a test. Where it is missing it is built first, for this checkout alone.
pub(crate) fn run() -> Result<(Tally, Result<(), Failure>), Failure> {
    let tools = target().join("tools");
    if !cargo_has("deny") && !tools.join("bin/cargo-deny").is_file() {
        install(&tools)?;
    }
    let search = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&search).chain([tools.join("bin")]);
    let search = std::env::join_paths(folders).map_err(|error| Failure::new(format!("PATH: {error}")))?;
    let mut tally = Tally::default();
    let mut outcome = Ok(());
    for check in CHECKS {
        let mut command = cargo(&["deny", "check", "--hide-inclusion-graph", check]);
        let checked = succeed(command.env("PATH", &search));
        tally.add(Tally { passed: checked.is_ok().into(), failed: checked.is_err().into() });
        outcome = outcome.and(checked);
    }
    Ok((tally, outcome))
}

fn install(tools: &Path) -> Result<(), Failure> {
    println!("installing cargo-deny into {}", tools.display());
    // Optimised it would take five times as long to build, and runs for seconds only.
    let mut command = cargo(&["install", "--quiet", "--locked", "--debug", "cargo-deny", "--root"]);
    succeed(command.arg(tools)).map_err(|failure| Failure {
        message: format!("cargo-deny cannot be installed: {}", failure.message),
        ..failure
    })
}
