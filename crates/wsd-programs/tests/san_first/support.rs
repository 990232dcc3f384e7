//! Python processes under `wsdirect run --connect san-first` that do what a test tells them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use wsd_programs::{Connection, Process, Program, Scene, Sides, connections, until, wsdirect};

/// Longest wait for something that comes in moments.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// One Python process.
pub(crate) struct End {
    process: Process,
    trace: PathBuf,
}

impl End {
    /// Under the switch, with a trace.
    pub(crate) fn new(scene: &Scene) -> Self {
        Self::with(scene, &[], &[])
    }

    /// Over the provider with faults, which are told as its documentation says.
    pub(crate) fn faulty(scene: &Scene, faults: &str) -> Self {
        let provider = wsdirect().with_file_name("libwsd_faulty.so");
        assert!(provider.is_file(), "no {}: cargo build -p wsd-faulty", provider.display());
        Self::with(scene, &["--provider".into(), provider.into()], &[("WSD_FAULTY", faults)])
    }

    /// With more options of `wsdirect run`, and more in the environment.
    pub(crate) fn with(scene: &Scene, options: &[OsString], environment: &[(&str, &str)]) -> Self {
        Self::by("san-first", scene, options, environment)
    }

    /// Likewise, with another one who makes connections.
    pub(crate) fn by(order: &str, scene: &Scene, options: &[OsString], environment: &[(&str, &str)]) -> Self {
        let trace = new_file(scene.folder());
        let mut program = Program::python(include_str!("../../scripts/obedient.py")).piped();
        program = program.under(["--connect", order, "--trace"]).under([&trace]).under(options);
        for (name, value) in environment {
            program = program.env(name, value);
        }
        Self { process: scene.server(&program), trace }
    }

    /// Without the switch.
    pub(crate) fn plain(scene: &Scene) -> Self {
        let program = Program::python(include_str!("../../scripts/obedient.py")).piped();
        Self { process: scene.plain(&program), trace: PathBuf::new() }
    }

    /// Evaluates an expression, or runs statements.
    pub(crate) fn ask(&mut self, code: &str) -> String {
        self.process.ask(code)
    }

    /// Runs statements that must not fail.
    pub(crate) fn run(&mut self, code: &str) {
        assert_eq!(self.ask(code), "None", "{code}\n{}", self.trace());
    }

    /// Begins what [`End::hear`] ends.
    pub(crate) fn begin(&mut self, code: &str) {
        self.process.tell(code);
    }

    /// What came of what was begun.
    pub(crate) fn hear(&mut self) -> String {
        self.process.hear()
    }

    /// The process.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Stops all its threads, until SIGCONT.
    pub(crate) fn stop(&mut self) {
        self.process.signal(19);
        let tasks = format!("/proc/{}/task", self.process.pid());
        let state = |task: PathBuf| std::fs::read_to_string(task.join("stat")).unwrap_or_default();
        let stopped = || {
            let mut tasks = std::fs::read_dir(&tasks).expect("a running process").flatten();
            tasks.all(|task| state(task.path()).contains(") T ")).then_some(())
        };
        until(SOON, "all threads to stop", stopped);
    }

    /// What the switch has traced so far.
    pub(crate) fn trace(&self) -> String {
        std::fs::read_to_string(&self.trace).unwrap_or_default()
    }

    /// The SPI calls so far: names of functions, in order.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.trace().lines().filter_map(Call::of).collect()
    }

    /// Waits until `function` was called after the last call of `before`.
    pub(crate) fn await_call(&self, function: &str, before: &str) {
        let called = || {
            let calls = self.calls();
            let since = calls.iter().rposition(|call| call.function == before)?;
            calls[since..].iter().any(|call| call.function == function).then_some(())
        };
        let end = Instant::now() + SOON;
        while called().is_none() {
            assert!(Instant::now() < end, "no {function} after {before}:\n{}", self.trace());
            sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the trace has this text.
    pub(crate) fn await_traced(&self, text: &str) {
        until(SOON, &format!("`{text}` in a trace"), || self.trace().contains(text).then_some(()));
    }

    /// Its connections.
    pub(crate) fn listed(&self) -> Vec<Connection> {
        connections(&[self.process.pid()])
    }

    /// A listener on a port of its own, of which the providers know.
    pub(crate) fn listen(&mut self, address: &str) -> u16 {
        self.run(&format!("l = socket.create_server(({address:?}, 0))"));
        self.port("l")
    }

    /// The own port of a socket.
    pub(crate) fn port(&mut self, name: &str) -> u16 {
        self.ask(&format!("{name}.getsockname()[1]")).parse().expect("a port")
    }
}

/// One call of the SPI in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// The provider's name.
    pub(crate) provider: String,
    /// Its function.
    pub(crate) function: String,
    /// Its arguments.
    pub(crate) arguments: String,
    /// Its result.
    pub(crate) result: String,
}

impl Call {
    /// Of a line: time, process, provider, `function(arguments) = result`.
    fn of(line: &str) -> Option<Self> {
        let mut words = line.splitn(4, ' ').skip(2);
        let (provider, call) = (words.next()?, words.next()?);
        let (function, rest) = call.split_once('(')?;
        let (arguments, result) = rest.rsplit_once(") = ")?;
        let known = function.starts_with("WSP") || function.starts_with("WPU") || function.starts_with("Wsd");
        known.then(|| Self {
            provider: provider.into(),
            function: function.into(),
            arguments: arguments.into(),
            result: result.into(),
        })
    }
}

/// Two ends with a connection, `c` at both.
pub(crate) fn connected(scene: &Scene) -> [End; 2] {
    connect(End::new(scene), End::new(scene))
}

/// Connects the second to the first.
pub(crate) fn connect(mut server: End, mut client: End) -> [End; 2] {
    let port = server.listen("127.0.0.1");
    client.run(&format!("c = socket.create_connection(('127.0.0.1', {port}))"));
    server.run("c, name = l.accept()");
    [server, client]
}

/// Both ends send and read so many bytes at a time, by `{how}(c, seed, total{more})`, and each reads what the other sent.
pub(crate) fn exchange([one, other]: [&mut End; 2], how: &str, total: u64, more: &str) {
    one.begin(&format!("{how}(c, 1, {total}{more})"));
    other.begin(&format!("{how}(c, 2, {total}{more})"));
    let told = [one.hear(), other.hear()];
    let halves = |told: &str| told.split_once(", ").map(|(sent, read)| (sent.to_owned(), read.to_owned()));
    let [Some((sent, read)), Some((answer, heard))] = told.each_ref().map(|told| halves(told)) else {
        panic!("{told:#?}");
    };
    assert_eq!((sent, read), (heard, answer), "{how}{more}");
}

/// A scene in which all is switched.
pub(crate) fn scene() -> Scene {
    Scene::new(Sides::Both)
}

fn new_file(folder: &Path) -> PathBuf {
    let name = |number: u32| folder.join(format!("trace.{number}"));
    let free = (0..).map(name).find(|path| !path.exists()).expect("numbers do not end");
    std::fs::write(&free, "").expect("a file in the test's folder");
    free
}
