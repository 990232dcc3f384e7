//! `wsd_shm.dll` under a host that was written in C to Windows' own headers.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;

/// What runs a Windows program.
const RUNNER: &str = "WSD_WINDOWS_RUNNER";
/// The provider for Windows.
const LIBRARY: &str = "WSD_WINDOWS_LIBRARY";

/// SP-001, SP-100: each of the 25 functions is found where Windows' headers have it, and does what it is for.
#[test]
#[ignore = "compiles for Windows, and runs there: cargo xtask windows"]
fn drives_all_functions() {
    let told = |name| std::env::var_os(name).unwrap_or_else(|| panic!("cargo xtask windows says {name:?}"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/windows_host/host.c");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let host = folder.path().join("host.exe");
    let mut compiler = Command::new("x86_64-w64-mingw32-gcc");
    compiler.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&host).arg(source).arg("-lws2_32");
    assert!(compiler.status().expect("a C compiler for Windows").success());
    let output = Command::new(told(RUNNER)).arg(&host).arg(told(LIBRARY)).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "all 25 functions");
}
