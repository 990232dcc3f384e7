//! Moving control of a shared connection from process to process (SW-183). This process gives it away ([`give`]), gets it
//! ([`adopt`]), leaves ([`part`]), is the peer of an end that moves, or waits and watches.
//!
//! Who controls says the page that the processes share: `Held` by one of them, `Offered` to the next, or over. Only the controller
//! offers, only the one it was offered to takes, and anybody who finds that the process in question is gone ends the connection. A
//! process that does not control watches the one that does; so do those that have given control away. So there is always somebody
//! who notices a death and tells all, as long as anybody is left.

mod adopt;
mod give;
mod part;

pub(super) use give::pid_of;

use wsd_os::fd::{AsFd, OwnedFd};
use wsd_os::memory::SharedRegion;
use wsd_os::process::{self, ProcessId};
use wsd_os::{Errno, clock};
use wsd_session::Suspension;

use super::port::Port;
use super::pump::{PumpMemory, Unsettled};
use super::steps::{Step, fail};
use super::thread::Service;
use crate::family::Life;
use crate::family::record::RESET;
use crate::reason::Reason;
use crate::sharing::members;
use crate::sharing::page::{Control, Page};
use crate::sharing::{self};
use crate::stream::close::mark_dead;
use crate::stream::state::Stream;
use crate::trace;
use wsd_os::atomic::Ordering;

/// The peer waits so long (nanoseconds) for the process that an end moves to.
const RESUME_WITHIN: u64 = 30_000_000_000;
/// Where a death cannot be waited for, it is looked for so often (nanoseconds).
pub(super) const LOOK_EVERY: u64 = 1_000_000_000;

/// Control is about to go to this member.
pub(super) struct Leaving {
    to: u32,
}

/// A connection that other processes have too.
pub(super) struct Sharer {
    generation: u32,
    page: &'static Page,
    /// This process's number in the page.
    me: u32,
    /// While another process controls it.
    memory: Option<PumpMemory>,
    /// The SAN socket that was given away; closed when another takes its place (SW-183, step 9).
    given: Option<Port>,
    /// The controller, and what tells of its end.
    watched: Option<(ProcessId, OwnedFd)>,
    /// When control came to this process.
    arrived: Option<u64>,
    /// The program has closed, but control has yet to arrive where it goes.
    parting: bool,
    /// The program has closed, and the next process cannot take control yet.
    awaits_next: bool,
    /// The connection is over.
    over: bool,
    /// A process that ends leaves first.
    _unsettled: Unsettled,
}

pub(super) fn process_of(page: &Page, member: u32) -> ProcessId {
    let member = &page.members[member as usize];
    ProcessId { pid: member.pid.load(Ordering::Acquire), start: member.start.load(Ordering::Relaxed) }
}

/// Maps the memory of a connection or a listener that another process has sent.
pub(crate) fn map_shared(memory: OwnedFd) -> Result<SharedRegion, Errno> {
    PumpMemory::map(memory)
}

/// Memory for a listener that other processes are to get.
pub(crate) fn page_alone() -> Result<SharedRegion, Errno> {
    PumpMemory::page_alone()
}

impl Service {
    /// A connection of this process that others can be given.
    pub(super) fn open_page(&mut self, stream: &Stream) {
        let Some(companion) = self.companions.get(&stream.index) else { return };
        let (Some(session), Some(pump)) = (&companion.session, &companion.pump) else { return };
        let provider = stream.record.provider.load(Ordering::Relaxed) as usize;
        let provider = provider.checked_sub(1).and_then(|provider| self.providers.get(provider));
        if let Some(provider) = provider.filter(|_| session.can_move()) {
            sharing::open(pump.page(), stream, &provider.name);
        }
    }

    /// Looks whether something has come through a page.
    pub(super) fn look_at_pages(&mut self) {
        let news = |sharer: &Sharer| match sharer.page.control() {
            Control::Held(member) if member == sharer.me => {
                sharer.awaits_next || members::is_wanted(sharer.page)
            }
            Control::Offered(member) if member == sharer.me => true,
            Control::Held(member) | Control::Offered(member) => {
                let controller = process_of(sharer.page, member);
                sharer.parting || sharer.watched.as_ref().is_none_or(|(watched, _)| *watched != controller)
            }
            Control::None => false,
            Control::Dead => !sharer.over,
        };
        let sharers = self.sharers.iter().filter(|(_, sharer)| news(sharer)).map(|(index, _)| *index);
        let indexes: Vec<u32> = sharers.chain(self.listeners_with_news()).collect();
        for index in indexes {
            self.look(index);
        }
    }

    /// Looks at a connection that several processes may have; whether nothing else is to be done with it here and now.
    pub(super) fn look_shared(&mut self, stream: &Stream) -> bool {
        self.become_sharer(stream);
        let Some(sharer) = self.sharers.get(&stream.index) else { return false };
        let (page, me) = (sharer.page, sharer.me);
        match page.control() {
            Control::Held(member) if member == me => return self.look_held(stream),
            Control::Offered(member) if member == me => self.adopt(stream),
            Control::Held(member) | Control::Offered(member) if stream.record.life() == Life::Closed => {
                self.watch_over(stream, member);
                self.leave_share(stream);
            }
            Control::Held(member) | Control::Offered(member) => self.watch_over(stream, member),
            Control::None => return false,
            Control::Dead => self.share_is_over(stream),
        }
        true
    }

    /// Notes that others have a connection too, when that is so.
    fn become_sharer(&mut self, stream: &Stream) {
        if self.sharers.get(&stream.index).is_some_and(|sharer| sharer.generation != stream.generation) {
            self.sharers.remove(&stream.index);
        }
        if self.sharers.contains_key(&stream.index) {
            return;
        }
        let arrival = sharing::take_arrival(stream.index, stream.generation);
        let page = stream.channel().ok().and_then(|channel| channel.page.load());
        let Some(page) = page.filter(|page| page.shared.load(Ordering::Acquire) != 0) else { return };
        let Some(me) = members::own(page) else { return };
        if arrival.is_none() && members::is_child(page, me) {
            // The process ends, and leaves by itself.
            return;
        }
        let (memory, unsettled) = arrival.unwrap_or_else(|| (None, Unsettled::new()));
        let memory = memory.and_then(PumpMemory::of);
        members::begin_child(page, me);
        let sharer = Sharer {
            generation: stream.generation,
            page,
            me,
            memory,
            given: None,
            watched: None,
            arrived: None,
            parting: false,
            awaits_next: false,
            over: false,
            _unsettled: unsettled,
        };
        self.sharers.insert(stream.index, sharer);
    }

    /// Waits for the end of the process that controls the connection, besides everything else.
    fn watch_over(&mut self, stream: &Stream, member: u32) {
        let Some(sharer) = self.sharers.get_mut(&stream.index) else { return };
        let process = process_of(sharer.page, member);
        if sharer.watched.as_ref().is_some_and(|(watched, _)| *watched == process && process.is_alive()) {
            return;
        }
        sharer.watched = None;
        match process::watch(process) {
            Ok(fd) => {
                let watched = self.watch_controller(fd.as_fd(), stream.index);
                if let (Ok(()), Some(sharer)) = (watched, self.sharers.get_mut(&stream.index)) {
                    sharer.watched = Some((process, fd));
                    return;
                }
            }
            Err(Errno::SRCH) => {
                let Some(sharer) = self.sharers.get(&stream.index) else { return };
                if members::controller_is_gone(sharer.page) {
                    trace::note(format_args!(
                        "connection {}: process {} controlled it and is gone",
                        stream.index, process.pid
                    ));
                    self.share_is_over(stream);
                } else {
                    // It has given control to another one before it ended.
                    crate::service::kick::kick_own(stream.index);
                }
                return;
            }
            Err(_) => {}
        }
        self.alarms.insert(stream.index, clock::now_ns() + LOOK_EVERY);
    }

    /// SW-188: the connection ends in all processes.
    fn share_is_over(&mut self, stream: &Stream) {
        let Some(sharer) = self.sharers.get_mut(&stream.index) else { return };
        sharer.watched = None;
        sharer.over = true;
        if let Some(port) = sharer.given.take() {
            port.close();
        }
        sharing::forget_rings(stream);
        for common in [&stream.record.recv.common, &stream.record.send.common] {
            common.flag(RESET);
        }
        stream.record.set_reason(Some(Reason::CompanionLost));
        mark_dead(stream);
        if stream.record.life() == Life::Closed {
            self.leave_share(stream);
        }
    }

    /// What a suspension asks for now (session protocol, section 8).
    pub(super) fn suspend(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let (Some(session), Some(pump)) = (companion.session.as_mut(), companion.pump.as_ref()) else {
            return Ok(());
        };
        match session.suspension() {
            Suspension::None => {
                companion.resume_by = None;
                self.prepare_to_give(stream)
            }
            Suspension::Asking => Ok(()),
            Suspension::Quiet => self.give(stream),
            Suspension::Asked if pump.is_idle() && !session.has_queued() => {
                session.suspended().map_err(|_| fail(Reason::NegotiationFailed))?;
                self.transmit(stream)
            }
            Suspension::Asked | Suspension::Answering => Ok(()),
            Suspension::Held => {
                let now = clock::now_ns();
                let until = *companion.resume_by.get_or_insert(now + RESUME_WITHIN);
                if until <= now {
                    trace::note(format_args!("connection {}: the peer does not resume", stream.index));
                    return Err(fail(Reason::CompanionLost));
                }
                self.alarms.insert(stream.index, until);
                Ok(())
            }
        }
    }

    /// Whether an alarm was one of a suspension, or of a connection whose controller is watched.
    pub(super) fn suspension_alarm(&mut self, stream: &Stream) -> bool {
        let suspended = self.companions.get(&stream.index).is_some_and(|companion| {
            let session = companion.session.as_ref();
            companion.leaving.is_some()
                || session.is_some_and(|session| session.suspension() != Suspension::None)
        });
        if suspended {
            self.look(stream.index);
        }
        suspended
    }
}
