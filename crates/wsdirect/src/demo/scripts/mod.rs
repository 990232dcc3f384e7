//! Two scripts, an HTTP server and its client, where no Redis is installed.

use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use super::stage::free_port;
use super::{Figure, Outcome, Stage, StageError, Workload, which};

/// Scripts of one language, and what runs them.
pub(crate) struct Scripts {
    language: &'static Language,
    /// The interpreter itself, not a script that finds it.
    interpreter: PathBuf,
}

struct Language {
    title: &'static str,
    client_name: &'static str,
    /// By which the interpreter takes a script as an argument.
    option: &'static str,
    server: &'static str,
    client: &'static str,
}

const PYTHON: Language = Language {
    title: "Python's http.server, measured by http.client, checked by urllib",
    client_name: "the Python client",
    option: "-c",
    server: include_str!("server.py"),
    client: include_str!("client.py"),
};

const NODE: Language = Language {
    title: "Node's http as server and client",
    client_name: "the Node client",
    option: "-e",
    server: include_str!("server.js"),
    client: include_str!("client.js"),
};

impl Scripts {
    pub(crate) fn of_python() -> Option<Self> {
        let asked = Command::new(which("python3").or_else(|| which("python"))?)
            .args(["-c", "import sys; print(sys.executable)"])
            .output();
        let path = String::from_utf8(asked.ok()?.stdout).ok()?;
        let interpreter = PathBuf::from(path.trim_end());
        interpreter.is_file().then_some(Self { language: &PYTHON, interpreter })
    }

    pub(crate) fn of_node() -> Option<Self> {
        Some(Self { language: &NODE, interpreter: which("node")? })
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

impl Workload for Scripts {
    fn title(&self) -> String {
        self.language.title.to_owned()
    }

    fn play(&self, stage: &Stage<'_>) -> Result<Outcome, StageError> {
        let Language { client_name: name, option, server, client, .. } = *self.language;
        let port = free_port()?;
        let port_text = port.to_string();
        let server = stage.serve(&self.interpreter, &[option, server, &port_text], port)?;
        let ran = stage.client(&server, &self.interpreter, &[option, client, &port_text], "")?;
        let unexpected = |_| StageError::Unexpected { name, said: ran.output.clone() };
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
