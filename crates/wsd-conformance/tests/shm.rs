//! The suite on the shared-memory provider.
#![allow(missing_docs)]

mod support;

use wsd_conformance::Tally;

/// Every check passes, or is skipped for what the provider openly lacks.
#[test]
fn passes() {
    let findings = support::check(&support::library("wsd_shm"), |_| true);
    let failed: Vec<String> = support::failed(&findings).into_iter().map(ToString::to_string).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(Tally::of(&findings).passed > 0);
}

#[test]
#[ignore = "a process of the suite"]
fn process_of_the_suite() {
    support::serve();
}
