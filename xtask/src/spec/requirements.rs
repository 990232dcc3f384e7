//! The project's own list of the requirements (`docs/requirements`).

use super::number::{Family, Number};
use super::way::Way;
use crate::command::{Failure, root};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Files of the list, and whose requirements each has.
const FILES: [(&str, Family); 2] = [("spi.toml", Family::Provider), ("switch.toml", Family::Switch)];

type Reasons = BTreeMap<Number, String>;

/// All requirements, and what is said about those that are not simply tested.
#[derive(Debug, Default)]
pub(crate) struct Requirements {
    /// What each one demands, in one line.
    pub(crate) says: Reasons,
    /// About Windows itself or a kernel implementation; with the reason.
    pub(crate) does_not_apply: Reasons,
    /// No test from outside could tell; with the reason.
    pub(crate) not_testable: Reasons,
    /// Deviations of each way to connect, with the reason.
    pub(crate) differs: BTreeMap<Way, Reasons>,
    /// What is wrong with the list itself.
    pub(crate) faults: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    /// How many requirements the specification has, so that none gets lost.
    count: usize,
    says: Reasons,
    #[serde(default)]
    does_not_apply: Reasons,
    #[serde(default)]
    not_testable: Reasons,
    #[serde(default)]
    differs: BTreeMap<Way, Reasons>,
}

impl Requirements {
    /// Read the list of this repository.
    pub(crate) fn load() -> Result<Self, Failure> {
        let mut all = Self::default();
        for (name, family) in FILES {
            let path = root().join("docs/requirements").join(name);
            let text = std::fs::read_to_string(&path)
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
            all.add(name, family, &text)?;
        }
        Ok(all)
    }

    fn add(&mut self, name: &str, family: Family, text: &str) -> Result<(), Failure> {
        let file: File = toml::from_str(text).map_err(|error| Failure::new(format!("{name}: {error}")))?;
        if file.says.len() != file.count {
            self.faults.push(format!("{name}: {} requirements, not {}", file.says.len(), file.count));
        }
        let foreign = file.says.keys().filter(|number| number.family != family);
        self.faults.extend(foreign.map(|number| format!("{name}: {number} belongs into the other file")));
        let stated = [&file.does_not_apply, &file.not_testable].into_iter().chain(file.differs.values());
        for (number, reason) in stated.flatten() {
            if !file.says.contains_key(number) {
                self.faults.push(format!("{name}: {number} has a state, but no entry"));
            }
            if reason.trim().is_empty() {
                self.faults.push(format!("{name}: {number} has a state without a reason"));
            }
        }
        let differs = |number| file.differs.values().any(|reasons| reasons.contains_key(number));
        for number in file.says.keys() {
            let states = [
                file.does_not_apply.contains_key(number),
                file.not_testable.contains_key(number),
                differs(number),
            ];
            if states.into_iter().filter(|stated| *stated).count() > 1 {
                self.faults.push(format!("{name}: {number} has more than one state"));
            }
        }
        self.says.extend(file.says);
        self.does_not_apply.extend(file.does_not_apply);
        self.not_testable.extend(file.not_testable);
        for (way, reasons) in file.differs {
            self.differs.entry(way).or_default().extend(reasons);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let mut all = Requirements::default();
        all.add("x", Family::Provider, text).expect("well-formed");
        all.faults
    }

    #[test]
    fn own_list_is_in_order() {
        let all = Requirements::load().expect("readable");
        assert_eq!(all.faults, Vec::<String>::new());
    }

    #[test]
    fn finds_what_is_wrong() {
        assert_eq!(faults("count = 1\n[says]\nSP-001 = 'x'"), Vec::<String>::new());
        assert_eq!(faults("count = 2\n[says]\nSP-001 = 'x'").len(), 1, "one is lost");
        assert_eq!(faults("count = 1\n[says]\nSW-001 = 'x'").len(), 1, "the other file's");
        let entry = "count = 1\n[says]\nSP-001 = 'x'\n";
        assert_eq!(faults(&format!("{entry}[not-testable]\nSP-002 = 'why'")).len(), 1, "no entry");
        assert_eq!(faults(&format!("{entry}[not-testable]\nSP-001 = ' '")).len(), 1, "no reason");
        let twice = "[not-testable]\nSP-001 = 'why'\n[differs.tcp-first]\nSP-001 = 'why'";
        assert_eq!(faults(&format!("{entry}{twice}")).len(), 1, "two states");
    }
}
