//! The Debian packages behind the demo and the tests: which are missing, and installing them quietly.

use crate::command::{Failure, command, succeed};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A package, and the program of it that is used. Whoever has the program needs no package.
pub(crate) struct Package {
    name: &'static str,
    program: &'static str,
}

/// The package that has the program.
pub(crate) const fn package(name: &'static str, program: &'static str) -> Package {
    Package { name, program }
}

/// What the demonstration runs.
pub(crate) const DEMO: &[Package] =
    &[package("redis-server", "redis-server"), package("redis-tools", "redis-benchmark")];

/// What the tests of programs run.
pub(crate) const PROGRAMS: &[Package] = &[
    package("redis-server", "redis-server"),
    package("redis-tools", "redis-benchmark"),
    package("nginx-light", "nginx"),
    package("curl", "curl"),
    package("wrk", "wrk"),
    package("iperf3", "iperf3"),
    package("memcached", "memcached"),
    package("python3", "python3"),
    package("socat", "socat"),
    package("postgresql", "initdb"),
    package("postgresql", "pgbench"),
    package("postgresql-client", "psql"),
    package("iproute2", "ss"),
    package("procps", "ps"),
    package("strace", "strace"),
];

/// What the provider in C is built with.
pub(crate) const C: &[Package] = &[package("gcc", "gcc"), package("make", "make")];

/// Programs that these packages start as services where nothing forbids it.
const DAEMONS: &[&str] = &["redis-server", "nginx", "memcached", "postgres", "iperf3"];

/// Make sure that all programs are there: root installs what is missing, others are told what to install.
pub(crate) fn provide<'a>(wanted: impl IntoIterator<Item = &'a Package>) -> Result<(), Failure> {
    let missing = missing(wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.into_iter().collect();
    let instruction = format!("missing Debian packages: apt-get install {}", names.join(" "));
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !root || find("apt-get").is_none() {
        return Err(Failure::new(instruction));
    }
    println!("installing {}", names.join(" "));
    let before = daemons();
    let installed = succeed(command("sh", &["-c", include_str!("install.sh"), "install.sh"]).args(&names));
    stop(&daemons().difference(&before).copied().collect::<Vec<_>>());
    installed.map_err(|failure| Failure { message: instruction, ..failure })
}

fn missing<'a>(wanted: impl IntoIterator<Item = &'a Package>) -> BTreeSet<&'static str> {
    wanted.into_iter().filter(|package| find(package.program).is_none()).map(|package| package.name).collect()
}

/// Where the program is. What only a version manager in somebody's home provides does not count: tests run it as
/// other users too.
fn find(program: &str) -> Option<PathBuf> {
    let fixed = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    fixed
        .iter()
        .map(PathBuf::from)
        .chain(versions.map(|version| version.path().join("bin")))
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// Process ids of running services of these packages.
fn daemons() -> BTreeSet<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| is_daemon(*pid))
        .collect()
}

fn is_daemon(pid: u32) -> bool {
    let comm = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("comm"));
    comm.is_ok_and(|comm| DAEMONS.contains(&comm.trim_end()))
}

fn stop(started: &[u32]) {
    for pid in started.iter().filter(|pid| is_daemon(**pid)) {
        // It may have ended by itself.
        let _ = Command::new("sh").args(["-c", "kill \"$1\"", "kill", &pid.to_string()]).status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_every_machine_has() {
        assert!(find("sh").is_some());
        assert!(missing(&[package("sh", "sh")]).is_empty());
    }

    #[test]
    fn names_a_missing_package_once() {
        let wanted = [package("a-package", "no-such-program"), package("a-package", "nor-this-one")];
        assert_eq!(missing(&wanted).into_iter().collect::<Vec<_>>(), ["a-package"]);
    }
}
