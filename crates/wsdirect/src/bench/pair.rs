//! A server and a client under one mode, as the measuring command holds them.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::{ChildStdout, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::cpu;
use super::peer::{Answer, Order};
use super::workload::{Kind, Workload};
use crate::list::{self, Connection};
use crate::process::{Mode, Process, Program};

/// More than any order takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long traffic is sent to have the connections promoted.
const WARMING: Duration = Duration::from_secs(5);

pub(crate) struct Pair {
    pub(crate) mode: Mode,
    kind: Kind,
    server: Peer,
    client: Peer,
    /// Nobody could see whether the connections are promoted.
    pub(crate) unseen: bool,
}

impl Pair {
    /// Connected and warmed up; under the switch also promoted.
    pub(crate) fn start(workload: &Workload, mode: Mode, address: IpAddr) -> Result<Self, Error> {
        let cpus = cpu::two();
        let mut server =
            Peer::start("server", workload, mode, cpus.map(|ids| ids[0]), SocketAddr::new(address, 0))?;
        let port = match server.answer()? {
            Answer::Listening(port) => port,
            other => return Err(server.unexpected(&other)),
        };
        let mut client =
            Peer::start("client", workload, mode, cpus.map(|ids| ids[1]), SocketAddr::new(address, port))?;
        match client.answer()? {
            Answer::Connected => {}
            other => return Err(client.unexpected(&other)),
        }
        let mut pair = Self { mode, kind: workload.kind, server, client, unseen: false };
        pair.warm()?;
        Ok(pair)
    }

    /// The connection ends of both processes, where they can be seen.
    pub(crate) fn connections(&self) -> Option<Vec<Connection>> {
        let pids = [self.server.process.id(), self.client.process.id()];
        let mut seen = list::connections().ok()?;
        seen.retain(|connection| pids.contains(&connection.pid));
        Some(seen)
    }

    pub(crate) fn measure(&mut self, time: Duration) -> Result<Vec<f64>, Error> {
        let millis = time.as_millis().try_into().unwrap_or(u64::MAX);
        self.client.order(Order::Measure { millis })
    }

    /// Verifies, and lets both processes end by themselves.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        self.client.order(Order::Verify)?;
        self.client.end()?;
        // That server serves one connection after the other without an end.
        if self.kind == Kind::Connect { Ok(()) } else { self.server.end() }
    }

    /// Until all connections are promoted, if that is expected and can be seen.
    fn warm(&mut self) -> Result<(), Error> {
        let expected = 2 * self.kind.connections();
        let begin = Instant::now();
        loop {
            self.client.order(Order::Warm)?;
            if self.mode == Mode::Tcp || expected == 0 {
                return Ok(());
            }
            let Some(seen) = self.connections() else {
                self.unseen = true;
                return Ok(());
            };
            match unpromoted(&seen, expected) {
                None => return Ok(()),
                Some(what) if begin.elapsed() >= WARMING => return Err(Error::NotPromoted(what)),
                Some(_) => {}
            }
        }
    }
}

/// What is still on TCP, in words.
fn unpromoted(seen: &[Connection], expected: usize) -> Option<String> {
    let promoted = seen.iter().filter(|c| c.promoted()).count();
    if promoted >= expected {
        return None;
    }
    let example = match seen.iter().find(|c| !c.promoted()) {
        Some(c) => {
            let reason = c.reason.as_deref().unwrap_or("no reason given");
            format!("{} fd {}: {} -> {} is on {} ({reason})", c.pid, c.fd, c.local, c.peer, c.path)
        }
        None => format!("{} are listed at all", seen.len()),
    };
    Some(format!("{promoted} of {expected} connection ends; {example}"))
}

/// One of the two processes.
struct Peer {
    role: &'static str,
    process: Process,
    answers: Receiver<io::Result<String>>,
}

impl Peer {
    fn start(
        role: &'static str,
        workload: &Workload,
        mode: Mode,
        cpu: Option<usize>,
        address: SocketAddr,
    ) -> Result<Self, Error> {
        let mut program = Program::new(&std::env::current_exe()?, mode)?;
        let command = program.command();
        command.arg(format!("bench-{role}")).args(["--workload", workload.name]);
        if let Some(cpu) = cpu {
            command.args(["--cpu", &cpu.to_string()]);
        }
        command.args(["--address", &address.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = program.start()?;
        let output = process.child().stdout.take().ok_or(Error::Gone(role, "started".to_owned()))?;
        Ok(Self { role, process, answers: lines(output) })
    }

    /// The values that the order yields.
    fn order(&mut self, order: Order) -> Result<Vec<f64>, Error> {
        let line = serde_json::to_string(&order)?;
        let input = self.process.child().stdin.as_mut();
        let sent = input.map(|input| writeln!(input, "{line}"));
        if !matches!(sent, Some(Ok(()))) {
            return Err(self.gone());
        }
        match self.answer()? {
            Answer::Done(values) => Ok(values),
            other => Err(self.unexpected(&other)),
        }
    }

    fn answer(&mut self) -> Result<Answer, Error> {
        match self.answers.recv_timeout(PATIENCE) {
            Ok(line) => Ok(serde_json::from_str(&line?)?),
            Err(RecvTimeoutError::Timeout) => Err(Error::Silent(self.role, PATIENCE.as_secs())),
            Err(RecvTimeoutError::Disconnected) => Err(self.gone()),
        }
    }

    fn unexpected(&mut self, answer: &Answer) -> Error {
        match answer {
            Answer::Failed(message) => Error::Failed(self.role, message.clone()),
            other => Error::Failed(self.role, format!("unexpected answer {other:?}")),
        }
    }

    fn gone(&mut self) -> Error {
        match self.process.wait(Duration::from_secs(1)) {
            Ok(Some(status)) => Error::Gone(self.role, status.to_string()),
            _ => Error::Gone(self.role, "closed its standard output".to_owned()),
        }
    }

    fn end(&mut self) -> Result<(), Error> {
        drop(self.process.child().stdin.take());
        match self.process.wait(Duration::from_secs(2))? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(Error::Gone(self.role, status.to_string())),
            None => Err(Error::Stuck(self.role)),
        }
    }
}

/// Lines as they come, so that they can be waited for with a bound.
fn lines(output: ChildStdout) -> Receiver<io::Result<String>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Why a workload was not measured under one mode.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot start or reach the processes: {0}")]
    Io(#[from] io::Error),
    #[error("orders and answers do not match: {0}")]
    Protocol(#[from] serde_json::Error),
    #[error("the {0} failed: {1}")]
    Failed(&'static str, String),
    #[error("the {0} ended: {1}")]
    Gone(&'static str, String),
    #[error("the {0} did not answer for {1} seconds")]
    Silent(&'static str, u64),
    #[error("the {0} did not end when its work was over")]
    Stuck(&'static str),
    #[error("not promoted: {0}")]
    NotPromoted(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(path: &str, reason: Option<&str>) -> Connection {
        Connection {
            pid: 12,
            comm: "wsdirect".into(),
            fd: 7,
            local: "127.0.0.1:1".into(),
            peer: "127.0.0.1:2".into(),
            path: path.into(),
            reason: reason.map(str::to_owned),
            san_bytes_sent: 0,
            san_bytes_received: 0,
            tcp_bytes_sent: 0,
            tcp_bytes_received: 0,
        }
    }

    #[test]
    fn what_is_not_promoted_is_named() {
        assert_eq!(unpromoted(&[end("shm", None), end("shm", None)], 2), None);
        let half = unpromoted(&[end("shm", None), end("tcp", Some("NoProof"))], 2);
        let text = "1 of 2 connection ends; 12 fd 7: 127.0.0.1:1 -> 127.0.0.1:2 is on tcp (NoProof)";
        assert_eq!(half.as_deref(), Some(text));
        let none = unpromoted(&[], 2);
        assert_eq!(none.as_deref(), Some("0 of 2 connection ends; 0 are listed at all"));
    }
}
