//! The processes of a run: the current program, executed again, for every check and for the other end.

use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::check::Stop;
use crate::finding::{Finding, Outcome};
use crate::raw::{Code, recorder};
use crate::suite;
use crate::system::die_with;
use crate::world::{Ends, Pair, Party, Rig, quiet};

/// Environment variable that tells a process of the suite what it is.
const VARIABLE: &str = "WSD_CONFORMANCE_ROLE";

/// Environment variable with the process that started it, with which it ends.
const PARENT: &str = "WSD_CONFORMANCE_PARENT";

/// Marks the lines of standard output that are the suite's: a provider may print, too.
const MARK: &str = "wsd-conformance ";

/// How the suite starts its processes: a program that calls [`serve`] when it is started with these arguments.
#[derive(Clone, Debug)]
pub struct Helper {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Helper {
    /// The running program with these arguments.
    ///
    /// # Errors
    /// The path of the program is not known.
    pub fn current(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> io::Result<Self> {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Ok(Self { program: std::env::current_exe()?, arguments })
    }

    pub(crate) fn command(&self, role: &Role) -> io::Result<Command> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env(VARIABLE, serde_json::to_string(role)?);
        command.env(PARENT, std::process::id().to_string());
        Ok(command)
    }
}

/// What a process of the suite is for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Finds out where the two ends of a connection can be.
    Probe { library: PathBuf, ends: Ends, own: Helping },
    /// Runs one check.
    Check { library: PathBuf, ends: Ends, number: usize, own: Helping },
    /// The other end of a check.
    Peer { library: PathBuf },
}

/// A [`Helper`] that can be written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Helping {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl From<&Helper> for Helping {
    fn from(helper: &Helper) -> Self {
        Self { program: helper.program.clone(), arguments: helper.arguments.clone() }
    }
}

impl From<Helping> for Helper {
    fn from(helping: Helping) -> Self {
        Self { program: helping.program, arguments: helping.arguments }
    }
}

/// What a process of the suite says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Line {
    /// The other end answers.
    Told(Result<crate::world::Told, String>),
    /// A check has results.
    Findings(Vec<Finding>),
    /// The library is no provider: why.
    Unusable(String),
    /// A connection stands, or was refused with that code.
    Probed(Result<(), Option<Code>>),
}

impl Line {
    /// A line of standard output, if it is the suite's.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (_, text) = text.split_once(MARK)?;
        serde_json::from_str(text).ok()
    }

    fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "\n{MARK}{}", serde_json::to_string(self)?)?;
        out.flush()
    }
}

/// Why a process of the suite ends without having done its work.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// It was not started by the suite.
    #[error("this command is for the conformance suite only: {VARIABLE} does not say what to do")]
    NoRole,
    /// The suite does not listen any more.
    #[error("the conformance suite cannot be reached: {0}")]
    Output(#[from] io::Error),
}

/// Does the work of a process that the suite has started (see [`Helper`]), and returns when it is done.
///
/// # Errors
/// [`HelperError`].
pub fn serve() -> Result<(), HelperError> {
    let role = std::env::var(VARIABLE).ok().and_then(|role| serde_json::from_str(&role).ok());
    let role: Role = role.ok_or(HelperError::NoRole)?;
    let parent = std::env::var(PARENT).ok().and_then(|parent| parent.parse().ok());
    die_with(parent.ok_or(HelperError::NoRole)?)?;
    match role {
        Role::Probe { library, ends, own } => {
            let rig = Rig::new(&library, ends, own.into());
            match rig.library() {
                Ok(_) => Line::Probed(probe(&rig)).print()?,
                Err(stop) => Line::Unusable(said(&stop)).print()?,
            }
        }
        Role::Check { library, ends, number, own } => {
            let check = suite::all().nth(number).ok_or(HelperError::NoRole)?;
            let rig = Rig::new(&library, ends, own.into());
            let stopped = check.run(&rig).err();
            Line::Findings(findings(check, stopped)).print()?;
        }
        Role::Peer { library } => be_the_other_end(&Rig::new(&library, Ends::OneProcess, no_helper()))?,
    }
    Ok(())
}

/// The other end needs none.
fn no_helper() -> Helper {
    Helper { program: PathBuf::new(), arguments: Vec::new() }
}

/// Tries to connect.
fn probe(rig: &Rig) -> Result<(), Option<Code>> {
    let refused = || -> Result<Option<Code>, Stop> {
        let side = rig.side()?;
        let (from, to) = (rig.name()?, rig.name()?);
        let mut peer = rig.peer()?;
        peer.listen(&to, 1)?;
        let connecting = side.start_connect(&from, &to)?;
        // Whoever accepts a connection answers; so does whoever refuses. A provider that says nothing is not known to refuse.
        if let Some(code) = connecting.refused_at_once() {
            return Ok(Some(code));
        }
        Ok(None)
    };
    match refused() {
        Ok(Some(code)) => Err(Some(code)),
        _ => Pair::connected(rig).map(drop).map_err(|_| None),
    }
}

/// What a check found, together with what the recorder noticed meanwhile.
fn findings(check: &crate::Check, stopped: Option<Stop>) -> Vec<Finding> {
    let described = |requirement: &str, outcome| Finding {
        requirement: requirement.to_owned(),
        outcome,
        description: check.description().to_owned(),
    };
    quiet();
    let breaches: Vec<Finding> = recorder()
        .breaches()
        .into_iter()
        .map(|breach| described(breach.requirement, Outcome::Fail(breach.what)))
        .collect();
    let mut findings = match stopped {
        None => {
            let met = check
                .requirements()
                .iter()
                .filter(|requirement| !breaches.iter().any(|breach| breach.requirement == **requirement));
            met.map(|requirement| described(requirement, Outcome::Pass)).collect()
        }
        Some(Stop::Fail { requirement, what }) => {
            vec![described(requirement.unwrap_or(check.requirements()[0]), Outcome::Fail(what))]
        }
        Some(Stop::Skip(why)) => {
            let all = check.requirements().iter();
            all.map(|requirement| described(requirement, Outcome::Skip(why.clone()))).collect()
        }
    };
    findings.extend(breaches);
    findings
}

fn be_the_other_end(rig: &Rig) -> io::Result<()> {
    let mut party = rig.side().map(Party::new);
    for line in io::stdin().lock().lines() {
        let told = match (&mut party, serde_json::from_str(&line?)) {
            (Ok(party), Ok(ask)) => party.serve(ask).map_err(|stop| said(&stop)),
            (Err(stop), _) => Err(said(stop)),
            (_, Err(error)) => Err(format!("unknown question: {error}")),
        };
        Line::Told(told).print()?;
    }
    Ok(())
}

fn said(stop: &Stop) -> String {
    match stop {
        Stop::Fail { what, .. } | Stop::Skip(what) => what.clone(),
    }
}
