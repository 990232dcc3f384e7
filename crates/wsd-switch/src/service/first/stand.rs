//! From the negotiation to a connection that stands (session protocol, section 7): both directions begin in their rings.

use wsd_os::atomic::Ordering;

use super::super::companion::Stage;
use super::super::rings::offer_own_ring;
use super::super::steps::{Step, fail};
use super::super::thread::Service;
use crate::family::first::{give_place, push};
use crate::family::{Attach, First, Life};
use crate::reason::Reason;
use crate::service::kick;
use crate::stream::close;
use crate::stream::gate::State;
use crate::stream::state::Stream;
use crate::wait::{notice, pair};

impl Service {
    /// Ready for rings when both ends can wake each other (section 7, 2): there is nothing to prove.
    pub(in super::super) fn ready_first(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let (Some(peer), Some(session)) = (companion.peer.as_ref(), companion.session.as_mut()) else {
            return Ok(());
        };
        if session.agreement().is_some_and(|agreement| agreement.mapping) {
            let token = peer.process_token;
            let (Some(pair), Some(_)) = (self.links.pair(&token), self.links.credentials(&token)) else {
                return Ok(());
            };
            let bit = pair::take_bit(pair, stream.index).ok_or(fail(Reason::NoMemory))?;
            companion.pair = Some((pair, bit));
        }
        session.proven().map_err(|_| fail(Reason::NegotiationFailed))?;
        companion.stage = Stage::Rings;
        Ok(())
    }

    /// Makes the rings of both directions, as far as it goes now; then the connection stands.
    pub(in super::super) fn stand(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let Some(session) = companion.session.as_mut() else { return Ok(()) };
        if companion.stage != Stage::Rings || !session.both_proven() {
            return Ok(());
        }
        let channel = stream.channel().map_err(|_| fail(Reason::NoMemory))?;
        if !session.agreement().is_some_and(|agreement| agreement.mapping) {
            self.open_pump(stream)?;
            self.begin_pump(stream)?;
            return self.stands(stream);
        }
        if channel.send.load().is_none() {
            // Before the peer gets it, so that it finds the beginning at once.
            offer_own_ring(companion, channel, |ring| ring.begin(&stream.record.send.ring, 0))?;
        }
        if companion.ring_taken && companion.ring_mapped {
            return self.stands(stream);
        }
        Ok(())
    }

    /// Both directions work (SW-104).
    fn stands(&mut self, stream: &Stream) -> Step {
        let record = stream.record;
        let ring = stream.channel().ok().and_then(|channel| channel.recv.load());
        let ring = ring.ok_or(fail(Reason::NoMemory))?;
        if ring.accept_begin(&record.recv.ring, 0) != Ok(true) {
            return Err(fail(Reason::NegotiationFailed));
        }
        if !record.change_attach(Attach::Wanted, Attach::Attached) {
            // Closed meanwhile: whoever closed leaves the rest to us.
            kick::kick(stream.index);
            return Ok(());
        }
        self.alarms.remove(&stream.index);
        let listener = self.companions.get_mut(&stream.index).and_then(|companion| {
            companion.stage = Stage::Up;
            companion.listener
        });
        for common in [&record.send.common, &record.recv.common] {
            common.gate().force(State::San);
        }
        record.set_reason(None);
        let _ = record.life.compare_exchange(
            Life::Connecting as u32,
            Life::Connected as u32,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        record.set_first(First::Connected);
        record.send.common.announce_change();
        record.recv.common.announce_change();
        notice::changed(stream.index);
        if record.life() == Life::Closed {
            kick::kick(stream.index);
        }
        if let Some(listener) = listener {
            self.enqueue(stream, self.queue_of(listener));
        }
        Ok(())
    }

    /// Shows an accepted connection to the program.
    fn enqueue(&mut self, stream: &Stream, listener: Option<Stream>) {
        match listener {
            Some(listener) if push(self.family, listener.record, stream.index).is_ok() => {
                notice::changed(listener.index);
                // Others may have got the listener, or it was closed, at this very moment.
                kick::kick(listener.index);
            }
            listener => {
                if let Some(listener) = listener {
                    give_place(listener.record);
                }
                close::refuse(self.family, stream);
            }
        }
    }
}
