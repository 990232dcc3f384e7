//! Which tests cite which requirements.

use super::number::{Mention, Number, mentions};
use super::way::Way;
use serde::Serialize;

/// The suite for providers. Its checks are data: a number that is a literal of its own is a citation.
const CONFORMANCE: &str = "crates/wsd-conformance/src/";

/// The tool's own tests are about citations; they check no requirement.
const OWN: &str = "xtask/";

/// Whether the file belongs to the suite for providers.
pub(crate) fn is_conformance(path: &str) -> bool {
    path.starts_with(CONFORMANCE)
}

/// A test names a requirement that it checks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Citation {
    #[serde(skip)]
    pub(crate) number: Number,
    /// File of the test, from the repository's root.
    pub(crate) file: String,
    /// Name of the test function; of other test programs, its file.
    pub(crate) test: String,
    /// Ways to connect that it counts for.
    pub(crate) ways: &'static [Way],
}

/// The citations in a file. A range cites nothing: a test names each number that it checks.
pub(crate) fn citations(path: &str, text: &str) -> Vec<Citation> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let mut found = Vec::new();
    if path.starts_with(OWN) {
        return found;
    } else if is_conformance(path) {
        found = text.lines().flat_map(|line| in_line(line, name, path, is_literal)).collect();
    } else if path.ends_with(".rs") {
        for test in functions(text).iter().filter(|function| function.is_test) {
            found.extend(test.lines.iter().flat_map(|line| in_line(line, test.name, path, |_| true)));
        }
    } else if path.ends_with(".c") && path.contains("/tests/") {
        found = text.lines().flat_map(|line| in_line(line, name, path, |_| true)).collect();
    }
    found.sort();
    found.dedup();
    found
}

fn in_line(line: &str, test: &str, path: &str, counts: fn(&Mention<'_>) -> bool) -> Vec<Citation> {
    let single = mentions(line).into_iter().filter(|mention| mention.range_end.is_none() && counts(mention));
    let citation = |mention: Mention<'_>| {
        let number = mention.number().ok()?;
        let ways = Way::of_citation(&mention, number.family, path);
        Some(Citation { number, file: path.to_owned(), test: test.to_owned(), ways })
    };
    single.filter_map(citation).collect()
}

fn is_literal(mention: &Mention<'_>) -> bool {
    mention.before.ends_with('"') && mention.behind.starts_with('"')
}

struct Function<'a> {
    name: &'a str,
    is_test: bool,
    /// Its documentation, attributes and body.
    lines: Vec<&'a str>,
}

/// The functions of a source file that rustfmt has formatted: the closing brace stands under the first letter.
fn functions(text: &str) -> Vec<Function<'_>> {
    let mut found: Vec<Function<'_>> = Vec::new();
    let mut heading = Vec::new();
    let mut end_of_body: Option<String> = None;
    for line in text.lines() {
        let code = line.trim_start();
        if let Some(end) = &end_of_body {
            found.last_mut().expect("its body is being read").lines.push(line);
            if line == end {
                end_of_body = None;
            }
        } else if code.starts_with("//") || code.starts_with("#[") {
            heading.push(line);
        } else if let Some(name) = function_name(code) {
            let is_test = heading.iter().any(|line| line.trim() == "#[test]");
            heading.push(line);
            found.push(Function { name, is_test, lines: std::mem::take(&mut heading) });
            let indent = line.len() - code.len();
            end_of_body = (!line.ends_with(['}', ';'])).then(|| format!("{:indent$}}}", ""));
        } else {
            heading.clear();
        }
    }
    found
}

/// The name, if a function begins here.
fn function_name(code: &str) -> Option<&str> {
    let before = code.find("fn ")?;
    let only_qualifiers = code[..before].split_whitespace().all(|word| {
        ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", "extern", "\"C\"", "\"system\""]
            .contains(&word)
    });
    let rest = &code[before + "fn ".len()..];
    let name = &rest[..rest.find(|c: char| !(c.is_alphanumeric() || c == '_'))?];
    (only_qualifiers && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
//! Everything about SP-010.

/// SP-001: not a test.
fn helper() {
    // SP-002
}

/// SP-003 and the range SP-150..156.
#[test]
fn a_test() {
    if true {
        check(\"SP-012\");
    }
}

mod inner {
    #[test]
    fn another() {}
    /// SP-011: a field.
    struct S;
}
";

    fn cited(path: &str) -> Vec<(String, String)> {
        let all = citations(path, SOURCE);
        all.into_iter().map(|it| (it.number.to_string(), it.test)).collect()
    }

    #[test]
    fn only_test_functions_cite() {
        let expected = [("SP-003", "a_test"), ("SP-012", "a_test")];
        let expected = expected.map(|(number, test)| (number.to_owned(), test.to_owned()));
        assert_eq!(cited("crates/x/src/lib.rs"), expected);
    }

    #[test]
    fn literals_of_the_conformance_suite_cite() {
        let all = cited("crates/wsd-conformance/src/transfers.rs");
        assert_eq!(all, [("SP-012".to_owned(), "transfers.rs".to_owned())]);
    }

    #[test]
    fn a_c_program_cites_in_any_line() {
        let all = citations("crates/x/tests/programs/a.c", "/* SW-160 */\n");
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].number.to_string(), all[0].test.as_str()), ("SW-160".to_owned(), "a.c"));
        assert_eq!(citations("crates/x/src/a.c", "/* SW-160 */\n"), []);
    }
}
