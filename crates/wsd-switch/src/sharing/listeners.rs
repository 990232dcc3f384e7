//! Listeners that several processes have (SW-189), as the program's threads see them.
//!
//! The processes share a [`Page`] without rings, and one of them controls the listener: its service thread has the providers' listening
//! sockets (`service::first::shared`). Who waits for a connection without controlling the listener takes a ticket. What one process
//! has accepted and its program has not can be left to another one, which takes it in ([`take_in`]).

use wsd_os::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::fd::OwnedFd;
use wsd_os::memory::SharedRegion;

use super::page::{Control, LISTENER, MAGIC, Page};
use super::{Shared, arrivals, copy_of_memory, keep_memory, members, without_control};
use crate::family::{self, Attach, Family, First, Life, Role, record, table};
use crate::first::listening;
use crate::front::PollFd;
use crate::service::{kick, map_shared, page_alone};
use crate::stream::channel::Channel;
use crate::stream::readiness::RECV_EVENTS;
use crate::stream::state::Stream;
use crate::wait::watchers;

/// See [`crate::front::share`].
pub(super) fn share(stream: &Stream) -> Result<Shared, Errno> {
    let channel = stream.channel()?;
    let _guard = stream.record.send.common.hold()?;
    if page_of(channel).is_none() {
        open(stream, channel)?;
    }
    copy_of_memory(channel)
}

/// The page of a listener, if other processes may have it.
pub(crate) fn page_of(channel: &Channel) -> Option<&'static Page> {
    channel.page.load().filter(|page| page.magic.load(Ordering::Acquire) == LISTENER)
}

/// Makes the page; this process controls the listener.
fn open(stream: &Stream, channel: &Channel) -> Result<(), Errno> {
    let mut region = page_alone()?;
    let page: &'static Page = region.at_forever(0).ok_or(Errno::NOMEM)?;
    let memory = region.take_fd().ok_or(Errno::BADF)?;
    for word in &page.key {
        word.store(u64::from_ne_bytes(wsd_os::random::bytes()?), Ordering::Relaxed);
    }
    let me = members::enter(page).ok_or(Errno::MFILE)?;
    page.value.store(stream.record.first.backlog.load(Ordering::Relaxed), Ordering::Relaxed);
    page.shared.store(1, Ordering::Relaxed);
    page.change(Control::None, Control::Held(me));
    page.magic.store(LISTENER, Ordering::Release);
    begin(stream, channel, page, memory, region);
    kick::kick_own(stream.index);
    Ok(())
}

fn begin(stream: &Stream, channel: &Channel, page: &'static Page, memory: OwnedFd, region: SharedRegion) {
    keep_memory(channel, memory);
    channel.accepting.store(0, Ordering::Relaxed);
    channel.page.store(page);
    arrivals::add(stream, Some(region));
}

/// See [`crate::front::join`].
pub(super) fn join(
    family: &Family,
    fd: i32,
    page: &'static Page,
    mut region: SharedRegion,
) -> Result<(), Errno> {
    let memory = region.take_fd().ok_or(Errno::BADF)?;
    members::enter(page).ok_or(Errno::MFILE)?;
    let index = record::allocate(family).ok_or(Errno::NFILE)?;
    let stream = Stream::at(index).ok_or(Errno::NFILE)?.with(fd);
    let record = stream.record;
    record.mirror(&stream.borrow());
    record.controller.store(family::my_slot() as u32 + 1, Ordering::Release);
    record.descriptor.store(fd as u32, Ordering::Relaxed);
    record.first.backlog.store(page.value.load(Ordering::Relaxed).max(1), Ordering::Relaxed);
    record.first.listens.store(1, Ordering::Relaxed);
    record.set_attach(Attach::Attached);
    record.set_reason(None);
    record.set_life(Life::Listening);
    record.set_first(First::Listening);
    listening::begun();
    begin(&stream, stream.channel()?, page, memory, region);
    let tracked = table::insert(family, fd, index);
    if !tracked {
        record.set_life(Life::Closed);
        record.close_attach();
    }
    // Not before: the service thread asks the descriptor for its name.
    kick::kick_own(index);
    if tracked { Ok(()) } else { Err(Errno::MFILE) }
}

/// A thread waits in a set for a connection, in poll in that lane: a use of the listener (SW-182).
pub(super) fn wait(stream: &Stream, lane: Option<u32>) {
    let Some(channel) = stream.channel().ok().filter(|channel| page_of(channel).is_some()) else { return };
    if let Some(lane) = lane {
        channel.accepting.fetch_or(1 << lane, Ordering::AcqRel);
    }
    if !listening::has_waiting(stream) {
        super::want(stream);
    }
}

/// The thread that polls in that lane waits no more.
pub(crate) fn wait_no_more(fds: &[PollFd], lane: u32) {
    let Some(family) = family::get() else { return };
    for entry in fds.iter().filter(|entry| entry.events != 0) {
        if let Some(index) = table::find(family, entry.fd)
            && family.record(index).first() == First::Listening
            && let Some(stream) = Stream::at(index)
            && let Ok(channel) = stream.channel()
            && channel.accepting.load(Ordering::Relaxed) != 0
        {
            channel.accepting.fetch_and(!(1 << lane), Ordering::AcqRel);
            let_others(&stream, channel);
        }
    }
}

/// A thread has its connection: others may have their turn.
pub(crate) fn served(stream: &Stream) {
    if let Ok(channel) = stream.channel() {
        channel.owed.store(0, Ordering::Release);
        let_others(stream, channel);
    }
}

fn let_others(stream: &Stream, channel: &Channel) {
    if page_of(channel).is_some_and(members::is_wanted) {
        kick::kick_own(stream.index);
    }
}

/// An accept that does not wait has found nothing here: a use of the listener, too.
pub(crate) fn found_nothing(stream: &Stream) {
    wait(stream, None);
}

/// Whether this process has asked for a connection and has none yet. `in_time`: also if it asked by an accept that did not wait.
pub(crate) fn needs_one(stream: &Stream, in_time: bool) -> bool {
    let asks = || {
        stream.channel().is_ok_and(|channel| {
            let asked = in_time && channel.owed.load(Ordering::Acquire) != 0;
            asked || channel.accepting.load(Ordering::Acquire) != 0
        })
    };
    stream.record.first.waiting.load(Ordering::Acquire) == 0
        && (asks() || watchers::waits_for(stream.index, RECV_EVENTS))
}

/// Takes in a connection that another process has left to this one, which is in its page already. `None`: it is not so, or this
/// process has no room; then the connection is the other one's still.
pub(crate) fn take_in(family: &Family, memory: OwnedFd) -> Option<Stream> {
    let mut region = map_shared(memory).ok()?;
    let page: &'static Page = region.at_forever(0)?;
    let me = (page.magic.load(Ordering::Acquire) == MAGIC).then(|| members::own(page)).flatten()?;
    if !members::is_child(page, me) {
        return None;
    }
    let connection = heir(family, page, &mut region);
    match &connection {
        Some(connection) => arrivals::add(connection, Some(region)),
        None => {
            members::leave(page, me);
            members::tell_all(page);
        }
    }
    connection
}

fn heir(family: &Family, page: &'static Page, region: &mut SharedRegion) -> Option<Stream> {
    let (local, peer) = (page.local.get()?, page.peer.get()?);
    let memory = region.take_fd()?;
    let stream = Stream::at(record::allocate(family)?)?;
    let channel = stream.channel().ok()?;
    stream.record.role.store(Role::Acceptor as u32, Ordering::Release);
    stream.record.first.local.set(local);
    stream.record.first.peer.set(peer);
    without_control(&stream, family::my_slot());
    channel.owed.store(0, Ordering::Relaxed);
    channel.page.store(page);
    keep_memory(channel, memory);
    Some(stream)
}
