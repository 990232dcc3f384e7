//! `wsdirect run`: the program's own end, and every way of not getting there.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use common::{Place, stderr, stdout};

#[test]
fn the_exit_code_is_the_programs_own() {
    let place = Place::new();
    for code in [0, 1, 7, 255] {
        let output = place.output(&["run", "--", "sh", "-c", &format!("exit {code}")]);
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(stderr(&output), "");
    }
}

#[test]
fn death_by_a_signal_is_the_programs_own() {
    let place = Place::new();
    for signal in [9, 15] {
        let output = place.output(&["run", "sh", "-c", &format!("kill -{signal} $$")]);
        assert_eq!(output.status.signal(), Some(signal));
    }
}

#[test]
fn options_after_the_program_are_the_programs() {
    let output = Place::new().output(&["run", "echo", "--config", "x", "--", "-n"]);
    assert_eq!(stdout(&output), "--config x -- -n\n");
}

#[test]
fn a_missing_program_is_127() {
    let place = Place::new();
    for name in ["no-such-program-here", "./neither", "/no/such/folder/program"] {
        let output = place.output(&["run", "--", name]);
        assert_eq!(output.status.code(), Some(127), "{name}");
        let message = stderr(&output);
        assert!(message.contains(name) && message.contains("not found"), "{message}");
    }
}

#[test]
fn a_program_that_cannot_be_executed_is_126() {
    let place = Place::new();
    fs::write(place.path("text"), "words").expect("written");
    for name in ["./text", "/"] {
        let output = place.output(&["run", "--", name]);
        assert_eq!(output.status.code(), Some(126), "{name}");
        assert!(stderr(&output).contains("not executable"), "{}", stderr(&output));
    }
}

#[test]
fn the_library_comes_first_and_others_stay() {
    let place = Place::new();
    let library = place.path("libwsdirect.so");
    fs::copy(&library, place.path("other.so")).expect("copied");
    let print = ["run", "--", "sh", "-c", "echo $LD_PRELOAD"];
    assert_eq!(stdout(&place.output(&print)), format!("{}\n", library.display()));
    let other = place.path("other.so");
    let output = place.wsdirect(&print).env("LD_PRELOAD", &other).output().expect("started");
    assert_eq!(stdout(&output), format!("{}:{}\n", library.display(), other.display()));
}

#[test]
fn options_reach_the_library_as_absolute_paths() {
    let place = Place::new();
    fs::write(place.path("w.toml"), "").expect("written");
    let show = "echo \"$WSDIRECT_PROVIDER|$WSDIRECT_CONFIG|$WSDIRECT_TRACE\"";
    let args = ["run", "--provider", "shm", "--config", "w.toml", "--trace", "t.log", "--", "sh", "-c", show];
    let output = place.output(&args);
    let folder = fs::canonicalize(place.folder.path()).expect("a real folder");
    let expected = format!("shm|{0}/w.toml|{0}/t.log\n", folder.display());
    assert_eq!(stdout(&output), expected, "{}", stderr(&output));
    let output = place.output(&["run", "--provider", "./w.toml", "--", "sh", "-c", show]);
    let path = stdout(&output);
    assert!(path.starts_with('/') && path.contains("w.toml|"), "{path}");
}

/// Design, section 3: selectable for the Linux front end.
#[test]
fn the_order_of_connecting_reaches_the_library() {
    let place = Place::new();
    let show = ["--", "sh", "-c", "echo \"$WSDIRECT_CONNECT\""];
    for (arguments, expected) in [
        (["run", "--connect", "san-first"].as_slice(), "san-first\n"),
        (&["run", "--connect=tcp-first"], "tcp-first\n"),
        (&["run"], "\n"),
    ] {
        assert_eq!(stdout(&place.output(&[arguments, &show].concat())), expected);
    }
    assert_eq!(place.output(&["run", "--connect", "first", "--", "true"]).status.code(), Some(2));
}

#[test]
fn a_configuration_that_cannot_be_read_is_2_and_nothing_runs() {
    let place = Place::new();
    for bad in [["--config", "missing.toml"], ["--config", "/"], ["--trace", "no/such/folder/t.log"]] {
        let output = place.output(&["run", bad[0], bad[1], "--", "touch", "ran"]);
        assert_eq!(output.status.code(), Some(2), "{bad:?}");
        assert!(stderr(&output).contains(bad[1]), "{}", stderr(&output));
    }
    assert!(!place.path("ran").exists());
}

#[test]
fn without_the_library_it_says_what_to_do() {
    let place = Place::new();
    let run = |value: &str| {
        place.wsdirect(&["run", "--", "true"]).env("WSDIRECT_LIBRARY", value).output().expect("started")
    };
    let output = run("/no/such/libwsdirect.so");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("WSDIRECT_LIBRARY names /no/such/libwsdirect.so"),
        "{}",
        stderr(&output)
    );

    let executable = place.path("wsdirect");
    // By another process: a child that another test has just forked would keep our copy open for writing, and busy.
    let copied =
        std::process::Command::new("cp").arg(env!("CARGO_BIN_EXE_wsdirect")).arg(&executable).status();
    assert!(copied.expect("started").success());
    let installed = |expected: Option<i32>| {
        let output = std::process::Command::new(&executable)
            .args(["run", "--", "true"])
            .env_remove("WSDIRECT_LIBRARY")
            .output()
            .expect("started");
        assert_eq!(output.status.code(), expected, "{}", stderr(&output));
    };
    installed(Some(0));
    fs::remove_file(place.path("libwsdirect.so")).expect("removed");
    installed(Some(2));
}

#[test]
fn a_statically_linked_program_is_warned_about_and_runs() {
    let program = "/sbin/ldconfig";
    if !Path::new(program).exists() {
        return;
    }
    let output = Place::new().output(&["run", "--", program, "--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("ldconfig"));
    assert!(stderr(&output).contains("statically linked"), "{}", stderr(&output));
}

#[test]
fn a_setuid_program_is_warned_about_and_runs() {
    let place = Place::new();
    let program = place.path("true");
    fs::copy("/bin/true", &program).expect("copied");
    if chown(&program, Some(65534), None).is_err() {
        return;
    }
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).expect("changed");
    let output = place.output(&["run", "./true"]);
    assert!(stderr(&output).contains("setuid"), "{}", stderr(&output));
}
