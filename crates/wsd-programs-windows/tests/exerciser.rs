//! A program that uses every function of Winsock that the switch stands in front of says the same with and without it.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use wsd_programs_windows::{Program, Running, Under, await_ends};

/// Longer than the program itself waits for anything.
const LIMIT: Duration = Duration::from_secs(90);

/// For a connection to be promoted. Shorter than anything in the program that waits for a talk to end.
const PROMOTION: Duration = Duration::from_secs(12);

/// How often to look whether a program holds a talk, or has ended.
const PAUSE: Duration = Duration::from_millis(5);

/// What it says under Wine alone. `lacks` names what Wine does not have.
const EXPECTED: &str = include_str!("exerciser/expected.txt");

/// Where to write what it says, to make the expected lines anew.
const RECORD: &str = "WSD_EXERCISER_RECORD";

/// Where the program says something else under the switch, because Wine differs from what Windows documents.
struct Differs {
    case: &'static str,
    /// What Wine says, and what Windows documents.
    words: [&'static str; 2],
}

const DIFFERENT: &[Differs] = &[
    // closesocket: "outstanding overlapped operations are canceled", with WSA_OPERATION_ABORTED; the status is STATUS_CANCELLED.
    Differs { case: "overlapped_closesocket", words: ["status=-2147483638", "status=-1073741536"] },
    Differs { case: "pending_closesocket", words: ["status=-2147483638", "status=-1073741536"] },
    Differs { case: "completion_port_closesocket", words: ["closed=676", "closed=995"] },
];

/// Cases whose connections the switch does not promote (docs/windows.md, "Stays on TCP"): nobody waits for it.
const NOT_AWAITED: &[&str] = &[
    // A thread waits in the kernel: what it waits for comes by TCP, and only the other direction is promoted.
    "pending_recv",
];

/// The same, where the switch is a layer: Winsock's function asks for the base provider's handle before the connection is promoted.
const NOT_AWAITED_ABOVE_THE_LAYER: &[&str] = &["pending_wsapoll"];

fn is_awaited(program: &Program, case: &str) -> bool {
    let left = program.under() == Under::Layer && NOT_AWAITED_ABOVE_THE_LAYER.contains(&case);
    !left && !NOT_AWAITED.contains(&case)
}

fn build(under: Under) -> Program {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("exerciser");
    let sources = std::fs::read_dir(sources).expect("its sources").filter_map(|entry| {
        let path = entry.expect("an entry").path();
        path.extension().is_some_and(|extension| extension == "c").then_some(path)
    });
    Program::made(under, "exerciser.exe", |program| {
        let mut compiler = Command::new("x86_64-w64-mingw32-gcc");
        compiler.args(["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(program);
        compiler.args(sources);
        if under == Under::Layer {
            let folder = program.parent().expect("a folder for it");
            let shim = folder.join("shim.dll");
            compile_part(&shim, &["shim.c", "host.c"]);
            compile_part(&folder.join("base.dll"), &["base.c"]);
            compiler.arg("-include").arg(layer().join("shim.h")).arg(shim);
        }
        compiler.args(["-lws2_32", "-lmswsock"]);
        assert!(compiler.status().expect("a C compiler for Windows").success());
    })
}

/// The sources of what plays Winsock and the provider below.
fn layer() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("layer")
}

fn compile_part(library: &Path, sources: &[&str]) {
    let mut compiler = Command::new("x86_64-w64-mingw32-gcc");
    compiler.args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-o"]).arg(library);
    compiler.args(sources.iter().map(|name| layer().join(name))).arg("-lws2_32");
    assert!(compiler.status().expect("a C compiler for Windows").success());
}

/// What the two processes of a case say, and what kept its connections from being promoted.
struct Played {
    said: Vec<String>,
    kept: Vec<String>,
}

fn play(program: &Program, case: &str) -> Played {
    let mut server = program.start(&format!("{case}.server"), &["server", case]);
    let Some(port) = server.line("PORT ", LIMIT) else {
        return Played { said: vec![format!("FAIL {case}: no server: {}", server.said())], kept: Vec::new() };
    };
    let mut client = program.start(&format!("{case}.client"), &["client", case, &port]);
    let kept = if program.is_switched() {
        let_go(program, case, &port, &mut [&mut client, &mut server])
    } else {
        Vec::new()
    };
    Played { said: [result(&mut client), result(&mut server)].concat(), kept }
}

/// Each talk that is held goes on until both ends of its connection are promoted, or will not be.
fn let_go(program: &Program, case: &str, port: &str, both: &mut [&mut Running; 2]) -> Vec<String> {
    let deadline = Instant::now() + LIMIT;
    let (mut known, mut kept) = (HashSet::new(), Vec::new());
    while both.iter_mut().any(|one| one.end(Duration::ZERO).is_none()) && Instant::now() < deadline {
        let said = both.iter().map(|one| one.said()).collect::<String>();
        let held = said.lines().filter_map(|line| line.strip_prefix("HOLD "));
        for name in held.filter(|name| known.insert((*name).to_owned())) {
            if is_awaited(program, case)
                && let Err(problem) = await_ends(port, 2, PROMOTION)
            {
                kept.push(format!("{name}: {problem}"));
            }
            std::fs::write(program.folder().join(name), "").expect("the folder is there");
        }
        std::thread::sleep(PAUSE);
    }
    if known.is_empty() {
        kept.push("it never held a talk".to_owned());
    }
    kept
}

/// Two at a time: most of a case is waiting.
fn play_all(program: &Program, cases: &[&str]) -> Vec<Played> {
    let next = AtomicUsize::new(0);
    let played: Vec<OnceLock<Played>> = cases.iter().map(|_| OnceLock::new()).collect();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(number) =
                    Some(next.fetch_add(1, Relaxed)).filter(|number| *number < cases.len())
                {
                    played[number].get_or_init(|| play(program, cases[number]));
                }
            });
        }
    });
    played.into_iter().map(|one| one.into_inner().expect("every case was played")).collect()
}

fn result(process: &mut Running) -> Vec<String> {
    let status = process.end(LIMIT);
    let said = process.said();
    let is_fact = |line: &&str| !["PORT ", "HOLD "].iter().any(|word| line.starts_with(word));
    let mut lines: Vec<String> = said.lines().filter(is_fact).map(str::to_owned).collect();
    match status {
        Some(status) if status.success() => {}
        other => lines.push(format!("FAIL ended with {other:?}")),
    }
    lines
}

/// The lines of a case that are expected.
fn expected(program: &Program, case: &str) -> Vec<String> {
    let lines = EXPECTED.lines().filter(|line| line.split(' ').nth(1) == Some(case)).map(str::to_owned);
    match DIFFERENT.iter().find(|differs| program.is_switched() && differs.case == case) {
        Some(Differs { words: [wine, windows], .. }) => {
            lines.map(|line| line.replace(wine, windows)).collect()
        }
        None => lines.collect(),
    }
}

/// A line without what Wine lacks: the switch may have it.
fn complete(line: &str) -> String {
    line.split(' ').filter(|word| !word.starts_with("lacks=")).collect::<Vec<_>>().join(" ")
}

/// All cases; `WSD_EXERCISER_ONLY` says a part of the names of those to be played.
fn says_what_is_expected(under: Under) {
    let program = match under {
        Under::Winsock => build(under),
        Under::Switch | Under::Layer => build(under).told("EXERCISER_HOLDS", "1"),
    };
    let mut listing = program.start("list", &["list"]);
    assert!(listing.end(LIMIT).is_some_and(|status| status.success()), "{}", listing.said());
    let listing = listing.said();
    let only = std::env::var("WSD_EXERCISER_ONLY").unwrap_or_default();
    let cases: Vec<&str> = listing.lines().filter(|case| case.contains(&only)).collect();
    assert!(!cases.is_empty(), "no case is named {only}");
    let is_as_expected = |line: &String, expected: &String| {
        line == expected || (program.is_switched() && complete(line) == complete(expected))
    };
    let (mut all, mut others) = (Vec::new(), Vec::new());
    for (case, Played { said, kept }) in cases.iter().zip(play_all(&program, &cases)) {
        let expected = expected(&program, case);
        let same = said.len() == expected.len()
            && said.iter().zip(&expected).all(|(line, expected)| is_as_expected(line, expected));
        if !same {
            others.push(format!("{case}\n  expected {expected:#?}\n  said {said:#?}"));
        }
        if !kept.is_empty() {
            others.push(format!("{case}: not promoted: {}", kept.join("\n")));
        }
        all.extend(said);
    }
    println!("{} cases, {} lines", cases.len(), all.len());
    if let Some(path) = std::env::var_os(RECORD) {
        std::fs::write(path, all.join("\n") + "\n").expect("the record is written");
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[test]
#[ignore = "compiles for Windows, and runs there: cargo xtask windows"]
fn says_what_it_has_to() {
    says_what_is_expected(Under::Winsock);
}

/// SW-002: the program sees no difference. The connections of its cases are promoted before what they are about.
#[test]
#[ignore = "compiles for Windows, and runs there: cargo xtask windows"]
fn says_the_same_under_the_switch() {
    says_what_is_expected(Under::Switch);
}

/// SW-002: nor does it if the switch is a layer of Winsock's catalogue.
#[test]
#[ignore = "compiles for Windows, and runs there: cargo xtask windows"]
fn says_the_same_above_the_layer() {
    says_what_is_expected(Under::Layer);
}
