//! One test: its folder, its ports, its processes, its limit in time.

use crate::bed::Bed;
use crate::cleanup::Watchdog;
use crate::ports::Port;
use crate::process::Process;
use crate::program::Program;
use crate::sampler::{Sampler, Seen};
use crate::switch::{Connection, Mode, Sides, listed, plain_only, run_under, wsdirect};
use crate::verdict::{Expected, assert_travelled_by};
use std::cell::RefCell;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What one test works with. Nothing of it is left when it is dropped.
#[derive(Debug)]
pub struct Scene {
    sides: Sides,
    bed: Bed,
    wsdirect: PathBuf,
    ports: RefCell<Vec<Port>>,
    limit: Duration,
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
        let limit = Duration::from_secs(limit);
        let watchdog = Watchdog::new(folder.path(), limit);
        Self {
            sides,
            bed: Bed::from_environment(),
            wsdirect,
            ports: RefCell::default(),
            limit,
            watchdog,
            folder,
        }
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

    /// Where servers listen.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.bed.address
    }

    /// The provider that promoted connections must travel by, if the bed says so.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.bed.provider.as_deref()
    }

    /// How much of something a test takes: the first usually, the second where processors are emulated.
    #[must_use]
    pub fn amount<N>(&self, usual: N, emulated: N) -> N {
        if self.bed.emulated { emulated } else { usual }
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
        let command = run_under(self.sides.server(), &self.wsdirect, program);
        self.start(command, program)
    }

    /// Start a client.
    #[must_use]
    pub fn client(&self, program: &Program) -> Process {
        self.start_where_clients_run(self.sides.client(), program)
    }

    /// Start a helper that has nothing to do with the switch.
    #[must_use]
    pub fn plain(&self, program: &Program) -> Process {
        self.start(run_under(Mode::Plain, &self.wsdirect, program), program)
    }

    /// As [`Scene::plain`], where clients run.
    #[must_use]
    pub fn plain_client(&self, program: &Program) -> Process {
        self.start_where_clients_run(Mode::Plain, program)
    }

    /// Watch the connections of these ports.
    #[must_use]
    pub fn watch(&self, ports: &[u16]) -> Sampler {
        Sampler::start(self.bed.clone(), self.wsdirect.clone(), ports)
    }

    /// Where data must go by shared memory: exchange messages until so many ends of connections of that port are
    /// promoted.
    ///
    /// # Panics
    ///
    /// When they are not after ten seconds (sixty where processors are emulated), or when `wsdirect list` fails.
    pub fn await_promotion(&self, port: u16, ends: usize, mut exchange: impl FnMut()) {
        let begin = Instant::now();
        while self.promotes() {
            exchange();
            let listed = self.ends(port);
            let promoted = listed.iter().filter(|end| end.is_promoted()).count();
            if promoted == ends && listed.len() == ends {
                return;
            }
            // After breaks in a row the switch pauses for up to 25 seconds before each attempt.
            let late = begin.elapsed() > Duration::from_secs(self.amount(10, 180));
            let some = &listed[..listed.len().min(4)];
            assert!(!late, "{promoted} of {ends} ends promoted, {} listed: {some:#?}", listed.len());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The connection ends with that port, on every host of the bed.
    #[must_use]
    pub fn ends(&self, port: u16) -> Vec<Connection> {
        let mut listed = listed(&self.bed, &self.wsdirect).expect("wsdirect list works");
        listed.retain(|end| end.touches(&[port]));
        listed
    }

    /// Judge what was seen.
    pub fn judge(&self, seen: &Seen, expected: &Expected) {
        // While emulated processors make a companion TCP goes on, nobody knows how long: then only not all went by it.
        seen.judge(self.sides, expected, self.amount(10, 100));
        if let Some(provider) = &self.bed.provider {
            assert_travelled_by(seen, provider);
        }
    }

    /// Whether data must go by shared memory.
    #[must_use]
    pub fn promotes(&self) -> bool {
        self.sides == Sides::Both && !plain_only()
    }

    fn start_where_clients_run(&self, mode: Mode, program: &Program) -> Process {
        let command = run_under(mode, &self.wsdirect, program);
        match self.bed.elsewhere(&command, program) {
            Some(elsewhere) => self.start(elsewhere, &program.clone().as_user(None)),
            None => self.start(command, program),
        }
    }

    fn start(&self, mut command: Command, program: &Program) -> Process {
        command.current_dir(self.folder());
        Process::start(program, command, self.folder(), &self.watchdog, self.limit)
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
