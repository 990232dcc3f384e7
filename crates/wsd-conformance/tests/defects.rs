//! The suite on the example provider in C, and on its ten variants with one defect each: the suite names the requirement that each
//! of them breaks.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::failed;

/// Each defect, as the example's `Makefile` names it, and the requirement that it breaks.
const DEFECTS: [(&str, &str); 10] = [
    ("wrong_error_code", "SP-045"),
    ("notifies_polled", "SP-180"),
    ("out_of_order", "SP-090"),
    ("releases_early", "SP-012"),
    ("leaks_handle", "SP-170"),
    ("access_after_deregistration", "SP-123"),
    ("ignores_rights", "SP-132"),
    ("drops_early_message", "SP-021"),
    ("foreign_handle", "SP-011"),
    ("incomplete_table", "SP-001"),
];

/// Has the example's own `Makefile` build `targets` into `folder`.
fn make(folder: &Path, targets: &[&str]) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/provider-c");
    let mut make = Command::new("make");
    make.args(["-s", "-j2", "-C"]).arg(example).arg(format!("OUT={}", folder.display())).args(targets);
    assert!(make.status().expect("make is installed").success());
}

fn library(folder: &Path, variant: &str) -> PathBuf {
    folder.join(format!("libprovider_c{variant}.so"))
}

/// Nothing fails; what it openly lacks, and nothing else, is skipped.
#[test]
fn the_example_passes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    make(folder.path(), &[]);
    let findings = support::check(&library(folder.path(), ""), |_| true);
    support::expect_of_the_example(&findings);
}

/// Each defect fails a check of the requirement that it breaks.
#[test]
fn every_defect_is_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    make(folder.path(), &["defects"]);
    let is_found = |defect: &str, requirement: &str| {
        let library = library(folder.path(), &format!("-{defect}"));
        let findings = support::check(&library, |check| check.requirements().contains(&requirement));
        failed(&findings).iter().any(|finding| finding.requirement == requirement)
    };
    // Most of them make a check wait in vain: all at the same time.
    let missed: Vec<_> = std::thread::scope(|scope| {
        let is_found = &is_found;
        let running =
            DEFECTS.map(|(defect, requirement)| (defect, scope.spawn(move || is_found(defect, requirement))));
        let ended = running.map(|(defect, thread)| (defect, thread.join().expect("the suite runs")));
        ended.into_iter().filter(|(_, found)| !found).map(|(defect, _)| defect).collect()
    });
    assert_eq!(missed, Vec::<&str>::new());
}

#[test]
#[ignore = "a process of the suite"]
fn process_of_the_suite() {
    support::serve();
}
