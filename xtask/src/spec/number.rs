//! Numbers of requirements, and where a text mentions them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Number of a requirement, as `SP` or `SW`, a hyphen and three digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Number {
    pub(crate) family: Family,
    digits: u16,
}

/// Whose duty a requirement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Family {
    /// `SP`
    Provider,
    /// `SW`
    Switch,
}

impl Family {
    const ALL: [Self; 2] = [Self::Provider, Self::Switch];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Provider => "SP-",
            Self::Switch => "SW-",
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:03}", self.family.prefix(), self.digits)
    }
}

/// A text that is no number of a requirement.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no number of a requirement: SP or SW, a hyphen and three digits")]
pub(crate) struct NoNumber(String);

impl FromStr for Number {
    type Err = NoNumber;

    fn from_str(text: &str) -> Result<Self, NoNumber> {
        let family = Family::ALL.into_iter().find(|family| text.starts_with(family.prefix()));
        let parsed = family.and_then(|family| {
            let digits = &text[family.prefix().len()..];
            let well_formed = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
            well_formed.then(|| digits.parse().ok()).flatten().map(|digits| Self { family, digits })
        });
        parsed.ok_or_else(|| NoNumber(text.to_owned()))
    }
}

impl From<Number> for String {
    fn from(number: Number) -> Self {
        number.to_string()
    }
}

impl TryFrom<String> for Number {
    type Error = NoNumber;

    fn try_from(text: String) -> Result<Self, NoNumber> {
        text.parse()
    }
}

/// A place where a text names a requirement, or several by a range.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mention<'a> {
    /// What stands before it in the text.
    pub(crate) before: &'a str,
    /// What stands there, one number.
    pub(crate) text: &'a str,
    /// The other end of a range (`..` and its digits behind the number).
    pub(crate) range_end: Option<u16>,
    /// What follows directly.
    pub(crate) behind: &'a str,
}

impl Mention<'_> {
    /// Number, unless it is malformed.
    pub(crate) fn number(&self) -> Result<Number, NoNumber> {
        self.text.parse()
    }

    /// Whether a number is the one, or in the range.
    pub(crate) fn covers(&self, other: Number) -> bool {
        let Ok(first) = self.number() else { return false };
        let last = self.range_end.unwrap_or(first.digits);
        first.family == other.family && (first.digits..=last).contains(&other.digits)
    }

    /// Both ends of a range, or the one number.
    pub(crate) fn ends(&self) -> Result<[Number; 2], NoNumber> {
        let first = self.number()?;
        Ok([first, Number { digits: self.range_end.unwrap_or(first.digits), ..first }])
    }
}

/// All mentions in a text, from left to right.
pub(crate) fn mentions(text: &str) -> Vec<Mention<'_>> {
    let mut found = Vec::new();
    for family in Family::ALL {
        for (at, prefix) in text.match_indices(family.prefix()) {
            let inside_word = text[..at].chars().next_back().is_some_and(char::is_alphanumeric);
            let digits = digits(&text[at + prefix.len()..]);
            if inside_word || digits.is_empty() {
                continue;
            }
            let end = at + prefix.len() + digits.len();
            let after_dots = text[end..].strip_prefix("..");
            let range_end = after_dots.and_then(|rest| self::digits(rest).parse().ok());
            found.push((
                at,
                Mention { before: &text[..at], text: &text[at..end], range_end, behind: &text[end..] },
            ));
        }
    }
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, mention)| mention).collect()
}

fn digits(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        text.parse().expect("a number")
    }

    #[test]
    fn numbers_are_read_and_written_alike() {
        assert_eq!(number("SP-085").to_string(), "SP-085");
        for wrong in
            ["", "SP", "SX-001", "SP-", &format!("SP-{}", 85), &format!("SW-{}", 1000), &format!("SP-{}x", 0)]
        {
            assert!(wrong.parse::<Number>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn finds_numbers_and_ranges() {
        let text = "SW-063 (SAN first), XSP-001, SP-nnn, SP-150..156 and SP-001";
        let found = mentions(text);
        assert_eq!(found.iter().map(|it| it.text).collect::<Vec<_>>(), ["SW-063", "SP-150", "SP-001"]);
        assert!(found[0].behind.starts_with(" (SAN first)"));
        assert!(found[1].covers(number("SP-153")) && !found[1].covers(number("SP-160")));
        assert!(found[2].covers(number("SP-001")) && !found[2].covers(number("SW-001")));
        assert_eq!(found[1].ends().expect("numbers"), [number("SP-150"), number("SP-156")]);
    }
}
