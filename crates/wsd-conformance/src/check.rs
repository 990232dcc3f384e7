//! What a check is, and how it ends.

use core::fmt::Debug;
use core::panic::Location;

use wsd_spi::WsaError;

use crate::raw::{Answer, Code};
use crate::world::Rig;

/// One check: some requirements, and a function that sees whether a provider meets them.
pub struct Check {
    requirements: &'static [&'static str],
    description: &'static str,
    run: fn(&Rig) -> Step,
}

impl Check {
    pub(crate) const fn new(
        requirements: &'static [&'static str],
        description: &'static str,
        run: fn(&Rig) -> Step,
    ) -> Self {
        Self { requirements, description, run }
    }

    /// Numbers of the requirements that it tests, such as `SP-021`: at least one.
    pub fn requirements(&self) -> &'static [&'static str] {
        self.requirements
    }

    /// What a provider does that passes, in one line.
    pub fn description(&self) -> &'static str {
        self.description
    }

    pub(crate) fn run(&self, rig: &Rig) -> Step {
        (self.run)(rig)
    }
}

/// Result of a part of a check.
pub(crate) type Step<T = ()> = Result<T, Stop>;

/// Why a check does not go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The provider does not meet the requirement (`None`: the first one of the check).
    Fail { requirement: Option<&'static str>, what: String },
    /// The provider says openly that it does not have what is to be checked.
    Skip(String),
}

/// A failure of the check's first requirement.
pub(crate) fn fail<T>(what: impl Into<String>) -> Step<T> {
    Err(Stop::Fail { requirement: None, what: what.into() })
}

/// The provider openly lacks it.
pub(crate) fn skip<T>(why: impl Into<String>) -> Step<T> {
    Err(Stop::Skip(why.into()))
}

/// The check goes on if `condition` holds.
pub(crate) fn ensure(condition: bool, otherwise: impl FnOnce() -> String) -> Step {
    if condition { Ok(()) } else { fail(otherwise()) }
}

/// `expected NAME got NAME`, if they differ.
#[track_caller]
pub(crate) fn equal<T: PartialEq + Debug>(what: &str, got: T, expected: T) -> Step {
    ensure(got == expected, || format!("{what}: expected {expected:?} got {got:?}"))
}

/// The value of a call that has to succeed.
#[track_caller]
pub(crate) fn must<T>(what: &str, answer: Answer<T>) -> Step<T> {
    let line = Location::caller().line();
    answer.or_else(|code| fail(format!("{what}: expected success got {code} (step {line})")))
}

/// A call has to fail with `error`.
pub(crate) fn refuses<T>(what: &str, answer: Answer<T>, error: WsaError) -> Step {
    refuses_with(what, answer, &[error])
}

/// A call has to fail with one of `errors`.
pub(crate) fn refuses_with<T>(what: &str, answer: Answer<T>, errors: &[WsaError]) -> Step {
    one_of(what, answer.err(), errors)
}

/// An outcome has to be one of `errors`.
pub(crate) fn one_of(what: &str, outcome: Option<Code>, errors: &[WsaError]) -> Step {
    if outcome.is_some_and(|code| errors.iter().any(|error| code.is(*error))) {
        return Ok(());
    }
    let names: Vec<String> = errors.iter().map(|error| Code::from(*error).to_string()).collect();
    let got = outcome.map_or_else(|| "0".to_owned(), |code| code.to_string());
    fail(format!("{what}: expected {} got {got}", names.join(" or ")))
}

/// Names the requirement that a failure is about, where a check has several.
pub(crate) trait Cite {
    /// As said.
    fn cite(self, requirement: &'static str) -> Self;
}

impl<T> Cite for Step<T> {
    fn cite(self, requirement: &'static str) -> Self {
        self.map_err(|stop| match stop {
            Stop::Fail { requirement: None, what } => Stop::Fail { requirement: Some(requirement), what },
            other => other,
        })
    }
}
