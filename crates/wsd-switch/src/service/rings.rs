//! Exchanging rings, then changing the path of each direction when the other end agrees (session protocol, section 4).

use wsd_os::atomic::Ordering;
use wsd_os::clock;
use wsd_os::ring::Ring;
use wsd_session::{ReceiveState, SendState};

use super::companion::{Companion, Stage};
use super::thread::Service;
use crate::family::record::SWITCH_WANTED;
use crate::family::{Attach, Life, table};
use crate::reason::Reason;
use crate::stream::channel::Channel;
use crate::stream::gate::State;
use crate::stream::promote::{self, Switched};
use crate::stream::state::Stream;
use crate::wait::notice;
use crate::wait::wake::lane_bit;

use super::steps::{Step, catch_up, fail, on_descriptor};

/// The end of the kernel's socket is asked for only when all that came by it has been read: until then a receive finds the end
/// itself, and Wine's server takes a processor for itself while somebody waits for the end of a socket with unread bytes.
pub(crate) const WATCHES_LATE: bool = cfg!(windows);

impl Service {
    /// Exchanges rings, then changes the path of each direction when the other end agrees.
    pub(super) fn promote(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let Some(session) = companion.session.as_mut() else { return Ok(()) };
        let channel = stream.channel().map_err(|_| fail(Reason::NoMemory))?;
        if companion.stage == Stage::Rings && session.both_proven() {
            if !session.agreement().is_some_and(|agreement| agreement.mapping) {
                self.open_pump(stream)?;
                self.attached(stream)?;
                return self.switch(stream);
            }
            if channel.send.load().is_none() {
                offer_own_ring(companion, channel, |_| {})?;
            }
            if companion.ring_taken && companion.ring_mapped {
                self.attached(stream)?;
            }
        }
        self.switch(stream)
    }

    /// Both rings stand.
    pub(super) fn attached(&mut self, stream: &Stream) -> Step {
        let waits = WATCHES_LATE && self.companions.get(&stream.index).is_some_and(|own| !own.fails_over());
        {
            // A fork holds the table: either it comes after this, and the child inherits the mapped rings, or before, and
            // the connection has two holders.
            let _table = table::lock();
            if stream.record.holders.load(Ordering::Acquire) != 1 {
                return Err(fail(Reason::SharedByProcesses));
            }
            if !stream.record.change_attach(Attach::Wanted, Attach::Attached) {
                return Ok(());
            }
            if !waits && let Some(fd) = table::descriptor_of(self.family, stream.index) {
                self.watch_tcp(fd, stream.index);
            }
        }
        stream.record.set_reason(Some(Reason::AwaitingConsent));
        self.alarms.remove(&stream.index);
        self.patience.stepped(clock::now_ns());
        if let Some(companion) = self.companions.get_mut(&stream.index) {
            companion.stage = Stage::Up;
            if let Some(session) = companion.session.as_mut() {
                session.propose().map_err(|_| fail(Reason::NegotiationFailed))?;
            }
        }
        notice::changed(stream.index);
        // Closed meanwhile: whoever closed saw the attach under way and left the rest to us.
        if stream.record.life() == Life::Closed {
            super::kick::kick(stream.index);
        }
        Ok(())
    }

    pub(super) fn switch(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let (Stage::Up, Some(session)) = (companion.stage, companion.session.as_mut()) else { return Ok(()) };
        let record = stream.record;
        if matches!(session.receive_state(), ReceiveState::Asked | ReceiveState::Refused) {
            if record.recv.common.gate().state() == State::Tcp {
                record.recv.common.flag(SWITCH_WANTED);
                on_descriptor(self.family, stream, promote::agree);
            }
            if record.recv.common.gate().state() == State::Agreed {
                session.consent().map_err(|_| fail(Reason::NegotiationFailed))?;
                notice::changed(stream.index);
                if let Some(ring) = stream.channel().ok().and_then(|channel| channel.recv.load()) {
                    ring.arm_data_wait(&record.recv.ring, lane_bit(0));
                }
            }
        }
        if session.agreement().is_some_and(|agreed| agreed.fails_over()) {
            return self.lockstep(stream);
        }
        promote::enter_if_begun(stream).map_err(|_| fail(Reason::CompanionLost))?;
        if session.send_state() == SendState::Consented {
            let switched = if record.send.common.gate().state() == State::Tcp {
                record.send.common.flag(SWITCH_WANTED);
                on_descriptor(self.family, stream, promote::switch_send).unwrap_or(Switched::Later)
            } else {
                Switched::Yes
            };
            if switched == Switched::Never {
                let written = record.send.common.kernel_bytes.load(Ordering::Acquire);
                session.demoted(written).map_err(|_| fail(Reason::NegotiationFailed))?;
            }
        }
        catch_up(session, stream);
        let promoted = |common: &crate::family::layout::Common| common.gate().state() == State::San;
        if promoted(&record.send.common) && promoted(&record.recv.common) {
            record.set_reason(None);
        }
        let read_up = promoted(&record.recv.common) && record.recv.common.rest() == 0;
        if WATCHES_LATE && read_up && !companion.end_watched {
            companion.end_watched = true;
            on_descriptor(self.family, stream, |own| self.watch_tcp(own.fd, stream.index));
        }
        Ok(())
    }
}

/// Takes the provider's memory as this end's ring and offers it to the peer; `prepare` writes what the peer shall find in it.
pub(super) fn offer_own_ring(
    companion: &mut Companion,
    channel: &Channel,
    prepare: impl FnOnce(Ring),
) -> Step {
    let session = companion.session.as_mut().ok_or(fail(Reason::NegotiationFailed))?;
    let (ring, descriptor) = companion.port.own_ring().ok_or(fail(Reason::NoMemory))?;
    ring.reset();
    let (pair, bit) = companion.pair.ok_or(fail(Reason::NoMemory))?;
    channel.own_bit.store(bit, Ordering::Relaxed);
    channel.pair.store(pair + 1, Ordering::Release);
    channel.send.store(ring);
    prepare(ring);
    session.offer_ring(Ring::BYTES as u32, bit, descriptor).map_err(|_| fail(Reason::NegotiationFailed))
}
