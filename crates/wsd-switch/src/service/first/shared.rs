//! Listeners that several processes have: who accepts from the SAN, and how that goes from process to process (SW-189).
//!
//! Who controls says the page ([`crate::sharing::listeners`]), as for connections. There is no session to suspend, and every WSPAccept
//! has returned when anything is decided here, so control goes by WSPDuplicateSocket at once. Nobody loses a listener by another one's
//! death: whoever notices it first listens anew.

use wsd_os::atomic::Ordering;
use wsd_os::clock;
use wsd_os::fd::{AsFd, OwnedFd};
use wsd_os::memory::SharedRegion;
use wsd_os::process::{self, ProcessId};
use wsd_spi::EventMask;
use wsd_spi::ffi::WSAPROTOCOL_INFOW;

use super::super::port::family_of;
use super::super::pump::Unsettled;
use super::super::swap::{LOOK_EVERY, pid_of, process_of};
use super::super::thread::Service;
use super::leaving::LetterBox;
use super::listen::{Own, SanListener};
use super::values;
use crate::family::First;
use crate::service::kick;
use crate::sharing::page::{Control, Page};
use crate::sharing::{self, listeners, members};
use crate::stream::state::Stream;
use crate::trace;
use crate::upcalls::event_of;
use crate::wait::notice;

/// Whoever got control keeps it so long (nanoseconds) at most until an accept that did not wait has found something.
const USE_WITHIN: u64 = 50_000_000;
/// A process that takes over from a dead one tries so often, and so soon again (nanoseconds), to listen where that one's provider has
/// yet to let go.
const TRIES: u32 = 50;
const AGAIN: u64 = 20_000_000;

/// What a listener has that other processes have, too.
pub(super) struct Share {
    pub(super) page: &'static Page,
    /// This process's number in the page.
    pub(super) me: u32,
    /// Where others leave what they have accepted.
    pub(super) letters: LetterBox,
    /// SAN sockets that were given away; closed when others take their place (SW-183, step 9).
    given: Vec<Own>,
    /// When control came to this process.
    arrived: Option<u64>,
    /// The controller, and what tells of its end.
    watched: Option<(ProcessId, OwnedFd)>,
    /// When what waits here is left to the controller.
    pub(super) leave_at: Option<u64>,
    /// The program has closed: when the rest is given up.
    pub(super) part_by: Option<u64>,
    /// How often this process will try again to listen.
    tries: u32,
    /// The page lies in it.
    _region: SharedRegion,
    /// A process that ends leaves first.
    _unsettled: Unsettled,
}

impl Service {
    /// Shared listeners of which something has come through the page.
    pub(in super::super) fn listeners_with_news(&self) -> impl Iterator<Item = u32> + '_ {
        let news = |share: &Share| match share.page.control() {
            Control::Held(member) if member == share.me => members::is_wanted(share.page),
            Control::Offered(member) if member == share.me => true,
            Control::Held(member) | Control::Offered(member) => {
                let controller = process_of(share.page, member);
                share.part_by.is_some()
                    || share.watched.as_ref().is_none_or(|(watched, _)| *watched != controller)
            }
            Control::None | Control::Dead => false,
        };
        let shared =
            self.listeners.iter().filter(move |(_, listener)| listener.share.as_ref().is_some_and(news));
        shared.map(|(index, _)| *index)
    }

    /// Looks at what other processes have to do with a listener; whether this one accepts from the SAN.
    pub(super) fn look_at_share(&mut self, stream: &Stream) -> bool {
        self.read_letters(stream);
        let Some((page, me)) = self.share_of(stream) else { return true };
        match page.control() {
            Control::Held(member) if member == me => {
                self.listen_again(stream);
                true
            }
            Control::Offered(member) if member == me => {
                self.take_listener(stream);
                true
            }
            Control::Held(member) => {
                self.watch_listener(stream, member);
                self.leave_queue(stream, member);
                false
            }
            Control::Offered(member) => {
                self.watch_listener(stream, member);
                self.keep_queue(stream);
                false
            }
            Control::None | Control::Dead => false,
        }
    }

    pub(super) fn share_of(&self, stream: &Stream) -> Option<(&'static Page, u32)> {
        let share = self.listeners.get(&stream.index)?.share.as_ref()?;
        Some((share.page, share.me))
    }

    pub(super) fn share_mut(&mut self, stream: &Stream) -> Option<&mut Share> {
        self.listeners.get_mut(&stream.index)?.share.as_mut()
    }

    /// The program has given the listener to another process, or got it from one.
    pub(super) fn begin_share(&mut self, stream: &Stream) {
        let page = stream.channel().ok().and_then(listeners::page_of);
        let Some((page, me)) = page.and_then(|page| Some((page, members::own(page)?))) else { return };
        if self.share_of(stream).is_some() {
            return;
        }
        let Some((Some(region), unsettled)) = sharing::take_arrival(stream.index, stream.generation) else {
            return;
        };
        let letters = LetterBox::open(page, me);
        if let Some(descriptor) = letters.descriptor() {
            // Without, letters are read whenever something else happens.
            let _ = self.watch_controller(descriptor, stream.index);
        }
        let share = Share {
            page,
            me,
            letters,
            given: Vec::new(),
            arrived: None,
            watched: None,
            leave_at: None,
            part_by: None,
            tries: 0,
            _region: region,
            _unsettled: unsettled,
        };
        if let Some(listener) = self.listeners.get_mut(&stream.index) {
            listener.share = Some(share);
        }
    }

    /// Whether this process's record is of a listener whose SAN sockets another process may have.
    pub(super) fn is_shared_listener(stream: &Stream) -> bool {
        stream.record.first() == First::Listening
            && stream.channel().is_ok_and(|channel| listeners::page_of(channel).is_some())
    }

    /// Accepts what comes while nobody else wants to; otherwise one connection, if this process waits for one, before control goes to
    /// who has waited longest (SW-181, SW-189).
    pub(super) fn accept_in_turn(&mut self, stream: &Stream) {
        let Some((page, me)) = self.share_of(stream).filter(|(page, _)| members::is_wanted(page)) else {
            return self.accept_waiting(stream);
        };
        let arrived = self.share_mut(stream).and_then(|share| share.arrived);
        let until = arrived.map_or(0, |arrived| arrived + USE_WITHIN);
        let in_time = clock::now_ns() < until;
        if listeners::needs_one(stream, in_time) {
            self.accept_one_of_all(stream);
            if listeners::needs_one(stream, in_time) {
                if in_time {
                    self.alarms.insert(stream.index, until);
                }
                return;
            }
        }
        match members::reserve_next(page, me, false) {
            Some(to) => self.give_listener(stream, to),
            None => self.accept_waiting(stream),
        }
    }

    /// Steps 6 and 7: the providers' sockets go to another process.
    pub(super) fn give_listener(&mut self, stream: &Stream, to: u32) {
        let Some(listener) = self.listeners.get_mut(&stream.index) else { return };
        let Some(share) = listener.share.as_mut() else { return };
        let (page, me) = (share.page, share.me);
        let process = pid_of(page, to);
        trace::note(format_args!("listener {}: process {process} is next", stream.index));
        let mut told = Vec::new();
        for own in listener.sockets.drain(..) {
            let given = own.socket.duplicate(process, family_of(own.asked));
            listener.asked.remove(&(own.provider, own.asked));
            // Where it fails the next process listens anew.
            if let (Ok(info), Some(name)) = (given, self.providers.name(own.provider)) {
                told.push((info.dwProviderReserved, own.asked, name.to_owned()));
                share.given.push(own);
            }
        }
        for (provider, asked) in listener.asked.drain() {
            // One that does not listen there is left out of this listener (SW-082).
            told.extend(self.providers.name(provider).map(|name| (0, asked, name.to_owned())));
        }
        if !page.pack(values::write(&told).as_bytes()) {
            share.given.clear();
            page.pack(&[]);
        }
        page.change(Control::Held(me), Control::Offered(to));
        members::tell(page, to);
        self.watch_listener(stream, to);
        self.keep_queue(stream);
        // Who waits here has to ask for control from now on.
        notice::changed(stream.index);
    }

    /// Steps 8 to 10: the listener comes to this process.
    pub(super) fn take_listener(&mut self, stream: &Stream) {
        let Some(mut listener) = self.listeners.remove(&stream.index) else { return };
        let Some(share) = listener.share.as_mut() else { return };
        let (page, me) = (share.page, share.me);
        let mut given = std::mem::take(&mut share.given);
        share.watched = None;
        share.leave_at = None;
        share.arrived = Some(clock::now_ns());
        listener.asked.clear();
        for (value, asked, name) in values::read(&page.unpack()) {
            let Some(provider) = self.providers.named(|own| own == name) else { continue };
            if value == 0 || self.adopt_listener(stream, &mut listener, &mut given, (provider, asked, value))
            {
                listener.asked.insert((provider, asked));
            }
        }
        // Step 9.
        drop(given);
        listener.backlog = page.value.load(Ordering::Relaxed);
        let backlog = &stream.record.first.backlog;
        // Of one that wants no connections any more it stays 0.
        let _ = backlog
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |own| (own != 0).then_some(listener.backlog));
        self.control_listener(stream, listener, Control::Offered(me));
    }

    /// Whether the provider has the socket here.
    fn adopt_listener(
        &self,
        stream: &Stream,
        listener: &mut SanListener,
        given: &mut Vec<Own>,
        (provider, asked, value): (usize, std::net::SocketAddr, u32),
    ) -> bool {
        let Some(started) = self.providers.get(provider) else { return false };
        let mut info = WSAPROTOCOL_INFOW::tcp_ip(family_of(asked));
        info.dwProviderReserved = value;
        let Ok(mut socket) = started.san.adopt(&info) else { return false };
        // A provider may answer with the socket that this process has had before.
        let same = |own: &Own| own.provider == provider && own.socket.descriptor() == socket.descriptor();
        if let Some(place) = given.iter().position(same) {
            let before = given.swap_remove(place).socket;
            // A second owner of the one socket: dropped, it would close it.
            std::mem::forget(std::mem::replace(&mut socket, before));
        }
        if socket.event_select(Some(event_of(stream.index)), EventMask::ACCEPT).is_err() {
            return false;
        }
        listener.sockets.push(Own { provider, asked, socket });
        true
    }

    /// This process has control, which was where `from` says: it listens wherever the listener is not listening yet.
    fn control_listener(&mut self, stream: &Stream, mut listener: SanListener, from: Control) {
        self.ask_providers(stream, &mut listener);
        let Some(share) = listener.share.as_ref() else { return };
        let (page, me) = (share.page, share.me);
        self.listeners.insert(stream.index, listener);
        page.members[me as usize].ticket.store(0, Ordering::Release);
        if page.change(from, Control::Held(me)) {
            trace::note(format_args!("listener {}: this process has control", stream.index));
        }
        members::release(page, me);
        kick::kick_own(stream.index);
        if page.parting.swap(0, Ordering::SeqCst) != 0 {
            members::tell_all(page);
        }
    }

    /// Waits for the end of the process that controls the listener, besides everything else.
    pub(super) fn watch_listener(&mut self, stream: &Stream, member: u32) {
        let Some(share) = self.share_mut(stream) else { return };
        let page = share.page;
        let process = process_of(page, member);
        if share.watched.as_ref().is_some_and(|(watched, _)| *watched == process && process.is_alive()) {
            return;
        }
        share.watched = None;
        match process::watch(process) {
            Ok(fd) => {
                let watched = self.watch_controller(fd.as_fd(), stream.index);
                if let (Ok(()), Some(share)) = (watched, self.share_mut(stream)) {
                    share.watched = Some((process, fd));
                    return;
                }
                self.alarms.insert(stream.index, clock::now_ns() + LOOK_EVERY);
            }
            Err(_) if members::controller_is_gone(page) => self.replace_controller(stream),
            // It has given control to another one before it ended, or cannot be watched.
            Err(_) => drop(self.alarms.insert(stream.index, clock::now_ns() + AGAIN)),
        }
    }

    /// The process that had the providers' sockets is gone, and so are they. One of those who notice listens anew.
    fn replace_controller(&mut self, stream: &Stream) {
        let Some((page, me)) = self.share_of(stream) else { return };
        let dead = page.control();
        if !members::controller_is_gone(page) || !page.change(dead, Control::Held(me)) {
            return kick::kick_own(stream.index);
        }
        trace::note(format_args!("listener {}: its process is gone; this one listens", stream.index));
        let Some(mut listener) = self.listeners.remove(&stream.index) else { return };
        listener.asked.clear();
        if let Some(share) = listener.share.as_mut() {
            (share.tries, share.leave_at) = (TRIES, None);
            share.given.clear();
        }
        self.control_listener(stream, listener, Control::Held(me));
    }

    /// Where the dead process's provider had yet to let go, this one tries again.
    fn listen_again(&mut self, stream: &Stream) {
        let Some(listener) = self.listeners.get_mut(&stream.index) else { return };
        let silent = listener.sockets.len() < listener.asked.len();
        let Some(share) = listener.share.as_mut().filter(|share| share.tries > 0 && silent) else { return };
        if self.alarms.contains_key(&stream.index) {
            return;
        }
        share.tries -= 1;
        let listening: Vec<_> = listener.sockets.iter().map(|own| (own.provider, own.asked)).collect();
        listener.asked.retain(|asked| listening.contains(asked));
        let Some(mut listener) = self.listeners.remove(&stream.index) else { return };
        self.ask_providers(stream, &mut listener);
        self.listeners.insert(stream.index, listener);
        self.alarms.insert(stream.index, clock::now_ns() + AGAIN);
    }
}
