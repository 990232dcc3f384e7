//! `cargo xtask demo`: the demonstration of the `wsdirect` command, built and with its programs installed.

use crate::command::{Failure, cargo, command, succeed, target};
use crate::packages;

pub(crate) fn run() -> Result<(), Failure> {
    packages::provide(packages::DEMO)?;
    build()?;
    succeed(&mut command(target().join("release/wsdirect"), &["demo"]))
}

/// Build the library and the command as users get them.
pub(crate) fn build() -> Result<(), Failure> {
    succeed(&mut cargo(&[
        "build",
        "--release",
        "-p",
        "wsd-posix",
        "-p",
        "wsdirect",
        "-p",
        "wsd-shm",
        "-p",
        "wsd-verbs",
        "-p",
        "wsd-faulty",
    ]))
}
