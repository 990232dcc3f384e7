//! How the coverage is shown.

use super::coverage::{Coverage, Entry, State};
use super::way::Way;
use crate::command::Failure;
use comfy_table::{ContentArrangement, Table, presets};
use std::io::IsTerminal;

/// Width where there is no terminal that says its own.
const WIDTH: u16 = 160;

/// Everything, for programs.
pub(crate) fn json(coverage: &Coverage) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(coverage)
        .map_err(|error| Failure::new(format!("the coverage as JSON: {error}")))?;
    println!("{text}");
    Ok(())
}

/// Everything, for people: one row per requirement, then the counts.
pub(crate) fn table(coverage: &Coverage) {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if !std::io::stdout().is_terminal() {
        table.set_width(WIDTH);
    }
    let [first, second] = Way::ALL.map(Way::title);
    table.set_header(["number", "requirement", first, second, "tests and reasons"]);
    for entry in &coverage.requirements {
        let [first, second] = Way::ALL.map(|way| title(&entry.ways[&way]));
        let number = entry.number.to_string();
        table.add_row([number.as_str(), &entry.says, first, second, &remarks(entry)]);
    }
    println!("{table}\n");
    for (way, counts) in &coverage.counts {
        println!(
            "{}: {} tested ({} % of {} that apply), {} not testable, {} not yet; {} differ, {} do not apply",
            way.title(),
            counts.tested,
            counts.tested_percent(),
            counts.applying(),
            counts.not_testable,
            counts.not_yet,
            counts.differs,
            counts.does_not_apply,
        );
    }
}

/// What is left to do, one line per way.
pub(crate) fn left(coverage: &Coverage) -> String {
    let lines = coverage.counts.iter().map(|(way, counts)| {
        let open = coverage.requirements.iter().filter(|entry| entry.ways[way] == State::NotYet);
        let open: Vec<_> = open.map(|entry| entry.number.to_string()).collect();
        format!("{}: {} % tested; not yet: {}", way.title(), counts.tested_percent(), open.join(" "))
    });
    lines.collect::<Vec<_>>().join("\n       ")
}

const fn title(state: &State) -> &'static str {
    match state {
        State::Tested => "tested",
        State::NotTestable(_) => "not testable",
        State::Differs(_) => "differs",
        State::DoesNotApply(_) => "does not apply",
        State::NotYet => "not yet",
    }
}

/// Where the tests are, and why a state is stated.
fn remarks(entry: &Entry) -> String {
    let mut remarks: Vec<String> = Vec::new();
    for state in entry.ways.values() {
        if let State::NotTestable(why) | State::Differs(why) | State::DoesNotApply(why) = state
            && !remarks.contains(why)
        {
            remarks.push(why.clone());
        }
    }
    remarks.extend(entry.tests.iter().map(|test| format!("{}: {}", short(&test.file), test.test)));
    remarks.join("\n")
}

/// A path without the parts that are the same everywhere.
fn short(path: &str) -> &str {
    path.strip_prefix("crates/").unwrap_or(path)
}
