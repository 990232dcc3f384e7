//! A run: every check in a process of its own, so that a provider that crashes or hangs fails that check only.

use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use wsd_spi::WsaError;

use crate::finding::{Finding, Outcome};
use crate::helper::{Helper, Helping, Line, Role};
use crate::raw::Code;
use crate::suite;
use crate::system::how;
use crate::world::Ends;

/// Longest run of one check. A check has several waits, each shorter than this.
const LIMIT: Duration = Duration::from_secs(90);

/// Why there are no results.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The file is not there.
    #[error("{0} cannot be read: {1}")]
    Library(String, io::Error),
    /// The file is no provider.
    #[error("{0}")]
    NoProvider(String),
    /// The suite's own processes cannot be started.
    #[error("the suite cannot start its processes: {0}")]
    Process(#[from] io::Error),
}

/// Runs all checks that `wanted` selects on the provider in `library`, one after the other, and shows each result to
/// `report` as it comes: all results.
///
/// # Errors
/// [`RunError`]. A provider that fails, crashes or hangs is a result, not an error.
pub fn run(
    library: &Path,
    helper: &Helper,
    wanted: impl Fn(&crate::Check) -> bool,
    mut report: impl FnMut(&Finding),
) -> Result<Vec<Finding>, RunError> {
    let library =
        library.canonicalize().map_err(|error| RunError::Library(library.display().to_string(), error))?;
    let ends = find_ends(&library, helper)?;
    let mut all = Vec::new();
    for (number, check) in suite::all().enumerate().filter(|(_, check)| wanted(check)) {
        let role = Role::Check { library: library.clone(), ends, number, own: Helping::from(helper) };
        let findings = match play(helper, &role)? {
            Played::Said(Line::Findings(findings)) => findings,
            Played::Said(_) => vec![failed(check, "the check's process said something else".to_owned())],
            Played::Ended(status) => {
                vec![failed(check, format!("the provider ended the process: {}", how(status)))]
            }
            Played::Hung => {
                vec![failed(check, format!("nothing came within {} s: a call hangs", LIMIT.as_secs()))]
            }
        };
        findings.iter().for_each(&mut report);
        all.extend(findings);
    }
    Ok(all)
}

fn failed(check: &crate::Check, what: String) -> Finding {
    Finding {
        requirement: check.requirements()[0].to_owned(),
        outcome: Outcome::Fail(what),
        description: check.description().to_owned(),
    }
}

/// Where the two ends can be. A provider that refuses its own address with a fallback code says so openly (SP-068); one
/// that fails otherwise is left to the checks.
fn find_ends(library: &Path, helper: &Helper) -> Result<Ends, RunError> {
    let mut refused = Vec::new();
    for ends in [Ends::OneProcess, Ends::TwoProcesses] {
        let role = Role::Probe { library: library.to_owned(), ends, own: Helping::from(helper) };
        match play(helper, &role)? {
            Played::Said(Line::Probed(Ok(()))) => return Ok(ends),
            Played::Said(Line::Probed(Err(code))) => refused.push(code),
            Played::Said(Line::Unusable(why)) => return Err(RunError::NoProvider(why)),
            _ => return Ok(Ends::OneProcess),
        }
    }
    let openly = |code: &Option<Code>| code.is_some_and(|code| code.is(WsaError::WSAEADDRNOTAVAIL));
    Ok(if refused.iter().all(openly) { Ends::NoConnections } else { Ends::OneProcess })
}

enum Played {
    Said(Line),
    Ended(ExitStatus),
    Hung,
}

/// A process that is killed and waited for when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only for a process that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a process and waits for what it has to say. It is gone afterwards.
fn play(helper: &Helper, role: &Role) -> io::Result<Played> {
    let mut process = Process(helper.command(role)?.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
    let Some(output) = process.0.stdout.take() else { return Err(io::ErrorKind::BrokenPipe.into()) };
    let (sender, said) = mpsc::channel();
    // Ends with the output, which ends with the process.
    let reader = thread::spawn(move || {
        let lines = BufReader::new(output).split(b'\n').map_while(Result::ok);
        let line = lines.filter_map(|line| Line::parse(&String::from_utf8_lossy(&line))).next();
        // The receiver is there until the time is up.
        let _ = sender.send(line);
    });
    let played = match said.recv_timeout(LIMIT) {
        Ok(Some(line)) => Played::Said(line),
        Ok(None) => Played::Ended(process.0.wait()?),
        Err(_) => Played::Hung,
    };
    drop(process);
    // A grandchild may still hold the output for a moment; the thread ends with it.
    drop(reader);
    Ok(played)
}
