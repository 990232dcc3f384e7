//! The checks of one requirement on one provider: how `cargo xtask mutations` sees whether the suite notices a broken one.
#![allow(missing_docs)]

mod support;

use wsd_conformance::Tally;

/// Which requirement, such as `SP-021`.
const REQUIREMENT: &str = "WSD_CONFORMANCE_REQUIREMENT";
/// The provider's package in this workspace.
const PROVIDER: &str = "WSD_CONFORMANCE_PROVIDER";

#[test]
#[ignore = "needs to be told what to check: `cargo xtask mutations` does"]
fn is_met() {
    let told = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} says what to check"));
    let (requirement, provider) = (told(REQUIREMENT), told(PROVIDER));
    let library = support::library(&provider.replace('-', "_"));
    let findings =
        support::check(&library, |check| check.requirements().iter().any(|one| *one == requirement));
    let tally = Tally::of(&findings);
    assert!(tally.failed == 0, "{tally}");
    assert!(tally.passed > 0, "nothing was checked: {tally}");
}

#[test]
#[ignore = "a process of the suite"]
fn process_of_the_suite() {
    support::serve();
}
