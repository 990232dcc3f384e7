//! `wsdirect bench --rdma ADDRESS`: the switch beside raw verbs (perftest) and rsockets, on one RDMA device.

use std::net::IpAddr;

use comfy_table::CellAlignment;
use serde::Serialize;

use super::pair::Pair;
use super::report::{median, ratio};
use super::tool::{Tool, column};
use super::work::{Counters, PerMessage};
use super::workload::{Better, Kind, Workload};
use super::{Error, Plan};
use crate::cli::BenchArgs;
use crate::output;
use crate::process::Mode;
use crate::progress::Progress;
use crate::{run, table};

/// What is compared, and by which programs. perftest gives half of a round trip, and so does rstream.
struct Contest {
    name: &'static str,
    unit: &'static str,
    workload: &'static str,
    verbs: Tool,
    rsockets: Tool,
}

static CONTESTS: [Contest; 2] = [
    Contest {
        name: "round_trip_64B_us",
        unit: "us",
        workload: "pingpong_64B",
        verbs: Tool {
            name: "ib_send_lat",
            options: &["-R", "-s", "64", "-n", "2000"],
            address: [None, Some("")],
            figure: |printed| Some(2.0 * column(printed, 4)?),
        },
        rsockets: Tool {
            name: "rstream",
            options: &["-S", "64", "-C", "1", "-I", "2000"],
            address: [Some("-b"), Some("-s")],
            figure: |printed| Some(2.0 * last(printed)?),
        },
    },
    Contest {
        name: "stream_64KiB_gb_s",
        unit: "GB/s",
        workload: "stream_64KiB",
        verbs: Tool {
            name: "ib_write_bw",
            options: &["-R", "-s", "65536", "-n", "500", "--report_gbits"],
            address: [None, Some("")],
            figure: |printed| Some(column(printed, 3)? / 8.0),
        },
        rsockets: Tool {
            name: "rstream",
            options: &["-S", "65536", "-C", "500", "-I", "1"],
            address: [Some("-b"), Some("-s")],
            // Its last column but one is in Gb/s.
            figure: |printed| Some(before_last(printed)? / 8.0),
        },
    },
];

/// The last word of rstream's last line: microseconds for each transfer.
fn last(printed: &str) -> Option<f64> {
    printed.lines().last()?.split_whitespace().last()?.parse().ok()
}

fn before_last(printed: &str) -> Option<f64> {
    printed.lines().last()?.split_whitespace().rev().nth(1)?.parse().ok()
}

#[derive(Debug, Serialize)]
struct Ranking {
    /// Rounds of which the medians are given; in each all take a turn.
    rounds: usize,
    results: Vec<Ranked>,
    /// Of the switch's round trips of 64 bytes.
    per_message: Option<PerMessage>,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Ranked {
    name: &'static str,
    unit: &'static str,
    better: Better,
    verbs: Option<f64>,
    wsdirect: Option<f64>,
    rsockets: Option<f64>,
    /// Above 1: the switch is better.
    to_verbs: Option<f64>,
    /// Above 1: the switch is better.
    to_rsockets: Option<f64>,
}

/// True if the switch and raw verbs were measured.
pub(super) fn run(args: &BenchArgs, address: IpAddr) -> Result<bool, Error> {
    run::library()?;
    let plan = if args.quick { Plan::QUICK } else { Plan::FULL };
    let mut ranking =
        Ranking { rounds: plan.rounds, results: Vec::new(), per_message: None, problems: Vec::new() };
    let progress = Progress::new();
    for contest in &CONTESTS {
        progress.say(&format!("{} ...", contest.name));
        ranking.hold(contest, address, &plan);
    }
    drop(progress);
    let text = if args.json { serde_json::to_string_pretty(&ranking)? } else { ranking.render() };
    output::print(&text)?;
    Ok(ranking.results.iter().all(|ranked| ranked.to_verbs.is_some()))
}

/// One turn of an entrant: its figure.
type Turn<'a> = Box<dyn FnMut() -> Result<f64, String> + 'a>;

impl Ranking {
    /// Everybody takes a turn in each round, so that whatever disturbs the machine disturbs all. Who fails is out.
    fn hold(&mut self, contest: &'static Contest, address: IpAddr, plan: &Plan) {
        let Some(workload) = Workload::find(contest.workload) else { return };
        let tool = |tool: &'static Tool| -> Turn<'_> {
            Box::new(move || tool.measure(address).map_err(|error| error.to_string()))
        };
        let switch = self.enter(workload, address, plan);
        let mut turns = [Ok(tool(&contest.verbs)), switch, Ok(tool(&contest.rsockets))];
        let mut values: [Vec<f64>; 3] = Default::default();
        for _ in 0..plan.rounds {
            for (turn, values) in turns.iter_mut().zip(&mut values) {
                if let Ok(take) = turn {
                    match take() {
                        Ok(value) => values.push(value),
                        Err(problem) => *turn = Err(problem),
                    }
                }
            }
        }
        for (turn, name) in turns.iter().zip(["verbs", "wsdirect", "rsockets"]) {
            if let Err(problem) = turn {
                self.problems.push(format!("{} ({name}): {problem}", contest.name));
            }
        }
        let medians = [0, 1, 2].map(|index| turns[index].is_ok().then(|| median(values[index].clone())));
        self.results.push(Ranked::new(contest, workload.figures[0].better, medians));
    }

    /// The switch's processes, promoted; of messages one by one, what they make the device do.
    fn enter(
        &mut self,
        workload: &'static Workload,
        address: IpAddr,
        plan: &Plan,
    ) -> Result<Turn<'static>, String> {
        let mut pair = Pair::start(workload, Mode::Wsdirect, address).map_err(|error| error.to_string())?;
        let round = plan.round;
        if let Kind::PingPong { size } = workload.kind {
            let before = Counters::now(&pair);
            pair.measure(round).map_err(|error| error.to_string())?;
            self.per_message = before.and_then(|before| before.per_message(&Counters::now(&pair)?, size));
        }
        Ok(Box::new(move || {
            let figures = pair.measure(round).map_err(|error| error.to_string())?;
            figures.first().copied().ok_or_else(|| "no figure".to_owned())
        }))
    }

    fn render(&self) -> String {
        let mut rows = table::new(&[
            "FIGURE",
            "UNIT",
            "BETTER",
            "VERBS",
            "WSDIRECT",
            "RSOCKETS",
            "TO VERBS",
            "TO RSOCKETS",
        ]);
        for column in 3..=7 {
            if let Some(column) = rows.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for ranked in &self.results {
            let figure =
                |value: Option<f64>| table::number(value.map_or_else(|| "-".to_owned(), table::figure));
            let to = |value: Option<f64>| value.map_or_else(|| table::number("-".to_owned()), ratio);
            rows.add_row([
                ranked.name.into(),
                ranked.unit.into(),
                if ranked.better == Better::Lower { "lower" } else { "higher" }.into(),
                figure(ranked.verbs),
                figure(ranked.wsdirect),
                figure(ranked.rsockets),
                to(ranked.to_verbs),
                to(ranked.to_rsockets),
            ]);
        }
        let mut text = format!(
            "{rows}\n\nMedians of {} rounds in which all took a turn; a ratio above 1: the switch is better. \
             Where the processors or the device are emulated this ranks, and says nothing of how fast they are.",
            self.rounds
        );
        if let Some(work) = &self.per_message {
            text += &format!(
                "\nThe switch, for each message of 64 bytes: {:.3} sends completed, {:.3} receives completed, \
                 {:.3} packets sent.",
                work.sends, work.receives, work.packets
            );
        }
        for problem in &self.problems {
            text += &format!("\nNot measured: {problem}");
        }
        text
    }
}

impl Ranked {
    fn new(contest: &Contest, better: Better, [verbs, wsdirect, rsockets]: [Option<f64>; 3]) -> Self {
        let to = |other: Option<f64>| match better {
            Better::Lower => Some(other? / wsdirect?),
            Better::Higher => Some(wsdirect? / other?),
        };
        let (to_verbs, to_rsockets) = (to(verbs), to(rsockets));
        let Contest { name, unit, .. } = *contest;
        Self { name, unit, better, verbs, wsdirect, rsockets, to_verbs, to_rsockets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_what_the_programs_print() {
        let latency = "#bytes #iterations t_min[usec] t_max[usec] t_typical[usec] t_avg[usec] t_stdev[usec] 99% 99.9%\n \
                       64 2000 24.10 310.22 29.50 30.10 4.00 50.0 90.0\n----\n";
        assert_eq!((CONTESTS[0].verbs.figure)(latency), Some(59.0));
        let bandwidth = "#bytes #iterations BW peak[Gb/sec] BW average[Gb/sec] MsgRate[Mpps]\n \
                         65536 500 0.80 0.72 0.0013\n----\n";
        assert_eq!((CONTESTS[1].verbs.figure)(bandwidth), Some(0.09));
        let rstream =
            "name bytes xfers iters total time Gb/sec usec/xfer\ncustom 64 1 2k 250k 0.13s 0.00 100.50\n";
        assert_eq!((CONTESTS[0].rsockets.figure)(rstream), Some(201.0));
        assert_eq!((CONTESTS[1].rsockets.figure)("custom 64k 500 1 62m 0.10s 0.80 650.00\n"), Some(0.1));
        assert!(CONTESTS.iter().all(|contest| (contest.verbs.figure)("unable to connect").is_none()));
    }

    #[test]
    fn above_one_is_better_for_both_kinds() {
        let lower = Ranked::new(&CONTESTS[0], Better::Lower, [Some(60.0), Some(120.0), None]);
        assert_eq!((lower.to_verbs, lower.to_rsockets), (Some(0.5), None));
        let higher = Ranked::new(&CONTESTS[1], Better::Higher, [Some(0.2), Some(0.1), Some(0.05)]);
        assert_eq!((higher.to_verbs, higher.to_rsockets), (Some(0.5), Some(2.0)));
    }

    #[test]
    fn contests_are_of_known_workloads() {
        assert!(CONTESTS.iter().all(|contest| Workload::find(contest.workload).is_some()));
    }
}
