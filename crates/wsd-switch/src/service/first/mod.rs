//! SAN first in the service thread: the companion connects or listens, and only where it cannot does TCP (SW-060..105).

mod connect;
mod leaving;
mod listen;
mod shared;
mod stand;
mod values;

pub(super) use listen::SanListener;

use super::thread::Service;
use crate::family::record::{self, SHUT};
use crate::family::{Attach, First, Life};
use crate::first::connecting;
use crate::stream::state::Stream;

impl Service {
    /// Looks at a socket that the SAN connects or listens for; whether nothing else is to be done with it now.
    pub(super) fn look_first(&mut self, stream: &Stream) -> bool {
        let first = stream.record.first();
        if first == First::Listening || self.listeners.contains_key(&stream.index) {
            self.look_at_listener(stream);
            return true;
        }
        if first != First::Connecting {
            return false;
        }
        if stream.record.attach() == Attach::No {
            // The program's thread is just about to hand it over.
            return true;
        }
        if stream.record.life() == Life::Closed {
            // SW-067: the provider gives up the connect.
            self.forget(stream.index);
            connecting::announce(stream);
            record::companion_done(self.family, stream.index, Attach::Never);
            return true;
        }
        if stream.record.send.common.flagged(SHUT) {
            self.cancelled(stream);
            return true;
        }
        if !self.companions.contains_key(&stream.index) {
            self.connect_first(stream);
            return true;
        }
        false
    }
}
