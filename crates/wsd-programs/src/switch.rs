//! The `wsdirect` command: running programs under it, and asking it about connections.

use crate::bed::Bed;
use crate::program::Program;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How to run one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As ever.
    Plain,
    /// By `wsdirect run`.
    Switched,
}

/// Which ends of the conversation are switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// Both: the data must go by shared memory.
    Both,
    /// The server alone: the data must go by TCP, with a reason.
    Server,
    /// The client alone: likewise.
    Client,
}

impl Sides {
    /// How servers run.
    #[must_use]
    pub fn server(self) -> Mode {
        if self == Self::Client { Mode::Plain } else { Mode::Switched }
    }

    /// How clients run.
    #[must_use]
    pub fn client(self) -> Mode {
        if self == Self::Server { Mode::Plain } else { Mode::Switched }
    }
}

/// A connection as one process with the switch sees it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Connection {
    /// The process.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// The descriptor.
    pub fd: i32,
    /// Own address.
    pub local: String,
    /// The peer's address.
    pub peer: String,
    /// The provider's name, or `tcp`.
    pub path: String,
    /// Why it is on TCP.
    pub reason: Option<String>,
    /// Bytes sent by the system area network.
    pub san_bytes_sent: u64,
    /// Bytes received by the system area network.
    pub san_bytes_received: u64,
    /// Bytes sent by TCP.
    pub tcp_bytes_sent: u64,
    /// Bytes received by TCP.
    pub tcp_bytes_received: u64,
}

impl Connection {
    /// Whether it travels by a provider: by shared memory, unless the test chose another one.
    #[must_use]
    pub fn is_promoted(&self) -> bool {
        self.path != "tcp"
    }

    /// All bytes of both directions.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.san_bytes_sent + self.san_bytes_received + self.tcp_bytes_sent + self.tcp_bytes_received
    }

    /// Whether both are the same end of the same connection, at whatever time.
    fn is_same_end(&self, other: &Self) -> bool {
        (self.pid, self.fd, &self.local, &self.peer) == (other.pid, other.fd, &other.local, &other.peer)
    }

    /// Whether one of its ends has one of these ports.
    #[must_use]
    pub fn touches(&self, ports: &[u16]) -> bool {
        [&self.local, &self.peer]
            .into_iter()
            .any(|end| port_of(end).is_some_and(|port| ports.contains(&port)))
    }

    /// Whether this is the end that accepted, on one of these ports.
    #[must_use]
    pub fn is_served_on(&self, ports: &[u16]) -> bool {
        port_of(&self.local).is_some_and(|port| ports.contains(&port))
    }
}

/// Whether nothing is switched, to develop tests without the switch.
#[must_use]
pub fn plain_only() -> bool {
    std::env::var_os("WSD_PROGRAMS_PLAIN").is_some_and(|set| set == "1")
}

/// The built `wsdirect` command: the one that `WSDIRECT_BIN` names, or the release build of this workspace.
///
/// # Panics
///
/// When it is not built.
#[must_use]
pub fn wsdirect() -> PathBuf {
    let built = || {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let workspace = workspace.canonicalize().unwrap_or(workspace);
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
        workspace.join(target).join("release/wsdirect")
    };
    let path = std::env::var_os("WSDIRECT_BIN").map_or_else(built, PathBuf::from);
    assert!(path.is_file(), "no wsdirect at {}: cargo xtask test --only programs builds it", path.display());
    path
}

/// The command that runs the program in that mode, with this `wsdirect`.
#[must_use]
pub fn run_under(mode: Mode, wsdirect: &Path, program: &Program) -> Command {
    let mut command = if mode == Mode::Plain || plain_only() {
        Command::new(&program.path)
    } else {
        let mut command = Command::new(wsdirect);
        command.arg("run").args(&program.options).arg("--").arg(&program.path);
        command
    };
    command.args(&program.arguments).envs(program.environment.iter().cloned());
    command
}

/// The connections of all processes with the switch.
///
/// # Errors
///
/// What went wrong, for a test's message.
pub(crate) fn listed(bed: &Bed, wsdirect: &Path) -> Result<Vec<Connection>, String> {
    let mut all: Vec<Connection> = Vec::new();
    if plain_only() {
        return Ok(all);
    }
    for command in bed.listing(wsdirect) {
        for connection in list(command)? {
            // Another network namespace is no other host: its processes are listed here already.
            if !all.iter().any(|known| connection.is_same_end(known)) {
                all.push(connection);
            }
        }
    }
    Ok(all)
}

/// The command that lists the connections of this host.
pub(crate) fn listing(wsdirect: &Path) -> Command {
    let mut command = Command::new(wsdirect);
    command.args(["list", "--json"]);
    command
}

fn list(mut command: Command) -> Result<Vec<Connection>, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("wsdirect list ended with {}: {complaint}", output.status));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("wsdirect list: {error} in {}", String::from_utf8_lossy(&output.stdout)))
}

/// The connections of these processes of this host.
///
/// # Panics
///
/// When `wsdirect list` fails.
#[must_use]
pub fn connections(pids: &[u32]) -> Vec<Connection> {
    let mut connections =
        if plain_only() { Vec::new() } else { list(listing(&wsdirect())).expect("wsdirect list works") };
    connections.retain(|connection| pids.contains(&connection.pid));
    connections
}

fn port_of(address: &str) -> Option<u16> {
    address.parse::<SocketAddr>().ok().map(|address| address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_list_prints() {
        let printed = r#"[{"pid": 7, "comm": "redis-server", "fd": 9, "local": "127.0.0.1:6379",
            "peer": "127.0.0.1:40000", "path": "tcp", "reason": "why", "san_bytes_sent": 1,
            "san_bytes_received": 2, "tcp_bytes_sent": 3, "tcp_bytes_received": 4, "more": []}]"#;
        let listed: Vec<Connection> = serde_json::from_str(printed).expect("valid");
        assert!(listed[0].touches(&[6379]) && listed[0].touches(&[40000]) && !listed[0].touches(&[1]));
        assert!(listed[0].is_served_on(&[6379]) && !listed[0].is_served_on(&[40000]));
        assert_eq!(listed[0].carried(), 10);
        assert!(!listed[0].is_promoted());
    }
}
