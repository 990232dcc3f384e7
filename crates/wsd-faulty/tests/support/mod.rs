//! Two processes under `wsdirect run` with the faulty provider, and what they tell.
#![allow(dead_code, unreachable_pub, reason = "every test file uses a part")]

pub mod built;
pub mod trace;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use built::{provider, wsdirect};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use trace::Trace;

/// Who makes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    TcpFirst,
    SanFirst,
}

impl Way {
    pub const BOTH: [Self; 2] = [Self::TcpFirst, Self::SanFirst];

    /// As `--connect` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::TcpFirst => "tcp-first",
            Self::SanFirst => "san-first",
        }
    }
}

/// Longest wait of a test.
const LIMIT: Duration = Duration::from_secs(60);

/// A script of these tests.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(name)
}

/// One process.
pub struct End {
    pub child: Child,
    lines: Receiver<String>,
}

/// What both ends of a pair have in common.
struct Stage {
    command: PathBuf,
    way: Way,
    folder: tempfile::TempDir,
    /// A configuration in the folder.
    config: Option<PathBuf>,
}

impl Stage {
    fn new(way: Way) -> Self {
        Self { command: wsdirect(), way, folder: tempfile::tempdir().expect("a folder"), config: None }
    }

    /// Peers of these networks may be on other hosts.
    fn named(mut self, networks: &[&str]) -> Self {
        let path = self.folder.path().join("wsdirect.toml");
        std::fs::write(&path, format!("networks = {networks:?}\n")).expect("a file");
        self.config = Some(path);
        self
    }

    /// Starts the end of this name.
    fn start(&self, name: &str, faults: &str, play: &str, arguments: &[&str]) -> End {
        let mut run = Command::new(&self.command);
        run.args(["run", "--connect", self.way.name(), "--provider"])
            .arg(provider(&self.command))
            .arg("--trace")
            .arg(self.folder.path().join(name));
        if let Some(config) = &self.config {
            run.arg("--config").arg(config);
        }
        run.args(["--", "python3"]).arg(script(play)).arg(name).args(arguments).env("WSD_FAULTY", faults);
        End::spawn(&mut run)
    }
}

impl End {
    /// Starts a process that tells what it sees in lines of JSON.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 runs");
        let output = child.stdout.take().expect("piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line of JSON that the process prints.
    pub fn told(&self) -> Value {
        let line = self.lines.recv_timeout(LIMIT).expect("the process says something in time");
        serde_json::from_str(&line).expect("JSON")
    }

    /// Waits until a signal has stopped the process.
    pub fn await_stop(&self) {
        let end = Instant::now() + LIMIT;
        let stat = format!("/proc/{}/stat", self.child.id());
        let is_stopped = || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "));
        while !is_stopped() {
            assert!(Instant::now() < end, "the process does not stop");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Lets a stopped process go on.
    pub fn go_on(&self) {
        let process = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("our child");
        kill_process(process, Signal::CONT).expect("our child");
    }

    /// Waits for the end of the process.
    pub fn ends(&mut self) {
        let end = Instant::now() + LIMIT;
        while self.child.try_wait().expect("our child").is_none() {
            assert!(Instant::now() < end, "the process does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server and its client.
pub struct Pair {
    pub server: End,
    pub client: End,
    stage: Stage,
}

impl Pair {
    /// Starts both with the same faults.
    pub fn start(faults: &str) -> Self {
        Self::start_with(faults, faults)
    }

    /// Starts both.
    pub fn start_with(server: &str, client: &str) -> Self {
        Self::start_by(Way::TcpFirst, server, client)
    }

    /// Starts both, to be connected in that way.
    pub fn start_by(way: Way, server: &str, client: &str) -> Self {
        Self::start_play(way, [server, client], "talk.py").expect("it listens")
    }

    /// Starts both ends of another script; `None` if its server tells no port, since it may not do what it is for.
    pub fn start_play(way: Way, [server, client]: [&str; 2], play: &str) -> Option<Self> {
        Self::start_on(Stage::new(way), [server, client], play)
    }

    /// Starts both ends of a script; the configuration names the networks in which peers may be on other hosts.
    pub fn start_named(networks: &[&str], faults: [&str; 2], play: &str) -> Self {
        Self::start_on(Stage::new(Way::TcpFirst).named(networks), faults, play).expect("it listens")
    }

    fn start_on(stage: Stage, [server, client]: [&str; 2], play: &str) -> Option<Self> {
        let server = stage.start("server", server, play, &[]);
        let port = server.told()["port"].as_u64()?.to_string();
        let client = stage.start("client", client, play, &[&port]);
        Some(Self { server, client, stage })
    }

    /// What `wsdirect list` says of both ends: server, client.
    #[must_use]
    pub fn listed(&self) -> Option<[Value; 2]> {
        let output =
            Command::new(&self.stage.command).args(["list", "--json"]).output().expect("wsdirect runs");
        let list: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
        let of = |end: &End| list.iter().find(|entry| entry["pid"] == json!(end.child.id())).cloned();
        Some([of(&self.server)?, of(&self.client)?])
    }

    /// Waits until both ends are listed as `wanted` says.
    pub fn await_listed(&self, wanted: impl Fn(&Value) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let listed = self.listed();
            if listed.as_ref().is_some_and(|ends| ends.iter().all(&wanted)) {
                return;
            }
            if Instant::now() > end {
                panic!("listed: {listed:#?}\n{}", self.traces());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until both directions of both ends go by the provider.
    pub fn await_promotion(&self) {
        self.await_listed(|end| end["path"] == "wsd_faulty" && end["reason"].is_null());
    }

    /// Lets both play a scene.
    pub fn play(&mut self, scene: &Value) {
        self.say(&scene.to_string());
    }

    /// Tells the client a line.
    pub fn say(&mut self, line: &str) {
        let input = self.client.child.stdin.as_mut().expect("piped");
        writeln!(input, "{line}").expect("the client listens");
    }

    /// Waits until the trace of an end says so, so often.
    pub fn await_traced(&self, name: &str, words: &str, times: usize) {
        let end = Instant::now() + LIMIT;
        while self.traced_by(name).matches(words).count() < times {
            assert!(Instant::now() < end, "not {times} times `{words}` of the {name}\n{}", self.traces());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until both ends' providers have told the last of their sockets, whose handles they give back.
    pub fn await_close(&self) {
        for name in ["server", "client"] {
            let made = self.traced_by(name).matches(" WPUCreateSocketHandle(").count();
            self.await_traced(name, " WPUCloseSocketHandle(", made);
        }
    }

    /// Lets processes that hold their connection go, and waits for their end.
    pub fn release(&mut self) {
        for end in [&mut self.server, &mut self.client] {
            let input = end.child.stdin.as_mut().expect("piped");
            writeln!(input, "end").expect("the process listens");
            end.ends();
        }
    }

    /// The ends of both traces, for a failure's message.
    pub fn traces(&self) -> String {
        let end = |name: &str| {
            let text = self.traced_by(name);
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(30)..].join("\n")
        };
        format!("server:\n{}\nclient:\n{}", end("server"), end("client"))
    }

    /// Both ends' results, which have to fit: each has received what the other one has sent.
    pub fn compare(&self) -> [Value; 2] {
        let results = [self.server.told(), self.client.told()];
        let [server, client] = &results;
        for (one, other) in [(server, client), (client, server)] {
            let fits = one["received"] == other["sent"] && one["error"].is_null();
            assert!(fits, "{results:#?}\n{}", self.traces());
        }
        results
    }

    /// What the providers of both ends were asked for, when both processes have ended: server, client.
    pub fn recorded(&mut self) -> [Trace; 2] {
        self.server.ends();
        self.client.ends();
        ["server", "client"].map(|name| Trace::read(&self.stage.folder.path().join(name)))
    }

    /// Whether a trace has this text.
    pub fn traced(&self, text: &str) -> bool {
        ["server", "client"].iter().any(|name| self.traced_by(name).contains(text))
    }

    /// The trace of the end of this name so far.
    pub fn traced_by(&self, name: &str) -> String {
        std::fs::read_to_string(self.stage.folder.path().join(name)).unwrap_or_default()
    }
}
