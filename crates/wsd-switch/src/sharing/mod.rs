//! Connections that several processes have (SW-180..190), as the program's threads see them.
//!
//! One of the processes controls such a connection: its service thread has the companion. What they have in common lies in one
//! [`page`], which forks inherit ([`fork`]) and which other processes map when they are given the connection ([`share`], [`join`]).
//! Each has a record of its own for it. Who uses the connection without controlling it takes a ticket ([`want`]) and waits; the rest
//! is the service threads' work (`service::swap`).

mod arrivals;
#[cfg(target_os = "linux")]
pub(crate) mod fork;
pub(crate) mod listeners;
pub(crate) mod members;
pub(crate) mod page;

use wsd_os::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::fd::{AsFd, BorrowedFd, OwnedFd, borrow, duplicate_high};
use wsd_os::tcp;

use crate::family::layout::Name;
use crate::family::{self, Attach, Family, First, Life, Role, record, table};
use crate::service::kick;
use crate::service::map_shared;
use crate::stream::channel::Channel;
use crate::stream::gate::State;
use crate::stream::readiness::RECV_EVENTS;
use crate::stream::state::Stream;
use crate::trace;
use crate::wait::{bells, notice};
pub(crate) use arrivals::take_arrival;
use page::{Control, LISTENER, LISTENER_SEGMENT, MAGIC, Page, SEGMENT};

/// What a process has to send to another one, besides the kernel's socket, so that it can use the connection too.
#[derive(Debug)]
pub struct Shared {
    memory: OwnedFd,
}

impl Shared {
    /// The descriptor to send.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }

    /// From the descriptor that came. What it is, [`crate::front::join`] checks.
    pub fn from_descriptor(memory: OwnedFd) -> Self {
        Self { memory }
    }
}

/// See [`crate::front::share`].
pub(crate) fn share(stream: &Stream) -> Result<Shared, Errno> {
    match stream.record.first() {
        First::Connected => {}
        First::Listening => return listeners::share(stream),
        _ => return Err(Errno::OPNOTSUPP),
    }
    let channel = stream.channel()?;
    let page = channel.page.load().ok_or(Errno::OPNOTSUPP)?;
    if page.magic.load(Ordering::Acquire) != MAGIC {
        return Err(Errno::OPNOTSUPP);
    }
    let _guard = stream.record.send.common.hold()?;
    let shared = copy_of_memory(channel)?;
    page.shared.store(1, Ordering::Release);
    kick::kick_own(stream.index);
    Ok(shared)
}

/// Another descriptor of the memory. The lock of `send` is held.
fn copy_of_memory(channel: &Channel) -> Result<Shared, Errno> {
    let memory = own_memory(channel).ok_or(Errno::OPNOTSUPP)?;
    Ok(Shared { memory: duplicate_high(memory)? })
}

/// The descriptor of the memory. A child of fork has the mapping but not the descriptor.
pub(crate) fn own_memory(channel: &Channel) -> Option<BorrowedFd<'static>> {
    let own = channel.memory_token.load(Ordering::Relaxed) == bells::token()[0];
    channel.memory.get().filter(|_| own)
}

/// Keeps the descriptor by which a connection's memory can be given to other processes; forks get the mapping, and have no use for it.
pub(crate) fn keep_memory(channel: &Channel, memory: OwnedFd) {
    let token = bells::token()[0];
    if channel.memory_token.swap(token, Ordering::Relaxed) == token {
        // Of an earlier connection with this number, which is over.
        channel.memory.close();
    }
    channel.memory.forget();
    // Only makes what is there.
    let _ = channel.memory.get_or_make(|| Ok(memory));
}

/// See [`crate::front::join`].
pub(crate) fn join(family: &Family, fd: i32, shared: Shared) -> Result<(), Errno> {
    let mut region = map_shared(shared.memory)?;
    let page: &'static Page = region.at_forever(0).ok_or(Errno::INVAL)?;
    let listens = match (page.magic.load(Ordering::Acquire), region.len()) {
        (MAGIC, SEGMENT) => false,
        (LISTENER, LISTENER_SEGMENT) => true,
        _ => return Err(Errno::INVAL),
    };
    if members::own(page).is_some() {
        match join_own(family, fd) {
            // It has closed the last one, and leaves.
            Err(Errno::CONNRESET) => members::await_parting(page)?,
            result => return result,
        }
    }
    if listens {
        return listeners::join(family, fd, page, region);
    }
    let (local, peer) = (page.local.get().ok_or(Errno::INVAL)?, page.peer.get().ok_or(Errno::INVAL)?);
    members::enter(page).ok_or(Errno::MFILE)?;
    let index = record::allocate(family).ok_or(Errno::NFILE)?;
    let stream = Stream::at(index).ok_or(Errno::NFILE)?.with(fd);
    stream.record.mirror(&stream.borrow());
    stream.record.role.store(Role::Acceptor as u32, Ordering::Release);
    stream.record.first.local.set(local);
    stream.record.first.peer.set(peer);
    without_control(&stream, family::my_slot());
    let channel = stream.channel()?;
    channel.owed.store(0, Ordering::Relaxed);
    channel.page.store(page);
    if let Some(memory) = region.take_fd() {
        // This process may give the connection to others in its turn.
        keep_memory(channel, memory);
    }
    arrivals::add(&stream, Some(region));
    if !table::insert(family, fd, index) {
        stream.record.close_attach();
        kick::kick_own(index);
        return Err(Errno::MFILE);
    }
    kick::kick_own(index);
    Ok(())
}

/// The connection or listener has been given to a process that has it already: one more descriptor of the same socket.
fn join_own(family: &Family, fd: i32) -> Result<(), Errno> {
    let cookie = tcp::cookie(borrow(fd))?;
    let me = family.me();
    let highest = me.descriptors.load(Ordering::Acquire) as usize;
    let is_twin = |number: i32, index: u32| {
        number != fd
            && matches!(family.record(index).first(), First::Connected | First::Listening)
            && tcp::cookie(borrow(number)) == Ok(cookie)
    };
    let index = (0i32..)
        .zip(me.table.iter().take(highest))
        .filter_map(|(number, entry)| Some((number, entry.load(Ordering::Acquire).checked_sub(1)?)))
        .find_map(|(number, index)| is_twin(number, index).then_some(index))
        .ok_or(Errno::CONNRESET)?;
    if table::insert(family, fd, index) { Ok(()) } else { Err(Errno::MFILE) }
}

/// Makes the record that of a connection which another process controls: what is asked of it waits. `slot`: whose it is.
fn without_control(stream: &Stream, slot: usize) {
    let record = stream.record;
    record.controller.store(slot as u32 + 1, Ordering::Release);
    record.first.told.store(1, Ordering::Relaxed);
    record.descriptor.store(stream.fd as u32, Ordering::Relaxed);
    for common in [&record.send.common, &record.recv.common] {
        common.gate().force(State::Opening);
    }
    record.set_attach(Attach::Attached);
    record.set_reason(None);
    record.set_life(Life::Connected);
    record.set_first(First::Connected);
}

/// The connection is used here: if another process controls it, this one asks for it (SW-181).
pub(crate) fn want(stream: &Stream) {
    let Ok(channel) = stream.channel() else { return };
    let Some(page) = channel.page.load() else { return };
    if !matches!(page.magic.load(Ordering::Acquire), MAGIC | LISTENER) {
        return;
    }
    let Some(me) = members::own(page) else { return };
    let controller = match page.control() {
        Control::Held(member) | Control::Offered(member) => member,
        Control::None | Control::Dead => return kick::kick_own(stream.index),
    };
    if controller == me {
        return;
    }
    channel.owed.store(1, Ordering::Release);
    if members::take_ticket(page, me) {
        trace::note(format_args!("connection {}: control is asked for", stream.index));
    }
    // It watches over the process that has control, until this one has it.
    kick::kick_own(stream.index);
    members::tell(page, controller);
}

/// A thread waits in a set for some of `events` to happen to the connection or listener: a use of it, too. `lane`: of a thread in poll.
pub(crate) fn wait_in_set(stream: &Stream, events: u32, lane: Option<u32>) {
    match stream.record.first() {
        First::Connected if stream.record.recv.common.gate().state() == State::Opening => want(stream),
        First::Listening if events & RECV_EVENTS != 0 => listeners::wait(stream, lane),
        _ => {}
    }
}

/// Whether other processes may have the connection too.
pub(crate) fn is_shared(channel: &Channel) -> bool {
    channel.page.load().is_some_and(|page| page.shared.load(Ordering::Acquire) != 0)
}

/// A request was served here: others may have their turn.
#[inline]
pub(crate) fn served(channel: &Channel, index: u32) {
    if channel.owed.load(Ordering::Relaxed) != 0 {
        channel.owed.store(0, Ordering::Release);
        kick::kick_own(index);
    }
}

/// Fills in the page of a connection that this process controls.
pub(crate) fn open(page: &'static Page, stream: &Stream, provider: &str) -> Option<u32> {
    let me = members::enter(page)?;
    page.set_provider(provider);
    copy_name(&stream.record.first.local, &page.local);
    copy_name(&stream.record.first.peer, &page.peer);
    if !page.change(Control::None, Control::Held(me)) {
        return None;
    }
    page.magic.store(MAGIC, Ordering::Release);
    Some(me)
}

fn copy_name(from: &Name, to: &Name) {
    if let Some(address) = from.get() {
        to.set(address);
    }
}

/// The connection is over for this process, and so it is for all that share it (SW-188).
pub(crate) fn ended(stream: &Stream) {
    if let Ok(channel) = stream.channel()
        && is_shared(channel)
        && let Some(page) = channel.page.load()
        && page.end()
    {
        members::tell_all(page);
    }
}

/// Puts the program's ends of the rings into the page (SW-184): nobody of this process uses them from now on.
pub(crate) fn take_from_program(stream: &Stream, page: &Page) -> Result<(), Errno> {
    stop_program(stream)?;
    let (send, recv) = (&stream.record.send, &stream.record.recv);
    page.writer.assign(&send.ring);
    page.reader.assign(&recv.ring);
    for (place, common) in page.flags.iter().zip([&send.common, &recv.common]) {
        place.store(common.flags.load(Ordering::Acquire), Ordering::Relaxed);
    }
    page.urgent_taken.store(recv.common.urgent_taken.load(Ordering::Relaxed), Ordering::Relaxed);
    Ok(())
}

/// New requests wait (SW-183, step 1); no thread is inside when this returns.
pub(crate) fn stop_program(stream: &Stream) -> Result<(), Errno> {
    for common in [&stream.record.send.common, &stream.record.recv.common] {
        let _guard = common.hold()?;
        if common.gate().state() == State::San {
            common.gate().force(State::Opening);
        }
        common.announce_change();
    }
    // Who waits in a set has to ask for control from now on.
    notice::changed(stream.index);
    Ok(())
}

/// The requests that wait are served (step 10).
pub(crate) fn let_program_go(stream: &Stream) {
    for common in [&stream.record.send.common, &stream.record.recv.common] {
        common.gate().force_from(State::Opening, State::San);
        common.announce_change();
    }
    notice::changed(stream.index);
}

/// The connection is over: what is in the rings is for the program only if it is this one that had its ends of them.
pub(crate) fn forget_rings(stream: &Stream) {
    let Ok(channel) = stream.channel() else { return };
    let (send, recv) = (&stream.record.send.common, &stream.record.recv.common);
    for (common, ring) in [(send, &channel.send), (recv, &channel.recv)] {
        let _guard = common.hold();
        if common.gate().state() == State::Opening {
            ring.clear();
        }
    }
}

/// The program's ends of the rings come to this process.
pub(crate) fn give_to_program(stream: &Stream, page: &Page) -> Result<(), Errno> {
    let (send, recv) = (&stream.record.send, &stream.record.recv);
    for common in [&send.common, &recv.common] {
        // Orders what follows after what the process before did, for all threads.
        drop(common.hold()?);
    }
    send.ring.assign(&page.writer);
    recv.ring.assign(&page.reader);
    for (place, common) in page.flags.iter().zip([&send.common, &recv.common]) {
        common.flags.store(place.load(Ordering::Relaxed), Ordering::Release);
    }
    recv.common.urgent_taken.store(page.urgent_taken.load(Ordering::Relaxed), Ordering::Relaxed);
    Ok(())
}
