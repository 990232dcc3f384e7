//! Driving a companion: what is to be done next with a connection, and what the steps have in common.

use wsd_os::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::fd::AsRawFd;
use wsd_session::{ReceiveState, SendState, Session};

use super::companion::Stage;
use super::port::PortState;
use super::port_failure::PortFailure;
use super::pump::put_off;
use super::thread::Service;
use crate::family::record::{self, RESET};
use crate::family::{Attach, First, Life, table};
use crate::reason::Reason;
use crate::stream::close::give_up;
use crate::stream::gate::State;
use crate::stream::state::Stream;
use crate::trace;
use crate::wait::notice;

/// Attempts to find the other end's companion.
const TRIES: u32 = 6;
/// Score that triggers the first attempt.
const FIRST_TRIGGER: u32 = 8;

/// A companion's end: why, and whether another attempt makes sense.
pub(super) struct Failure {
    /// What `wsdirect list` shows.
    pub(super) reason: Reason,
    /// Another attempt makes sense later.
    pub(super) again: bool,
    /// SAN first: TCP must not be tried (SW-063), and the program is told this.
    pub(super) refused: Option<Errno>,
}

pub(super) fn fail(reason: Reason) -> Failure {
    Failure { reason, again: false, refused: None }
}

/// As [`fail`], and another attempt makes sense.
pub(super) fn fail_for_now(reason: Reason) -> Failure {
    Failure { reason, again: true, refused: None }
}

impl From<PortFailure> for Failure {
    fn from(failure: PortFailure) -> Self {
        Self { reason: failure.reason(), again: failure.may_pass(), refused: failure.forbids_tcp() }
    }
}

pub(super) type Step = Result<(), Failure>;

impl Service {
    /// Looks at a connection: something was asked for or has happened.
    pub(super) fn look(&mut self, index: u32) {
        let Some(stream) = self.current(index) else { return };
        self.poll_sends(index);
        if self.look_first(&stream) || self.look_shared(&stream) {
            return;
        }
        if !self.companions.contains_key(&index) {
            return self.consider(&stream);
        }
        if self.companions.get(&index).is_some_and(|companion| companion.stage == Stage::Mending) {
            return self.mend(&stream);
        }
        if stream.record.life() == Life::Closed {
            return self.close(&stream);
        }
        if stream.record.attach() == Attach::Leaving {
            return self.leave(&stream);
        }
        if stream.record.recv.common.flagged(RESET) && stream.record.attach() == Attach::Attached {
            self.abort(index);
            self.set_stage(index, Stage::Lost);
            return;
        }
        if let Err(failure) = self.advance(&stream) {
            self.failed(&stream, &failure);
        }
    }

    /// Learns what became of the messages that were sent, before anything is concluded.
    pub(super) fn poll_sends(&mut self, index: u32) {
        if let Some(companion) = self.companions.get_mut(&index) {
            companion.port.poll_sends();
        }
    }

    /// The connection with this index. A companion that belonged to an earlier one is taken apart.
    pub(super) fn current(&mut self, index: u32) -> Option<Stream> {
        let stream = Stream::at(index)?;
        if self.companions.get(&index).is_some_and(|companion| companion.generation != stream.generation) {
            self.forget(index);
        }
        Some(stream)
    }

    pub(super) fn set_stage(&mut self, index: u32, stage: Stage) {
        if let Some(companion) = self.companions.get_mut(&index) {
            companion.stage = stage;
        }
    }

    /// Drives a companion as far as it goes now.
    pub(super) fn advance(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        match companion.port.advance() {
            PortState::Waiting => return Ok(()),
            PortState::Failed(failure) if companion.stage == Stage::Meeting => {
                return Err(failure.into());
            }
            PortState::Failed(_) => {
                self.receive(stream)?;
                return self.companion_lost(stream);
            }
            PortState::Connected => {}
        }
        if companion.stage == Stage::Meeting {
            self.talk(stream)?;
        }
        self.receive(stream)?;
        if self.companions.get(&stream.index).is_some_and(|companion| companion.port.has_failed()) {
            return self.companion_lost(stream);
        }
        self.prove(stream)?;
        if stream.record.first() == First::No {
            self.promote(stream)?;
        } else {
            self.stand(stream)?;
        }
        self.pump(stream)?;
        self.rewind(stream)?;
        self.transmit(stream)?;
        self.suspend(stream)?;
        self.after_bye(stream);
        Ok(())
    }

    /// The peer's companion says nothing any more: either its program has closed, or it went back to TCP.
    pub(super) fn after_bye(&mut self, stream: &Stream) {
        let Some(companion) = self.companions.get_mut(&stream.index).filter(|c| c.peer_said_bye) else {
            return;
        };
        if !stream.record.is_on_tcp() {
            companion.stage = Stage::Lost;
        } else if stream.record.attach() == Attach::Attached {
            stream.record.set_reason(Some(Reason::PeerWentToTcp));
            stream.record.set_attach(Attach::Leaving);
            super::kick::kick(stream.index);
        }
    }

    /// An attach came to nothing: the stream stays on TCP.
    pub(super) fn failed(&mut self, stream: &Stream, failure: &Failure) {
        let record = stream.record;
        if record.first() == First::Connecting {
            return self.failed_first(stream, failure);
        }
        if failure.again && record.life() != Life::Closed && self.look_again_soon(stream, failure.reason) {
            return;
        }
        trace::note(format_args!("connection {} stays on TCP: {}", stream.index, failure.reason));
        if record.attach() == Attach::Attached {
            let goes_on = self.companions.get(&stream.index).is_some_and(|c| c.stage == Stage::Up);
            if goes_on && self.fails_over(stream.index) {
                return self.break_off(stream, failure.reason);
            }
            return give_up(stream, failure.reason);
        }
        self.forget(stream.index);
        if record.breaks.load(Ordering::Relaxed) != 0 {
            // The SAN has worked before, and may again.
            record.set_reason(Some(Reason::CompanionLost));
            let next = if record.life() == Life::Closed { Attach::Never } else { put_off(stream) };
            return record::companion_done(self.family, stream.index, next);
        }
        record.set_reason(Some(failure.reason));
        let trigger = record.trigger.load(Ordering::Relaxed);
        let again = failure.again && trigger < FIRST_TRIGGER << TRIES;
        if again {
            record.trigger.store(trigger * 2, Ordering::Relaxed);
        }
        let next = if again && record.life() != Life::Closed { Attach::No } else { Attach::Never };
        record::companion_done(self.family, stream.index, next);
    }
}

/// Tells the session what the program's threads have done to the gates meanwhile, and those who wait for the connection: of a
/// direction that has left TCP the kernel's set does not tell the truth any more.
pub(super) fn catch_up(session: &mut Session, stream: &Stream) {
    let begun = session.send_state() == SendState::Consented
        && settled_start(stream).is_some_and(|start| session.promoted(start).is_ok());
    let recv = &stream.record.recv.common;
    let entered = session.receive_state() == ReceiveState::Agreed
        && recv.gate().state() == State::San
        && session.start_seen(recv.promoted_at.load(Ordering::Acquire)).is_ok();
    if begun || entered {
        notice::changed(stream.index);
    }
}

/// Offset from which on the send direction is the SAN's, if it is.
fn settled_start(stream: &Stream) -> Option<u64> {
    let send = &stream.record.send.common;
    if send.gate().state() != State::San {
        return None;
    }
    // The lock is held from the change of the gate until the offset is settled.
    let _guard = send.hold().ok()?;
    (send.gate().state() == State::San).then(|| send.promoted_at.load(Ordering::Acquire))
}

/// The kernel's socket of a pumped connection that the program has closed.
fn kept_socket(stream: &Stream) -> Option<i32> {
    stream.channel().ok()?.kernel.get().map(|fd| fd.as_raw_fd())
}

/// Does something with the program's descriptor, or the one that is kept of a closed connection, while it cannot be closed and
/// reused.
pub(super) fn on_descriptor<T>(
    family: &crate::family::Family,
    stream: &Stream,
    act: impl FnOnce(&Stream) -> T,
) -> Option<T> {
    let _table = table::lock();
    let fd = table::descriptor_of(family, stream.index).or_else(|| kept_socket(stream))?;
    Some(act(&stream.with(fd)))
}
