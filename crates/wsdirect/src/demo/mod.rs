//! `wsdirect demo`: a real server and its client, first over plain TCP, then under the switch.

mod redis;
mod report;
mod scripts;
mod stage;

use std::env;
use std::io;
use std::path::PathBuf;

use crate::cli::{DemoArgs, DemoWorkload};
use crate::list::Connection;
use crate::output;
use crate::process::Mode;
use crate::progress::Progress;
use crate::run;
use scripts::Scripts;
use stage::{Stage, StageError};

pub(crate) fn run(args: &DemoArgs) -> Result<(), Error> {
    run::library()?;
    let workload = choose(args.workload)?;
    output::print(&format!("{}\n", workload.title()))?;
    let progress = Progress::new();
    let mut play = |mode: Mode| {
        let step = |what: &str| progress.say(&format!("{}: {what} ...", label(mode)));
        workload.play(&Stage::new(mode, &step)).map_err(|source| Error::Stage { mode: label(mode), source })
    };
    let [tcp, wsdirect] = Mode::BOTH.map(&mut play);
    let (tcp, wsdirect) = (tcp?, wsdirect?);
    drop(progress);
    output::print(&report::render(&tcp, &wsdirect))?;
    if tcp.data != wsdirect.data {
        return Err(Error::DataDiffers { tcp: tcp.data, wsdirect: wsdirect.data });
    }
    match &wsdirect.connections {
        Some(seen) if !seen.iter().any(Connection::promoted) => Err(Error::NotPromoted),
        _ => Ok(()),
    }
}

/// A server and a client that exists without us.
trait Workload {
    /// What is shown, in a line.
    fn title(&self) -> String;
    /// Runs both under the mode of the stage.
    fn play(&self, stage: &Stage<'_>) -> Result<Outcome, StageError>;
}

/// What one run yields.
struct Outcome {
    figures: Vec<Figure>,
    /// What was written and read back, in words, with a digest.
    data: String,
    /// As they were in the middle of it; none where nobody looked.
    connections: Option<Vec<Connection>>,
}

/// More is better.
struct Figure {
    name: String,
    unit: &'static str,
    value: f64,
}

fn choose(wanted: Option<DemoWorkload>) -> Result<Box<dyn Workload>, Error> {
    let wants = |workload| wanted.is_none_or(|wanted| wanted == workload);
    if wants(DemoWorkload::Redis)
        && let Some(redis) = redis::Redis::find()
    {
        return Ok(Box::new(redis));
    }
    if wants(DemoWorkload::Python)
        && let Some(python) = Scripts::of_python()
    {
        return Ok(Box::new(python));
    }
    if wants(DemoWorkload::Node)
        && let Some(node) = Scripts::of_node()
    {
        return Ok(Box::new(node));
    }
    Err(Error::NoPrograms(match wanted {
        Some(DemoWorkload::Redis) => "redis-server, redis-benchmark and redis-cli",
        Some(DemoWorkload::Python) => "python3",
        Some(DemoWorkload::Node) => "node",
        None => "redis-server and redis-tools, python3, or node",
    }))
}

fn label(mode: Mode) -> &'static str {
    match mode {
        Mode::Tcp => "plain TCP",
        Mode::Wsdirect => "under the switch",
    }
}

/// An executable on the search path.
fn which(name: &str) -> Option<PathBuf> {
    let name = format!("{name}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(&name)).find(|path| path.is_file())
}

/// Why the demonstration failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Library(#[from] run::LibraryError),
    #[error("nothing to show: install {0} (and have it on PATH)")]
    NoPrograms(&'static str),
    #[error("{mode}: {source}")]
    Stage { mode: &'static str, source: StageError },
    #[error("the data differs: over TCP {tcp}; under the switch {wsdirect}")]
    DataDiffers { tcp: String, wsdirect: String },
    #[error("no connection left TCP; the list above says why")]
    NotPromoted,
    #[error("cannot print: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Library(_) | Self::NoPrograms(_) => 2,
            _ => 1,
        }
    }
}
