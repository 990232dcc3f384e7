//! Processes that share connections, and what they are told and answer.
#![allow(dead_code, unreachable_pub, reason = "every test file uses a part")]

#[path = "../support/built.rs"]
mod built;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

/// Longest wait for an answer: more than a peer waits for the next process.
const LIMIT: Duration = Duration::from_secs(45);

/// The digest of digests.
#[derive(Default)]
pub struct Digest(Sha256);

impl Digest {
    /// One more.
    pub fn add(&mut self, digest: &str) {
        self.0.update(digest.as_bytes());
    }

    /// As processes print it.
    pub fn text(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Libraries and a folder.
pub struct Scene {
    provider: PathBuf,
    faults: String,
    folder: tempfile::TempDir,
    shares: u32,
}

/// One process.
pub struct Sharer {
    pub child: Child,
    to: ChildStdin,
    lines: Receiver<String>,
    name: String,
    trace: PathBuf,
}

impl Scene {
    /// With these faults in every process.
    pub fn new(faults: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { provider: built::provider(&built::wsdirect()), faults: faults.to_owned(), folder, shares: 0 }
    }

    /// Starts a process.
    pub fn sharer(&self, name: &str) -> Sharer {
        self.sharer_with(name, "")
    }

    /// Starts a process with more faults.
    pub fn sharer_with(&self, name: &str, faults: &str) -> Sharer {
        let trace = self.folder.path().join(name);
        let mut child = Command::new(env!("CARGO_BIN_EXE_wsd-sharer"))
            .env("WSDIRECT_CONNECT", "san-first")
            .env("WSDIRECT_PROVIDER", &self.provider)
            .env("WSDIRECT_TRACE", &trace)
            .env("WSD_FAULTY", format!("{},{faults}", self.faults))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the sharer runs");
        let output = child.stdout.take().expect("piped");
        let to = child.stdin.take().expect("piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Sharer { child, to, lines, name: name.to_owned(), trace }
    }

    /// Connects one process to another.
    pub fn connect(&self, one: &mut Sharer, peer: &mut Sharer) {
        let port = peer.ask("listen");
        assert_eq!(one.ask(&format!("connect {port}")), "ok");
        assert_eq!(peer.ask("accept"), "ok");
    }

    /// Gives the connection of one process to another one too.
    pub fn share(&mut self, one: &mut Sharer, other: &mut Sharer) {
        self.shares += 1;
        let name = format!(
            "wsd-sharing-test/{}/{}",
            std::process::id(),
            self.folder.path().join(self.shares.to_string()).display()
        );
        one.tell(&format!("offer {name}"));
        assert_eq!(other.ask(&format!("fetch {name}")), "ok");
        assert_eq!(one.answer(), "ok");
    }
}

impl Sharer {
    /// Has it do something; its answer.
    pub fn ask(&mut self, what: &str) -> String {
        self.tell(what);
        self.answer()
    }

    /// Has it do something.
    pub fn tell(&mut self, what: &str) {
        writeln!(self.to, "{what}").expect("it listens");
    }

    /// What it says next.
    pub fn answer(&self) -> String {
        self.lines
            .recv_timeout(LIMIT)
            .unwrap_or_else(|_| panic!("{} does not answer\n{}", self.name, self.traced()))
    }

    /// Has it end, and waits for that.
    pub fn exit(&mut self) {
        self.tell("exit");
        self.await_end();
    }

    /// Waits until it has stopped.
    pub fn await_stop(&self) {
        let end = Instant::now() + LIMIT;
        let status = format!("/proc/{}/stat", self.child.id());
        // Behind the program's name in parentheses.
        let stopped = |text: String| text.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'));
        while !std::fs::read_to_string(&status).is_ok_and(stopped) {
            assert!(Instant::now() < end, "{} does not stop\n{}", self.name, self.traced());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Stops it, until [`Sharer::go_on`].
    pub fn stop(&self) {
        self.signal(rustix::process::Signal::STOP);
        self.await_stop();
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.signal(rustix::process::Signal::KILL);
        self.await_end();
    }

    /// Waits until its trace has this text.
    pub fn await_traced(&self, text: &str) {
        self.await_trace(&format!("`{text}`"), |trace| trace.contains(text));
    }

    /// Waits until the trace is as `wanted` says.
    pub fn await_trace(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        let end = Instant::now() + LIMIT;
        while !wanted(&self.traced()) {
            assert!(Instant::now() < end, "no {what} of {}\n{}", self.name, self.traced());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Has it go on after a stop.
    pub fn go_on(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let child = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(child, signal).expect("a child");
    }

    /// Waits for its end.
    pub fn await_end(&mut self) {
        let end = Instant::now() + LIMIT;
        while self.child.try_wait().expect("a child").is_none() {
            assert!(Instant::now() < end, "{} does not end\n{}", self.name, self.traced());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Its trace.
    pub fn traced(&self) -> String {
        std::fs::read_to_string(&self.trace).unwrap_or_default()
    }
}

impl Drop for Sharer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() && std::env::var_os("WSD_SHARING_TRACES").is_some() {
            eprintln!("--- {}\n{}", self.name, self.traced());
        }
    }
}

/// The digest of a part of the stream, as processes print it.
pub fn digest_of(from: u64, count: u64) -> String {
    let mut digest = Sha256::new();
    for at in from..from + count {
        digest.update([scrambled(at / 8).to_le_bytes()[(at % 8) as usize]]);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As in wsd-sharer.
fn scrambled(number: u64) -> u64 {
    let mut word = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}
