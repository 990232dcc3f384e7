//! What the switch is told, at once, or later than it happens; always in order.

use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use wsd_spi::provider::{Overlapped, UpCalls};
use wsd_spi::{SwitchSocket, WsaError};

use crate::inner::lock;

/// How much later.
const DELAY: Duration = Duration::from_millis(2);

/// One thing to tell.
pub(crate) enum Report {
    /// A request is complete.
    Complete { overlapped: Overlapped, status: Result<(), WsaError>, bytes: u32 },
    /// No more up-calls come for this socket.
    Close(SwitchSocket),
}

impl Report {
    fn tell(self, upcalls: &UpCalls) {
        match self {
            Self::Complete { overlapped, status, bytes } => overlapped.complete(status, bytes, 0),
            Self::Close(handle) => {
                // A switch that does not know the handle expects nothing more of it.
                let _ = upcalls.close_socket_handle(handle);
            }
        }
    }
}

/// Tells the switch, at once or later.
pub(crate) struct Reporter {
    upcalls: UpCalls,
    later: Mutex<Option<(Sender<Due>, JoinHandle<()>)>>,
}

/// What is told later.
struct Due {
    at: Instant,
    report: Report,
}

impl Reporter {
    /// At once, or `late`.
    ///
    /// # Errors
    /// `WSAENOBUFS`: no thread.
    pub(crate) fn new(upcalls: UpCalls, late: bool) -> Result<Self, WsaError> {
        if !late {
            return Ok(Self { upcalls, later: Mutex::default() });
        }
        let (sender, receiver) = mpsc::channel::<Due>();
        let run = move || {
            for Due { at, report } in receiver {
                thread::sleep(at.saturating_duration_since(Instant::now()));
                report.tell(&upcalls);
            }
        };
        let thread = thread::Builder::new().name("wsd-faulty".to_owned()).spawn(run);
        let thread = thread.map_err(|_| WsaError::WSAENOBUFS)?;
        Ok(Self { upcalls, later: Mutex::new(Some((sender, thread))) })
    }

    /// Tells. No lock is held during an up-call.
    pub(crate) fn tell(&self, report: Report) {
        let sender = lock(&self.later).as_ref().map(|(sender, _)| sender.clone());
        match sender {
            Some(sender) => {
                // Without the thread nobody waits for anything any more.
                let _ = sender.send(Due { at: Instant::now() + DELAY, report });
            }
            None => report.tell(&self.upcalls),
        }
    }

    /// Tells what waits, and ends the thread (SP-212).
    pub(crate) fn end(&self) {
        let later = lock(&self.later).take();
        if let Some((sender, thread)) = later {
            drop(sender);
            // It ends without a result, or panicked and has said so.
            let _ = thread.join();
        }
    }
}
