//! How a fail-over ends: on TCP, with or without another companion later; or with the connection.

use std::io::IoSliceMut;

use wsd_os::atomic::Ordering;
use wsd_os::{clock, tcp};

use super::super::super::companion::Stage;
use super::super::super::steps::on_descriptor;
use super::super::super::thread::Service;
use crate::family::record::{self, RESET};
use crate::family::{Attach, Life};
use crate::reason::Reason;
use crate::service::kick;
use crate::stream::close::{give_up, mark_dead};
use crate::stream::gate::State;
use crate::stream::promote;
use crate::stream::state::Stream;
use crate::trace;
use crate::wait::notice;

/// How long until the next companion (nanoseconds), doubled so often for breaks in a row; and how long a promotion must have lasted
/// to end the row.
const AGAIN_AFTER: u64 = 50_000_000;
const DOUBLINGS: u32 = 9;
pub(in super::super::super) const LONGEST_PAUSE: u64 = AGAIN_AFTER << DOUBLINGS;
const LASTING: u64 = 10_000_000_000;
/// Pieces of what nobody will read that are taken out of the kernel.
const DISCARDS: usize = 4096;

impl Service {
    /// Both streams are where they go on.
    pub(super) fn mended(&mut self, stream: &Stream) {
        let record = stream.record;
        let Some(pump) = self.companions.get(&stream.index).and_then(|c| c.pump.as_ref()) else { return };
        let Some(mend) = &pump.mend else { return };
        let (complete, for_good, lasted) = (mend.complete, mend.for_good, pump.lasted());
        trace::note(format_args!("connection {}: the streams go on by TCP", stream.index));
        let _ = on_descriptor(self.family, stream, |own| self.unwatch(own.fd));
        if record.life() == Life::Closed {
            self.discard(stream);
            self.forget(stream.index);
            record::companion_done(self.family, stream.index, Attach::Never);
            return;
        }
        if complete {
            // The program reads the end in the ring.
            self.alarms.remove(&stream.index);
            if record.attach() == Attach::Leaving {
                kick::kick(stream.index);
            }
            self.set_stage(stream.index, Stage::Lost);
            notice::changed(stream.index);
            return;
        }
        promote::disagree(stream);
        clear_rings(stream);
        if lasted >= LASTING {
            record.breaks.store(0, Ordering::Relaxed);
        }
        let leaving = for_good || record.attach() == Attach::Leaving;
        let next = if leaving { Attach::Never } else { put_off(stream) };
        // Nobody finds the companion any more before its rings are let go.
        let closed = record.set_attach(next);
        self.forget(stream.index);
        notice::changed(stream.index);
        record.recv.common.announce_change();
        record.send.common.announce_change();
        if closed {
            record::free(self.family, stream.index);
        }
    }

    /// Before the kernel's socket of a closed connection is closed: what the peer has repeated for nobody is taken out, since the
    /// kernel would answer it with a reset that overtakes our own bytes.
    fn discard(&self, stream: &Stream) {
        let mut bytes = [0u8; 4096];
        let mut take = || {
            let got = on_descriptor(self.family, stream, |own| {
                tcp::recv(own.borrow(), &mut [IoSliceMut::new(&mut bytes)], tcp::Flags::NONE)
            });
            matches!(got, Some(Ok(got)) if got.len != 0)
        };
        // The receive buffer is bounded, what comes meanwhile is not.
        for _ in 0..DISCARDS {
            if !take() {
                return;
            }
        }
    }

    /// TCP has ended before the peer has said where it stands, or before all was repeated: it is dead. What is here is delivered.
    pub(super) fn peer_is_gone(&mut self, stream: &Stream) {
        let record = stream.record;
        trace::note(format_args!("connection {}: the peer has ended during the fail-over", stream.index));
        if record.life() == Life::Closed {
            self.forget(stream.index);
            record::companion_done(self.family, stream.index, Attach::Never);
            return;
        }
        let complete = self.mending(stream.index).is_some_and(|mend| mend.complete);
        if !complete && matches!(record.recv.common.gate().state(), State::Rewind | State::San) {
            record.recv.common.flag(RESET);
        }
        record.set_reason(Some(Reason::CompanionLost));
        self.alarms.remove(&stream.index);
        self.set_stage(stream.index, Stage::Lost);
        mark_dead(stream);
    }

    /// The connection is given up: TCP, the only way left, tells the peer.
    pub(super) fn end_by_reset(&mut self, stream: &Stream, reason: Reason) {
        trace::note(format_args!("connection {} is reset: {reason}", stream.index));
        let _ = on_descriptor(self.family, stream, |own| tcp::abort(own.borrow()));
        give_up(stream, reason);
        self.alarms.remove(&stream.index);
        self.set_stage(stream.index, Stage::Lost);
        if stream.record.life() == Life::Closed || stream.record.attach() == Attach::Leaving {
            self.forget(stream.index);
            record::companion_done(self.family, stream.index, Attach::Never);
        }
    }
}

/// When the connection may have a companion again: later with every break in a row, but always again.
pub(in super::super::super) fn put_off(stream: &Stream) -> Attach {
    let breaks = stream.record.breaks.fetch_add(1, Ordering::Relaxed);
    let wait = AGAIN_AFTER << breaks.min(DOUBLINGS);
    stream.record.attach_after.store(clock::now_ns() + wait, Ordering::Relaxed);
    Attach::No
}

/// The next promotion begins anew.
fn clear_rings(stream: &Stream) {
    let (send, recv) = (&stream.record.send, &stream.record.recv);
    if let Ok(_guard) = send.common.hold() {
        send.ring.clear();
    }
    if let Ok(_guard) = recv.common.hold() {
        recv.ring.clear();
        recv.common.urgent_taken.store(0, Ordering::Relaxed);
    }
}
