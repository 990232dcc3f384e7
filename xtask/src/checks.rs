//! The repository's own rules, which no compiler checks.

use crate::command::{Failure, cargo, command, root};
use crate::mutations::store;
use crate::spec;
use crate::tally::Tally;
use std::path::PathBuf;
use std::process::Stdio;

/// A source file is one idea: shorter than this. (A header of a published interface is as long as the interface.)
const LINES: usize = 500;

/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: &[&str] = &["/work/", "/root/", "/home/", "/Users/"];

/// Run all checks, and count each as a test.
pub(crate) fn run() -> Result<(Tally, Result<(), Failure>), Failure> {
    let files = tracked()?;
    let coverage = spec::coverage()?;
    let mutations = store::load()?;
    let unfit = store::faults(&mutations, &coverage);
    let without =
        store::without(&mutations, &coverage).into_iter().map(|number| number.to_string()).collect();
    let checks: [(&str, Vec<String>); 6] = [
        ("source files are shorter than 500 lines", files.iter().filter_map(too_long).collect()),
        ("no file names a path of one machine", files.iter().filter_map(names_machine).collect()),
        ("the lock file is up to date", stale_lock()),
        ("the list of requirements and its citations are in order", coverage.faults),
        ("recorded mutations fit the code and the tests that cite", unfit),
        ("every tested requirement has a mutation", without),
    ];
    let mut tally = Tally::default();
    for (rule, offenders) in checks {
        let kept = offenders.is_empty();
        println!("{} {rule}", if kept { "ok    " } else { "FAILED" });
        offenders.iter().for_each(|offender| println!("       {offender}"));
        tally.add(Tally { passed: kept.into(), failed: (!kept).into() });
    }
    let outcome = if tally.failed == 0 { Ok(()) } else { Err(Failure::new("")) };
    Ok((tally, outcome))
}

/// The files of the repository, of a checkout without its history those in the tree.
pub(crate) fn tracked() -> Result<Vec<PathBuf>, Failure> {
    let listed = command("git", &["ls-files", "-z"]).output();
    let listed = listed.map_err(|error| Failure::new(format!("git: {error}")))?;
    if !listed.status.success() {
        return Err(Failure::of(listed.status, "git ls-files failed: checks need a git checkout"));
    }
    let names = String::from_utf8_lossy(&listed.stdout).into_owned();
    Ok(names.split('\0').filter(|name| !name.is_empty()).map(|name| root().join(name)).collect())
}

fn too_long(path: &PathBuf) -> Option<String> {
    let is_source =
        path.extension().is_some_and(|ending| ["rs", "py", "sh", "c"].iter().any(|e| ending == *e));
    let lines = std::fs::read_to_string(path).ok().filter(|_| is_source)?.lines().count();
    (lines >= LINES).then(|| format!("{}: {lines} lines", path.display()))
}

fn names_machine(path: &PathBuf) -> Option<String> {
    // This file has to spell what it looks for.
    if path.ends_with(file!()) {
        return None;
    }
    let text = std::fs::read_to_string(path).ok()?;
    let number = text.lines().position(has_machine_path)?;
    Some(format!("{}:{}", path.display(), number + 1))
}

fn has_machine_path(line: &str) -> bool {
    let begins_path = |at: usize| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || "./_-}$".contains(c)))
    };
    MACHINE_PATHS.iter().any(|prefix| line.match_indices(prefix).any(|(at, _)| begins_path(at)))
}

fn stale_lock() -> Vec<String> {
    let asked = cargo(&["metadata", "--locked", "--format-version", "1"]).stdout(Stdio::null()).output();
    match asked {
        Ok(output) if output.status.success() => Vec::new(),
        Ok(output) => vec![String::from_utf8_lossy(&output.stderr).trim().to_owned()],
        Err(error) => vec![error.to_string()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_machine_path_from_a_relative_one() {
        assert!(has_machine_path("see /work/here"));
        assert!(has_machine_path("\"/home/somebody\""));
        assert!(!has_machine_path("target/work/here and ../home/x"));
    }
}
