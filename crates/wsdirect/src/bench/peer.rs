//! The two processes of a measurement: the hidden commands `bench-server` and `bench-client`.
//!
//! Each answers on standard output, a line of JSON per answer: the server once, with its port; the client when it is
//! connected, and then to each order that it reads from standard input.

use std::io::{self, BufRead, Write};
use std::net::TcpListener;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(target_os = "linux")]
use super::requests;
use super::workload::{Kind, Workload};
use super::{connect, cpu, pingpong, stream};
use crate::cli::PeerArgs;

/// What the client is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    /// Send enough to have the connections promoted, and find the pace.
    Warm,
    Measure {
        millis: u64,
    },
    /// Check all bytes of some traffic.
    Verify,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Answer {
    Listening(u16),
    Connected,
    /// The values of the workload's figures; none for other orders.
    Done(Vec<f64>),
    Failed(String),
}

/// The measuring end of a workload, connected.
pub(crate) trait Driver {
    fn warm(&mut self) -> io::Result<()>;
    /// One value for each figure of the workload.
    fn measure(&mut self, time: Duration) -> io::Result<Vec<f64>>;
    fn verify(&mut self) -> io::Result<()>;
}

/// Until the client hangs up.
pub(crate) fn serve(args: &PeerArgs) -> Result<(), Error> {
    let workload = prepare(args)?;
    let listener = TcpListener::bind(args.address)?;
    answer(&Answer::Listening(listener.local_addr()?.port()))?;
    Ok(match workload.kind {
        Kind::PingPong { size } => pingpong::serve(&listener, size),
        Kind::Stream { size, .. } => stream::serve(&listener, size),
        Kind::Connect => connect::serve(&listener),
        #[cfg(target_os = "linux")]
        Kind::Requests { connections, size } => requests::serve(listener, connections, size),
    }?)
}

/// Until there are no more orders.
pub(crate) fn drive(args: &PeerArgs) -> Result<(), Error> {
    let workload = prepare(args)?;
    let address = args.address;
    let mut driver: Box<dyn Driver> = match workload.kind {
        Kind::PingPong { size } => Box::new(pingpong::PingPong::connect(address, size)?),
        Kind::Stream { size, unit } => Box::new(stream::Stream::connect(address, size, unit)?),
        Kind::Connect => Box::new(connect::Connect::new(address)),
        #[cfg(target_os = "linux")]
        Kind::Requests { connections, size } => {
            Box::new(requests::Requests::connect(address, connections, size)?)
        }
    };
    answer(&Answer::Connected)?;
    for line in io::stdin().lock().lines() {
        let outcome = match serde_json::from_str(&line?)? {
            Order::Warm => driver.warm().map(|()| Vec::new()),
            Order::Measure { millis } => driver.measure(Duration::from_millis(millis)),
            Order::Verify => driver.verify().map(|()| Vec::new()),
        };
        answer(&outcome.map_or_else(|error| Answer::Failed(error.to_string()), Answer::Done))?;
    }
    Ok(())
}

fn prepare(args: &PeerArgs) -> Result<&'static Workload, Error> {
    if let Some(id) = args.cpu {
        cpu::pin(id)?;
    }
    Workload::find(&args.workload).ok_or_else(|| Error::Workload(args.workload.clone()))
}

fn answer(answer: &Answer) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(answer)?)?;
    Ok(out.flush()?)
}

/// Why a process of a measurement ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no workload is named '{0}'")]
    Workload(String),
    #[error("measuring: {0}")]
    Io(#[from] io::Error),
    #[error("orders and answers: {0}")]
    Protocol(#[from] serde_json::Error),
}
