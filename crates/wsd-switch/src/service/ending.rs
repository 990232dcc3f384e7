//! The end of a companion: by the program's close, by the peer's, by death, by running out of time.

use wsd_os::Errno;
use wsd_os::clock;
use wsd_session::{Session, Standing};

use super::companion::Stage;
use super::pump::Pump;
use super::thread::Service;
use crate::family::record::{self, RESET};
use crate::family::{Attach, First};
use crate::reason::Reason;
use crate::stream::close::{mark_dead, peer_had_read_all};
use crate::stream::gate::State;
use crate::stream::state::Stream;
use crate::wait::wake::wake;
use crate::wait::{notice, pair};

use super::steps::{Failure, Step, catch_up, fail_for_now, on_descriptor};

/// What TCP has to say after the companion's death is said within this time (nanoseconds).
const LAST_WORD: u64 = 1_000_000_000;

impl Service {
    /// The companion's connection is gone, or the peer's process is.
    pub(super) fn companion_lost(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        if companion.pump.as_ref().is_some_and(Pump::has_failed_over) {
            return Ok(());
        }
        let goes_on = companion.stage == Stage::Up && !companion.peer_said_bye;
        if goes_on && self.fails_over(stream.index) {
            self.break_off(stream, Reason::CompanionLost);
            return Ok(());
        }
        if stream.record.attach() != Attach::Attached {
            return Err(fail_for_now(Reason::CompanionLost));
        }
        if self.companions.get(&stream.index).is_some_and(|companion| companion.pump.is_some()) {
            self.last_words(stream)?;
        }
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        if companion.peer_said_bye && stream.record.is_on_tcp() {
            self.after_bye(stream);
            return Ok(());
        }
        companion.stage = Stage::Lost;
        let Ok(channel) = stream.channel() else { return Ok(()) };
        let (record, recv, send) = (stream.record, channel.recv.load(), channel.send.load());
        let ended =
            recv.is_some_and(|ring| ring.writer_control().fin.is_some() || ring.writer_control().reset);
        let closed = send.is_some_and(|ring| ring.reader_control().closed);
        if ended && closed {
            // An orderly end: everything that matters is in the rings.
            return Ok(());
        }
        let first = record.first() == First::Connected;
        if first && companion.pump.is_some() {
            // There is no TCP connection whose end would tell the peer.
            companion.port.hang_up();
        } else if first && let Some(ring) = send {
            // Processes that inherited the connection from the one that is gone learn it here.
            ring.set_reset();
            wake(ring.take_data_wait(), ring.data_wait_word(), channel, stream.index);
        }
        // What the pump had not brought here yet died with the peer.
        let cut = companion.pump.is_some() && !ended && record.recv.common.gate().state() == State::San;
        if cut || (first && !ended) || (companion.pump.is_none() && !peer_had_read_all(stream, channel)) {
            record.recv.common.flag(RESET);
        }
        record.set_reason(Some(Reason::CompanionLost));
        mark_dead(stream);
        self.alarms.insert(stream.index, clock::now_ns() + LAST_WORD);
        Ok(())
    }

    pub(super) fn peer_lost(&mut self, index: u32) {
        // What the peer has reported last may not have been taken, and nobody takes it now that the pair is gone.
        notice::changed(index);
        if self.pump_outlives_link(index) {
            return;
        }
        if let Some(stream) = self.current(index)
            && let Err(failure) = self.companion_lost(&stream)
        {
            self.failed(&stream, &failure);
        }
    }

    /// The kernel's connection has ended under a promoted connection. Without an end in the ring the peer was killed, or
    /// somebody used the socket around the switch.
    pub(super) fn tcp_ended(&mut self, index: u32) {
        let stream = self.current(index);
        if let Some(stream) = &stream
            && self.peer_gave_up(stream)
        {
            return self.break_off(stream, Reason::CompanionLost);
        }
        let Some(companion) = self.companions.get(&index) else { return };
        if companion.stage == Stage::Mending {
            return self.look(index);
        }
        if stream.is_some_and(|stream| stream.record.send.common.gate().state() == State::Rewind) {
            return self.look(index);
        }
        if companion.stage == Stage::Up {
            self.alarms.entry(index).or_insert(clock::now_ns() + LAST_WORD);
        }
    }

    /// Whether the peer has gone on by TCP: there are bytes where its stream had left it. Not where it may be taking the promotion
    /// back, whose word has yet to come.
    fn peer_gave_up(&self, stream: &Stream) -> bool {
        let standing = self
            .companions
            .get(&stream.index)
            .filter(|companion| matches!(companion.stage, Stage::Up | Stage::Lost))
            .and_then(|companion| companion.session.as_ref())
            .map_or(Standing::Plain, Session::standing);
        let unread = || on_descriptor(self.family, stream, |own| wsd_os::tcp::unread(own.borrow()));
        matches!(standing, Standing::Promoted { .. }) && matches!(unread(), Some(Ok(1..)))
    }

    pub(super) fn alarm(&mut self, index: u32) {
        let Some(stream) = self.current(index) else { return };
        self.poll_sends(index);
        let Some(stage) = self.companions.get(&index).map(|companion| companion.stage) else {
            return self.look(index);
        };
        if self.suspension_alarm(&stream) || self.pump_alarm(&stream) {
            return;
        }
        match stage {
            Stage::Meeting => {
                // The thread was busy perhaps, and they have met.
                self.look(index);
                if self.companions.get(&index).is_none_or(|companion| companion.stage != Stage::Meeting) {
                    return;
                }
                if !self.waits_longer(&stream) {
                    self.failed(&stream, &fail_for_now(Reason::PeerWithoutCompanion));
                }
            }
            Stage::Talking if self.compare_again(&stream) => {}
            Stage::Talking | Stage::Rings if self.waits_longer(&stream) => {}
            Stage::Talking | Stage::Rings => {
                // SW-106: with SAN first the program is told so.
                let reason = self.unproven(&stream);
                let late = Failure { refused: Some(Errno::TIMEDOUT), ..fail_for_now(reason) };
                self.failed(&stream, &late);
            }
            Stage::Up => {
                // The kernel saw the end of the connection a second ago, and the peer's ring still has none.
                let ring = stream.channel().ok().and_then(|channel| channel.recv.load());
                let ended = ring.is_some_and(|ring| ring.writer_control().fin.is_some());
                if !ended && stream.record.recv.common.gate().state() == State::San {
                    mark_dead(&stream);
                    stream.record.set_reason(Some(Reason::CompanionLost));
                }
            }
            Stage::Mending => self.look(index),
            Stage::Lost => self.last_word(&stream),
        }
    }

    /// TCP had its time to say something. If it is silent behind what it brought, somebody else keeps the dead peer's socket open.
    fn last_word(&mut self, stream: &Stream) {
        let recv = &stream.record.recv;
        if recv.common.gate().state() != State::Dead {
            return;
        }
        let named = || {
            let ring = stream.channel().ok().and_then(|channel| channel.recv.load());
            ring.is_some_and(|ring| ring.started_at().is_some())
        };
        if !recv.ring.begun() && !named() {
            // The stream goes on by TCP.
            return notice::changed(stream.index);
        }
        let unread = on_descriptor(self.family, stream, |own| {
            let unread = wsd_os::tcp::unread(own.borrow()).unwrap_or(0);
            // Winsock does not tell a silent socket from one that has ended, and gives nothing from one that is shut down.
            if unread == 0 && wsd_os::tcp::state(own.borrow()) == Ok(wsd_os::tcp::State::Established) {
                own.record.recv.common.flag(RESET);
                let _ = wsd_os::tcp::shutdown(own.borrow(), wsd_os::tcp::Shutdown::Both);
            }
            unread
        });
        if unread.is_some_and(|bytes| bytes != 0) {
            self.alarms.insert(stream.index, clock::now_ns() + LAST_WORD);
        }
        notice::changed(stream.index);
    }

    /// Whether a companion that is late is waited for yet. Not where the program waits for it (SW-106).
    fn waits_longer(&mut self, stream: &Stream) -> bool {
        let begun = self.companions.get(&stream.index).map(|companion| companion.begun);
        let Some(begun) = begun.filter(|_| stream.record.first() == First::No) else { return false };
        let until = self.patience.longer(begun, clock::now_ns());
        if let Some(until) = until {
            self.alarms.insert(stream.index, until);
        }
        until.is_some()
    }

    /// The program has closed.
    pub(super) fn close(&mut self, stream: &Stream) {
        if self.drains(stream) {
            return;
        }
        let Some(companion) = self.companions.get_mut(&stream.index) else { return };
        if let Some(session) = companion.session.as_mut()
            && !companion.said_bye
        {
            companion.said_bye = true;
            catch_up(session, stream);
            let _ = session.bye();
            let _ = self.transmit(stream);
        }
        if self.last_words_wait(stream) || self.farewell_waits(stream) {
            return;
        }
        // A fail-over that has just come to its end has done the rest.
        if self.companions.contains_key(&stream.index) {
            self.forget(stream.index);
            record::companion_done(self.family, stream.index, Attach::Never);
        }
    }

    /// Takes a companion apart.
    pub(super) fn forget(&mut self, index: u32) {
        self.alarms.remove(&index);
        let Some(mut companion) = self.companions.remove(&index) else { return };
        self.keys.remove(&companion.key);
        if let Some(stream) = Stream::at(index)
            && let Ok(channel) = stream.channel()
        {
            channel.clear();
            channel.close_kernel();
        }
        if let Some((pair, bit)) = companion.pair {
            pair::drop_bit(pair, bit);
        }
        if let Some(pump) = &mut companion.pump {
            pump.withdraw();
        }
        self.part(companion.port, companion.pump);
    }
}
