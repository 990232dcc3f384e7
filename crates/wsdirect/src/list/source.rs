//! Where the list comes from. The only file that knows the switch's own type.

use serde::Serialize;
use wsd_switch::inspect;

/// One end of a connection, as a process under the switch has it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Connection {
    pub(crate) pid: u32,
    pub(crate) comm: String,
    pub(crate) fd: i32,
    pub(crate) local: String,
    pub(crate) peer: String,
    pub(crate) path: String,
    /// Why it is on TCP.
    pub(crate) reason: Option<String>,
    pub(crate) san_bytes_sent: u64,
    pub(crate) san_bytes_received: u64,
    pub(crate) tcp_bytes_sent: u64,
    pub(crate) tcp_bytes_received: u64,
}

impl Connection {
    /// Both directions take the SAN.
    pub(crate) fn promoted(&self) -> bool {
        self.reason.is_none() && self.path != "tcp"
    }
}

/// Why connections cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[error("cannot look at the running processes: {0}; is /proc mounted?")]
pub(crate) struct Unavailable(String);

/// The connections of all processes that this user may look at.
pub(crate) fn connections() -> Result<Vec<Connection>, Unavailable> {
    let found = inspect::connections().map_err(|error| Unavailable(error.to_string()))?;
    Ok(found.into_iter().map(Connection::from).collect())
}

impl From<inspect::Connection> for Connection {
    fn from(seen: inspect::Connection) -> Self {
        Self {
            pid: seen.pid,
            comm: seen.comm,
            fd: seen.fd,
            local: seen.local.to_string(),
            peer: seen.peer.to_string(),
            path: seen.path,
            reason: seen.reason.map(|reason| reason.name().to_owned()),
            san_bytes_sent: seen.san_bytes_sent,
            san_bytes_received: seen.san_bytes_received,
            tcp_bytes_sent: seen.tcp_bytes_sent,
            tcp_bytes_received: seen.tcp_bytes_received,
        }
    }
}
