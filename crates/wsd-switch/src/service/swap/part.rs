//! Processes that close a shared connection, or end, while others go on with it, and what is left when the peer has closed.
//!
//! The peer sees the end of the stream when the last of them has closed. Who closes without control leaves; who has control gives
//! it to another one first, whether that asked or not.

use wsd_os::atomic::Ordering;
use wsd_session::Suspension;

use super::super::thread::Service;
use super::pid_of;
use crate::family::record;
use crate::family::{Attach, Life};
use crate::service::kick;
use crate::sharing::members;
use crate::sharing::page::Control;
use crate::sharing::{self};
use crate::stream::close::say_end;
use crate::stream::state::Stream;
use crate::trace;

impl Service {
    /// Looks at a connection that this process controls; whether nothing else is to be done with it here and now.
    pub(super) fn look_held(&mut self, stream: &Stream) -> bool {
        let Some(sharer) = self.sharers.get(&stream.index) else { return false };
        let (page, me) = (sharer.page, sharer.me);
        let closed = stream.record.life() == Life::Closed;
        if closed {
            members::close(page, me);
        }
        let companion = self.companions.get(&stream.index);
        if companion.is_none_or(|companion| companion.peer_said_bye) {
            return self.look_at_rest(stream);
        }
        let moving = companion.is_some_and(|companion| {
            let session = companion.session.as_ref();
            companion.leaving.is_some() || session.is_some_and(|s| s.suspension() != Suspension::None)
        });
        if !closed || companion.is_none_or(|companion| companion.said_bye) {
            return false;
        }
        if !moving && !members::has_others(page, me) {
            self.is_alone(stream);
            return false;
        }
        if let Err(failure) = self.advance(stream) {
            self.failed(stream, &failure);
        }
        true
    }

    /// The peer has closed: there is no session to move, and what is in the rings can be had by one family at a time.
    fn look_at_rest(&mut self, stream: &Stream) -> bool {
        let Some(sharer) = self.sharers.get(&stream.index) else { return false };
        let (page, me) = (sharer.page, sharer.me);
        let closed = stream.record.life() == Life::Closed;
        let in_use = self.is_in_use(stream).filter(|_| !closed);
        let chosen = self.companions.get_mut(&stream.index).and_then(|companion| companion.leaving.take());
        let chosen = chosen.map(|leaving| leaving.to);
        let living = chosen.filter(|to| members::is_alive(&page.members[*to as usize]));
        if let Some(later) = in_use.filter(|_| living.is_none() && members::is_wanted(page)) {
            self.alarms.insert(stream.index, later);
        } else if let Some(to) = living.or_else(|| members::reserve_next(page, me, closed)) {
            self.give_rest(stream, to);
            return true;
        }
        if chosen.is_some() {
            sharing::let_program_go(stream);
        }
        if closed && members::has_others(page, me) {
            self.await_next(stream);
            return true;
        }
        if self.companions.contains_key(&stream.index) {
            if closed {
                self.is_alone(stream);
            }
            return false;
        }
        if closed {
            self.leave_share(stream);
        }
        true
    }

    /// What is in the rings goes to another process.
    fn give_rest(&mut self, stream: &Stream, to: u32) {
        let Some(sharer) = self.sharers.get(&stream.index) else { return };
        let (page, me) = (sharer.page, sharer.me);
        trace::note(format_args!(
            "connection {}: the peer has closed; process {} is next",
            stream.index,
            pid_of(page, to)
        ));
        let stopped = sharing::take_from_program(stream, page);
        if stopped.is_err() || !page.pack(&[]) || !page.change(Control::Held(me), Control::Offered(to)) {
            return self.share_is_over(stream);
        }
        self.alarms.remove(&stream.index);
        if let Some(mut companion) = self.companions.remove(&stream.index) {
            self.keys.remove(&companion.key);
            if let Some(sharer) = self.sharers.get_mut(&stream.index) {
                sharer.memory = companion.pump.take().map(super::super::pump::Pump::into_memory);
            }
            self.part(companion.port, None);
        }
        members::tell(page, to);
        self.watch_over(stream, to);
    }

    /// Nobody else has the connection any more: it ends as one that was never shared.
    fn is_alone(&mut self, stream: &Stream) {
        if let Some(sharer) = self.sharers.remove(&stream.index) {
            // Who is about to join comes too late.
            sharer.page.end();
            members::leave(sharer.page, sharer.me);
            members::tell_all(sharer.page);
        }
        if let Ok(channel) = stream.channel() {
            channel.page.clear();
            say_end(stream, channel);
        }
    }

    /// The program of this family has closed a connection that another process controls, or that is over.
    pub(super) fn leave_share(&mut self, stream: &Stream) {
        if let Some(sharer) = self.sharers.get_mut(&stream.index) {
            let page = sharer.page;
            members::close(page, sharer.me);
            let control = page.control();
            // What was given away goes through this process until it has arrived.
            let on_its_way = matches!(control, Control::Offered(_));
            if on_its_way || (!members::leave(page, sharer.me) && control != Control::Dead) {
                sharer.parting = true;
                // Whoever takes control over tells, if that is not done already.
                page.parting.store(1, Ordering::SeqCst);
                if page.control() != control {
                    kick::kick_own(stream.index);
                }
                return;
            }
        }
        if let Some(sharer) = self.sharers.remove(&stream.index) {
            if let Some(port) = sharer.given {
                port.close();
            }
            // Who watches this process has to watch another one.
            members::tell_all(sharer.page);
        }
        if let Ok(channel) = stream.channel() {
            channel.clear();
        }
        record::companion_done(self.family, stream.index, Attach::Never);
    }
}
