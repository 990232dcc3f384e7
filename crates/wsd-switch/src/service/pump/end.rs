//! The end of a pumped connection: what the program wrote before it closed still reaches the peer's program, and the peer's
//! death is told from its silence.

use wsd_os::clock;
use wsd_session::{Lockstep, SendState, Session, Standing};

use super::super::companion::{Companion, Stage};
use super::super::port::Port;
use super::super::steps::{Step, catch_up};
use super::super::thread::Service;
use super::{Pump, exit};
use crate::family::Life;
use crate::family::record::RESET;
use crate::reason::Reason;
use crate::stream::close::mark_dead;
use crate::stream::gate::State;
use crate::stream::state::Stream;
use crate::trace;
use crate::wait::wake::wake;

/// A closed connection whose peer takes nothing for so long (nanoseconds) is reset.
const DRAIN_WITHIN: u64 = 60_000_000_000;
/// How long to wait for more when TCP, or the peer's switch, has ended (nanoseconds).
const LAST_WORD: u64 = 1_000_000_000;
/// How long a closed port's last messages may take (nanoseconds), and how often they are looked at.
const FAREWELL_WITHIN: u64 = 1_000_000_000;
const FAREWELL_EVERY: u64 = 2_000_000;

/// How far the end of a pump is.
#[derive(Default)]
pub(in super::super) struct Closing {
    /// The program has closed; given up at this moment if nothing moves.
    until: Option<u64>,
    /// What had moved at the last look.
    progress: (u64, u64),
    /// The peer's process, or the way to it, is gone.
    peer_gone: bool,
    /// What had arrived when TCP's end was looked at.
    received: Option<u64>,
}

/// A port whose last messages are under way.
pub(in super::super) struct Farewell {
    port: Port,
    until: u64,
    pump: Option<Pump>,
}

impl Pump {
    /// Whether everything that the program wrote and said has gone.
    fn is_drained(&self, session: &Session) -> bool {
        match session.send_state() {
            SendState::Promoted { .. } => self.outlet.is_finished(),
            SendState::Rewinding { .. } => false,
            // Whether the direction begins is the peer's next word.
            _ => !matches!(session.standing(), Standing::Unsure { .. }),
        }
    }
}

impl Service {
    /// The program has closed: whether its bytes are still on their way, so that the companion has to stay.
    pub(in super::super) fn drains(&mut self, stream: &Stream) -> bool {
        let now = clock::now_ns();
        let Some(companion) = self.companions.get_mut(&stream.index) else { return false };
        let (Stage::Up, Some(pump)) = (companion.stage, companion.pump.as_mut()) else { return false };
        if companion.peer_said_bye || companion.said_bye {
            return false;
        }
        if pump.closing.until.is_none() {
            pump.closing.until = Some(now + DRAIN_WITHIN);
        }
        if self.drain(stream).is_err() {
            return false;
        }
        let broken = |companion: &Companion| companion.port.is_broken() && companion.fails_over();
        if self.companions.get(&stream.index).is_some_and(broken) {
            self.break_off(stream, Reason::CompanionLost);
            return true;
        }
        let Some(companion) = self.companions.get_mut(&stream.index) else { return false };
        let (Some(session), Some(pump)) = (companion.session.as_mut(), companion.pump.as_mut()) else {
            return false;
        };
        let aborted = stream.channel().ok().and_then(|channel| channel.send.load());
        let aborted = aborted.is_some_and(|ring| ring.writer_control().reset);
        let frozen = matches!(session.send_state(), SendState::Rewinding { .. });
        if aborted || frozen || companion.stage != Stage::Up {
            // The kernel's socket is closed, so what is frozen cannot go by TCP.
            let _ = session.reset();
            return false;
        }
        if pump.is_drained(session) || companion.peer_said_bye || companion.port.is_broken() {
            return false;
        }
        if pump.outlet.progress() != pump.closing.progress {
            pump.closing.progress = pump.outlet.progress();
            pump.closing.until = Some(now + DRAIN_WITHIN);
            exit::progressed();
        }
        if pump.closing.until.is_some_and(|until| until <= now) {
            trace::note(format_args!("connection {}: the peer takes nothing; reset", stream.index));
            let _ = session.reset();
            return false;
        }
        self.alarms.insert(stream.index, now + LAST_WORD);
        true
    }

    /// After the last message was said: whether it still waits for the peer's credit.
    pub(in super::super) fn last_words_wait(&mut self, stream: &Stream) -> bool {
        if self.companions.get(&stream.index).is_none_or(|companion| companion.pump.is_none()) {
            return false;
        }
        let heard = self.receive(stream).is_ok() && self.transmit(stream).is_ok();
        let now = clock::now_ns();
        let Some(companion) = self.companions.get_mut(&stream.index) else { return false };
        let (Some(session), Some(pump)) = (&companion.session, &mut companion.pump) else { return false };
        let until = *pump.closing.until.get_or_insert(now + DRAIN_WITHIN);
        let alive = companion.stage == Stage::Up && !companion.port.is_broken();
        let waits = heard && alive && session.has_queued() && now < until;
        if waits {
            self.alarms.insert(stream.index, now + LAST_WORD);
        }
        waits
    }

    /// After the last message has gone: whether it has yet to arrive, so that the kernel's socket is kept for the case that the
    /// companion breaks before.
    pub(in super::super) fn farewell_waits(&mut self, stream: &Stream) -> bool {
        if !self.fails_over(stream.index) {
            return false;
        }
        let Some(companion) = self.companions.get_mut(&stream.index) else { return false };
        let (Stage::Up, Some(session), Some(pump)) =
            (companion.stage, companion.session.as_ref(), companion.pump.as_mut())
        else {
            return companion.stage == Stage::Mending;
        };
        if !matches!(session.lockstep(), Lockstep::Settled { .. })
            || session.is_reset()
            || companion.peer_said_bye
        {
            return false;
        }
        let now = clock::now_ns();
        let late = pump.closing.until.is_some_and(|until| until <= now);
        // Before the question whether it broke, since nothing more is sent by one that has.
        let sent = companion.port.all_sent();
        if companion.port.is_broken() {
            self.break_off(stream, Reason::CompanionLost);
            return true;
        }
        let waits = !sent && !late;
        if waits {
            self.alarms.insert(stream.index, now + FAREWELL_EVERY);
        }
        waits
    }

    fn drain(&mut self, stream: &Stream) -> Step {
        if let Some(session) = self.companions.get_mut(&stream.index).and_then(|c| c.session.as_mut()) {
            catch_up(session, stream);
        }
        self.receive(stream)?;
        if self.fails_over(stream.index) {
            self.lockstep_of_closed(stream)?;
        }
        self.pump(stream)?;
        self.transmit(stream)?;
        // The peer's end may be on its way to another process, which has to be waited for.
        self.suspend(stream)
    }

    /// The companion's connection broke: what the peer had said before is heard.
    pub(in super::super) fn last_words(&mut self, stream: &Stream) -> Step {
        let more = |service: &Self| service.companions.get(&stream.index).is_some_and(|c| c.port.has_more());
        while more(self) {
            self.receive(stream)?;
        }
        self.wake_program(stream);
        Ok(())
    }

    /// The connection was given up here: the peer learns of it.
    pub(in super::super) fn abort(&mut self, index: u32) {
        let Some(stream) = Stream::at(index) else { return };
        let Some(companion) = self.companions.get_mut(&index) else { return };
        let (Stage::Up, Some(session), Some(pump)) =
            (companion.stage, companion.session.as_mut(), companion.pump.as_mut())
        else {
            return;
        };
        pump.withdraw();
        if session.reset().is_err() {
            companion.port.hang_up();
        }
        let _ = self.transmit(&stream);
    }

    /// The peer's program has closed: nobody reads what our program writes.
    pub(in super::super) fn pump_bye(&mut self, stream: &Stream) {
        let Some(pump) = self.companions.get_mut(&stream.index).and_then(|c| c.pump.as_mut()) else { return };
        pump.withdraw();
        let Ok(channel) = stream.channel() else { return };
        let ring = pump.outlet.memory.ring();
        ring.set_reader_closed();
        wake(ring.take_space_wait(), ring.space_wait_word(), channel, stream.index);
    }

    /// The link to the peer's process is gone, but what it has sent may still be on its way through the provider. Whether
    /// that is waited for.
    pub(in super::super) fn pump_outlives_link(&mut self, index: u32) -> bool {
        let Some(companion) = self.companions.get(&index) else { return false };
        if companion.stage != Stage::Up || companion.pump.is_none() {
            return false;
        }
        self.await_last_words(index);
        true
    }

    /// The peer is gone, or unreachable: what it has said before is waited for, but not for ever.
    pub(super) fn await_last_words(&mut self, index: u32) {
        if let Some(pump) = self.companions.get_mut(&index).and_then(|companion| companion.pump.as_mut())
            && !std::mem::replace(&mut pump.closing.peer_gone, true)
        {
            self.alarms.insert(index, clock::now_ns() + LAST_WORD);
        }
    }

    /// A moment has come that was waited for; false: not a pump's.
    pub(in super::super) fn pump_alarm(&mut self, stream: &Stream) -> bool {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return false };
        let (Stage::Up, Some(pump)) = (companion.stage, companion.pump.as_mut()) else { return false };
        if stream.record.life() == Life::Closed {
            self.look(stream.index);
            return true;
        }
        let promoting = companion.session.as_ref().is_some_and(|session| {
            session.agreement().is_some_and(|agreed| agreed.fails_over())
                && !matches!(session.lockstep(), Lockstep::Settled { .. })
        });
        if promoting && !pump.closing.peer_gone {
            self.look(stream.index);
            return true;
        }
        if pump.closing.peer_gone {
            if let Err(failure) = self.companion_lost(stream) {
                self.failed(stream, &failure);
            }
            return true;
        }
        let ended = pump.inlet.memory.ring().writer_control().fin.is_some();
        if ended || stream.record.recv.common.gate().state() != State::San {
            return true;
        }
        // The kernel's connection has ended. A peer that closed goes on sending for as long as our program takes its bytes.
        let received = Some(pump.inlet.received());
        if pump.inlet.is_unread() || pump.closing.received != received {
            pump.closing.received = received;
            self.alarms.insert(stream.index, clock::now_ns() + LAST_WORD);
            return true;
        }
        stream.record.recv.common.flag(RESET);
        stream.record.set_reason(Some(Reason::CompanionLost));
        mark_dead(stream);
        true
    }

    /// Closes a port when its last messages have gone.
    pub(in super::super) fn part(&mut self, mut port: Port, pump: Option<Pump>) {
        if port.all_sent() {
            port.close();
            if let Some(pump) = &pump {
                self.providers.memory_is_changing(&pump.ranges());
            }
            return;
        }
        let until = clock::now_ns() + FAREWELL_WITHIN;
        self.farewells.push(Farewell { port, until, pump });
    }

    /// Looks after ports whose last messages were under way; when to look again.
    pub(in super::super) fn see_off(&mut self, now: u64) -> Option<u64> {
        let (gone, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.farewells)
            .into_iter()
            .map(|mut farewell| (farewell.until <= now || farewell.port.has_parted(), farewell))
            .partition(|(over, _)| *over);
        self.farewells = left.into_iter().map(|(_, farewell)| farewell).collect();
        for (_, Farewell { port, pump, .. }) in gone {
            port.close();
            if let Some(pump) = &pump {
                self.providers.memory_is_changing(&pump.ranges());
            }
        }
        (!self.farewells.is_empty()).then_some(now + FAREWELL_EVERY)
    }
}
