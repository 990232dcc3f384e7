//! redis-server with redis-benchmark, and redis-cli for the data.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use super::stage::{Server, better, free_port};
use super::{Figure, Outcome, Stage, StageError, Workload, which};

pub(crate) struct Redis {
    server: PathBuf,
    benchmark: PathBuf,
    cli: PathBuf,
}

/// Arguments of redis-benchmark, and what its figures are called.
const RUNS: [(&str, &[&str]); 2] = [
    ("64 B, 50 clients", &["-t", "set,get", "-c", "50", "-d", "64", "-n", "100000"]),
    ("64 KiB, 8 clients", &["-t", "set,get", "-c", "8", "-d", "65536", "-n", "20000"]),
];

const KEYS: usize = 1000;

impl Redis {
    /// If all of it is installed.
    pub(crate) fn find() -> Option<Self> {
        Some(Self {
            server: which("redis-server")?,
            benchmark: which("redis-benchmark")?,
            cli: which("redis-cli")?,
        })
    }

    /// Keeps everything in memory.
    fn start(&self, stage: &Stage<'_>, port: u16) -> Result<Server, StageError> {
        let text = port.to_string();
        let fixed = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", "/"];
        stage.serve(&self.server, &[&["--port", text.as_str()], &fixed[..]].concat(), port)
    }

    /// Writes keys and reads them back, by a connection each.
    fn check_data(&self, stage: &Stage<'_>, server: &Server, port: &str) -> Result<String, StageError> {
        let cli = |input: &str| stage.client(server, &self.cli, &["-p", port], input).map(|ran| ran.output);
        let writes: String = (0..KEYS).map(|key| format!("SET demo:{key} {}\n", value(key))).collect();
        let written = cli(&writes)?;
        if written.lines().filter(|line| *line == "OK").count() != KEYS {
            return Err(StageError::Unexpected { name: "redis-cli", said: beginning(&written) });
        }
        let reads: String = (0..KEYS).map(|key| format!("GET demo:{key}\n")).collect();
        let read = cli(&reads)?;
        let mut expected = 0..KEYS;
        let mut lines = read.lines();
        if let Some(key) = expected.find(|key| lines.next() != Some(&value(*key))) {
            return Err(StageError::WrongData(format!("key demo:{key} of {KEYS}")));
        }
        let mut hasher = DefaultHasher::new();
        read.hash(&mut hasher);
        Ok(format!("{KEYS} keys, {} bytes, digest {:016x}", read.len(), hasher.finish()))
    }
}

impl Workload for Redis {
    fn title(&self) -> String {
        "redis-server, measured by redis-benchmark, checked by redis-cli".to_owned()
    }

    fn play(&self, stage: &Stage<'_>) -> Result<Outcome, StageError> {
        let port = free_port()?;
        let server = self.start(stage, port)?;
        let port = port.to_string();
        let data = self.check_data(stage, &server, &port)?;
        let mut figures = Vec::new();
        let mut connections = None;
        for (name, options) in RUNS {
            let args = [&["-h", "127.0.0.1", "-p", &port, "--csv"], options].concat();
            let ran = stage.client(&server, &self.benchmark, &args, "")?;
            figures.extend(parse(&ran.output, name)?);
            connections = better(ran.connections, connections);
        }
        Ok(Outcome { figures, data, connections })
    }
}

/// Of 1 to 8,000 characters; different for every key.
fn value(key: usize) -> String {
    let length = 1 + key * 8;
    let unit = format!("{key}-{:x}.", key.wrapping_mul(0x9E37_79B1));
    unit.chars().cycle().take(length).collect()
}

/// Lines such as `"SET","74906.37","0.362",...` under a line of headings.
fn parse(csv: &str, name: &str) -> Result<Vec<Figure>, StageError> {
    let figures: Vec<Figure> = csv
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(',').map(|field| field.trim_matches('"'));
            let (test, rate) = (fields.next()?, fields.next()?);
            Some(Figure { name: format!("{test} {name}"), unit: "requests/s", value: rate.parse().ok()? })
        })
        .collect();
    if figures.len() == 2 {
        Ok(figures)
    } else {
        Err(StageError::Unexpected { name: "redis-benchmark", said: beginning(csv) })
    }
}

fn beginning(text: &str) -> String {
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_csv() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"SET\",\"74906.37\",\"0.362\"\n\"GET\",\"80971.66\",\"0.325\"";
        let figures = parse(csv, "64 B").expect("two figures");
        assert_eq!(figures[1].name, "GET 64 B");
        assert!((figures[0].value - 74906.37).abs() < 1e-9);
        assert!(parse("Could not connect", "64 B").is_err());
    }

    #[test]
    fn values_differ() {
        assert_ne!(value(5), value(6));
        assert_eq!(value(999).len(), 7993);
    }
}
