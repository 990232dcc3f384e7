//! Two processes under `wsdirect run` with the faulty provider, and what they tell.
#![allow(dead_code, unreachable_pub, reason = "every test file uses a part")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longest wait of a test.
const LIMIT: Duration = Duration::from_secs(60);

/// The built command: the one that `WSDIRECT_BIN` names, or the release build of this workspace.
fn wsdirect() -> PathBuf {
    let built = || {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
        workspace.join(target).join("release/wsdirect")
    };
    existing(std::env::var_os("WSDIRECT_BIN").map_or_else(built, PathBuf::from))
}

/// The faulty provider beside the command.
fn provider(command: &Path) -> PathBuf {
    existing(command.with_file_name("libwsd_shm.so"));
    existing(command.with_file_name("libwsd_faulty.so"))
}

fn existing(path: PathBuf) -> PathBuf {
    let how = "cargo build --release -p wsdirect -p wsd-posix -p wsd-shm -p wsd-faulty";
    assert!(path.is_file(), "no {}: `{how}` builds it", path.display());
    path.canonicalize().expect("it exists")
}

/// One process.
pub struct End {
    pub child: Child,
    lines: Receiver<String>,
}

impl End {
    fn start(command: &Path, faults: &str, arguments: &[&str], trace: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/talk.py");
        let mut child = Command::new(command)
            .args(["run", "--provider"])
            .arg(provider(command))
            .arg("--trace")
            .arg(trace)
            .args(["--", "python3"])
            .arg(script)
            .args(arguments)
            .env("WSD_FAULTY", faults)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
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
    command: PathBuf,
    folder: tempfile::TempDir,
}

impl Pair {
    /// Starts both with the same faults.
    pub fn start(faults: &str) -> Self {
        Self::start_with(faults, faults)
    }

    /// Starts both.
    pub fn start_with(server: &str, client: &str) -> Self {
        let command = wsdirect();
        let folder = tempfile::tempdir().expect("a folder");
        let server = End::start(&command, server, &["server"], &folder.path().join("server"));
        let port = server.told()["port"].to_string();
        let client = End::start(&command, client, &["client", &port], &folder.path().join("client"));
        Self { server, client, command, folder }
    }

    /// What `wsdirect list` says of both ends: server, client.
    #[must_use]
    pub fn listed(&self) -> Option<[Value; 2]> {
        let output = Command::new(&self.command).args(["list", "--json"]).output().expect("wsdirect runs");
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
        let input = self.client.child.stdin.as_mut().expect("piped");
        writeln!(input, "{scene}").expect("the client listens");
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
            let text = std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
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

    /// Whether a trace has this text.
    pub fn traced(&self, text: &str) -> bool {
        ["server", "client"].iter().any(|name| {
            std::fs::read_to_string(self.folder.path().join(name)).is_ok_and(|trace| trace.contains(text))
        })
    }
}
