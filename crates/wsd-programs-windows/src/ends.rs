//! What `wsdirect list` says of connections, asked while their programs run.

use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::program::wsdirect;

/// Between looks, which take processor time from the programs.
const PAUSE: Duration = Duration::from_millis(50);

/// One end of a connection.
#[derive(Clone, Debug, Deserialize)]
pub struct End {
    /// The process that has it, by its name.
    pub comm: String,
    /// Its name.
    pub local: String,
    /// The other end's.
    pub peer: String,
    /// The provider's name if a direction takes the SAN.
    pub path: String,
    /// Why not both directions do.
    pub reason: Option<String>,
}

impl End {
    /// Both directions take the SAN, by the built-in provider.
    #[must_use]
    pub fn is_promoted(&self) -> bool {
        self.path == "shm" && self.reason.is_none()
    }
}

/// The ends of all connections with this port, at one time.
///
/// # Panics
/// The command does not do its work.
#[must_use]
pub fn ends(port: &str) -> Vec<End> {
    let listed = wsdirect(&["list", "--json"]).output().expect("the runner starts");
    let problem = String::from_utf8_lossy(&listed.stderr);
    assert!(listed.status.success(), "{}: {problem}", listed.status);
    let mut all: Vec<End> = serde_json::from_slice(&listed.stdout).expect("a list in JSON");
    let port = format!(":{port}");
    all.retain(|end| end.local.ends_with(&port) || end.peer.ends_with(&port));
    all
}

/// Looks until there are so many ends of connections with this port, and all are promoted.
///
/// # Errors
/// They were not within the limit: how many are, and the others one by one.
pub fn await_ends(port: &str, count: usize, limit: Duration) -> Result<(), String> {
    let deadline = Instant::now() + limit;
    loop {
        let seen = ends(port);
        let promoted = seen.iter().filter(|end| end.is_promoted()).count();
        if (promoted, seen.len()) == (count, count) {
            return Ok(());
        }
        if Instant::now() > deadline {
            let others: Vec<&End> = seen.iter().filter(|end| !end.is_promoted()).collect();
            let listed = seen.len();
            return Err(format!("{promoted} of {count} ends promoted, {listed} listed: {others:#?}"));
        }
        std::thread::sleep(PAUSE);
    }
}
