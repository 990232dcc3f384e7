//! `cargo xtask test --only rdma`: the tests that need an RDMA device, in a guest that has one.
//!
//! All is built on the host; one run of a guest runs the test programs one after the other. They are those of the
//! other suites, told where to meet and by which provider (`wsd_programs`, the test bed).

use super::script::quote;
use crate::command::{Failure, cargo, command, succeed, target};
use crate::demo;
use crate::tally::{Tally, count_as};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::thread::ScopedJoinHandle;
use std::time::Instant;

/// What one guest, or a pair of them, is started for.
struct Part {
    /// As `cargo xtask rdma` names it.
    bed: &'static str,
    /// Seconds after which it is ended.
    limit: &'static str,
    /// Test programs, and their tests that run there; without names those that are ignored elsewhere.
    tests: &'static [(&'static str, &'static [&'static str])],
}

/// Each bed, with what works there. Those of a group run beside each other: the emulator uses one processor for each guest, and
/// connections come to nothing in a guest that has to share its own.
const GROUPS: &[&[Part]] = &[
    &[
        Part {
            bed: "namespaces",
            limit: "1500",
            tests: &[BED, REDIS, IPERF, NGINX, POSTGRES, ASYNCIO, ("failover", &["link_is_cut_five_times"])],
        },
        Part {
            bed: "device",
            limit: "1500",
            tests: &[
                ("wsd_verbs", &[]),
                ("moving", &[]),
                ("quiet", &[]),
                ("verbs", &["passes_apart_from_differences"]),
                ("one_sided", ONE_SIDED),
                ("connecting", &["refusing_rdma_peer_costs_no_call", "silent_rdma_peer_costs_no_call"]),
                REDIS,
                ("redis", &["values_are_read_back::both_switched"]),
                IPERF,
                NGINX,
                POSTGRES,
                ASYNCIO,
            ],
        },
    ],
    &[Part { bed: "hosts", limit: "1500", tests: &[BED, REDIS, IPERF, NGINX, POSTGRES, ASYNCIO] }],
];

/// One-sided access, by whatever provider the bed has.
const ONE_SIDED: &[&str] = &[
    "examples::every_language_with_every_other",
    "transfers::over_the_provider_of_the_bed",
    "transfers::two_connections",
    "transfers::each_right_is_enough_for_itself",
    "windows::what_the_window_does_not_allow_is_refused",
    "windows::windows_of_other_companions_are_stale",
    "windows::a_forged_nonce_opens_nothing",
    "windows::a_withdrawn_window_opens_nothing",
];

/// That a bed with two places is one.
const BED: (&str, &[&str]) =
    ("bed", &["conversation_between_both_places", "outcome_of_a_client_is_seen", "rdma_reaches_clients"]);

/// Real programs, both ends of which find each other in every bed.
const REDIS: (&str, &[&str]) = ("redis", &["many_clients::both_switched"]);
const IPERF: (&str, &[&str]) = ("iperf", &["client_sends::both_switched", "server_sends::both_switched"]);
const NGINX: (&str, &[&str]) = ("nginx", &["curl_gets_equal_files::both_switched"]);
const POSTGRES: (&str, &[&str]) = ("postgres", &["pgbench_runs::both_switched"]);
const ASYNCIO: (&str, &[&str]) = ("python", &["hundreds_of_asyncio_connections::both_switched"]);

/// Build, run, count.
pub(crate) fn run() -> Result<(Tally, Result<(), Failure>), Failure> {
    if let Err(failure) =
        demo::build().and_then(|()| succeed(&mut cargo(&["build", "--quiet", "-p", "wsd-verbs"])))
    {
        return Ok((Tally { passed: 0, failed: 1 }, Err(failure)));
    }
    let programs = &programs()?;
    let (mut total, mut ended) = (Tally::default(), Ok(()));
    for group in GROUPS {
        let parts = std::thread::scope(|scope| {
            let start = |part| scope.spawn(move || one(part, programs));
            let started: Vec<ScopedJoinHandle<'_, _>> = group.iter().map(start).collect();
            started
                .into_iter()
                .map(|part| part.join().expect("a bed's thread does not panic"))
                .collect::<Vec<_>>()
        });
        for part in parts {
            let (tally, outcome) = part?;
            total.add(tally);
            // The other beds are tried all the same: each shows something else.
            ended = ended.and(outcome);
        }
    }
    Ok((total, ended))
}

/// One bed's tests.
fn one(part: &Part, programs: &BTreeMap<String, PathBuf>) -> Result<(Tally, Result<(), Failure>), Failure> {
    let begin = Instant::now();
    let own = std::env::current_exe().map_err(|error| Failure::new(format!("own path: {error}")))?;
    let script = target().join(format!("rdma-{}.sh", part.bed));
    std::fs::write(&script, text(part, programs)?)
        .map_err(|error| Failure::new(format!("{}: {error}", script.display())))?;
    let mut guest = command(&own, &["rdma", "--bed", part.bed, "--limit", part.limit, "--", "sh"]);
    let counted = count_as(&format!("{}: ", part.bed), guest.arg(script))?;
    println!("{}: {} passed, {:.1} s", part.bed, counted.0.passed, begin.elapsed().as_secs_f64());
    Ok(counted)
}

/// What the guest's shell runs.
fn text(part: &Part, programs: &BTreeMap<String, PathBuf>) -> Result<String, Failure> {
    let built = |name: &str| {
        let path = programs.get(name).ok_or_else(|| Failure::new(format!("no program {name}")))?;
        Ok(quote(&path.to_string_lossy()))
    };
    let release = target().join("release");
    let mut text = include_str!("suite.sh")
        .replace("{release}", &quote(&release.to_string_lossy()))
        .replace("{remote}", &built("wsd-remote")?)
        .replace("{bed}", part.bed);
    for (name, tests) in part.tests {
        let which = if tests.is_empty() { "--ignored" } else { "--include-ignored --exact" };
        let options = "--test-threads 1 --color never";
        text += &format!("try {} {options} {which} {}\n", built(name)?, tests.join(" "));
    }
    Ok(text + "exit $status\n")
}

/// The test programs, and the programs that they run, by name, built.
fn programs() -> Result<BTreeMap<String, PathBuf>, Failure> {
    let mut build = cargo(&["test", "--no-run", "--quiet", "--message-format", "json-render-diagnostics"]);
    build.args(["-p", "wsd-programs", "-p", "wsd-conformance", "-p", "wsd-verbs", "--tests", "--bins"]);
    let mut child = build
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Failure::new(format!("cargo test --no-run: {error}")))?;
    let lines = child.stdout.take().map(|output| BufReader::new(output).lines().map_while(Result::ok));
    let built = lines.into_iter().flatten().filter_map(|line| program(&line)).collect();
    let status = child.wait().map_err(|error| Failure::new(format!("cargo test --no-run: {error}")))?;
    if status.success() { Ok(built) } else { Err(Failure::of(status, "the tests do not build")) }
}

/// Name and path of the program that a line of cargo's messages is about; a library's tests have its name. A program's own tests, which
/// have its name, too, are none of those.
fn program(line: &str) -> Option<(String, PathBuf)> {
    let Message { target, executable, profile } = serde_json::from_str(line).ok()?;
    let target = target?;
    let program = target.kind.iter().any(|kind| kind == "bin");
    (program != profile?.test).then_some((target.name, executable?))
}

/// What matters of a message of cargo.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_test_programs_among_messages() {
        let line = |kind: &str, test: bool, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"kind":["{kind}"],"name":"n"}},"profile":{{"test":{test}}},"executable":{executable}}}"#
            )
        };
        let found = Some(("n".into(), "/t/n-1".into()));
        assert_eq!(program(&line("test", true, r#""/t/n-1""#)), found);
        assert_eq!(program(&line("rlib", false, "null")), None);
        assert_eq!(program(&line("rlib", true, r#""/t/n-1""#)), found);
        assert_eq!(program(&line("bin", false, r#""/t/n-1""#)), found);
        assert_eq!(program(&line("bin", true, r#""/t/n-1""#)), None, "the tests of a program");
        assert_eq!(program(r#"{"reason":"build-finished","success":true}"#), None);
    }

    #[test]
    fn shells_understand_every_part() {
        let tests = GROUPS
            .iter()
            .copied()
            .flatten()
            .flat_map(|part| part.tests)
            .map(|(name, _)| *name)
            .chain(["wsd-remote"]);
        let all: BTreeMap<String, PathBuf> =
            tests.map(|name| (name.to_owned(), PathBuf::from("/it's"))).collect();
        for part in GROUPS.iter().copied().flatten() {
            let script = text(part, &all).expect("all are there");
            assert_eq!(script.matches("try '/it'\\''s' --").count(), part.tests.len());
            let read = command("sh", &["-n", "-c", &script]).status().expect("a shell");
            assert!(read.success(), "{script}");
            assert!(text(part, &BTreeMap::new()).is_err());
        }
    }
}
