//! The outcome of a measurement: medians, ratios, and what could not be measured.

use comfy_table::{Cell, CellAlignment, Color};
use serde::Serialize;

use super::workload::{Better, Figure, Workload};
use super::{Rounds, cpu, pair};
use crate::process::Mode;
use crate::table;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    version: &'static str,
    quick: bool,
    /// Pairs of measurements of which the medians are given.
    rounds: usize,
    /// The processors of server and client; none if there is only one.
    cpus: Option<[usize; 2]>,
    /// Whether the connections under the switch were seen to be promoted.
    promotion_checked: bool,
    results: Vec<Measured>,
    problems: Vec<Named>,
}

/// A figure with its two values.
#[derive(Debug, Serialize)]
struct Measured {
    name: &'static str,
    unit: &'static str,
    better: Better,
    tcp: f64,
    wsdirect: f64,
    /// Above 1: the switch is better.
    ratio: f64,
}

/// Why a workload has no values.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    mode: &'static str,
    message: String,
}

#[derive(Debug, Serialize)]
struct Named {
    workload: &'static str,
    #[serde(flatten)]
    problem: Problem,
}

impl Problem {
    pub(crate) fn new(mode: Mode, error: pair::Error) -> Self {
        Self { mode: mode.name(), message: error.to_string() }
    }
}

impl Report {
    pub(crate) fn new(quick: bool, rounds: usize) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Self {
            version,
            quick,
            rounds,
            cpus: cpu::two(),
            promotion_checked: true,
            results: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, workload: &Workload, rounds: &Rounds) {
        for (index, figure) in workload.figures.iter().enumerate() {
            let [tcp, wsdirect] = [0, 1]
                .map(|mode| median(rounds.iter().filter_map(|r| r[mode].get(index).copied()).collect()));
            self.results.push(Measured::new(figure, tcp, wsdirect));
        }
    }

    pub(crate) fn fail(&mut self, workload: &Workload, problem: Problem) {
        self.problems.push(Named { workload: workload.name, problem });
    }

    pub(crate) fn promotion_unseen(&mut self) {
        self.promotion_checked = false;
    }

    pub(crate) fn complete(&self) -> bool {
        self.problems.is_empty()
    }

    pub(crate) fn render(&self) -> String {
        let mut rows = table::new(&["FIGURE", "UNIT", "BETTER", "TCP", "WSDIRECT", "RATIO"]);
        for column in 3..=5 {
            if let Some(column) = rows.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for measured in &self.results {
            let better = if measured.better == Better::Lower { "lower" } else { "higher" };
            rows.add_row([
                measured.name.into(),
                measured.unit.into(),
                better.into(),
                table::number(table::figure(measured.tcp)),
                table::number(table::figure(measured.wsdirect)),
                ratio(measured.ratio),
            ]);
        }
        let mut text = if self.results.is_empty() { String::new() } else { format!("{rows}\n\n") };
        text +=
            &format!("Medians of {} alternating rounds; a ratio above 1: the switch is better.", self.rounds);
        if self.cpus.is_none() {
            text += "\nOnly one processor: server and client took turns on it.";
        }
        if !self.promotion_checked {
            text += "\nWhether connections left TCP could not be seen (see `wsdirect list`): \
                     ratios near 1 may compare TCP with TCP.";
        }
        for Named { workload, problem } in &self.problems {
            text += &format!("\nNot measured: {workload} ({}): {}", problem.mode, problem.message);
        }
        text
    }
}

impl Measured {
    fn new(figure: &Figure, tcp: f64, wsdirect: f64) -> Self {
        let ratio = match figure.better {
            Better::Lower => tcp / wsdirect,
            Better::Higher => wsdirect / tcp,
        };
        Self { name: figure.name, unit: figure.unit, better: figure.better, tcp, wsdirect, ratio }
    }
}

pub(super) fn ratio(value: f64) -> Cell {
    let cell = table::number(format!("{value:.2}x"));
    match value {
        v if v >= 1.05 => cell.fg(Color::Green),
        v if v < 0.95 => cell.fg(Color::Red),
        _ => cell,
    }
}

/// Of an even number of values the mean of the middle two.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.as_slice() {
        [] => f64::NAN,
        all if all.len() % 2 == 1 => all[middle],
        all => f64::midpoint(all[middle - 1], all[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn above_one_is_better_for_both_kinds() {
        let lower = Figure { name: "a", unit: "us", better: Better::Lower };
        let higher = Figure { name: "b", unit: "1/s", better: Better::Higher };
        assert!((Measured::new(&lower, 10.0, 2.0).ratio - 5.0).abs() < 1e-9);
        assert!((Measured::new(&higher, 10.0, 2.0).ratio - 0.2).abs() < 1e-9);
    }

    #[test]
    fn json_has_the_promised_shape() {
        let workload = Workload::find("pingpong_64B").expect("a workload");
        let mut report = Report::new(true, 1);
        report.add(workload, &vec![[vec![20.0, 40.0], vec![5.0, 10.0]]]);
        let problem = Problem::new(Mode::Wsdirect, pair::Error::Stuck("server"));
        report.fail(workload, problem);
        let value = serde_json::to_value(&report).expect("serializable");
        assert_eq!(value["results"][1]["name"], "pingpong_64B_p99_us");
        assert_eq!(value["results"][1]["better"], "lower");
        assert_eq!(value["results"][1]["ratio"], 4.0);
        assert_eq!(value["problems"][0]["workload"], "pingpong_64B");
        assert_eq!(value["problems"][0]["mode"], "wsdirect");
        assert!(report.render().contains("Not measured: pingpong_64B (wsdirect): the server did not end"));
    }
}
