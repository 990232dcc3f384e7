//! Going back to TCP (session protocol, section 5): the reader of a direction freezes it, the writer pushes what was not read
//! into TCP, and both go on there.

use wsd_os::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::tcp;
use wsd_session::{Direction, ReceiveState, SendState, Standing};

use super::companion::Stage;
use super::pump::Pump;
use super::steps::{Step, catch_up, fail, on_descriptor};
use super::thread::Service;
use crate::family::record::{self, SHUT, SWITCH_WANTED, URGENT};
use crate::family::{Attach, Life};
use crate::reason::Reason;
use crate::stream::close::{give_up, wake_all};
use crate::stream::gate::State;
use crate::stream::promote;
use crate::stream::state::Stream;
use crate::wait::notice;
use crate::wait::wake::wake;

/// Bytes pushed into TCP at a time.
const PIECE: usize = 64 * 1024;

impl Service {
    /// The program needs the connection on TCP: both directions go back, then the companion is closed.
    pub(super) fn leave(&mut self, stream: &Stream) {
        if stream.record.life() == Life::Closed {
            return self.close(stream);
        }
        let up = self.companions.get(&stream.index).is_some_and(|companion| companion.stage == Stage::Up);
        if self.fails_over(stream.index) && self.leave_by_fail_over(stream) {
            return;
        }
        if !up {
            let commons = [&stream.record.send.common, &stream.record.recv.common];
            if commons.iter().any(|common| common.gate().state() != State::Tcp) {
                give_up(stream, current_reason(stream));
            }
            return self.left(stream);
        }
        if let Err(failure) = self.try_leave(stream) {
            self.failed(stream, &failure);
        }
    }

    /// Of a connection that can fail over: that is also how it leaves (session protocol, section 10). Whether it does so.
    fn leave_by_fail_over(&mut self, stream: &Stream) -> bool {
        let Some(companion) = self.companions.get(&stream.index) else { return false };
        let Some(session) = companion.session.as_ref().filter(|_| companion.stage == Stage::Up) else {
            return false;
        };
        match session.standing() {
            Standing::Plain => {
                self.release(stream, State::Tcp);
                self.left(stream);
            }
            Standing::Promoted { .. } => self.break_off(stream, current_reason(stream)),
            Standing::Unsure { .. } => {
                // The peer settles, or takes it back, within moments.
                // Its words may need credit that this end has to return.
                let heard = self.receive(stream).and_then(|()| self.lockstep(stream));
                let heard = heard.and_then(|()| self.transmit(stream));
                if heard.is_err() {
                    self.break_off(stream, current_reason(stream));
                } else if let Some(session) =
                    self.companions.get(&stream.index).and_then(|c| c.session.as_ref())
                    && !matches!(session.standing(), Standing::Unsure { .. })
                {
                    super::kick::kick(stream.index);
                }
            }
        }
        true
    }

    fn try_leave(&mut self, stream: &Stream) -> Step {
        self.receive(stream)?;
        self.freeze(stream)?;
        self.ask_to_freeze(stream)?;
        self.pump(stream)?;
        self.rewind(stream)?;
        self.transmit(stream)?;
        let commons = [&stream.record.send.common, &stream.record.recv.common];
        let lost = self.companions.get(&stream.index).is_some_and(|companion| companion.port.has_failed());
        if lost && commons.iter().any(|common| matches!(common.gate().state(), State::San | State::Agreed)) {
            give_up(stream, Reason::CompanionLost);
            self.left(stream);
            return Ok(());
        }
        let session = self.companions.get(&stream.index).and_then(|companion| companion.session.as_ref());
        // The sender needs the companion until it has put everything into TCP.
        let frozen = session.is_some_and(|s| matches!(s.receive_state(), ReceiveState::Frozen { .. }));
        if (lost || !frozen) && commons.iter().all(|common| common.gate().state() == State::Tcp) {
            self.left(stream);
        }
        Ok(())
    }

    /// Both directions are on TCP.
    pub(super) fn left(&mut self, stream: &Stream) {
        let had_companion = self.companions.contains_key(&stream.index);
        if let Some(session) = self.companions.get_mut(&stream.index).and_then(|c| c.session.as_mut()) {
            let _ = session.bye();
        }
        let _ = self.transmit(stream);
        if had_companion && !self.companions.contains_key(&stream.index) {
            // It broke with the last word, and the fail-over has done the rest.
            return;
        }
        on_descriptor(self.family, stream, |own| self.unwatch(own.fd));
        promote::disagree(stream);
        // Nobody finds the companion any more before its rings are let go.
        let closed = stream.record.set_attach(Attach::Never);
        self.forget(stream.index);
        notice::changed(stream.index);
        stream.record.recv.common.announce_change();
        stream.record.send.common.announce_change();
        if closed {
            record::free(self.family, stream.index);
        }
    }

    /// As the reader: stops reading the ring, for good. What was not read comes again by TCP.
    pub(super) fn freeze(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let Some(session) = companion.session.as_mut() else { return Ok(()) };
        if !companion.pump.as_mut().is_none_or(Pump::may_freeze) {
            return Ok(());
        }
        let side = &stream.record.recv;
        let channel = stream.channel().map_err(|_| fail(Reason::NoMemory))?;
        let Some(ring) = channel.recv.load() else { return Ok(()) };
        side.common.unflag(SWITCH_WANTED);
        let frozen = {
            let _guard = side.common.hold().map_err(|_| fail(Reason::CompanionLost))?;
            if side.common.gate().state() == State::Agreed
                && let Some(start) = ring.started_at()
            {
                crate::stream::recv::enter_ring(stream, ring, start)
                    .map_err(|_| fail(Reason::CompanionLost))?;
            }
            (side.common.gate().state() == State::San).then(|| {
                let at = ring.freeze(&side.ring);
                side.common.demoted_at.store(at, Ordering::Release);
                side.common.gate().force(State::Tcp);
                at
            })
        };
        catch_up(session, stream);
        if let Some(at) = frozen {
            session.start_seen(side.common.promoted_at.load(Ordering::Acquire)).ok();
            if let Some(pump) = &mut companion.pump {
                pump.frozen(at)?;
            }
            session.frozen(at).map_err(|_| fail(Reason::NegotiationFailed))?;
            side.common.announce_change();
            wake(ring.take_space_wait(), ring.space_wait_word(), channel, stream.index);
            wake_all(stream, channel);
        } else if session.receive_state() == ReceiveState::Agreed {
            // The sender has our consent and has not used it: it says so, or that it has promoted meanwhile.
            let _ = session.demote_request(Direction::Receive);
        } else {
            // A thread of the program's may have agreed, and the sender was not told yet.
            promote::disagree(stream);
        }
        Ok(())
    }

    /// As the writer: asks the reader to freeze, or does not use its consent.
    pub(super) fn ask_to_freeze(&mut self, stream: &Stream) -> Step {
        let Some(session) = self.companions.get_mut(&stream.index).and_then(|c| c.session.as_mut()) else {
            return Ok(());
        };
        let common = &stream.record.send.common;
        common.unflag(SWITCH_WANTED);
        catch_up(session, stream);
        match session.send_state() {
            SendState::Promoted { .. } => {
                let _ = session.demote_request(Direction::Send);
            }
            SendState::Consented => {
                let written = common.kernel_bytes.load(Ordering::Acquire);
                session.demoted(written).map_err(|_| fail(Reason::NegotiationFailed))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// As the writer, when the reader has frozen at H: pushes the bytes from H on into TCP, as far as it takes them now. After
    /// `pump`, which learns that the last RDMA write has ended: nothing else would call for it.
    pub(super) fn rewind(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let Some(session) = companion.session.as_mut() else { return Ok(()) };
        let SendState::Rewinding { at: frozen } = session.send_state() else { return Ok(()) };
        if !companion.pump.as_ref().is_none_or(Pump::may_rewind) {
            return Ok(());
        }
        let side = &stream.record.send;
        let channel = stream.channel().map_err(|_| fail(Reason::NoMemory))?;
        {
            let _guard = side.common.hold().map_err(|_| fail(Reason::CompanionLost))?;
            if side.common.gate().force_from(State::San, State::Rewind) {
                side.common.demoted_at.store(frozen, Ordering::Release);
                side.common.announce_change();
            }
        }
        wake_all(stream, channel);
        if side.common.gate().state() != State::Rewind {
            return Ok(());
        }
        match self.push_rest(stream) {
            Ok(true) => {}
            Ok(false) => {
                on_descriptor(self.family, stream, |own| self.watch_writable(own.fd, stream.index));
                return Ok(());
            }
            Err(_) => return Err(fail(Reason::CompanionLost)),
        }
        let Some(session) = self.companions.get_mut(&stream.index).and_then(|c| c.session.as_mut()) else {
            return Ok(());
        };
        session.demoted(frozen).map_err(|_| fail(Reason::NegotiationFailed))
    }

    /// Puts what the writer's ring still has from `demoted_at` on into TCP, as far as it takes it now, then its end; whether that
    /// was all, so that the direction is on TCP. Writers wait in the state `Rewind`, so the cursors stand still.
    ///
    /// # Errors
    /// What TCP answers; `EPROTO` if the bytes are not there any more.
    pub(super) fn push_rest(&self, stream: &Stream) -> Result<bool, Errno> {
        let side = &stream.record.send;
        let ring = stream.channel()?.send.load().ok_or(Errno::PROTO)?;
        let urgent = ring.writer_control().urgent.and_then(|after| after.checked_sub(1));
        let mut piece = vec![0u8; PIECE];
        loop {
            let from = side.common.demoted_at.load(Ordering::Acquire);
            // The urgent byte goes alone, so that the kernel marks the right one.
            let (most, flags) = match urgent.and_then(|byte| byte.checked_sub(from)) {
                Some(0) => (1, tcp::Flags::NO_SIGNAL.with(tcp::Flags::OUT_OF_BAND)),
                Some(before) => (usize::try_from(before).unwrap_or(PIECE).min(PIECE), tcp::Flags::NO_SIGNAL),
                None => (PIECE, tcp::Flags::NO_SIGNAL),
            };
            let n = ring.reread(&side.ring, from, &mut piece[..most]).map_err(|_| Errno::PROTO)?;
            if n == 0 {
                if from != side.ring.tail() {
                    return Err(Errno::PROTO);
                }
                break;
            }
            let sent = on_descriptor(self.family, stream, |own| {
                tcp::send(own.borrow(), &[std::io::IoSlice::new(&piece[..n])], flags)
            });
            match sent.ok_or(Errno::BADF)? {
                Ok(sent) => {
                    side.common.demoted_at.fetch_add(sent as u64, Ordering::AcqRel);
                    side.common.kernel_bytes.fetch_add(sent as u64, Ordering::Relaxed);
                    if flags.has(tcp::Flags::OUT_OF_BAND) {
                        side.common.flag(URGENT);
                    }
                }
                Err(Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        // Whoever shuts down from now on asks the kernel himself.
        let guard = side.common.hold();
        if side.common.flagged(SHUT) {
            let _ =
                on_descriptor(self.family, stream, |own| tcp::shutdown(own.borrow(), tcp::Shutdown::Write));
        }
        side.common.gate().force(State::Tcp);
        drop(guard);
        side.common.announce_change();
        notice::changed(stream.index);
        Ok(true)
    }

    /// The peer asks for a demotion.
    pub(super) fn demotion_wanted(&mut self, stream: &Stream, direction: Direction) -> Step {
        match direction {
            Direction::Receive => self.freeze(stream),
            Direction::Send => self.ask_to_freeze(stream),
        }
    }

    /// The sender will not use our consent, or everything from H on is in TCP.
    pub(super) fn receive_is_on_tcp(&mut self, stream: &Stream) -> Step {
        if let Some(pump) =
            self.companions.get_mut(&stream.index).and_then(|companion| companion.pump.as_mut())
        {
            pump.demoted();
        }
        promote::disagree(stream);
        Ok(())
    }
}

fn current_reason(stream: &Stream) -> Reason {
    stream.record.reason().unwrap_or(Reason::KernelCall)
}
