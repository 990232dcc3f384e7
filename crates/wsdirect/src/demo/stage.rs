//! Where a workload runs: its server, its clients, their output, and a look at their connections.
//!
//! Files are anonymous and processes die with this one, so that nothing is left behind however it ends.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::list::{self, Connection};
use crate::process::{Mode, Process, Program};

/// For a server to listen.
const START: Duration = Duration::from_secs(10);
/// For one client to do its work.
const WORK: Duration = Duration::from_secs(20);
/// Between looks at the connections.
const LOOK: Duration = Duration::from_millis(100);

pub(crate) struct Stage<'a> {
    mode: Mode,
    step: &'a dyn Fn(&str),
}

impl<'a> Stage<'a> {
    pub(crate) fn new(mode: Mode, step: &'a dyn Fn(&str)) -> Self {
        Self { mode, step }
    }

    /// Starts a server and waits until it listens. It is killed when dropped.
    pub(crate) fn serve(&self, program: &Path, args: &[&str], port: u16) -> Result<Server, StageError> {
        (self.step)("starting the server");
        let name = short(program);
        let mut log = tempfile::tempfile()?;
        let mut program = Program::new(program, self.mode)?;
        let command = program.command();
        command.args(args).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
        let mut process = program.start()?;
        let deadline = Instant::now() + START;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = process.wait(Duration::from_millis(20))? {
                return Err(StageError::Ended {
                    name,
                    status: status.to_string(),
                    said: contents(&mut log)?,
                });
            }
            if Instant::now() > deadline {
                return Err(StageError::Silent { name, seconds: START.as_secs() });
            }
        }
        Ok(Server { process })
    }

    /// Runs a client to its end.
    pub(crate) fn client(
        &self,
        server: &Server,
        program: &Path,
        args: &[&str],
        input: &str,
    ) -> Result<Ran, StageError> {
        let name = short(program);
        (self.step)(&format!("running {name}"));
        let [mut stdin, mut stdout, mut stderr] =
            [tempfile::tempfile()?, tempfile::tempfile()?, tempfile::tempfile()?];
        stdin.write_all(input.as_bytes())?;
        stdin.rewind()?;
        let mut program = Program::new(program, self.mode)?;
        let command = program.command();
        command.args(args).stdin(stdin).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
        let mut process = program.start()?;
        let pids = [server.process.id(), process.id()];
        let deadline = Instant::now() + WORK;
        let mut connections = None;
        let status = loop {
            if let Some(status) = process.wait(LOOK)? {
                break status;
            }
            if Instant::now() > deadline {
                let error =
                    StageError::Unfinished { name, seconds: WORK.as_secs(), list: self.describe(&pids) };
                return Err(error);
            }
            if self.mode == Mode::Wsdirect {
                connections = better(connections, look(&pids));
            }
        };
        if !status.success() {
            return Err(StageError::Ended { name, status: status.to_string(), said: contents(&mut stderr)? });
        }
        Ok(Ran { output: contents(&mut stdout)?, connections })
    }

    fn describe(&self, pids: &[u32]) -> String {
        match look(pids) {
            Some(seen) if self.mode == Mode::Wsdirect => format!("\n{}", list::render_some(&seen, 6)),
            _ => String::new(),
        }
    }
}

/// Runs as long as it is held.
pub(crate) struct Server {
    process: Process,
}

/// A client that ended well.
pub(crate) struct Ran {
    pub(crate) output: String,
    pub(crate) connections: Option<Vec<Connection>>,
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The look that shows more connections on the SAN; the later of equals.
pub(crate) fn better(old: Option<Vec<Connection>>, new: Option<Vec<Connection>>) -> Option<Vec<Connection>> {
    let promoted = |seen: &Option<Vec<Connection>>| {
        seen.as_ref().map(|all| (all.iter().filter(|c| c.promoted()).count(), all.len()))
    };
    if promoted(&new) >= promoted(&old) { new } else { old }
}

fn look(pids: &[u32]) -> Option<Vec<Connection>> {
    let mut all = list::connections().ok()?;
    all.retain(|connection| pids.contains(&connection.pid));
    Some(all)
}

fn contents(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

fn short(program: &Path) -> String {
    program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}

/// Why a workload did not play to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    #[error("cannot start programs or keep their output: {0}")]
    Io(#[from] io::Error),
    #[error("{name} ended with {status}: {said}")]
    Ended { name: String, status: String, said: String },
    #[error("{name} did not listen within {seconds} seconds")]
    Silent { name: String, seconds: u64 },
    #[error("{name} was not done within {seconds} seconds{list}")]
    Unfinished { name: String, seconds: u64, list: String },
    #[error("{name} printed something else than expected: {said}")]
    Unexpected { name: &'static str, said: String },
    #[error("the data read back is not what was written: {0}")]
    WrongData(String),
}
