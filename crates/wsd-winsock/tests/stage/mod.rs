//! Programs under the switch, started by a test, and what is seen of them from outside.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A program in its role. Ended, if it runs, when dropped.
pub(crate) struct Actor {
    child: Child,
    speaks: BufReader<ChildStdout>,
    listens: ChildStdin,
}

impl Actor {
    /// Starts this test program again, in a role, under the switch.
    pub(crate) fn start(role: &str, variables: &[(&str, &str)]) -> Self {
        let own = env::current_exe().expect("a program");
        let mut command = Command::new(wsdirect());
        command.args(["run", "--"]).arg(own).args(["--exact", "role", "--nocapture", "--test-threads", "1"]);
        command.env("WSD_ROLE", role);
        command.envs(variables.iter().map(|(name, value)| (format!("WSD_{name}"), value)));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the command");
        let speaks = BufReader::new(child.stdout.take().expect("piped"));
        let listens = child.stdin.take().expect("piped");
        Self { child, speaks, listens }
    }

    /// What it says behind this word.
    pub(crate) fn hears(&mut self, word: &str) -> String {
        let begin = format!("@{word} ");
        let mut line = String::new();
        while self.speaks.read_line(&mut line).expect("readable") != 0 {
            if let Some(rest) = line.strip_prefix(&begin) {
                return rest.trim().to_owned();
            }
            line.clear();
        }
        panic!("it ended without saying {word}");
    }

    /// Says something to it.
    pub(crate) fn tell(&mut self, word: &str) {
        writeln!(self.listens, "{word}").expect("it listens");
    }

    /// It ends, without a failure.
    pub(crate) fn ends_well(mut self) {
        let mut line = String::new();
        while self.speaks.read_line(&mut line).expect("readable") != 0 {}
        assert!(self.child.wait().expect("a child").success());
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // Fails only for a child that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command, where the build has put it.
fn wsdirect() -> PathBuf {
    let own = env::current_exe().expect("a program");
    own.parent().and_then(|folder| folder.parent()).expect("deps").join("wsdirect.exe")
}

/// One end of a connection, as the command lists it.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) path: String,
    pub(crate) reason: Option<String>,
}

/// The ends of connections with this port, as `wsdirect list --json` shows them.
pub(crate) fn connections(port: &str) -> Vec<End> {
    let listed = Command::new(wsdirect()).args(["list", "--json"]).output().expect("the command");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    eprintln!("{}", String::from_utf8_lossy(&listed.stderr));
    let all: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let ours = |end: &&serde_json::Value| {
        let has = |name| text(&end[name]).is_some_and(|name| name.ends_with(&format!(":{port}")));
        has("local") || has("peer")
    };
    let ends = all.as_array().expect("a list").iter().filter(ours);
    ends.map(|end| End { path: text(&end["path"]).expect("a path"), reason: text(&end["reason"]) }).collect()
}

/// A number that is another one for other bytes (FNV-1a).
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
