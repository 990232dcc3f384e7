//! Counting tests by what test runners print.

use crate::command::Failure;
use std::io::{BufRead, BufReader, Write};
use std::process::Command;

/// How many tests ran, and how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    const ONE: Self = Self { passed: 1, failed: 0 };

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// What one line of a runner's output says: the summary of nextest, or a result of the standard harness.
    fn of_line(line: &str) -> Self {
        let line = without_colour(line);
        let line = line.trim_start();
        let nextest = line.starts_with("Summary [");
        if !nextest && !line.starts_with("test result:") {
            return Self::default();
        }
        Self {
            passed: number_before(line, "passed"),
            failed: number_before(line, "failed") + number_before(line, "timed out"),
        }
    }
}

/// Run a test command, show what it prints, and count.
pub(crate) fn count(command: &mut Command) -> Result<(Tally, Result<(), Failure>), Failure> {
    count_as("", command)
}

/// As [`count`], with a word before each line, since others print meanwhile.
pub(crate) fn count_as(prefix: &str, command: &mut Command) -> Result<(Tally, Result<(), Failure>), Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failure = |error: std::io::Error| Failure::new(format!("{name}: {error}"));
    let (reader, writer) = std::io::pipe().map_err(failure)?;
    command.stdout(writer.try_clone().map_err(failure)?).stderr(writer);
    let mut child = command.spawn().map_err(failure)?;
    // The command holds the pipe's write ends until it is told otherwise; the end of output would never come.
    command.stdout(std::process::Stdio::inherit()).stderr(std::process::Stdio::inherit());
    let mut tally = Tally::default();
    let mut output = BufReader::new(reader);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line).map_err(failure)? > 0 {
        // A reader of our output that went away is no reason to stop testing.
        let _ = std::io::stdout().write_all(&[prefix.as_bytes(), &line].concat());
        tally.add(Tally::of_line(&String::from_utf8_lossy(&line)));
        line.clear();
    }
    let status = child.wait().map_err(failure)?;
    if status.success() {
        return Ok((tally, Ok(())));
    }
    tally.failed = tally.failed.max(1);
    Ok((tally, Err(Failure::of(status, String::new()))))
}

/// A command that counts as one test.
pub(crate) fn step(command: &mut Command) -> Result<(Tally, Result<(), Failure>), Failure> {
    let (tally, outcome) = count(command)?;
    Ok((if outcome.is_ok() { Tally::ONE } else { tally }, outcome))
}

fn number_before(line: &str, word: &str) -> u64 {
    let Some(end) = line.find(&format!(" {word}")) else { return 0 };
    line[..end]
        .rsplit(|c: char| !c.is_ascii_digit())
        .next()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find('\u{1b}') {
        plain.push_str(&rest[..start]);
        let after = &rest[start..];
        rest = after.find('m').map_or("", |end| &after[end + 1..]);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_summary_of_nextest() {
        let line =
            "     Summary [   1.234s] 12 tests run: 9 passed (1 slow), 2 failed, 1 timed out, 3 skipped";
        assert_eq!(Tally::of_line(line), Tally { passed: 9, failed: 3 });
        let coloured = "\u{1b}[32;1m     Summary\u{1b}[0m [   0.003s] \u{1b}[1m2\u{1b}[0m tests run: \u{1b}[1m2\u{1b}[0m passed";
        assert_eq!(Tally::of_line(coloured), Tally { passed: 2, failed: 0 });
    }

    #[test]
    fn reads_result_of_the_standard_harness() {
        let line = "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(Tally::of_line(line), Tally { passed: 3, failed: 1 });
        assert_eq!(Tally::of_line("test some::name ... ok"), Tally::default());
    }

    #[test]
    fn counts_a_failing_command() {
        let script = "echo 'test result: ok. 3 passed; 0 failed; 0 ignored'; exit 7";
        let (tally, outcome) = count(Command::new("sh").args(["-c", script])).expect("sh runs");
        assert_eq!(tally, Tally { passed: 3, failed: 1 });
        assert_eq!(outcome.expect_err("it failed").status, 7);
    }
}
