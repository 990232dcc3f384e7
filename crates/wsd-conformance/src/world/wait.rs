//! Waits. All are bounded, and while they last, whatever is pending in this process is polled: a provider may make
//! progress only then (SP-095).

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::side::Side;
use crate::check::{Step, fail};
use crate::raw::Request;

/// Longest wait for something that has to come: it comes within milliseconds, unless the machine is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long nothing is to happen before it is believed that nothing will.
const QUIET: Duration = Duration::from_millis(60);

/// Polled requests of this process that have not ended.
static PENDING: Mutex<Vec<(Side, usize, Request)>> = Mutex::new(Vec::new());

/// Has a polled request of socket `s` polled during waits.
pub(super) fn pending(side: Side, s: usize, request: Request) {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner).push((side, s, request));
}

/// Polls what is pending, once.
pub(super) fn pump() {
    let all = PENDING.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let left: Vec<usize> = all
        .iter()
        .filter(|(side, s, request)| matches!(side.table.result(*s, *request, false), Ok(None)))
        .map(|(_, _, request)| request.address())
        .collect();
    let mut pending = PENDING.lock().unwrap_or_else(PoisonError::into_inner);
    pending.retain(|(_, _, request)| {
        let polled = all.iter().any(|(_, _, other)| other.address() == request.address());
        !polled || left.contains(&request.address())
    });
}

/// Waits until `probe` gives something.
///
/// # Errors
/// A failure that says `what` did not come.
pub(crate) fn wait<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> Step<T> {
    let begin = Instant::now();
    let mut pause = Duration::from_micros(20);
    loop {
        if let Some(found) = probe() {
            return Ok(found);
        }
        if begin.elapsed() > PATIENCE {
            return fail(format!("{what} did not come within {} s", PATIENCE.as_secs()));
        }
        pump();
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(2));
    }
}

/// Gives a provider the time to do something that it should not do.
pub(crate) fn quiet() {
    let begin = Instant::now();
    while begin.elapsed() < QUIET {
        pump();
        thread::sleep(Duration::from_millis(2));
    }
}
