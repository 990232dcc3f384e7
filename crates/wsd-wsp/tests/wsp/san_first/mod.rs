//! Connections between two processes, which a SAN carries.

mod all;
mod descriptors;
mod duplicate;
mod ends;
mod extensions;
mod listeners;
mod operations;
mod peer;
mod together;
mod trace;
mod waiting;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::support::own_process;

/// The recording provider: the one with the documented functions only, unless `WSD_FAULTY` says otherwise.
fn provider() -> PathBuf {
    let program = std::env::current_exe().expect("this program");
    program.with_file_name("libwsd_faulty.so")
}

/// An ignored test in a process of its own, which has the recording provider.
fn served(test: &str, faults: &str) -> Command {
    let mut command = own_process(test);
    command.env("WSDIRECT_PROVIDER", provider()).env("WSD_FAULTY", faults);
    command
}

/// Runs an ignored test in a process of its own, where it has to succeed: the trace of that process.
fn traced(mut command: Command) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    let output = command.env("WSDIRECT_TRACE", &trace).output().expect("this very program");
    let text = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{told}");
    std::fs::read_to_string(trace).expect("a trace")
}

/// The calls and up-calls of a provider in a trace: function, arguments and result.
fn calls<'a>(trace: &'a str, provider: &'a str) -> impl Iterator<Item = &'a str> {
    let mark = format!(" {provider} ");
    trace.lines().filter_map(move |line| line.split_once(&mark).map(|(_, call)| call))
}

/// Another process, which runs an ignored test of this program and tells of itself in lines. It does not outlive this.
struct Other {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// What a line that is meant for the other process begins with; the test harness writes, too.
const MARK: &str = "told: ";

/// Says something to the process that started this one.
fn tell(what: impl std::fmt::Display) {
    println!("\n{MARK}{what}");
}

/// What the process that started this one says.
fn told() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("text");
    line.trim().to_owned()
}

/// A line of this process's own in its trace, between those of the switch.
fn note(what: &str) {
    let path = std::env::var_os("WSDIRECT_TRACE").expect("a traced process");
    let mut file = std::fs::OpenOptions::new().append(true).open(path).expect("the trace");
    // In one piece: the switch writes here, too.
    file.write_all(format!("program {what}\n").as_bytes()).expect("room");
}

impl Other {
    fn start(test: &str, faults: &str, trace: &Path) -> Self {
        let mut command = served(test, faults);
        command.env("WSDIRECT_TRACE", trace);
        Self::of(command)
    }

    fn of(mut command: Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this very program");
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, orders, answers }
    }

    fn say(&mut self, what: impl std::fmt::Display) {
        let orders = self.orders.as_mut().expect("not ended");
        writeln!(orders, "{what}").expect("it reads");
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.answers.read_line(&mut line).expect("text"), 0, "the other process ended");
            if let Some(told) = line.trim().strip_prefix(MARK) {
                return told.to_owned();
            }
        }
    }

    fn hear_address(&mut self) -> SocketAddr {
        self.hear().parse().expect("an address")
    }

    /// Has it do something: its answer.
    fn does(&mut self, what: impl std::fmt::Display) -> String {
        self.say(what);
        self.hear()
    }

    fn end(mut self) {
        self.orders = None;
        // What else it writes must not fill the pipe.
        std::io::copy(&mut self.answers, &mut std::io::sink()).expect("text");
        assert!(self.child.wait().expect("a child").success());
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Ended already, unless the test has failed, or needs no more of it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
