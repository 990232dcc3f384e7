//! Results, and how they are shown.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Result of one check for one requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Number of the requirement, such as `SP-021`.
    pub requirement: String,
    /// What came out.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What the check looks at.
    pub description: String,
}

/// What came out of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", content = "detail", rename_all = "lowercase")]
pub enum Outcome {
    /// The requirement is met, as far as the check sees.
    Pass,
    /// It is not met: what was seen instead.
    Fail(String),
    /// The provider openly lacks what the check is about: how it says so.
    Skip(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (requirement, description) = (&self.requirement, &self.description);
        match &self.outcome {
            Outcome::Pass => write!(f, "{requirement} pass  {description}"),
            Outcome::Fail(what) => write!(f, "{requirement} FAIL {what} [{description}]"),
            Outcome::Skip(why) => write!(f, "{requirement} skip  {description}: {why}"),
        }
    }
}

/// How many of each there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// Skipped.
    pub skipped: usize,
}

impl Tally {
    /// Counts.
    pub fn of(findings: &[Finding]) -> Self {
        let count = |matches: fn(&Outcome) -> bool| {
            findings.iter().filter(|finding| matches(&finding.outcome)).count()
        };
        Self {
            passed: count(|outcome| matches!(outcome, Outcome::Pass)),
            failed: count(|outcome| matches!(outcome, Outcome::Fail(_))),
            skipped: count(|outcome| matches!(outcome, Outcome::Skip(_))),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}
