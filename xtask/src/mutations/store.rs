//! The recorded mutations: one file per requirement in `docs/requirements/mutations`.

use crate::command::{Failure, root};
use crate::spec::citations::is_conformance;
use crate::spec::coverage::{Coverage, Entry};
use crate::spec::number::Number;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// A way to break a requirement, and who notices it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) struct Mutation {
    /// What to change, from the repository's root.
    pub(crate) file: String,
    /// The text to replace. It occurs once.
    find: String,
    replace: String,
    /// Who has to notice it.
    pub(crate) noticer: Noticer,
}

/// What fails when a requirement is broken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Noticer {
    /// A test that cites it.
    Test {
        package: String,
        /// Integration test of the package; without it, the tests of its library.
        target: Option<String>,
        /// Name with its modules.
        name: String,
        /// It runs programs under the built command and library.
        programs: bool,
    },
    /// The checks of the conformance suite that cite it, on a provider of this workspace.
    Suite {
        /// Its package.
        provider: String,
        /// What the provider with faults is told.
        faults: String,
    },
}

impl fmt::Display for Noticer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Test { name, .. } => write!(f, "{name}"),
            Self::Suite { provider, .. } => write!(f, "the suite on {provider}"),
        }
    }
}

/// The file of a mutation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    file: String,
    find: String,
    replace: String,
    package: Option<String>,
    target: Option<String>,
    test: Option<String>,
    #[serde(default)]
    programs: bool,
    provider: Option<String>,
    faults: Option<String>,
}

impl TryFrom<Written> for Mutation {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written { file, find, replace, package, target, test, programs, provider, faults } = written;
        let noticer = match (package, target, test, provider, faults) {
            (Some(package), target, Some(name), None, None) => {
                Noticer::Test { package, target, name, programs }
            }
            (None, None, None, Some(provider), faults) if !programs => {
                Noticer::Suite { provider, faults: faults.unwrap_or_default() }
            }
            _ => return Err("either `package` and `test` notice it, or the suite on a `provider`"),
        };
        Ok(Self { file, find, replace, noticer })
    }
}

impl Mutation {
    /// The file's text after the change.
    pub(crate) fn apply(&self, text: &str) -> Result<String, String> {
        match text.matches(&self.find).count() {
            1 if self.find != self.replace => Ok(text.replacen(&self.find, &self.replace, 1)),
            1 => Err("the mutation changes nothing".to_owned()),
            0 => Err(format!("its text is not in {} any more", self.file)),
            several => Err(format!("its text occurs {several} times in {}", self.file)),
        }
    }

    /// Whether the noticer cites the requirement.
    fn is_cited(&self, entry: &Entry) -> bool {
        let of_suite = entry.tests.iter().any(|cited| is_conformance(&cited.file));
        match &self.noticer {
            Noticer::Suite { .. } => of_suite,
            Noticer::Test { package, name, .. } => {
                let function = name.rsplit("::").next().unwrap_or(name);
                let folder = format!("crates/{package}/");
                entry.tests.iter().any(|cited| cited.test == function && cited.file.starts_with(&folder))
            }
        }
    }

    fn fault(&self, number: Number, coverage: &Coverage) -> Option<String> {
        let entry = coverage.requirements.iter().find(|entry| entry.number == number);
        let Some(entry) = entry else { return Some("there is no such requirement".to_owned()) };
        if !self.is_cited(entry) {
            return Some(format!("{} does not cite it", self.noticer));
        }
        let text = std::fs::read_to_string(root().join(&self.file));
        text.map_or_else(|error| Some(format!("{}: {error}", self.file)), |text| self.apply(&text).err())
    }
}

/// All mutations by requirement.
pub(crate) type Store = BTreeMap<Number, Mutation>;

/// Read all mutations of this repository.
pub(crate) fn load() -> Result<Store, Failure> {
    let folder = root().join("docs/requirements/mutations");
    let files = std::fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))?;
    let mut store = Store::new();
    for file in files {
        let path = file.map_err(|error| unreadable(&folder, &error))?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let number = name.parse::<Number>().map_err(|error| unreadable(&path, &error))?;
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
        store.insert(number, toml::from_str(&text).map_err(|error| unreadable(&path, &error))?);
    }
    Ok(store)
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}

/// The tested requirements that have none.
pub(crate) fn without(store: &Store, coverage: &Coverage) -> Vec<Number> {
    coverage.tested().map(|entry| entry.number).filter(|number| !store.contains_key(number)).collect()
}

/// What is wrong with them, one line each.
pub(crate) fn faults(store: &Store, coverage: &Coverage) -> Vec<String> {
    let all = store.iter();
    all.filter_map(|(number, mutation)| Some(format!("{number}: {}", mutation.fault(*number, coverage)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_replaced_where_it_is_clear() {
        let mutation = |find: &str, replace: &str| Mutation {
            file: "a.rs".into(),
            find: find.into(),
            replace: replace.into(),
            noticer: Noticer::Suite { provider: "p".into(), faults: String::new() },
        };
        assert_eq!(mutation("< 5", "<= 5").apply("if n < 5 {"), Ok("if n <= 5 {".to_owned()));
        assert!(mutation("> 5", ">= 5").apply("if n < 5 {").is_err(), "not there");
        assert!(mutation("n", "m").apply("if n < n {").is_err(), "twice");
        assert!(mutation("n", "n").apply("if n < 5 {").is_err(), "no change");
    }

    #[test]
    fn somebody_notices() {
        let read = |rest: &str| {
            let text = format!("file = 'a.rs'\nfind = 'a'\nreplace = 'b'\n{rest}");
            toml::from_str::<Mutation>(&text).map(|mutation| mutation.noticer.to_string()).ok()
        };
        assert_eq!(read("package = 'p'\ntest = 'm::t'"), Some("m::t".to_owned()));
        assert_eq!(read("provider = 'p'\nfaults = 'qos'"), Some("the suite on p".to_owned()));
        for wrong in
            ["", "package = 'p'", "package = 'p'\ntest = 't'\nprovider = 'q'", "provider = 'p'\nx = 1"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
