//! Usage, versions, and the shapes of what is printed for programs.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

mod common;

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use common::{Place, stderr, stdout};
use serde_json::Value;

#[test]
fn usage_errors_are_2() {
    let place = Place::new();
    for args in [&["run"][..], &["nonsense"], &["bench", "--only", "nothing-like-this"], &[]] {
        let output = place.output(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_ne!(stderr(&output), "", "{args:?}");
    }
}

#[test]
fn version_and_help_are_for_everyone() {
    let place = Place::new();
    let version = place.output(&["--version"]);
    assert_eq!(stdout(&version), concat!("wsdirect ", env!("CARGO_PKG_VERSION"), "\n"));
    let help = stdout(&place.output(&["--help"]));
    for word in ["run", "list", "providers", "bench", "demo", "Exit codes", "127", "WSDIRECT_LIBRARY"] {
        assert!(help.contains(word), "{word} is missing in\n{help}");
    }
    assert!(!help.contains("bench-server"), "{help}");
}

#[test]
fn lists_are_json_arrays() {
    let place = Place::new();
    for command in ["list", "providers"] {
        let output = place.output(&[command, "--json"]);
        if output.status.success() {
            let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            assert!(value.is_array(), "{value}");
        } else {
            assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
            assert!(stderr(&output).starts_with("wsdirect: "), "{}", stderr(&output));
        }
    }
}

/// Connections that carry nothing need no promotion, so the library that does nothing is enough.
#[test]
fn bench_prints_figures_of_both() {
    let output = Place::new().output(&["bench", "--quick", "--json", "--only", "connect_close"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["problems"], Value::Array(Vec::new()));
    let results = report["results"].as_array().expect("results");
    assert_eq!(results.len(), 1);
    let result = &results[0];
    assert_eq!((&result["name"], &result["unit"]), (&"connect_close_per_s".into(), &"1/s".into()));
    assert_eq!(result["better"], "higher");
    let number = |name: &str| result[name].as_f64().expect("a number");
    assert!(number("tcp") > 0.0 && number("wsdirect") > 0.0);
    assert!((number("ratio") - number("wsdirect") / number("tcp")).abs() < 1e-9);
}

#[test]
fn bench_needs_the_library() {
    let place = Place::new();
    fs::remove_file(place.path("libwsdirect.so")).expect("removed");
    for command in ["bench", "demo"] {
        let output = place.output(&[command]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("libwsdirect.so"), "{}", stderr(&output));
    }
}

#[test]
fn nothing_outlives_a_killed_bench() {
    let place = Place::new();
    let mut command = place.wsdirect(&["bench", "--only", "connect_close"]);
    let mut bench = command.stdout(Stdio::null()).spawn().expect("started");
    let family = children(bench.id(), 4);
    assert_eq!(family.len(), 4, "two servers, two clients");
    bench.kill().expect("killed");
    bench.wait().expect("waited for");
    let deadline = Instant::now() + Duration::from_secs(30);
    while family.iter().any(runs) {
        assert!(Instant::now() < deadline, "processes {family:?} are left");
        thread::sleep(Duration::from_millis(10));
    }
}

/// As soon as there are so many.
fn children(parent: u32, count: usize) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let text = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
        let found: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if found.len() >= count || Instant::now() > deadline {
            return found;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Not gone, and not a corpse that nobody has looked at.
fn runs(pid: &String) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat"));
    status.is_ok_and(|text| !text.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}
