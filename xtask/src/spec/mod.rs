//! `cargo xtask spec`: every requirement of the specification, and the tests that cite it.

pub(crate) mod citations;
pub(crate) mod coverage;
pub(crate) mod number;
mod report;
mod requirements;
mod way;

use crate::checks::tracked;
use crate::command::{Failure, root};
use coverage::Coverage;
use number::mentions;
use requirements::Requirements;

/// Print the coverage. With faults it fails; when it shall be complete, also with anything left to do.
pub(crate) fn run(json: bool, complete: bool) -> Result<(), Failure> {
    let coverage = coverage()?;
    if json {
        report::json(&coverage)?;
    } else {
        report::table(&coverage);
    }
    if !coverage.faults.is_empty() {
        return Err(Failure::new(coverage.faults.join("\n       ")));
    }
    if complete && !coverage.counts.values().all(coverage::Counts::is_complete) {
        return Err(Failure::new(report::left(&coverage)));
    }
    Ok(())
}

/// The coverage by the tests of this repository.
pub(crate) fn coverage() -> Result<Coverage, Failure> {
    let list = Requirements::load()?;
    let (mut citations, mut unknown) = (Vec::new(), Vec::new());
    for path in tracked()? {
        // Not every file is text, and one may have been deleted since.
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let name = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().into_owned();
        unknown.extend(unknown_numbers(&list, &name, &text));
        citations.extend(citations::citations(&name, &text));
    }
    let deviations = root().join("docs/deviations.md");
    let deviations = std::fs::read_to_string(&deviations)
        .map_err(|error| Failure::new(format!("{}: {error}", deviations.display())))?;
    let mut coverage = Coverage::new(list, citations, &deviations);
    coverage.faults.splice(0..0, unknown);
    Ok(coverage)
}

/// Mentions of what the list does not have.
fn unknown_numbers(list: &Requirements, path: &str, text: &str) -> Vec<String> {
    let is_known = |mention: &number::Mention<'_>| {
        mention.ends().is_ok_and(|ends| ends.iter().all(|number| list.says.contains_key(number)))
    };
    let lines = text.lines().enumerate();
    lines
        .flat_map(|(index, line)| mentions(line).into_iter().map(move |mention| (index + 1, mention)))
        .filter(|(_, mention)| !is_known(mention))
        .map(|(line, mention)| {
            let range = mention.range_end.map(|end| format!("..{end:03}")).unwrap_or_default();
            format!("{path}:{line}: there is no {}{range}", mention.text)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_numbers_that_do_not_exist() {
        let list = Requirements::load().expect("readable");
        let unknown = |text: &str| unknown_numbers(&list, "x", text);
        assert_eq!(unknown("SP-001, SP-150..156, SP-nnn"), Vec::<String>::new());
        for wrong in ["999", "59", "150..199"] {
            assert_eq!(unknown(&format!("\nSP-{wrong}")).len(), 1, "{wrong}");
        }
    }
}
