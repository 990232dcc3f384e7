//! Measuring programs of others: a server and a client that print a figure and end.

use std::io::{self, Read};
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::Process;

/// More than one run takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Neither program tells when its server listens: a client that comes too early fails, and is started again.
const PAUSE: Duration = Duration::from_millis(200);

/// One program, the same for both ends.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// Options of both ends.
    pub(crate) options: &'static [&'static str],
    /// The option before the address, for the server and for the client; an empty one: the address alone.
    pub(crate) address: [Option<&'static str>; 2],
    /// The figure in the client's output.
    pub(crate) figure: fn(&str) -> Option<f64>,
}

impl Tool {
    /// One run between two processes of this host.
    pub(crate) fn measure(&self, address: IpAddr) -> Result<f64, Error> {
        let mut server = self.start(self.address[0], address)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            thread::sleep(PAUSE);
            let mut client = self.start(self.address[1], address)?;
            let left = deadline.saturating_duration_since(Instant::now());
            let ended = client.wait(left).map_err(|source| Error::Io(self.name, source))?;
            let Some(status) = ended else { return Err(Error::Stuck(self.name)) };
            if status.success() {
                let mut printed = String::new();
                if let Some(output) = &mut client.child().stdout {
                    output.read_to_string(&mut printed).map_err(|source| Error::Io(self.name, source))?;
                }
                return (self.figure)(&printed).ok_or(Error::Unclear(self.name, printed));
            }
            let over = server.wait(Duration::ZERO).map_err(|source| Error::Io(self.name, source))?;
            if let Some(status) = over {
                return Err(Error::Failed(self.name, status.to_string()));
            }
        }
    }

    fn start(&self, option: Option<&'static str>, address: IpAddr) -> Result<Process, Error> {
        let mut command = Command::new(self.name);
        command.args(self.options);
        match option {
            Some("") => command.arg(address.to_string()),
            Some(option) => command.arg(option).arg(address.to_string()),
            None => &mut command,
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        Process::start(&mut command).map_err(|source| Error::Io(self.name, source))
    }
}

/// Why a program gave no figure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0} cannot be run: {1}; the packages perftest and rdmacm-utils have these programs")]
    Io(&'static str, io::Error),
    #[error("{0} ended: {1}")]
    Failed(&'static str, String),
    #[error("{0} did not end")]
    Stuck(&'static str),
    #[error("no figure in what {0} printed: {1}")]
    Unclear(&'static str, String),
}

/// The column of the last line of numbers.
pub(crate) fn column(printed: &str, number: usize) -> Option<f64> {
    let figures = |line: &str| line.split_whitespace().nth(number)?.parse().ok();
    printed
        .lines()
        .rev()
        .find(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()))
        .and_then(figures)
}
