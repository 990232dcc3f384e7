//! The suite on the RDMA provider: in a guest with an RDMA device, by `cargo xtask test --only rdma`.
#![allow(missing_docs)]

mod support;

use std::collections::BTreeSet;
use wsd_conformance::{Outcome, Tally};

/// Requirements of which a check does not pass, and why.
const DIFFERENCES: [(&str, &str); 2] = [
    ("SP-190", "there is no quality of service"),
    ("SP-076", "a greeting of the provider's own takes the room of connect data"),
];

/// Every check passes, but for the differences, each of which is one.
#[test]
#[ignore = "needs an RDMA device: `cargo xtask test --only rdma` has one"]
fn passes_apart_from_differences() {
    let findings = support::check(&support::library("wsd_verbs"), |_| true);
    let others = findings.iter().filter(|finding| finding.outcome != Outcome::Pass);
    let found: BTreeSet<&str> = others.map(|finding| finding.requirement.as_str()).collect();
    let known: BTreeSet<&str> = DIFFERENCES.iter().map(|(requirement, _)| *requirement).collect();
    let (new, gone): (Vec<_>, Vec<_>) =
        (found.difference(&known).collect(), known.difference(&found).collect());
    assert!(
        new.is_empty() && gone.is_empty(),
        "{}: not known {new:?}, no difference any more {gone:?}",
        Tally::of(&findings)
    );
}

#[test]
#[ignore = "a process of the suite"]
fn process_of_the_suite() {
    support::serve();
}
