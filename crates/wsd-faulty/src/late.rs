//! Completions that come later than they happen, in order.

use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use wsd_spi::WsaError;
use wsd_spi::provider::Overlapped;

use crate::inner::lock;

/// How much later.
const DELAY: Duration = Duration::from_millis(2);

struct Completion {
    at: Instant,
    overlapped: Overlapped,
    status: Result<(), WsaError>,
    bytes: u32,
}

/// Completes requests, at once or later.
#[derive(Default)]
pub(crate) struct Completer {
    later: Mutex<Option<(Sender<Completion>, JoinHandle<()>)>>,
}

impl Completer {
    /// At once, or `late`.
    ///
    /// # Errors
    /// `WSAENOBUFS`: no thread.
    pub(crate) fn new(late: bool) -> Result<Self, WsaError> {
        if !late {
            return Ok(Self::default());
        }
        let (sender, receiver) = mpsc::channel::<Completion>();
        let run = move || {
            for completion in receiver {
                thread::sleep(completion.at.saturating_duration_since(Instant::now()));
                completion.overlapped.complete(completion.status, completion.bytes, 0);
            }
        };
        let thread = thread::Builder::new().name("wsd-faulty".to_owned()).spawn(run);
        let thread = thread.map_err(|_| WsaError::WSAENOBUFS)?;
        Ok(Self { later: Mutex::new(Some((sender, thread))) })
    }

    /// Completes a request. No lock is held during an up-call.
    pub(crate) fn complete(&self, overlapped: Overlapped, status: Result<(), WsaError>, bytes: u32) {
        let sender = lock(&self.later).as_ref().map(|(sender, _)| sender.clone());
        match sender {
            Some(sender) => {
                // Without the thread nobody waits for anything any more.
                let _ = sender.send(Completion { at: Instant::now() + DELAY, overlapped, status, bytes });
            }
            None => overlapped.complete(status, bytes, 0),
        }
    }

    /// Completes what waits, and ends the thread (SP-212).
    pub(crate) fn end(&self) {
        let later = lock(&self.later).take();
        if let Some((sender, thread)) = later {
            drop(sender);
            // It ends without a result, or panicked and has said so.
            let _ = thread.join();
        }
    }
}
