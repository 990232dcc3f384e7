//! Python's http.server with http.client and urllib, where no Redis is installed.

use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use super::stage::free_port;
use super::{Figure, Outcome, Stage, StageError, Workload, which};

pub(crate) struct Python {
    /// The interpreter itself, not a script that finds it.
    interpreter: PathBuf,
}

const SERVER: &str = include_str!("server.py");
const CLIENT: &str = include_str!("client.py");

impl Python {
    pub(crate) fn find() -> Option<Self> {
        let asked = Command::new(which("python3").or_else(|| which("python"))?)
            .args(["-c", "import sys; print(sys.executable)"])
            .output();
        let path = String::from_utf8(asked.ok()?.stdout).ok()?;
        let interpreter = PathBuf::from(path.trim_end());
        interpreter.is_file().then_some(Self { interpreter })
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

impl Workload for Python {
    fn title(&self) -> String {
        "Python's http.server, measured by http.client, checked by urllib".to_owned()
    }

    fn play(&self, stage: &Stage<'_>) -> Result<Outcome, StageError> {
        let port = free_port()?;
        let port_text = port.to_string();
        let server = stage.serve(&self.interpreter, &["-c", SERVER, &port_text], port)?;
        let ran = stage.client(&server, &self.interpreter, &["-c", CLIENT, &port_text], "")?;
        let unexpected = |_| StageError::Unexpected { name: "the Python client", said: ran.output.clone() };
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
