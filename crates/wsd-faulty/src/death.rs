//! Moments at which the process dies or stops.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use wsd_spi::client::{MemoryExt, MemorySlice};

/// What the process is about to do, or has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before a message of this kind (the session's) goes to the inner provider.
    Send(u8),
    /// When the inner provider has taken one.
    Sent(u8),
    /// When one has come, before the switch is told.
    Received(u8),
    /// Before `WSPDuplicateSocket`.
    Duplicate,
    /// When the inner provider has done it, before the switch has the value.
    Duplicated,
    /// Before `WSPSocket` with such a value.
    Adopt,
    /// When the inner provider has adopted the socket.
    Adopted,
    /// Before `WSPCloseSocket` of a socket that was given away.
    Close,
    /// When the inner provider has closed it.
    Closed,
}

impl Moment {
    /// Reads a word: a name, with a kind where it takes one.
    pub(crate) fn read(word: &str) -> Option<Self> {
        let (name, kind) =
            word.split_once(':').map_or((word, None), |(name, kind)| (name, kind.parse().ok()));
        match (name, kind) {
            ("send", Some(kind)) => Some(Self::Send(kind)),
            ("sent", Some(kind)) => Some(Self::Sent(kind)),
            ("received", Some(kind)) => Some(Self::Received(kind)),
            ("duplicate", None) => Some(Self::Duplicate),
            ("duplicated", None) => Some(Self::Duplicated),
            ("adopt", None) => Some(Self::Adopt),
            ("adopted", None) => Some(Self::Adopted),
            ("close", None) => Some(Self::Close),
            ("closed", None) => Some(Self::Closed),
            _ => None,
        }
    }
}

/// What happens to the process, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) moment: Moment,
    signal: Signal,
}

impl Fate {
    pub(crate) fn death(moment: Moment) -> Self {
        Self { moment, signal: Signal::KILL }
    }

    /// Until SIGCONT comes, the first time.
    pub(crate) fn stop(moment: Moment) -> Self {
        Self { moment, signal: Signal::STOP }
    }
}

/// It has happened: a process that goes on after a stop is not stopped again.
static HAPPENED: AtomicBool = AtomicBool::new(false);

/// It happens, if this is the moment.
pub(crate) fn at(fate: Option<Fate>, now: Moment) {
    if let Some(Fate { signal, .. }) = fate.filter(|fate| fate.moment == now)
        && !HAPPENED.swap(true, Ordering::Relaxed)
    {
        // To this thread, which does nothing more: a signal to the process may take another one first.
        // SAFETY: the call takes a number only; no handler runs for these signals.
        unsafe { libc::raise(signal.as_raw()) };
    }
}

/// The kind of a message, its first byte.
pub(crate) fn kind_of(buffers: &[MemorySlice]) -> u8 {
    let mut kind = [0];
    if let Some(buffer) = buffers.first() {
        buffer.read(0, &mut kind);
    }
    kind[0]
}
