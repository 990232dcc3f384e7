//! The suite on the example provider in C as a Windows library, which `cargo xtask windows` builds.
#![cfg(windows)]
#![allow(missing_docs)]

mod support;

/// It passes and lacks what it does on Linux.
#[test]
fn passes() {
    let findings = support::check(&support::library("provider_c"), |_| true);
    support::expect_of_the_example(&findings);
}

#[test]
#[ignore = "a process of the suite"]
fn process_of_the_suite() {
    support::serve();
}
