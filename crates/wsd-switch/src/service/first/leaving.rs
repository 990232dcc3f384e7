//! What a process has accepted at a listener that others have too, and its program has not: it goes to the process that controls the
//! listener now, by that one's *box*, and moves there as a connection does whose program has closed it. So does all of it when the program closes the
//! listener.
//!
//! A connection is the next process's, by an entry in its page, before the letter is sent; so it is nobody's at no moment.

use wsd_os::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::clock;
use wsd_os::fd::{AsFd, BorrowedFd, OwnedFd};
use wsd_os::link::{Link, Listener};
use wsd_os::tcp::{self, Shutdown};

use super::super::swap::{LOOK_EVERY, process_of};
use super::super::thread::Service;
use crate::family::first::{give_place, has_queued, pop, push, put_back};
use crate::family::{First, Life};
use crate::service::kick;
use crate::sharing::page::{Control, MAGIC, Page};
use crate::sharing::{self, listeners, members};
use crate::stream::close;
use crate::stream::state::Stream;
use crate::trace;
use crate::wait::notice;

/// A process that has lost control keeps what it has accepted so long (nanoseconds) for its own program.
const OWN_FIRST: u64 = 50_000_000;
/// What cannot be left to another process now is tried again after this time (nanoseconds).
const AGAIN: u64 = 20_000_000;
/// Who has closed gives the rest up after this time (nanoseconds): longer than the negotiation of a connection may take.
const PART_WITHIN: u64 = 6_000_000_000;

/// Where other processes leave connections.
pub(super) struct LetterBox {
    /// `None`: it could not be made; then nobody leaves anything.
    listener: Option<Listener>,
    /// Who is about to, in the order in which they came.
    senders: Vec<Link>,
}

impl LetterBox {
    pub(super) fn open(page: &Page, member: u32) -> Self {
        Self { listener: Listener::bind(&name(page, member), 64).ok(), senders: Vec::new() }
    }

    /// Readable when there is something.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.listener.as_ref().map(AsFd::as_fd)
    }

    /// The memory of a connection; `None`: there is no more now.
    fn read(&mut self, mut watch: impl FnMut(BorrowedFd<'_>)) -> Option<OwnedFd> {
        while let Some(Ok(link)) = self.listener.as_ref().map(Listener::accept) {
            watch(link.as_fd());
            self.senders.push(link);
        }
        loop {
            let number = self.senders.len().checked_sub(1)?;
            let (place, read) =
                (0..=number).find_map(|place| match self.senders[place].recv(&mut [0; 8], 1) {
                    Err(Errno::AGAIN) => None,
                    read => Some((place, read)),
                })?;
            let link = self.senders.remove(place);
            let Ok(Some(packet)) = read else { continue };
            let honest = link.peer_credentials().is_ok_and(|peer| peer.is_trusted());
            let [memory, ..] = packet.fds;
            if let Some(memory) = memory.filter(|_| honest) {
                return Some(memory);
            }
        }
    }

    /// Nobody leaves anything more; whether nobody is about to.
    fn close(&mut self) -> bool {
        if let Some(listener) = &self.listener {
            // A listener that is shut down refuses; what it has let in stays.
            let _ = tcp::shutdown(listener.as_fd(), Shutdown::Both);
        }
        self.senders.is_empty()
    }
}

fn name(page: &Page, member: u32) -> Vec<u8> {
    let [one, other] = page.key.each_ref().map(|word| word.load(Ordering::Relaxed));
    format!("wsdirect/listener/{one:016x}{other:016x}/{member}").into_bytes()
}

impl Service {
    /// Takes in what others have left.
    pub(super) fn read_letters(&mut self, stream: &Stream) {
        loop {
            let Some(mut listener) = self.listeners.remove(&stream.index) else { return };
            let memory = listener.share.as_mut().and_then(|share| {
                share.letters.read(|link| {
                    // Without, it is read whenever something else happens.
                    let _ = self.watch_controller(link, stream.index);
                })
            });
            self.listeners.insert(stream.index, listener);
            let Some(memory) = memory else { return };
            let Some(connection) = listeners::take_in(self.family, memory) else { continue };
            trace::note(format_args!("connection {} was left to this process", connection.index));
            stream.record.first.waiting.fetch_add(1, Ordering::AcqRel);
            if push(self.family, stream.record, connection.index).is_err() {
                give_place(stream.record);
                close::refuse(self.family, &connection);
            }
            kick::kick_own(connection.index);
            notice::changed(stream.index);
        }
    }

    /// Control is on its way to another process: what waits here is looked at when it is there.
    pub(super) fn keep_queue(&mut self, stream: &Stream) {
        if has_queued(stream.record) {
            self.alarms.insert(stream.index, clock::now_ns() + OWN_FIRST);
        }
    }

    /// Another process controls the listener: what this one has accepted is its own program's first.
    pub(super) fn leave_queue(&mut self, stream: &Stream, to: u32) {
        let now = clock::now_ns();
        let Some(share) = self.share_mut(stream) else { return };
        if !has_queued(stream.record) {
            share.leave_at = None;
            return;
        }
        let patience = if share.part_by.is_some() { 0 } else { OWN_FIRST };
        let at = *share.leave_at.get_or_insert(now + patience);
        if now < at {
            self.alarms.insert(stream.index, at);
            return;
        }
        share.leave_at = None;
        let (page, parting) = (share.page, share.part_by.is_some());
        while let Ok(Some(index)) = pop(self.family, stream.record) {
            let Some(connection) = Stream::at(index) else { continue };
            match leave_to(&connection, page, to) {
                Ok(()) => trace::note(format_args!("connection {index} is left to another process")),
                // Whoever closes has no program that could accept it.
                Err(Errno::OPNOTSUPP) if parting => {}
                Err(error) => {
                    let _ = put_back(self.family, stream.record, index);
                    if error != Errno::OPNOTSUPP {
                        self.alarms.insert(stream.index, now + AGAIN);
                    }
                    return;
                }
            }
            give_place(stream.record);
            kick::kick_own(index);
            // If the next process is gone before it has taken it up, nobody accepts it.
            close::refuse(self.family, &connection);
        }
    }

    /// The program has closed a listener, or wants no connections any more; whether other processes need nothing of this one.
    pub(super) fn part_listener(&mut self, stream: &Stream) -> bool {
        let Some((page, me)) = self.share_of(stream) else { return true };
        let now = clock::now_ns();
        members::close(page, me);
        self.read_letters(stream);
        let Some(share) = self.share_mut(stream) else { return true };
        let part_by = *share.part_by.get_or_insert(now + PART_WITHIN);
        let empty = share.letters.close();
        let mut at = part_by.min(now + LOOK_EVERY);
        let gone = match page.control() {
            Control::Held(member) if member == me => match members::reserve_next(page, me, true) {
                Some(to) => {
                    self.give_listener(stream, to);
                    false
                }
                None => {
                    at = now + AGAIN;
                    !members::has_others(page, me)
                }
            },
            Control::Offered(member) if member == me => {
                self.take_listener(stream);
                false
            }
            Control::Held(member) => {
                self.watch_listener(stream, member);
                self.leave_queue(stream, member);
                let rest = stream.record.first.waiting.load(Ordering::Acquire) != 0;
                at = now + AGAIN;
                empty && !rest && members::leave(page, me)
            }
            Control::Offered(member) => {
                self.watch_listener(stream, member);
                page.parting.store(1, Ordering::SeqCst);
                at = now + AGAIN;
                false
            }
            Control::None | Control::Dead => true,
        };
        if !gone && now < part_by {
            self.alarms.insert(stream.index, at);
            return false;
        }
        if let Some(listener) = self.listeners.get_mut(&stream.index) {
            listener.share = None;
        }
        members::leave(page, me);
        members::tell_all(page);
        if let Ok(channel) = stream.channel() {
            channel.page.clear();
        }
        true
    }

    /// The listener in whose queue a connection goes, also while it is being left to others.
    pub(super) fn queue_of(&self, (index, generation): (u32, u32)) -> Option<Stream> {
        let parting = || {
            let listener = self.listeners.get(&index).filter(|listener| listener.generation == generation)?;
            listener.share.as_ref().and_then(|_| Stream::at(index))
        };
        super::listen::current_listener((index, generation)).or_else(parting)
    }
}

/// Gives a connection to the member `to` of a listener's page.
///
/// # Errors
/// `EOPNOTSUPP`: it cannot be given away. Others: not now.
fn leave_to(connection: &Stream, listener: &Page, to: u32) -> Result<(), Errno> {
    let standing = connection.record.first() == First::Connected && connection.record.life() != Life::Closed;
    let channel = connection.channel()?;
    let page = channel.page.load().filter(|page| page.magic.load(Ordering::Acquire) == MAGIC);
    let page = page.filter(|_| standing).ok_or(Errno::OPNOTSUPP)?;
    let memory = sharing::own_memory(channel).ok_or(Errno::OPNOTSUPP)?;
    let token = listener.members[to as usize].token.each_ref().map(|half| half.load(Ordering::Relaxed));
    let link = Link::connect(&name(listener, to))?;
    let heir = members::enter_heir(page, process_of(listener, to), token).ok_or(Errno::AGAIN)?;
    page.shared.store(1, Ordering::Release);
    link.send(&[1], &[memory]).inspect_err(|_| {
        members::leave(page, heir);
    })
}
