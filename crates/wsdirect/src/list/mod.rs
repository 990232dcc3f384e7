//! `wsdirect list`: the connections of all programs under the switch that this user may look at.

mod source;

use std::io;

use crate::{output, table};

pub(crate) use source::{Connection, Unavailable, connections};

pub(crate) fn run(json: bool) -> Result<(), Error> {
    let connections = connections()?;
    let text = if json { serde_json::to_string_pretty(&connections)? } else { render(&connections) };
    Ok(output::print(&text)?)
}

/// A table and a line of totals.
pub(crate) fn render(connections: &[Connection]) -> String {
    render_some(connections, connections.len())
}

/// The totals are of all, the table is of the first few.
pub(crate) fn render_some(connections: &[Connection], limit: usize) -> String {
    if connections.is_empty() {
        return "No connections under the switch. (Start programs with `wsdirect run`; \
                other users' programs are shown to root only.)"
            .to_owned();
    }
    let mut rows =
        table::new(&["PID", "PROGRAM", "FD", "LOCAL", "PEER", "PATH", "SENT", "RECEIVED", "WHY TCP"]);
    for c in connections.iter().take(limit) {
        rows.add_row([
            table::number(c.pid),
            (&c.comm).into(),
            table::number(c.fd),
            (&c.local).into(),
            (&c.peer).into(),
            (&c.path).into(),
            table::number(share(c.san_bytes_sent, c.tcp_bytes_sent)),
            table::number(share(c.san_bytes_received, c.tcp_bytes_received)),
            c.reason.as_deref().unwrap_or_default().into(),
        ]);
    }
    let hidden = connections.len().saturating_sub(limit);
    let more = if hidden > 0 { format!("\n ... and {hidden} more") } else { String::new() };
    format!("{rows}{more}\n\n{}", totals(connections))
}

/// What went by the SAN, and what by TCP if anything did.
fn share(san: u64, tcp: u64) -> String {
    match (san, tcp) {
        (san, 0) => table::bytes(san),
        (0, tcp) => format!("{} tcp", table::bytes(tcp)),
        (san, tcp) => format!("{} + {} tcp", table::bytes(san), table::bytes(tcp)),
    }
}

fn totals(connections: &[Connection]) -> String {
    let promoted = connections.iter().filter(|c| c.promoted()).count();
    let sum = |of: fn(&Connection) -> u64| table::bytes(connections.iter().map(of).sum());
    format!(
        "{} connection ends, {promoted} on the SAN, {} on TCP; by the SAN {} sent, {} received; \
         by TCP {} sent, {} received",
        connections.len(),
        connections.len() - promoted,
        sum(|c| c.san_bytes_sent),
        sum(|c| c.san_bytes_received),
        sum(|c| c.tcp_bytes_sent),
        sum(|c| c.tcp_bytes_received),
    )
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("cannot print the list: {0}")]
    Output(#[from] io::Error),
    #[error("cannot write the list as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(path: &str, reason: Option<&str>) -> Connection {
        Connection {
            pid: 12,
            comm: "redis-server".into(),
            fd: 7,
            local: "127.0.0.1:6379".into(),
            peer: "127.0.0.1:40000".into(),
            path: path.into(),
            reason: reason.map(str::to_owned),
            san_bytes_sent: 5_000,
            san_bytes_received: 0,
            tcp_bytes_sent: 100,
            tcp_bytes_received: 16_384,
        }
    }

    #[test]
    fn the_table_shows_path_reason_and_totals() {
        let text = render(&[connection("shm", None), connection("tcp", Some("PeerWithoutCompanion"))]);
        for part in ["redis-server", "shm", "PeerWithoutCompanion", "5.0 kB + 100 B tcp", "16.4 kB tcp"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(text.ends_with(
            "2 connection ends, 1 on the SAN, 1 on TCP; by the SAN 10.0 kB sent, 0 B received; \
             by TCP 200 B sent, 32.8 kB received"
        ));
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let text = render_some(&[connection("shm", None), connection("shm", None)], 1);
        assert!(text.contains("... and 1 more") && text.contains("2 connection ends"), "{text}");
    }

    #[test]
    fn json_has_every_field() {
        let value = serde_json::to_value([connection("shm", None)]).expect("serializable");
        let object = value[0].as_object().expect("an object");
        let mut names: Vec<&str> = object.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "comm",
                "fd",
                "local",
                "path",
                "peer",
                "pid",
                "reason",
                "san_bytes_received",
                "san_bytes_sent",
                "tcp_bytes_received",
                "tcp_bytes_sent"
            ]
        );
        assert!(object["reason"].is_null());
    }
}
