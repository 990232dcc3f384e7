//! The end of a companion: by the program's close, by the peer's, by death, by running out of time.

use wsd_os::clock;

use super::companion::Stage;
use super::thread::Service;
use crate::family::Attach;
use crate::family::record::{self, RESET};
use crate::reason::Reason;
use crate::stream::close::{mark_dead, peer_had_read_all};
use crate::stream::gate::State;
use crate::stream::state::Stream;
use crate::wait::{notice, pair};

use super::steps::{Failure, Step, catch_up, on_descriptor};

/// What TCP has to say after the companion's death is said within this time (nanoseconds).
const LAST_WORD: u64 = 1_000_000_000;

impl Service {
    /// The companion's connection is gone, or the peer's process is.
    pub(super) fn companion_lost(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        if stream.record.attach() != Attach::Attached {
            return Err(Failure { reason: Reason::CompanionLost, again: true });
        }
        if companion.pump.is_some() {
            self.last_words(stream)?;
        }
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let commons = [&stream.record.send.common, &stream.record.recv.common];
        if companion.peer_said_bye && commons.iter().all(|common| common.gate().state() == State::Tcp) {
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
        // What the pump had not brought here yet died with the peer.
        let cut = companion.pump.is_some() && !ended && record.recv.common.gate().state() == State::San;
        if cut || (companion.pump.is_none() && !peer_had_read_all(stream, channel)) {
            record.recv.common.flag(RESET);
        }
        record.set_reason(Some(Reason::CompanionLost));
        mark_dead(stream);
        self.alarms.insert(stream.index, clock::now_ns() + LAST_WORD);
        Ok(())
    }

    pub(super) fn peer_lost(&mut self, index: u32) {
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
        let Some(companion) = self.companions.get(&index) else { return };
        if stream.is_some_and(|stream| stream.record.send.common.gate().state() == State::Rewind) {
            return self.look(index);
        }
        if companion.stage == Stage::Up {
            self.alarms.entry(index).or_insert(clock::now_ns() + LAST_WORD);
        }
    }

    pub(super) fn alarm(&mut self, index: u32) {
        let Some(stream) = self.current(index) else { return };
        let Some(stage) = self.companions.get(&index).map(|companion| companion.stage) else {
            return self.look(index);
        };
        if self.pump_alarm(&stream) {
            return;
        }
        match stage {
            Stage::Meeting => {
                self.failed(&stream, &Failure { reason: Reason::PeerWithoutCompanion, again: true });
            }
            Stage::Talking | Stage::Rings => {
                self.failed(&stream, &Failure { reason: Reason::NegotiationFailed, again: true });
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
            Stage::Lost => {
                // TCP had its time to say something.
                if stream.record.recv.common.gate().state() == State::Dead {
                    let _ = on_descriptor(self.family, &stream, |own| {
                        let silent = wsd_os::tcp::state(own.borrow()) == Ok(wsd_os::tcp::State::Established);
                        if silent {
                            own.record.recv.common.flag(RESET);
                            let _ = wsd_os::tcp::shutdown(own.borrow(), wsd_os::tcp::Shutdown::Both);
                        }
                    });
                    notice::changed(index);
                }
            }
        }
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
        if self.last_words_wait(stream) {
            return;
        }
        self.forget(stream.index);
        record::companion_done(self.family, stream.index, Attach::Never);
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
