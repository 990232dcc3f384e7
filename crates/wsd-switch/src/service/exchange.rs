//! Messages of the session: taking what has arrived, acting on it, handing over what is to be said.

use wsd_os::atomic::Ordering;
use wsd_session::Event;

use super::thread::Service;
use crate::family::First;
use crate::family::record::SWITCH_WANTED;
use crate::reason::Reason;
use crate::stream::close::give_up;

use crate::stream::state::Stream;
use crate::trace;
use crate::wait::pair;

use super::steps::{Step, catch_up, fail};

impl Service {
    /// Takes the messages that have arrived.
    pub(super) fn receive(&mut self, stream: &Stream) -> Step {
        let mut room = self.scratch.take();
        let step = self.receive_into(stream, &mut room);
        self.scratch.give(room);
        step
    }

    fn receive_into(&mut self, stream: &Stream, buffer: &mut [u8]) -> Step {
        for _ in 0..64 {
            let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
            let (Some(session), port) = (companion.session.as_mut(), &mut companion.port) else {
                return Ok(());
            };
            catch_up(session, stream);
            let Some(length) = port.receive(buffer) else { return Ok(()) };
            let event = match session.receive(&buffer[..length]) {
                Ok(event) => event,
                Err(error) => {
                    trace::note(format_args!("connection {}: {error}", stream.index));
                    return Err(fail(Reason::NegotiationFailed));
                }
            };
            session.reposted(port.repost());
            if let Some(event) = event {
                self.on_event(stream, event)?;
            }
        }
        // More may wait: come back after the others.
        super::kick::kick(stream.index);
        Ok(())
    }

    pub(super) fn on_event(&mut self, stream: &Stream, event: Event<'_>) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let (record, index) = (stream.record, stream.index);
        match event {
            Event::Negotiated => self.negotiated(stream)?,
            // What the peer says next may belong to a direction that begins with this.
            Event::PeerProven => {
                self.keep_proof(stream)?;
                return self.stand_if_first(stream);
            }
            Event::StreamMarks => return self.marks_arrived(stream),
            Event::StreamProof { right } => return self.stream_compared(stream, right),
            Event::RingOffered { length, notify_slot, descriptor } => {
                let ring = companion.port.map(descriptor, length).ok_or(fail(Reason::NoMemory))?;
                let channel = stream.channel().map_err(|_| fail(Reason::NoMemory))?;
                channel.peer_bit.store(notify_slot % pair::CONNECTIONS as u32, Ordering::Relaxed);
                channel.recv.store(ring);
                companion.ring_mapped = true;
                let session = companion.session.as_mut().ok_or(fail(Reason::NegotiationFailed))?;
                session.ring_ready().map_err(|_| fail(Reason::NegotiationFailed))?;
                return self.stand_if_first(stream);
            }
            Event::RingReady => {
                companion.ring_taken = true;
                return self.stand_if_first(stream);
            }
            Event::Proposed => {
                // `switch` follows in the same round.
                record.recv.common.flag(SWITCH_WANTED);
            }
            // `switch` follows in the same round.
            Event::Consented if companion.fails_over() => {}
            Event::Consented => {
                record.send.common.flag(SWITCH_WANTED);
            }
            Event::Refused { .. } => {}
            // `lockstep` follows in the same round.
            Event::Promoted { .. } if companion.fails_over() => {}
            // The peer's first bytes may follow at once.
            Event::Settled => return self.settled(stream),
            Event::Reading => self.peer_reads(index),
            Event::SteppedBack => self.stepped_back(stream),
            Event::DemoteRequested { direction } => self.demotion_wanted(stream, direction)?,
            // `rewind` follows in the same round.
            Event::Frozen { .. } if companion.pump.is_none() => {}
            Event::Declined | Event::Demoted { .. } => self.receive_is_on_tcp(stream)?,
            Event::Bye => {
                companion.peer_said_bye = true;
                self.pump_bye(stream);
                if self.fails_over(index) {
                    self.release_if_open(stream);
                }
                trace::note(format_args!("connection {index}: the peer's companion is done"));
                if self.sharers.contains_key(&index) {
                    // Whoever waits for control gets it in another way from now on.
                    super::kick::kick_own(index);
                }
            }
            Event::Reset => {
                give_up(stream, Reason::CompanionLost);
            }
            // `suspend` follows in the same round.
            Event::Suspending | Event::Suspended | Event::Resumed => {}
            event => self.pump_event(stream, event)?,
        }
        Ok(())
    }

    /// A peer that connects, writes and is gone at once must not be lost for having been so quick.
    fn stand_if_first(&mut self, stream: &Stream) -> Step {
        if stream.record.first() == First::No { Ok(()) } else { self.stand(stream) }
    }

    /// Hands what the session has to say to the provider.
    pub(super) fn transmit(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let Some(session) = companion.session.as_mut() else { return Ok(()) };
        let port = &mut companion.port;
        let [buffer, _] = self.scratch.leaving();
        while port.can_send() {
            let Some(length) = session.next_message(buffer) else { break };
            if port.send(&buffer[..length]).is_err() && port.has_failed() {
                return self.companion_lost(stream);
            }
        }
        Ok(())
    }
}
