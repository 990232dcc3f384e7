//! `wsdirect bench`: plain TCP against the switch, in alternation, between two processes on two processors.

mod connect;
#[cfg_attr(windows, path = "cpu_windows.rs")]
mod cpu;
mod pair;
mod peer;
mod pingpong;
#[cfg(target_os = "linux")]
mod ranking;
mod report;
#[cfg(target_os = "linux")]
mod requests;
mod stream;
#[cfg(target_os = "linux")]
mod tool;
#[cfg(target_os = "linux")]
mod work;
mod workload;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::cli::BenchArgs;
use crate::output;
use crate::process::Mode;
use crate::progress::Progress;
use crate::run;
use pair::Pair;
use report::{Problem, Report};
use workload::Workload;

pub(crate) use peer::{drive, serve};

/// True if every figure that counts was measured.
pub(crate) fn run(args: &BenchArgs) -> Result<bool, Error> {
    #[cfg(target_os = "linux")]
    if let Some(address) = args.rdma {
        return ranking::run(args, address);
    }
    run::library()?;
    let chosen: Vec<&Workload> = workload::ALL.iter().filter(|w| w.matches(args.only.as_deref())).collect();
    if chosen.is_empty() {
        return Err(Error::NothingChosen(args.only.clone().unwrap_or_default()));
    }
    let plan = if args.quick { Plan::QUICK } else { Plan::FULL };
    let mut report = Report::new(args.quick, plan.rounds);
    let progress = Progress::new();
    for (index, workload) in chosen.iter().enumerate() {
        progress.say(&format!("{}/{} {} ...", index + 1, chosen.len(), workload.name));
        match measure(workload, &plan, &mut report) {
            Ok(rounds) => report.add(workload, &rounds),
            Err(problem) => report.fail(workload, problem),
        }
    }
    drop(progress);
    let text = if args.json { serde_json::to_string_pretty(&report)? } else { report.render() };
    output::print(&text)?;
    Ok(report.complete())
}

/// How long to measure.
struct Plan {
    rounds: usize,
    round: Duration,
}

impl Plan {
    /// 8 workloads, 2 modes: about 10 seconds, and as long again at most to start, calibrate and verify.
    const QUICK: Self = Self { rounds: 3, round: Duration::from_millis(200) };
    const FULL: Self = Self { rounds: 9, round: Duration::from_millis(450) };
}

/// Per round and mode one value for each figure of the workload.
type Rounds = Vec<[Vec<f64>; 2]>;

/// Both pairs of processes live all the time and take turns, so that whatever disturbs the machine disturbs both.
fn measure(workload: &Workload, plan: &Plan, report: &mut Report) -> Result<Rounds, Problem> {
    let mut pairs = Vec::with_capacity(Mode::BOTH.len());
    for mode in Mode::BOTH {
        pairs.push(
            Pair::start(workload, mode, IpAddr::V4(Ipv4Addr::LOCALHOST))
                .map_err(|error| Problem::new(mode, error))?,
        );
    }
    if pairs.iter().any(|pair| pair.unseen) {
        report.promotion_unseen();
    }
    let [tcp, wsdirect] = pairs.as_mut_slice() else { unreachable!("one pair for each of two modes") };
    let mut rounds = Rounds::new();
    for _ in 0..plan.rounds {
        let turn = |pair: &mut Pair| pair.measure(plan.round).map_err(|error| Problem::new(pair.mode, error));
        rounds.push([turn(tcp)?, turn(wsdirect)?]);
    }
    for pair in pairs {
        let mode = pair.mode;
        pair.finish().map_err(|error| Problem::new(mode, error))?;
    }
    Ok(rounds)
}

/// Why there is no report at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Library(#[from] run::LibraryError),
    #[error("no figure has '{0}' in its name; `wsdirect bench --quick` shows the names")]
    NothingChosen(String),
    #[error("cannot print the report: {0}")]
    Output(#[from] std::io::Error),
    #[error("cannot write the report as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Error {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Library(_) | Self::NothingChosen(_) => 2,
            _ => 1,
        }
    }
}
