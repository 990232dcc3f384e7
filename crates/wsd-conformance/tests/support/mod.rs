//! Running the suite from a test: its processes are the test program itself.
#![allow(dead_code, unreachable_pub, reason = "every test file uses a part")]

use std::collections::BTreeSet;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};

use wsd_conformance::{Check, Finding, Helper, Outcome};

/// The built library of a provider of this workspace: beside the test program's folder.
pub fn library(name: &str) -> PathBuf {
    let program = std::env::current_exe().expect("own path");
    let folder = program.ancestors().nth(2).expect("target/PROFILE/deps/PROGRAM");
    let path = folder.join(format!("{DLL_PREFIX}{name}{DLL_SUFFIX}"));
    let package = name.replace('_', "-");
    assert!(path.is_file(), "no {}: `cargo build -p {package}` builds it", path.display());
    path
}

/// Runs the wanted checks on a provider.
pub fn check(library: &Path, wanted: impl Fn(&Check) -> bool) -> Vec<Finding> {
    check_with(library, wanted, &[])
}

/// Runs the wanted checks on a provider, with these variables in the environment of its processes.
pub fn check_with(
    library: &Path,
    wanted: impl Fn(&Check) -> bool,
    variables: &[(&str, &str)],
) -> Vec<Finding> {
    let own = std::env::current_exe().expect("own path");
    let test = ["--exact", "process_of_the_suite", "--ignored", "--nocapture"].map(Into::into);
    let helper = if variables.is_empty() {
        Helper { program: own, arguments: test.into() }
    } else {
        let variables = variables.iter().map(|(name, value)| format!("{name}={value}").into());
        let arguments = variables.chain([own.into_os_string()]).chain(test).collect();
        Helper { program: "env".into(), arguments }
    };
    let tell = |finding: &Finding| match finding.outcome {
        Outcome::Pass => {}
        _ => println!("{finding}"),
    };
    wsd_conformance::run(library, &helper, wanted, tell).expect("the suite runs")
}

/// The findings that are failures.
pub fn failed(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| matches!(finding.outcome, Outcome::Fail(_))).collect()
}

/// How many requirements the example provider in C is seen to meet.
const MET_BY_THE_EXAMPLE: usize = 103;

/// What the example provider in C openly lacks, so that its checks are skipped.
const LACKED_BY_THE_EXAMPLE: &[&str] =
    &["SP-010", "SP-022", "SP-076", "SP-133", "SP-160", "SP-161", "SP-162", "SP-190"];

/// Everything passes on the example provider in C, apart from what it lacks; on Linux and on Windows alike.
pub fn expect_of_the_example(findings: &[Finding]) {
    let of = |wanted: fn(&Outcome) -> bool| -> BTreeSet<&str> {
        let wanted = findings.iter().filter(|finding| wanted(&finding.outcome));
        wanted.map(|finding| finding.requirement.as_str()).collect()
    };
    assert!(failed(findings).is_empty(), "{:#?}", failed(findings));
    let lacked = of(|outcome| matches!(outcome, Outcome::Skip(_)));
    assert_eq!(lacked.into_iter().collect::<Vec<_>>(), LACKED_BY_THE_EXAMPLE);
    let passed = of(|outcome| *outcome == Outcome::Pass);
    assert_eq!(passed.len(), MET_BY_THE_EXAMPLE, "{passed:?}");
}

/// To be called by an ignored test named `process_of_the_suite`.
pub fn serve() {
    if std::env::var_os("WSD_CONFORMANCE_ROLE").is_some() {
        wsd_conformance::serve().expect("the suite is there");
        // Nobody reads what the test harness would say.
        std::process::exit(0);
    }
}
