//! Fail-over (session protocol, section 10): the companion is closed, and both streams go on by TCP where the programs stand.
//!
//! In this order: the companion is closed and everything that used its memory ends; both directions are taken out of the rings;
//! this end's frame goes to TCP; the peer's is looked for; what the peer's program has not read follows.

mod over;
mod words;

pub(in super::super) use over::{LONGEST_PAUSE, put_off};

use wsd_os::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::clock;
use wsd_session::{FailOver, Resumption, Standing};

use super::super::companion::Stage;
use super::super::steps::{Failure, Step, fail, on_descriptor};
use super::super::thread::Service;
use super::exit;
use crate::family::record::{FIX_WANTED, RESET};
use crate::family::{Attach, Life};
use crate::reason::Reason;
use crate::stream::close::wake_all;
use crate::stream::gate::State;
use crate::stream::state::Stream;
use crate::trace;

/// How long a closed companion's operations may take to end, and how often that is looked at (nanoseconds).
const CLOSE_WITHIN: u64 = 5_000_000_000;
const LOOK_EVERY: u64 = 1_000_000;
/// Of a program that has closed: how long its peer may take to say where it stands, or to take more (nanoseconds); and how long if
/// it may have nothing to say.
const ANSWER_WITHIN: u64 = 60_000_000_000;
const WORD_WITHIN: u64 = 1_000_000_000;

/// A fail-over under way.
pub(in super::super) struct Mend {
    /// Without progress it ends then: before the companion is over, and when the program has closed. Otherwise the wait is
    /// TCP's, whose end ends it.
    until: Option<u64>,
    /// What the session knew in the end, once nothing of the companion can come any more.
    part: Option<FailOver>,
    /// What of this end's frame is not in TCP yet.
    frame: Vec<u8>,
    /// The peer's frame is to be answered, if the own stream has not gone on.
    owes_frame: bool,
    /// H of this end: from where the peer's stream is taken by TCP.
    received: u64,
    /// It is known where both streams go on.
    found: bool,
    /// All of the peer's stream is in the ring, with its end: the program reads it there.
    complete: bool,
    /// When the begin of a frame was seen that has not come whole.
    begun: Option<u64>,
    /// One of both ends wants no other companion.
    for_good: bool,
}

impl Mend {
    fn new() -> Self {
        Self {
            until: Some(clock::now_ns() + CLOSE_WITHIN),
            part: None,
            frame: Vec::new(),
            owes_frame: false,
            received: 0,
            found: false,
            complete: false,
            begun: None,
            for_good: false,
        }
    }

    /// It is known where both streams go on.
    fn found(&mut self) {
        self.found = true;
        self.until = self.until.map(|_| clock::now_ns() + ANSWER_WITHIN);
    }

    fn standing(&self) -> Standing {
        self.part.as_ref().map_or(Standing::Plain, FailOver::standing)
    }
}

/// What one part of a fail-over came to.
enum Part {
    /// Done.
    Done,
    /// It goes on when TCP has news, at this moment at the latest.
    Wait(Option<u64>),
    /// TCP has ended: so has the peer.
    PeerGone,
}

impl Service {
    /// The companion is given up; both streams go on by TCP.
    pub(in super::super) fn break_off(&mut self, stream: &Stream, reason: Reason) {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return };
        let Some(pump) = companion.pump.as_mut().filter(|pump| pump.mend.is_none()) else { return };
        trace::note(format_args!("connection {}: the streams go back to TCP: {reason}", stream.index));
        if stream.record.attach() != Attach::Leaving {
            stream.record.set_reason(Some(reason));
        }
        pump.mend = Some(Mend::new());
        companion.stage = Stage::Mending;
        // First what the peer could still use, then the socket, which ends what is under way (SP-170).
        pump.withdraw();
        companion.port.hang_up();
        self.mend(stream);
    }

    /// Goes on with a fail-over as far as it goes now. What makes it impossible resets the connection.
    pub(in super::super) fn mend(&mut self, stream: &Stream) {
        if stream.record.recv.common.flagged(RESET) {
            self.end_by_reset(stream, stream.record.reason().unwrap_or(Reason::CompanionLost));
        } else if let Err(failure) = self.try_mend(stream) {
            self.end_by_reset(stream, failure.reason);
        }
    }

    fn try_mend(&mut self, stream: &Stream) -> Step {
        if self.is_aborted(stream) {
            self.end_by_reset(stream, Reason::CompanionLost);
            return Ok(());
        }
        if !self.is_over(stream)? {
            self.alarms.insert(stream.index, clock::now_ns() + LOOK_EVERY);
            return Ok(());
        }
        self.take_off(stream)?;
        self.limit(stream);
        let parts = [Self::speak, Self::look_for_peer, Self::answer_peer, Self::speak, Self::push];
        let mut next: Option<u64> = None;
        let mut whole = true;
        for part in parts {
            match part(self, stream)? {
                Part::Done => {}
                Part::Wait(at) => {
                    whole = false;
                    next = next.into_iter().chain(at).min();
                }
                Part::PeerGone => {
                    self.peer_is_gone(stream);
                    return Ok(());
                }
            }
        }
        if whole {
            self.mended(stream);
            return Ok(());
        }
        let Some(mend) = self.mending(stream.index) else { return Ok(()) };
        let (until, writes) = (mend.until, mend.found || !mend.frame.is_empty());
        if until.is_some_and(|until| until <= clock::now_ns()) {
            trace::note(format_args!("connection {}: the peer says nothing of the fail-over", stream.index));
            return Err(fail(Reason::CompanionLost));
        }
        let _ = on_descriptor(self.family, stream, |own| self.watch_mend(own.fd, own.index, writes));
        match next.into_iter().chain(until).min() {
            Some(at) => self.alarms.insert(stream.index, at),
            None => self.alarms.remove(&stream.index),
        };
        Ok(())
    }

    /// A program that has closed waits for nobody for ever.
    fn limit(&mut self, stream: &Stream) {
        if stream.record.life() != Life::Closed {
            return;
        }
        let now = clock::now_ns();
        let Some(mend) = self.mending(stream.index) else { return };
        let awaits_word = !mend.found && matches!(mend.standing(), Standing::Unsure { .. });
        let wait = if awaits_word { WORD_WITHIN } else { ANSWER_WITHIN };
        let until = *mend.until.get_or_insert(now + wait);
        if awaits_word && until <= now {
            // The peer does not know either that the promotion was settled. Nobody reads here, and all that was written is in TCP.
            mend.found();
        }
    }

    /// Whether the program has closed in a way that throws away what is under way.
    fn is_aborted(&self, stream: &Stream) -> bool {
        let pump = self.companions.get(&stream.index).and_then(|companion| companion.pump.as_ref());
        stream.record.life() == Life::Closed
            && pump.is_some_and(|pump| pump.outlet.memory.ring().writer_control().reset)
    }

    fn mending(&mut self, index: u32) -> Option<&mut Mend> {
        self.companions.get_mut(&index)?.pump.as_mut()?.mend.as_mut()
    }

    /// Whether nothing of the companion can come any more. What had arrived counts.
    fn is_over(&mut self, stream: &Stream) -> Result<bool, Failure> {
        let Some(mend) = self.mending(stream.index) else { return Ok(false) };
        if mend.part.is_some() {
            return Ok(true);
        }
        let until = mend.until;
        let over = self.companions.get(&stream.index).is_some_and(|companion| companion.port.is_over());
        // After the look: what came before it is taken.
        self.last_words(stream)?;
        if over || until.is_none_or(|until| clock::now_ns() < until) {
            return Ok(over);
        }
        trace::note(format_args!("connection {}: the provider does not end its operations", stream.index));
        Err(fail(Reason::ProviderFailed))
    }

    /// Takes both directions out of the rings, once; what this end says follows from the session's last state.
    fn take_off(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let (Some(session), Some(pump)) = (&companion.session, &mut companion.pump) else { return Ok(()) };
        let Some(mend) = pump.mend.as_mut().filter(|mend| mend.part.is_none()) else { return Ok(()) };
        let part = FailOver::of(session);
        let leaving = stream.record.attach() == Attach::Leaving;
        let closed = stream.record.life() == Life::Closed;
        mend.for_good = leaving || closed;
        mend.until = None;
        match part.standing() {
            Standing::Plain => {
                mend.found = true;
                mend.part = Some(part);
                self.release(stream, State::Tcp);
            }
            Standing::Unsure { peer, .. } => {
                // The receive direction stays held.
                mend.received = peer;
                mend.part = Some(part);
                stream.record.recv.common.unflag(FIX_WANTED);
                self.let_go(stream);
            }
            Standing::Promoted { .. } => {
                let end = leave_send_ring(stream)?;
                (mend.received, mend.complete) = leave_recv_ring(stream, pump.inlet.memory.ring(), leaving)?;
                let (received, has_end, for_good) = (mend.received, mend.complete, mend.for_good);
                trace::note(format_args!(
                    "connection {}: here {received} arrived, {end} written",
                    stream.index
                ));
                mend.frame = part.frame(Resumption { received, end, has_end, for_good }).to_vec();
                mend.part = Some(part);
                let channel = stream.channel().map_err(|_| fail(Reason::CompanionLost))?;
                wake_all(stream, channel);
            }
        }
        Ok(())
    }

    /// Puts into TCP what the peer's program has not taken.
    fn push(&mut self, stream: &Stream) -> Result<Part, Failure> {
        let Some(mend) = self.mending(stream.index) else { return Ok(Part::Done) };
        if !mend.found || mend.owes_frame || !mend.frame.is_empty() {
            return Ok(Part::Wait(None));
        }
        let promoted = matches!(mend.standing(), Standing::Promoted { .. });
        let common = &stream.record.send.common;
        if !promoted || common.gate().state() != State::Rewind {
            return Ok(Part::Done);
        }
        let before = common.demoted_at.load(Ordering::Acquire);
        let pushed = self.push_rest(stream);
        if common.demoted_at.load(Ordering::Acquire) != before {
            exit::progressed();
            if let Some(until) = self.mending(stream.index).and_then(|mend| mend.until.as_mut()) {
                *until = clock::now_ns() + ANSWER_WITHIN;
            }
        }
        match pushed {
            Ok(true) => Ok(Part::Done),
            Ok(false) => Ok(Part::Wait(None)),
            Err(Errno::CONNRESET | Errno::PIPE | Errno::TIMEDOUT) => Ok(Part::PeerGone),
            Err(_) => Err(fail(Reason::CompanionLost)),
        }
    }
}

/// Nobody writes into the ring any more; T.
fn leave_send_ring(stream: &Stream) -> Result<u64, Failure> {
    let side = &stream.record.send;
    let _guard = side.common.hold().map_err(|_| fail(Reason::CompanionLost))?;
    side.common.gate().force_from(State::San, State::Rewind);
    Ok(side.ring.tail())
}

/// Nobody reads the ring any more, unless the stream's end is in it and the connection need not leave; H, and whether that is so.
fn leave_recv_ring(stream: &Stream, ring: wsd_os::ring::Ring, leaving: bool) -> Result<(u64, bool), Failure> {
    let side = &stream.record.recv;
    let _guard = side.common.hold().map_err(|_| fail(Reason::CompanionLost))?;
    match ring.writer_control().fin {
        Some(fin) if !leaving => Ok((fin, true)),
        _ => {
            side.common.gate().force_from(State::San, State::Rewind);
            Ok((ring.freeze(&side.ring), false))
        }
    }
}
