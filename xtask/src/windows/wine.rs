//! Wine, with a folder of its own for what a Windows machine has on its disk.

use crate::command::{Failure, command, succeed};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What runs a program, as its package has it.
pub(super) const LOADER: &str = "/usr/lib/wine/wine64";

/// What runs a program in a way that starts it each time.
pub(super) const RUNNER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/windows/wine.sh");

/// What all programs of one folder have in common: registry, named objects, and so on.
const SERVER: &str = "/usr/lib/wine/wineserver64";

/// Current programs want no older Windows.
const VERSION: &[&str] = &["reg", "add", r"HKCU\Software\Wine", "/v", "Version", "/d", "win10", "/f"];

/// How long the server waits for the next program. It ends by itself if this command is killed.
const PATIENCE: &str = "--persistent=300";

/// Its server ends when this is dropped, and with it whatever still runs.
pub(super) struct Wine {
    prefix: PathBuf,
}

impl Wine {
    /// Wine in that folder, which is filled if it is not there.
    pub(super) fn start(prefix: &Path) -> Result<Self, Failure> {
        let wine = Self { prefix: prefix.to_owned() };
        // The registry is written last, so a folder without one was not finished.
        if !prefix.join("system.reg").is_file() {
            wine.make()?;
        }
        Ok(wine)
    }

    /// From now on the server waits for the next program. One that ends with its last program may do so while the next one
    /// asks for it, which then does not start.
    pub(super) fn stay(&self) -> Result<(), Failure> {
        self.end();
        succeed(self.apply(&mut command(SERVER, &[PATIENCE])).stdout(Stdio::null()))?;
        // The first program starts Wine's services, which stay, with the output that it has.
        succeed(self.apply(&mut command(RUNNER, VERSION)).stdout(Stdio::null()).stderr(Stdio::null()))
    }

    fn end(&self) {
        // There is none if no program runs.
        let _ = self.apply(&mut command(SERVER, &["--kill"])).stderr(Stdio::null()).status();
    }

    fn make(&self) -> Result<(), Failure> {
        let Self { prefix } = self;
        println!("making {}", prefix.display());
        std::fs::create_dir_all(prefix)
            .map_err(|error| Failure::new(format!("{}: {error}", prefix.display())))?;
        succeed(self.apply(&mut command(RUNNER, &["wineboot", "--init"])).stdout(Stdio::null()))?;
        // Until then it keeps what it would write.
        succeed(self.apply(&mut command(SERVER, &["--wait"])))
    }

    /// Make the command, and what it starts, use this folder. No window system, no .NET, no browser.
    pub(super) fn apply<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("WINEPREFIX", &self.prefix).env("WINEDEBUG", "-all").env("DISPLAY", "");
        command.env("WINEDLLOVERRIDES", "mscoree,mshtml=d")
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        self.end();
    }
}
