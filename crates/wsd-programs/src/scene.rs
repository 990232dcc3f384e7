//! One test: its folder, its ports, its processes, its limit in time.

use crate::cleanup::Watchdog;
use crate::ports::Port;
use crate::process::Process;
use crate::program::Program;
use crate::sampler::{Sampler, Seen};
use crate::switch::{Mode, Sides, listed, plain_only, run_under, wsdirect};
use crate::verdict::Expected;
use std::cell::RefCell;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What one test works with. Nothing of it is left when it is dropped.
#[derive(Debug)]
pub struct Scene {
    sides: Sides,
    wsdirect: PathBuf,
    ports: RefCell<Vec<Port>>,
    folder: tempfile::TempDir,
    watchdog: Watchdog,
}

impl Scene {
    /// Prepare a test in which these sides are switched.
    ///
    /// # Panics
    ///
    /// When the command is not built.
    #[must_use]
    pub fn new(sides: Sides) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("wsd-programs-")
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir()
            .expect("a folder for temporary files");
        let wsdirect = if plain_only() { PathBuf::new() } else { for_all_users(&wsdirect(), folder.path()) };
        let limit =
            std::env::var("WSD_PROGRAMS_LIMIT").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(60);
        let watchdog = Watchdog::new(folder.path(), Duration::from_secs(limit));
        Self { sides, wsdirect, ports: RefCell::default(), watchdog, folder }
    }

    /// Which sides are switched.
    #[must_use]
    pub fn sides(&self) -> Sides {
        self.sides
    }

    /// A folder that all users may read.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The command, where all users may run it.
    #[must_use]
    pub fn wsdirect(&self) -> &Path {
        &self.wsdirect
    }

    /// A port of this test alone.
    #[must_use]
    pub fn port(&self) -> u16 {
        let port = Port::reserve();
        let number = port.number;
        self.ports.borrow_mut().push(port);
        number
    }

    /// Start a server.
    #[must_use]
    pub fn server(&self, program: &Program) -> Process {
        self.start(self.sides.server(), program)
    }

    /// Start a client.
    #[must_use]
    pub fn client(&self, program: &Program) -> Process {
        self.start(self.sides.client(), program)
    }

    /// Start a helper that has nothing to do with the switch.
    #[must_use]
    pub fn plain(&self, program: &Program) -> Process {
        self.start(Mode::Plain, program)
    }

    /// Watch the connections of these ports.
    #[must_use]
    pub fn watch(&self, ports: &[u16]) -> Sampler {
        Sampler::start(self.wsdirect.clone(), ports)
    }

    /// Where data must go by shared memory: exchange messages until so many ends of connections of that port are
    /// promoted.
    ///
    /// # Panics
    ///
    /// When they are not after ten seconds, or when `wsdirect list` fails.
    pub fn await_promotion(&self, port: u16, ends: usize, mut exchange: impl FnMut()) {
        let begin = Instant::now();
        while self.promotes() {
            exchange();
            let mut listed = listed(&self.wsdirect).expect("wsdirect list works");
            listed.retain(|end| end.touches(&[port]));
            let promoted = listed.iter().filter(|end| end.is_promoted()).count();
            if promoted == ends && listed.len() == ends {
                return;
            }
            let late = begin.elapsed() > Duration::from_secs(10);
            let some = &listed[..listed.len().min(4)];
            assert!(!late, "{promoted} of {ends} ends promoted, {} listed: {some:#?}", listed.len());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Judge what was seen.
    pub fn judge(&self, seen: &Seen, expected: &Expected) {
        seen.judge(self.sides, expected);
    }

    /// Whether data must go by shared memory.
    #[must_use]
    pub fn promotes(&self) -> bool {
        self.sides == Sides::Both && !plain_only()
    }

    fn start(&self, mode: Mode, program: &Program) -> Process {
        let mut command = run_under(mode, &self.wsdirect, program);
        command.current_dir(self.folder());
        Process::start(program, command, self.folder(), &self.watchdog)
    }
}

/// The command itself if all users may reach it, else a copy of it and its library in the test's folder.
fn for_all_users(command: &Path, folder: &Path) -> PathBuf {
    let open = |path: &Path| std::fs::metadata(path).is_ok_and(|found| found.mode() & 0o001 != 0);
    if command.ancestors().filter(|path| !path.as_os_str().is_empty()).all(open) {
        return command.to_owned();
    }
    for name in ["wsdirect", "libwsdirect.so"] {
        let from = command.with_file_name(name);
        std::fs::copy(&from, folder.join(name)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
    folder.join("wsdirect")
}
