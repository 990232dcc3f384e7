//! The suite on a provider that declares what the shared-memory provider lacks, and on one that lacks what that has.
//! A process of their own for each: the faulty provider takes its orders from the environment.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

mod support;

use wsd_conformance::{Finding, Outcome};

/// Runs everything on the faulty provider, told `words`.
fn findings(words: &str) -> Vec<Finding> {
    support::check_with(&support::library("wsd_faulty"), |_| true, &[("WSD_FAULTY", words)])
}

fn failed(findings: &[Finding]) -> Vec<String> {
    support::failed(findings).into_iter().map(ToString::to_string).collect()
}

/// SP-190, SP-076: quality of service and connect data.
#[test]
fn declared_abilities_are_checked() {
    let findings = findings("qos,connect-data,plain");
    assert_eq!(failed(&findings), Vec::<String>::new());
    for requirement in ["SP-190", "SP-076"] {
        let of = findings.iter().filter(|finding| finding.requirement == requirement);
        let skipped = of.filter(|finding| matches!(finding.outcome, Outcome::Skip(_)));
        assert_eq!(skipped.count(), 0, "{requirement}");
    }
}

/// SP-191: what is missing openly is skipped, not failed.
#[test]
fn missing_abilities_are_skipped() {
    let findings = findings("no-read,small-messages,late");
    assert_eq!(failed(&findings), Vec::<String>::new());
    let skipped =
        |finding: &&Finding| finding.requirement == "SP-022" && matches!(finding.outcome, Outcome::Skip(_));
    assert_eq!(findings.iter().filter(skipped).count(), 1);
}

/// A provider that fails is a result: each check that needs what fails, fails.
#[test]
fn failures_are_found() {
    for (words, requirement) in [("fail-bind", "SP-045"), ("fail-connect", "SP-065"), ("no-memory", "SP-121")]
    {
        let findings = support::check_with(
            &support::library("wsd_faulty"),
            |check| check.requirements().contains(&requirement),
            &[("WSD_FAULTY", words)],
        );
        assert!(!failed(&findings).is_empty(), "{words}");
    }
}

#[test]
#[ignore = "a process of the suite"]
fn process_of_the_suite() {
    support::serve();
}
