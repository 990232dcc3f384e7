//! Node's http as server and client, where there is neither Redis nor Python.

use std::path::PathBuf;

use serde::Deserialize;

use super::stage::free_port;
use super::{Figure, Outcome, Stage, StageError, Workload, which};

pub(crate) struct Node {
    program: PathBuf,
}

const SERVER: &str = include_str!("server.js");
const CLIENT: &str = include_str!("client.js");

impl Node {
    pub(crate) fn find() -> Option<Self> {
        Some(Self { program: which("node")? })
    }
}

/// What the client prints.
#[derive(Deserialize)]
struct Printed {
    requests_per_s: f64,
    download_mb_s: f64,
    upload_mb_s: f64,
    data: String,
}

impl Workload for Node {
    fn title(&self) -> String {
        "Node's http as server and client".to_owned()
    }

    fn play(&self, stage: &Stage<'_>) -> Result<Outcome, StageError> {
        let port = free_port()?;
        let port_text = port.to_string();
        let server = stage.serve(&self.program, &["-e", SERVER, &port_text], port)?;
        let ran = stage.client(&server, &self.program, &["-e", CLIENT, &port_text], "")?;
        let unexpected = |_| StageError::Unexpected { name: "the Node client", said: ran.output.clone() };
        let printed: Printed = serde_json::from_str(&ran.output).map_err(unexpected)?;
        let figure = |name: &str, unit, value| Figure { name: name.to_owned(), unit, value };
        let figures = vec![
            figure("GET 1 KiB", "requests/s", printed.requests_per_s),
            figure("GET 8 MiB", "MB/s", printed.download_mb_s),
            figure("PUT 8 MiB", "MB/s", printed.upload_mb_s),
        ];
        Ok(Outcome { figures, data: printed.data, connections: ran.connections })
    }
}
