//! The commands that build and run tests for Windows.

use super::wine::{self, Wine};
use crate::command::{cargo, command, nested};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Windows 7 and later: programs for the target without that name need a system library that Wine 8 lacks.
const TARGET: &str = "x86_64-win7-windows-gnu";

/// What Microsoft's own tools build. There is nothing here to link or run it with.
const MICROSOFTS: &str = "x86_64-pc-windows-msvc";

const CARGO: &str = "/usr/bin/cargo";

/// Compiling takes longer than the tests do, but for those of the protocol, which try many thousand courses of events. A backtrace has
/// functions' names all the same.
const PROFILE: &[&str] = &[
    "profile.dev.opt-level=0",
    "profile.dev.debug=0",
    "profile.dev.package.wsd-session.opt-level=1",
    "profile.dev.package.blake3.opt-level=1",
];

/// Examples in the documentation are run on Linux.
const KINDS: &[&str] = &["--lib", "--bins", "--tests"];

/// Where the programs of others are.
pub(super) const PROGRAMS: &str = "programs";

/// The crate with programs that know nothing of wsdirect.
const UNAWARE: &str = "wsd-programs-windows";

/// A test that has a compiler for Windows at work or judges Windows programs, so that it is no Windows program itself.
pub(super) struct Native {
    package: &'static str,
    program: &'static str,
    pub(super) name: &'static str,
}

/// All of them: Windows' headers, a provider under a host in C, and programs that know nothing of wsdirect.
pub(super) const NATIVE: &[Native] = &[
    Native { package: "wsd-spi", program: "spi", name: "windows_headers::layouts_constants_and_identifiers" },
    Native { package: "wsd-shm", program: "windows_host", name: "drives_all_functions" },
    Native { package: UNAWARE, program: "command", name: "bench_measures_both" },
    Native { package: UNAWARE, program: "command", name: "demo_shows_node" },
    Native { package: UNAWARE, program: "command", name: "trace_has_the_calls_of_the_interface" },
    Native { package: UNAWARE, program: "command", name: "install_changes_the_list_of_providers" },
    Native { package: UNAWARE, program: "command", name: "install_of_the_layer_takes_all_back" },
    Native { package: UNAWARE, program: "exerciser", name: "says_what_it_has_to" },
    Native { package: UNAWARE, program: "exerciser", name: "says_the_same_under_the_switch" },
    Native { package: UNAWARE, program: "exerciser", name: "says_the_same_above_the_layer" },
    Native { package: UNAWARE, program: "layer", name: "the_layer_serves_what_comes_by_its_table" },
    Native {
        package: UNAWARE,
        program: "layer",
        name: "the_layer_leaves_a_connection_whose_base_handle_is_known",
    },
    Native { package: UNAWARE, program: "layer", name: "the_layer_takes_no_file_from_the_environment" },
    Native { package: UNAWARE, program: "layer", name: "the_layer_passes_where_hooks_serve" },
    Native { package: UNAWARE, program: "layer", name: "the_layer_keeps_to_the_interface" },
    Native { package: UNAWARE, program: "node", name: "many_connections_of_node" },
    Native { package: UNAWARE, program: "node", name: "many_connections_of_node_under_the_switch" },
    Native { package: UNAWARE, program: "node", name: "aria2_downloads_from_node" },
    Native { package: UNAWARE, program: "node", name: "aria2_downloads_from_node_under_the_switch" },
];

/// All that tests are or start: the same as for them, so that nothing is built twice for another choice of crates.
pub(super) fn build(folder: &Path, crates: &[&str]) -> Command {
    let mut command = for_windows(folder, "build");
    command.args(KINDS).args(crates.iter().flat_map(|name| ["-p", name]));
    command
}

/// The example provider in C, beside the other.
pub(super) fn example(folder: &Path) -> Command {
    let mut command = command("make", &["--silent", "-C", "examples/provider-c", "windows"]);
    command.arg(format!("OUT={}", programs(folder).display()));
    command
}

/// Lints of the crates, as far as they are Windows'.
pub(super) fn lints(folder: &Path, crates: &[&str]) -> Command {
    // Another toolchain's would come first if cargo looked for it.
    let mut command = by("/usr/bin/cargo-clippy", folder, "clippy", TARGET);
    command.args(["--quiet", "--all-targets"]).args(crates.iter().flat_map(|name| ["-p", name]));
    // The lint sees through thread-locals of the compiler, but not through those that the standard library makes for this target.
    command.args(["--", "-D", "warnings", "-A", "clippy::missing_const_for_thread_local"]);
    command
}

/// The crates compile for the target of Microsoft's tools.
pub(super) fn microsofts(folder: &Path, crates: &[&str]) -> Command {
    let mut command = by(CARGO, folder, "check", MICROSOFTS);
    command.arg("--quiet").args(crates.iter().flat_map(|name| ["-p", name]));
    command
}

/// All tests of the crates, as Windows programs.
pub(super) fn tests(folder: &Path, crates: &[&str], filter: Option<&str>, wine: &Wine) -> Command {
    let mut command = for_windows(folder, "test");
    command.arg("--no-fail-fast").args(KINDS).args(crates.iter().flat_map(|name| ["-p", name])).args(filter);
    command.arg("--config").arg(format!("target.{TARGET}.runner=[{:?}]", wine::RUNNER));
    wine.apply(&mut command);
    command
}

/// Those tests that are no Windows programs, but run some, one after the other.
pub(super) fn native(folder: &Path, tests: &[&Native], wine: &Wine) -> Command {
    let mut command = cargo(&["test", "--no-fail-fast"]);
    let packages: BTreeSet<&str> = tests.iter().map(|test| test.package).collect();
    let programs_of_tests: BTreeSet<&str> = tests.iter().map(|test| test.program).collect();
    command.args(packages.into_iter().flat_map(|name| ["--package", name]));
    command.args(programs_of_tests.into_iter().flat_map(|name| ["--test", name]));
    command.args(["--", "--ignored", "--exact", "--nocapture", "--test-threads", "1"]);
    command.args(tests.iter().map(|test| test.name)).env("WSD_WINDOWS_RUNNER", wine::RUNNER);
    command.env("WSD_WINDOWS_LIBRARY", programs(folder).join("wsd_shm.dll"));
    command.env("WSD_WINDOWS_PROGRAMS", folder.join(PROGRAMS));
    command.env("WSD_WINDOWS_COMMAND", programs(folder).join("wsdirect.exe"));
    wine.apply(&mut command);
    command
}

fn for_windows(folder: &Path, subcommand: &str) -> Command {
    by(CARGO, folder, subcommand, TARGET)
}

fn by(program: &str, folder: &Path, subcommand: &str, target: &str) -> Command {
    let mut command = nested(program, &[subcommand, "--locked"]);
    command.args(PROFILE.iter().flat_map(|setting| ["--config", setting])).env("CARGO", CARGO);
    command.args(["-Z", "build-std=std,panic_unwind", "--target", target]);
    // What started this program may have said which compiler it is, and where that one's libraries are.
    for name in ["RUSTC", "RUSTDOC", "LD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    // Those who look for a C compiler do not know this target's name.
    command.env("CC_x86_64_win7_windows_gnu", "x86_64-w64-mingw32-gcc");
    command.env("AR_x86_64_win7_windows_gnu", "x86_64-w64-mingw32-ar");
    // The target is not among the stable ones, nor is building the standard library.
    command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", output(folder));
    command
}

/// Where cargo puts programs and libraries.
fn programs(folder: &Path) -> PathBuf {
    output(folder).join(TARGET).join("debug")
}

fn output(folder: &Path) -> PathBuf {
    folder.join("build")
}
