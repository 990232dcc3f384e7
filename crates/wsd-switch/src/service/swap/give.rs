//! The process that has control gives it to the next one (SW-183, steps 1 to 7).

use wsd_os::atomic::Ordering;

use wsd_os::clock;
use wsd_session::Suspension;

use super::super::steps::{Step, fail};
use super::super::thread::Service;
use super::{LOOK_EVERY, Leaving};
use crate::family::Life;
use crate::reason::Reason;
use crate::service::kick;
use crate::sharing;
use crate::sharing::members;
use crate::sharing::page::{Control, Page};
use crate::stream::state::Stream;
use crate::trace;

/// Whoever got control keeps it so long (nanoseconds) at most until it has used it.
const USE_WITHIN: u64 = 50_000_000;
/// How often sends are looked at that nobody tells of (nanoseconds).
const POLL_EVERY: u64 = 200_000;

impl Service {
    /// Steps 1 to 3: if another process waits for control, this one stops, and tells the peer.
    pub(super) fn prepare_to_give(&mut self, stream: &Stream) -> Step {
        let Some(sharer) = self.sharers.get(&stream.index) else { return Ok(()) };
        let (page, me) = (sharer.page, sharer.me);
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let (Some(session), Some(pump)) = (companion.session.as_mut(), companion.pump.as_ref()) else {
            return Ok(());
        };
        if companion.said_bye || companion.peer_said_bye || session.is_reset() {
            return Ok(());
        }
        if companion.leaving.is_none() {
            let closed = stream.record.life() == Life::Closed;
            if let Some(later) = self.is_in_use(stream).filter(|_| !closed && members::is_wanted(page)) {
                self.alarms.insert(stream.index, later);
                return Ok(());
            }
            let Some(to) = members::reserve_next(page, me, closed) else {
                if closed {
                    self.await_next(stream);
                }
                return Ok(());
            };
            trace::note(format_args!("connection {}: process {} is next", stream.index, pid_of(page, to)));
            let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
            companion.leaving = Some(Leaving { to });
            sharing::stop_program(stream).map_err(|_| fail(Reason::CompanionLost))?;
            // The pump has to end what it has begun.
            return self.pump(stream).and_then(|()| self.prepare_to_give(stream));
        }
        if pump.has_sent_all() && !session.has_queued() {
            session.suspend().map_err(|_| fail(Reason::NegotiationFailed))?;
            return self.transmit(stream);
        }
        Ok(())
    }

    /// When control may go, if a request of this process has yet to be served.
    pub(super) fn is_in_use(&self, stream: &Stream) -> Option<u64> {
        let channel = stream.channel().ok()?;
        if channel.owed.load(Ordering::Acquire) == 0 {
            return None;
        }
        let until = self.sharers.get(&stream.index)?.arrived? + USE_WITHIN;
        (until > clock::now_ns()).then_some(until)
    }

    /// Steps 5 to 7: nothing is on its way any more.
    pub(super) fn give(&mut self, stream: &Stream) -> Step {
        let lost = || fail(Reason::CompanionLost);
        let sharer = self.sharers.get(&stream.index).ok_or_else(lost)?;
        let (page, me) = (sharer.page, sharer.me);
        let companion = self.companions.get_mut(&stream.index).ok_or_else(lost)?;
        if !companion.port.all_sent() {
            self.alarms.insert(stream.index, clock::now_ns() + POLL_EVERY);
            return Ok(());
        }
        let wanted = companion.leaving.as_ref().map(|leaving| leaving.to);
        let to = wanted.filter(|to| members::is_alive(&page.members[*to as usize]));
        let closed = stream.record.life() == Life::Closed;
        let Some(to) = to.or_else(|| members::reserve_next(page, me, closed)) else {
            return self.stay(stream);
        };
        let session = companion.session.as_ref().ok_or_else(lost)?;
        let parcel = companion.pump.as_ref().and_then(|pump| pump.depart(session)).ok_or_else(lost)?;
        sharing::take_from_program(stream, page).map_err(|_| lost())?;
        let value = companion.port.give(pid_of(page, to))?;
        page.value.store(value, Ordering::Relaxed);
        if !page.pack(&parcel) || !page.change(Control::Held(me), Control::Offered(to)) {
            return Err(lost());
        }
        members::tell(page, to);
        self.retire(stream);
        self.watch_over(stream, to);
        Ok(())
    }

    /// The program has closed, and nobody can take control now: either all others have left meanwhile, or children of fork, which
    /// tell when they can.
    pub(super) fn await_next(&mut self, stream: &Stream) {
        let Some(sharer) = self.sharers.get_mut(&stream.index) else { return };
        sharer.awaits_next = true;
        if members::has_others(sharer.page, sharer.me) {
            self.alarms.insert(stream.index, clock::now_ns() + LOOK_EVERY);
        } else {
            kick::kick_own(stream.index);
        }
    }

    /// The process that was to have control is gone, and nobody else wants it.
    fn stay(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        companion.leaving = None;
        if let Some(session) = companion.session.as_mut().filter(|s| s.suspension() == Suspension::Quiet) {
            session.resume().map_err(|_| fail(Reason::NegotiationFailed))?;
        }
        sharing::let_program_go(stream);
        kick::kick_own(stream.index);
        self.transmit(stream)?;
        self.pump(stream)
    }

    /// The companion is another process's now; what is left of it waits for control to come back.
    fn retire(&mut self, stream: &Stream) {
        self.alarms.remove(&stream.index);
        let Some(companion) = self.companions.remove(&stream.index) else { return };
        self.keys.remove(&companion.key);
        if let Some(sharer) = self.sharers.get_mut(&stream.index) {
            sharer.memory = companion.pump.map(super::super::pump::Pump::into_memory);
            sharer.given = Some(companion.port);
        }
    }
}

pub(in super::super) fn pid_of(page: &Page, member: u32) -> u32 {
    page.members[member as usize].pid.load(Ordering::Acquire)
}
