//! Network events of a socket.

use wsd_spi::provider::UpCalls;
use wsd_spi::{Event, EventMask, NetworkEvents, WsaError};

/// Events of `WSPEventSelect` (SP-055..061).
#[derive(Debug, Default)]
pub struct Events {
    event: Option<Event>,
    mask: EventMask,
    record: NetworkEvents,
}

impl Events {
    /// Replaces what is selected; signals at once what has happened already (SP-057, SP-058).
    pub fn select(&mut self, event: Option<Event>, mask: EventMask, upcalls: UpCalls) {
        self.event = event;
        self.mask = mask;
        let accepts = self.record.accept.is_some() && mask.contains(EventMask::ACCEPT);
        let connects = self.record.connect.is_some() && mask.contains(EventMask::CONNECT);
        if accepts || connects {
            self.signal(upcalls);
        }
    }

    /// Resets the event, then takes the record (SP-060).
    pub fn take(&mut self, event: Option<Event>, upcalls: UpCalls) -> NetworkEvents {
        if let Some(event) = event {
            // The switch answers for its own event.
            let _ = upcalls.reset_event(event);
        }
        std::mem::take(&mut self.record)
    }

    /// A request waits.
    pub fn accept(&mut self, upcalls: UpCalls) {
        self.record.accept = Some(Ok(()));
        if self.mask.contains(EventMask::ACCEPT) {
            self.signal(upcalls);
        }
    }

    /// A connect has ended.
    pub fn connect(&mut self, result: Result<(), WsaError>, upcalls: UpCalls) {
        self.record.connect = Some(result);
        if self.mask.contains(EventMask::CONNECT) {
            self.signal(upcalls);
        }
    }

    /// A request was taken; `more` wait (SP-080).
    pub fn rearm(&mut self, more: bool, upcalls: UpCalls) {
        if self.mask.contains(EventMask::ACCEPT)
            && let Some(event) = self.event
        {
            let _ = upcalls.reset_event(event);
        }
        self.record.accept = None;
        if more {
            self.accept(upcalls);
        }
    }

    fn signal(&self, upcalls: UpCalls) {
        if let Some(event) = self.event {
            // Allowed under our lock: the switch does not call back from it.
            let _ = upcalls.set_event(event);
        }
    }
}
