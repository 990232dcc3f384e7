//! `wsdirect.exe`: what it measures, shows and writes down.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use wsd_programs_windows::{runner, told, windows_path, wsdirect};

/// What it prints, if it ends well.
fn output(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the runner starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(status.success(), "{status}: {}{}", text(&stdout), text(&stderr));
    text(&stdout)
}

/// The list "TCP on SAN".
fn listed() -> String {
    const LIST: &str = r"HKLM\System\CurrentControlSet\Services\Winsock\Parameters\TCP on SAN";
    let asked = runner().args(["reg", "query", LIST]).output().expect("the runner starts");
    String::from_utf8_lossy(&asked.stdout).into_owned()
}

/// Round trips of 64 bytes and a stream of 64 KiB, in alternation with Winsock alone. Ratios are no test's business.
#[test]
#[ignore = "runs Windows programs: cargo xtask windows"]
fn bench_measures_both() {
    for figure in ["pingpong_64B_p50_us", "stream_64KiB_gb_s"] {
        let printed = output(&mut wsdirect(&["bench", "--quick", "--json", "--only", figure]));
        let report: Value = serde_json::from_str(&printed).expect("JSON");
        assert_eq!(report["problems"], Value::Array(Vec::new()));
        assert_eq!(report["promotion_checked"], true);
        let results = report["results"].as_array().expect("results");
        let measured = results.iter().find(|result| result["name"] == figure).expect("what was asked for");
        let number = |name: &str| measured[name].as_f64().expect("a number");
        assert!(number("tcp") > 0.0 && number("wsdirect") > 0.0, "{measured}");
        println!("{figure}: {:.3} by TCP, {:.3} by the switch", number("tcp"), number("wsdirect"));
    }
}

/// The same data both times, and a connection on the SAN: the command demands it.
#[test]
#[ignore = "runs Windows programs: cargo xtask windows"]
fn demo_shows_node() {
    let programs = windows_path(Path::new(&told("WSD_WINDOWS_PROGRAMS")));
    let printed = output(wsdirect(&["demo", "--workload", "node"]).env("WINEPATH", programs));
    assert!(printed.contains("the same both times: 200 files"), "{printed}");
    println!("{printed}");
}

/// The trace has the companion's calls, of both ends, in whole lines.
#[test]
#[ignore = "runs Windows programs: cargo xtask windows"]
fn trace_has_the_calls_of_the_interface() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let trace = folder.path().join("trace");
    let mut bench = wsdirect(&["bench", "--quick", "--only", "pingpong_64B_p50_us"]);
    output(bench.env("WSDIRECT_TRACE", windows_path(&trace)));
    let text = std::fs::read_to_string(&trace).expect("a trace");
    for call in ["WSPStartupEx(", "WSPSocket(", "WSPListen(", "WSPConnect(", "WSPAccept(", "WSPSend("] {
        assert!(
            text.lines().any(|line| line.contains(&format!("shm {call}"))),
            "{call} is missing in\n{text}"
        );
    }
    let is_whole = |line: &str| {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        words.len() == 3 && words[0].parse::<f64>().is_ok() && words[1].parse::<u32>().is_ok()
    };
    assert!(text.lines().all(is_whole), "{text}");
}

/// The list "TCP on SAN" has the provider's identity as it is in memory, and has it no longer afterwards. Wine has no catalogue, so that
/// the other half of an installation is not seen.
#[test]
#[ignore = "runs Windows programs: cargo xtask windows"]
fn install_changes_the_list_of_providers() {
    let entry = "{6d1f2b0e-8c5a-4e57-9b1d-3f0c7a2e5d41}    REG_BINARY    0E2B1F6D5A8C574E9B1D3F0C7A2E5D41";
    assert!(!listed().contains(entry), "{}", listed());
    output(&mut wsdirect(&["install"]));
    assert!(listed().contains(entry), "{}", listed());
    output(&mut wsdirect(&["uninstall"]));
    assert!(!listed().contains("6d1f2b0e"), "{}", listed());
    let again = wsdirect(&["uninstall"]).output().expect("the runner starts");
    assert!(!again.status.success(), "there is nothing to uninstall");
}

/// The switch is entered only from where nobody but administrators can change it. Wine says that its entry is in the catalogue, where it
/// is not: all is taken back.
#[test]
#[ignore = "runs Windows programs: cargo xtask windows"]
fn install_of_the_layer_takes_all_back() {
    let fails = |command: &mut Command| {
        let Output { status, stderr, .. } = command.output().expect("the runner starts");
        assert!(!status.success(), "it cannot succeed here");
        String::from_utf8_lossy(&stderr).into_owned()
    };
    let said = fails(&mut wsdirect(&["install", "--layered"]));
    assert!(said.contains("Program Files"), "{said}");
    let folder = Path::new(&told("WINEPREFIX")).join("drive_c/Program Files");
    let folder = tempfile::tempdir_in(folder).expect("Wine's disk");
    let built = PathBuf::from(told("WSD_WINDOWS_COMMAND"));
    for name in ["wsdirect.exe", "wsd_shm.dll", "wsd_winsock.dll"] {
        std::fs::copy(built.with_file_name(name), folder.path().join(name)).expect("room for it");
    }
    let name = folder.path().file_name().expect("below the other").display().to_string();
    let protected = format!(r"C:\Program Files\{name}\wsdirect.exe");
    let said = fails(runner().args([&protected, "install", "--layered"]));
    assert!(said.contains("has not taken an entry"), "{said}");
    assert!(!listed().contains("6d1f2b0e"), "{}", listed());
}
