//! The tests of this program, once more with a SAN between the two ends of each connection.

use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::support::relay;

/// Tests that a process between the two ends changes, each with what it changes.
const NOT_RELAYED: [&str; 14] = [
    // The names of the two ends are not each other's.
    "conditions::accepted",
    "conditions::deferred",
    "connect::names",
    "echo::blocking_echo",
    "extension::accept_with_data",
    "extension::accept_without_data",
    "extension::many_accepts",
    "states::connected",
    // The relay listens where nobody does.
    "connect::refused",
    "select::connects",
    // It passes no urgent data on.
    "network_events::urgent_data",
    "options::control_codes",
    "select::woken",
    // A process is not given a connection of a SAN that it has.
    "duplicate::for_one_process_only",
];
/// Longest time of one test.
const LIMIT: Duration = Duration::from_secs(120);

fn this_program() -> Command {
    Command::new(std::env::current_exe().expect("this program"))
}

/// The names of all tests that a relay does not change.
fn relayed() -> Vec<String> {
    let output = this_program().args(["--list", "--format", "terse"]).output().expect("this program");
    let text = String::from_utf8(output.stdout).expect("text");
    let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
    let elsewhere = |name: &&str| {
        let alone = ["san_first::", "support::", "tour::"].iter().any(|folder| name.starts_with(folder));
        !alone && !name.ends_with("_itself") && !NOT_RELAYED.contains(name)
    };
    names.filter(elsewhere).map(str::to_owned).collect()
}

fn ends(mut child: Child) -> bool {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status.success();
        }
        if Instant::now() > end {
            child.kill().expect("a child");
            child.wait().expect("a child");
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Every test holds over a SAN, too, as over TCP/IP.
#[test]
fn over_a_san() {
    let names = relayed();
    assert!(names.len() > 40, "the tests of this program: {names:?}");
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    let (left, failed) = (Mutex::new(names), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(name) = left.lock().expect("no panic").pop() else { return };
                    let child = this_program()
                        .args(["--exact", &name])
                        .env(relay::VARIABLE, "on")
                        .env("WSDIRECT_TRACE", &trace)
                        .stdout(Stdio::null())
                        .spawn()
                        .expect("this program");
                    if !ends(child) {
                        failed.lock().expect("no panic").push(name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no panic");
    assert!(failed.is_empty(), "{failed:?}");
    let trace = std::fs::read_to_string(trace).expect("a trace");
    let accepted = |line: &&str| line.contains(" WSPAccept(") && line.contains(" = 0x");
    let connections = trace.lines().filter(accepted).count();
    assert!(connections > 60, "two for each relayed connection: {connections}");
}
