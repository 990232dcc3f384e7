//! A program that uses every function of Winsock that the switch stands in front of says the same with and without it.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use wsd_programs_windows::{Program, Running};

/// Longer than the program itself waits for anything.
const LIMIT: Duration = Duration::from_secs(90);

/// What it says under Wine alone. `lacks` names what Wine does not have.
const EXPECTED: &str = include_str!("exerciser/expected.txt");

/// Where to write what it says, to make the expected lines anew.
const RECORD: &str = "WSD_EXERCISER_RECORD";

fn build() -> Program {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("exerciser");
    let sources = std::fs::read_dir(sources).expect("its sources").filter_map(|entry| {
        let path = entry.expect("an entry").path();
        path.extension().is_some_and(|extension| extension == "c").then_some(path)
    });
    Program::made("exerciser.exe", |program| {
        let mut compiler = Command::new("x86_64-w64-mingw32-gcc");
        compiler.args(["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(program);
        compiler.args(sources).args(["-lws2_32", "-lmswsock"]);
        assert!(compiler.status().expect("a C compiler for Windows").success());
    })
}

/// What the two processes of a case say.
fn play(program: &Program, case: &str) -> Vec<String> {
    let mut server = program.start(&format!("{case}.server"), &["server", case]);
    let Some(port) = server.line("PORT ", LIMIT) else {
        return vec![format!("FAIL {case}: no server: {}", server.said())];
    };
    let mut client = program.start(&format!("{case}.client"), &["client", case, &port]);
    [result(&mut client), result(&mut server)].concat()
}

/// Two at a time: most of a case is waiting.
fn play_all(program: &Program, cases: &[&str]) -> Vec<Vec<String>> {
    let next = AtomicUsize::new(0);
    let said: Vec<OnceLock<Vec<String>>> = cases.iter().map(|_| OnceLock::new()).collect();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(number) =
                    Some(next.fetch_add(1, Relaxed)).filter(|number| *number < cases.len())
                {
                    said[number].get_or_init(|| play(program, cases[number]));
                }
            });
        }
    });
    said.into_iter().map(|one| one.into_inner().expect("every case was played")).collect()
}

fn result(process: &mut Running) -> Vec<String> {
    let status = process.end(LIMIT);
    let said = process.said();
    let mut lines: Vec<String> =
        said.lines().filter(|line| !line.starts_with("PORT ")).map(str::to_owned).collect();
    match status {
        Some(status) if status.success() => {}
        other => lines.push(format!("FAIL ended with {other:?}")),
    }
    lines
}

/// The expected lines of a case.
fn expected(case: &str) -> Vec<&str> {
    EXPECTED.lines().filter(|line| line.split(' ').nth(1) == Some(case)).collect()
}

/// A line without what Wine lacks: the switch may have it.
fn complete(line: &str) -> String {
    line.split(' ').filter(|word| !word.starts_with("lacks=")).collect::<Vec<_>>().join(" ")
}

fn is_as_expected(line: &str, expected: &str) -> bool {
    line == expected || (Program::is_switched() && complete(line) == complete(expected))
}

#[test]
#[ignore = "compiles for Windows, and runs there: cargo xtask windows"]
fn says_what_it_has_to() {
    let program = build();
    let mut listing = program.start("list", &["list"]);
    assert!(listing.end(LIMIT).is_some_and(|status| status.success()), "{}", listing.said());
    let listing = listing.said();
    let cases: Vec<&str> = listing.lines().collect();
    let (mut all, mut others) = (Vec::new(), Vec::new());
    for (case, said) in cases.iter().zip(play_all(&program, &cases)) {
        let expected = expected(case);
        let same = said.len() == expected.len()
            && said.iter().zip(&expected).all(|(line, expected)| is_as_expected(line, expected));
        if !same {
            others.push(format!("{case}\n  expected {expected:#?}\n  said {said:#?}"));
        }
        all.extend(said);
    }
    println!("{} cases, {} lines", cases.len(), all.len());
    if let Some(path) = std::env::var_os(RECORD) {
        std::fs::write(path, all.join("\n") + "\n").expect("the record is written");
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
}
