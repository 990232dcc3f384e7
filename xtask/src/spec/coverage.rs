//! What is known about each requirement, and what may not stay so.

use super::citations::Citation;
use super::number::{Number, mentions};
use super::requirements::Requirements;
use super::way::Way;
use serde::Serialize;
use std::collections::BTreeMap;

/// Of all requirements so many may be stated not to be testable.
const NOT_TESTABLE_PERCENT: usize = 10;

/// Of the requirements that apply so many are tested when the work is complete.
const TESTED_PERCENT: usize = 90;

/// What is known about a requirement, for one way to connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "why")]
pub(crate) enum State {
    /// A test cites it.
    Tested,
    /// No test from outside could tell.
    NotTestable(String),
    /// wsdirect does something else; `docs/deviations.md` says what.
    Differs(String),
    /// It is about Windows itself or a kernel implementation.
    DoesNotApply(String),
    /// Nothing is known.
    NotYet,
}

/// One requirement with all that is known.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) number: Number,
    pub(crate) says: String,
    pub(crate) ways: BTreeMap<Way, State>,
    pub(crate) tests: Vec<Citation>,
}

/// How many requirements are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Counts {
    pub(crate) tested: usize,
    pub(crate) not_testable: usize,
    pub(crate) differs: usize,
    pub(crate) not_yet: usize,
    pub(crate) does_not_apply: usize,
}

impl Counts {
    /// How many a user-space implementation has to keep, where it does not differ knowingly.
    pub(crate) const fn applying(&self) -> usize {
        self.tested + self.not_testable + self.not_yet
    }

    pub(crate) fn tested_percent(&self) -> usize {
        (100 * self.tested).checked_div(self.applying()).unwrap_or(100)
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_complete(&self) -> bool {
        self.not_yet == 0 && self.tested_percent() >= TESTED_PERCENT
    }
}

/// The coverage of the specification.
#[derive(Debug, Serialize)]
pub(crate) struct Coverage {
    pub(crate) requirements: Vec<Entry>,
    pub(crate) counts: BTreeMap<Way, Counts>,
    /// What is wrong, one line each.
    pub(crate) faults: Vec<String>,
}

impl Coverage {
    /// Put together the list, the citations in tests and the recorded deviations.
    pub(crate) fn new(list: Requirements, mut citations: Vec<Citation>, deviations: &str) -> Self {
        let mut faults = list.faults.clone();
        faults.extend(unrecorded(&list, deviations));
        faults.extend(too_many_not_testable(&list));
        faults.extend(cited_against_statement(&list, &citations));
        citations.sort();
        let requirements: Vec<Entry> = list
            .says
            .iter()
            .map(|(number, says)| {
                let tests: Vec<_> = citations.iter().filter(|it| it.number == *number).cloned().collect();
                let ways = Way::ALL.map(|way| (way, state(&list, *number, way, &tests)));
                Entry { number: *number, says: says.clone(), ways: ways.into(), tests }
            })
            .collect();
        let counts = Way::ALL.map(|way| (way, count(&requirements, way))).into();
        Self { requirements, counts, faults }
    }

    /// The requirements that a test cites for some way to connect.
    pub(crate) fn tested(&self) -> impl Iterator<Item = &Entry> {
        self.requirements.iter().filter(|entry| entry.ways.values().any(|state| *state == State::Tested))
    }
}

fn state(list: &Requirements, number: Number, way: Way, tests: &[Citation]) -> State {
    if let Some(why) = list.does_not_apply.get(&number) {
        State::DoesNotApply(why.clone())
    } else if let Some(why) = list.differs.get(&way).and_then(|reasons| reasons.get(&number)) {
        State::Differs(why.clone())
    } else if let Some(why) = list.not_testable.get(&number) {
        State::NotTestable(why.clone())
    } else if tests.iter().any(|test| test.ways.contains(&way)) {
        State::Tested
    } else {
        State::NotYet
    }
}

fn count(requirements: &[Entry], way: Way) -> Counts {
    let mut counts = Counts::default();
    for state in requirements.iter().filter_map(|entry| entry.ways.get(&way)) {
        *match state {
            State::Tested => &mut counts.tested,
            State::NotTestable(_) => &mut counts.not_testable,
            State::Differs(_) => &mut counts.differs,
            State::DoesNotApply(_) => &mut counts.does_not_apply,
            State::NotYet => &mut counts.not_yet,
        } += 1;
    }
    counts
}

/// Differences that no row of the table of deviations names in its first column.
fn unrecorded(list: &Requirements, deviations: &str) -> Vec<String> {
    let rows: Vec<_> = deviations
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.split('|').next())
        .flat_map(mentions)
        .collect();
    let stated = list.differs.values().flat_map(BTreeMap::keys);
    stated
        .filter(|number| !rows.iter().any(|mention| mention.covers(**number)))
        .map(|number| format!("{number} differs, but docs/deviations.md has no line of it"))
        .collect()
}

fn too_many_not_testable(list: &Requirements) -> Option<String> {
    let (stated, all) = (list.not_testable.len(), list.says.len());
    (100 * stated > NOT_TESTABLE_PERCENT * all)
        .then(|| format!("{stated} of {all} not testable: more than {NOT_TESTABLE_PERCENT} %"))
}

/// Requirements that cannot be tested, as it is said, and are tested all the same.
fn cited_against_statement(list: &Requirements, citations: &[Citation]) -> Vec<String> {
    let stated = |number| list.not_testable.contains_key(number) || list.does_not_apply.contains_key(number);
    citations
        .iter()
        .filter(|it| stated(&it.number))
        .map(|it| {
            format!(
                "{}: {} cites {}, which is stated not to be testable or to apply",
                it.file, it.test, it.number
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        text.parse().expect("a number")
    }

    /// Ten requirements of the switch.
    fn list() -> Requirements {
        let says = (1..=10).map(|n| (number(&format!("SW-{n:03}")), "x".to_owned())).collect();
        Requirements { says, ..Default::default() }
    }

    fn reasons(text: &str) -> BTreeMap<Number, String> {
        [(number(text), "why".to_owned())].into()
    }

    fn citation(text: &str, ways: &'static [Way]) -> Citation {
        Citation { number: number(text), file: "a.rs".into(), test: "t".into(), ways }
    }

    #[test]
    fn tested_is_what_is_cited_for_that_way() {
        let coverage = Coverage::new(list(), vec![citation("SW-002", &[Way::SanFirst])], "");
        assert_eq!(coverage.faults, Vec::<String>::new());
        assert_eq!(coverage.counts[&Way::SanFirst], Counts { tested: 1, not_yet: 9, ..Counts::default() });
        assert_eq!(coverage.counts[&Way::TcpFirst], Counts { not_yet: 10, ..Counts::default() });
        assert!(!coverage.counts[&Way::SanFirst].is_complete());
        assert_eq!(coverage.tested().count(), 1);
    }

    #[test]
    fn a_difference_is_recorded() {
        let differs = || Requirements { differs: [(Way::TcpFirst, reasons("SW-005"))].into(), ..list() };
        for missing in ["", "| SW-010 | SW-005 |", "about SW-005"] {
            assert_eq!(Coverage::new(differs(), vec![], missing).faults.len(), 1, "{missing:?}");
        }
        for recorded in ["| SW-005: that | this |", "| SP-001, SW-003..010 | this |"] {
            assert_eq!(Coverage::new(differs(), vec![], recorded).faults, Vec::<String>::new());
        }
        let coverage = Coverage::new(differs(), vec![citation("SW-005", &Way::ALL)], "| SW-005 |");
        assert_eq!(coverage.counts[&Way::SanFirst].tested, 1);
        assert_eq!(coverage.counts[&Way::TcpFirst].differs, 1);
    }

    #[test]
    fn not_testable_is_rare_and_true() {
        let mut one = Requirements { not_testable: reasons("SW-001"), ..list() };
        assert_eq!(Coverage::new(one, vec![], "").faults, Vec::<String>::new());
        one = Requirements { not_testable: reasons("SW-001"), ..list() };
        assert_eq!(Coverage::new(one, vec![citation("SW-001", &Way::ALL)], "").faults.len(), 1);
        let mut two = Requirements { not_testable: reasons("SW-001"), ..list() };
        two.not_testable.extend(reasons("SW-002"));
        assert_eq!(Coverage::new(two, vec![], "").faults.len(), 1);
    }
}
