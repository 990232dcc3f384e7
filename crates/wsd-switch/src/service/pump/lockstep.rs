//! Promoting both directions together (session protocol, section 10): each end's service thread fixes its offset when it is its
//! turn, or takes everything back. Program threads that write meanwhile wait, which has an end.

use wsd_os::atomic::Ordering;
use wsd_os::{clock, tcp};
use wsd_session::{Lockstep, Role, Session};

use super::super::companion::Companion;
use super::super::steps::{Failure, Step, fail, on_descriptor};
use super::super::thread::Service;
use super::Pump;
use super::pace::{Pace, Reading, Wait};
use crate::family::record::{FIX_WANTED, SHUT, WRITE_WANTED};
use crate::reason::Reason;
use crate::stream::gate::State;
use crate::stream::promote::{self, Switched};
use crate::stream::state::Stream;
use crate::wait::notice;

/// Who reads as close as this to the peer's offset (bytes) tells the service thread of each step.
const NEAR: u64 = 256 * 1024;

/// What an end does when it is its turn.
enum Turn {
    Done,
    /// Looked at again at this moment at the latest.
    Wait(u64),
    /// Not now.
    Back,
    /// Never on this companion.
    Never,
    /// The peer is not in step: it has gone on by TCP, or says nothing.
    Lost,
}

impl Service {
    /// Whether the connection goes on by TCP when its companion breaks.
    pub(in super::super) fn fails_over(&self, index: u32) -> bool {
        self.companions.get(&index).is_some_and(Companion::fails_over)
    }

    /// Does what is this end's turn.
    pub(in super::super) fn lockstep(&mut self, stream: &Stream) -> Step {
        let Some((role, lockstep)) = self.position(stream.index) else { return Ok(()) };
        let turn = match (role, lockstep) {
            (Role::Connecting, Lockstep::Open) => self.fix(stream)?,
            (Role::Listening, Lockstep::Asked { peer }) => self.answer(stream, peer)?,
            (Role::Connecting, Lockstep::Both { own, peer }) => self.settle(stream, own, peer)?,
            (Role::Connecting, Lockstep::Fixed { .. }) | (Role::Listening, Lockstep::Both { .. }) => {
                self.await_answer(stream.index)
            }
            _ => Turn::Done,
        };
        match turn {
            Turn::Done => Ok(()),
            Turn::Wait(until) => {
                self.alarms.insert(stream.index, until);
                Ok(())
            }
            Turn::Back => self.back(stream),
            Turn::Never => {
                self.decline(stream);
                Ok(())
            }
            Turn::Lost => {
                self.break_off(stream, Reason::CompanionLost);
                Ok(())
            }
        }
    }

    /// As [`Service::lockstep`], when the program has closed: nothing is begun, but what the peer may settle is waited for.
    pub(super) fn lockstep_of_closed(&mut self, stream: &Stream) -> Step {
        match self.position(stream.index) {
            Some((Role::Listening, Lockstep::Both { .. })) => self.lockstep(stream),
            _ => Ok(()),
        }
    }

    fn position(&self, index: u32) -> Option<(Role, Lockstep)> {
        let session = self.companions.get(&index)?.session.as_ref()?;
        Some((session.role(), session.lockstep()))
    }

    fn pace(&mut self, index: u32) -> Option<&mut Pace> {
        Some(&mut self.companions.get_mut(&index)?.pump.as_mut()?.pace)
    }

    /// The connecting end's first step.
    fn fix(&mut self, stream: &Stream) -> Result<Turn, Failure> {
        let may = self
            .companions
            .get(&stream.index)
            .and_then(|companion| companion.session.as_ref())
            .is_some_and(Session::may_fix);
        let Some(pace) = self.pace(stream.index).filter(|_| may) else { return Ok(Turn::Done) };
        if clock::now_ns() < pace.after {
            return Ok(Turn::Wait(pace.after));
        }
        match self.hold(stream) {
            Ok(own) => self.say_fixed(stream, own),
            // The last writer that leaves the kernel path calls again.
            Err(Switched::Later) => Ok(Turn::Done),
            Err(_) => Ok(Turn::Never),
        }
    }

    /// The listening end's: when TCP was read up to the peer's offset, so that nothing stands before a frame.
    fn answer(&mut self, stream: &Stream, peer: u64) -> Result<Turn, Failure> {
        if let Some(turn) = self.await_reader(stream, peer) {
            return Ok(turn);
        }
        let until = self.pace(stream.index).map_or(0, Pace::writers_by);
        let own = match self.hold(stream) {
            Ok(own) => own,
            Err(Switched::Later) if clock::now_ns() < until => return Ok(Turn::Wait(until)),
            Err(Switched::Later) => return Ok(Turn::Back),
            Err(_) => return Ok(Turn::Never),
        };
        if promote::hold_recv(stream, peer) != Ok(true) {
            self.let_go(stream);
            return Ok(Turn::Back);
        }
        self.watch_bytes(stream);
        self.say_fixed(stream, own)
    }

    /// The connecting end's second step.
    fn settle(&mut self, stream: &Stream, own: u64, peer: u64) -> Result<Turn, Failure> {
        if let Some(turn) = self.await_reader(stream, peer) {
            return Ok(turn);
        }
        if promote::hold_recv(stream, peer) != Ok(true) {
            return Ok(Turn::Back);
        }
        self.watch_bytes(stream);
        let session = self.companions.get_mut(&stream.index).and_then(|c| c.session.as_mut());
        session
            .ok_or(fail(Reason::NegotiationFailed))?
            .settle()
            .map_err(|_| fail(Reason::NegotiationFailed))?;
        self.enter_both(stream, own, peer)?;
        Ok(Turn::Done)
    }

    /// From now on bytes on TCP say that the peer has given the companion up.
    fn watch_bytes(&self, stream: &Stream) {
        let _ = on_descriptor(self.family, stream, |own| self.watch_mend(own.fd, own.index, false));
    }

    /// Waits until the program has read from TCP what came before `peer`; `None`: it has.
    fn await_reader(&mut self, stream: &Stream, peer: u64) -> Option<Turn> {
        let common = &stream.record.recv.common;
        let mut read = common.kernel_bytes.load(Ordering::Acquire);
        if peer.saturating_sub(read) <= NEAR {
            // Looked at again behind the flag: who reads from now on sees it.
            common.flag(FIX_WANTED);
            read = common.kernel_bytes.load(Ordering::Acquire);
        }
        if read >= peer {
            common.unflag(FIX_WANTED);
            return (read > peer).then_some(Turn::Lost);
        }
        let unread = on_descriptor(self.family, stream, |own| tcp::unread(own.borrow()));
        let own = &stream.record.send.common;
        let reading = Reading {
            read,
            goal: peer,
            starved: unread == Some(Ok(0)),
            hurried: own.gate().state() == State::Rewind && own.flagged(WRITE_WANTED | SHUT),
        };
        let wait =
            self.pace(stream.index).map_or(Wait::Over, |pace| pace.await_reader(reading, clock::now_ns()));
        let session = self.companions.get_mut(&stream.index).and_then(|c| c.session.as_mut());
        let told = |session: Option<&mut Session>| session.is_some_and(|session| session.reading().is_ok());
        Some(match wait {
            Wait::Until(look) => Turn::Wait(look),
            Wait::Tell(look) if told(session) => Turn::Wait(look),
            _ => Turn::Back,
        })
    }

    fn await_answer(&mut self, index: u32) -> Turn {
        let Some(pace) = self.pace(index) else { return Turn::Done };
        let until = pace.answer_by();
        if clock::now_ns() < until { Turn::Wait(until) } else { Turn::Lost }
    }

    fn hold(&self, stream: &Stream) -> Result<u64, Switched> {
        stream.record.send.common.flag(FIX_WANTED);
        let held = on_descriptor(self.family, stream, promote::hold_send).unwrap_or(Err(Switched::Later));
        if held.is_ok() {
            stream.record.send.common.unflag(FIX_WANTED);
            // The writer that has made way goes on, up to its next call.
            stream.record.send.common.announce_change();
        }
        held
    }

    fn say_fixed(&mut self, stream: &Stream, own: u64) -> Result<Turn, Failure> {
        let session = self.companions.get_mut(&stream.index).and_then(|c| c.session.as_mut());
        let said = session.is_some_and(|session| session.promoted(own).is_ok());
        if !said {
            return Err(fail(Reason::NegotiationFailed));
        }
        let Some(pace) = self.pace(stream.index) else { return Ok(Turn::Done) };
        pace.fixed();
        Ok(Turn::Wait(pace.answer_by()))
    }

    /// This end takes the attempt back.
    fn back(&mut self, stream: &Stream) -> Step {
        let session = self.companions.get_mut(&stream.index).and_then(|c| c.session.as_mut());
        let Some(session) = session else { return Ok(()) };
        session.step_back().map_err(|_| fail(Reason::NegotiationFailed))?;
        self.stepped_back(stream);
        Ok(())
    }

    /// The peer's program still reads: the peer's word is waited for anew. `lockstep` follows in the same round.
    pub(in super::super) fn peer_reads(&mut self, index: u32) {
        if let Some(pace) = self.pace(index) {
            pace.next();
        }
    }

    /// The attempt was taken back, here or there: everything stays on TCP until the next one.
    pub(in super::super) fn stepped_back(&mut self, stream: &Stream) {
        self.release(stream, State::Agreed);
        let role = self.position(stream.index).map(|(role, _)| role);
        let Some(pace) = self.pace(stream.index) else { return };
        let again = pace.put_off();
        if role == Some(Role::Connecting) {
            self.alarms.insert(stream.index, again);
        } else {
            self.alarms.remove(&stream.index);
        }
    }

    /// Lets go of both directions, which nothing has left yet; the receive direction goes to `to`.
    pub(in super::super) fn release(&mut self, stream: &Stream, to: State) {
        for common in [&stream.record.send.common, &stream.record.recv.common] {
            common.unflag(FIX_WANTED);
        }
        self.let_go(stream);
        // Closed meanwhile, perhaps.
        stream.record.send.common.gate().force_from(State::Rewind, State::Tcp);
        let recv = &stream.record.recv.common;
        if recv.gate().force_from(State::Rewind, to)
            || (to == State::Tcp && recv.gate().force_from(State::Agreed, to))
        {
            recv.announce_change();
            notice::changed(stream.index);
        }
    }

    /// The send direction, if it is held, goes on by TCP, and whoever waits to write learns of it.
    pub(super) fn let_go(&self, stream: &Stream) {
        let _ = on_descriptor(self.family, stream, promote::let_go);
        notice::changed(stream.index);
    }

    /// The connecting end has settled what this one has fixed.
    pub(in super::super) fn settled(&mut self, stream: &Stream) -> Step {
        match self.position(stream.index) {
            Some((_, Lockstep::Settled { own, peer })) => self.enter_both(stream, own, peer),
            _ => Ok(()),
        }
    }

    /// The peer's companion is done: a promotion that is not settled never will be.
    pub(in super::super) fn release_if_open(&mut self, stream: &Stream) {
        if !matches!(self.position(stream.index), Some((_, Lockstep::Settled { .. }))) {
            self.release(stream, State::Tcp);
        }
    }

    /// Both offsets are settled: the rings begin there.
    fn enter_both(&mut self, stream: &Stream, own: u64, peer: u64) -> Step {
        let lost = || fail(Reason::CompanionLost);
        self.alarms.remove(&stream.index);
        let companion = self.companions.get_mut(&stream.index).ok_or_else(lost)?;
        let (Some(session), Some(pump)) = (&companion.session, &mut companion.pump) else {
            return Err(lost());
        };
        let agreement = session.agreement().ok_or_else(lost)?;
        pump.inlet.promoted(peer, agreement);
        pump.settled = Some(clock::now_ns());
        promote::enter_recv(stream, pump.inlet.memory.ring(), peer).map_err(|_| lost())?;
        promote::enter_send(stream, pump.outlet.memory.ring(), own).map_err(|_| lost())?;
        pump.outlet.begin(session).map_err(|fault| super::broken(&fault))?;
        stream.record.set_reason(None);
        notice::changed(stream.index);
        Ok(())
    }

    /// The connection is to stay on TCP: nothing has left it yet.
    fn decline(&mut self, stream: &Stream) {
        self.release(stream, State::Tcp);
        self.left(stream);
    }
}

impl Pump {
    /// Whether the streams are going, or have gone, back to TCP.
    pub(in super::super) fn has_failed_over(&self) -> bool {
        self.mend.is_some()
    }

    /// How long both directions have been promoted (nanoseconds).
    pub(super) fn lasted(&self) -> u64 {
        self.settled.map_or(0, |settled| clock::now_ns().saturating_sub(settled))
    }
}
