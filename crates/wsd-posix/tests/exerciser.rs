//! A C program that makes every call that the library replaces prints the same with and without it.

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::{difference, run};

const LIMIT: Duration = Duration::from_secs(60);

/// Compiles the program.
fn compile(folder: &Path) -> std::path::PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exerciser");
    let program = folder.join("exerciser");
    let mut compiler = Command::new("cc");
    // The checking variants (__read_chk...) are called where the compiler knows a buffer's size. Wrong arguments are meant.
    compiler.args(["-O2", "-w", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-pthread", "-o"]).arg(&program);
    for entry in sources.read_dir().expect("the program's folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "c") {
            compiler.arg(path);
        }
    }
    assert!(compiler.arg("-lrt").status().expect("a C compiler").success(), "the program is compiled");
    program
}

/// The names of the program's sections.
fn sections(program: &Path) -> Vec<String> {
    let list = run(Command::new(program).arg("--list"), false, LIMIT);
    list.output.lines().map(str::to_owned).collect()
}

/// Runs every section but those of `without` both ways, and compares.
fn compare(arguments: &[&str], left_out: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = compile(folder.path());
    let sections = sections(&program);
    assert!(sections.len() > 20, "the program lists its sections");
    let mut failures = String::new();
    for section in sections.iter().filter(|section| !left_out.contains(&section.as_str())) {
        let [without, with] =
            [false, true].map(|under| run(Command::new(&program).args(arguments).arg(section), under, LIMIT));
        assert!(without.success, "{section} fails without the library:\n{}", without.output);
        if let Some(difference) = difference(&without, &with) {
            failures += &format!("{section}:\n{difference}\n");
        }
    }
    assert!(failures.is_empty(), "the library changed results:\n{failures}");
}

#[test]
fn every_call_does_the_same() {
    compare(&[], &[]);
}

/// With another process at the other end of each connection, so that connections are promoted. A relay cannot hand on urgent
/// data.
#[test]
fn every_call_does_the_same_between_processes() {
    compare(&["--relayed"], &["urgent"]);
}
