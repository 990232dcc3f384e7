//! A fork gives the child all connections of its parent. Those that can move from process to process are shared like any other: the
//! child has a record of its own for each, and is a member of its page before there is a child (SW-180).

use std::cell::RefCell;

use wsd_os::atomic::Ordering;

use super::page::{Control, MAGIC, Page};
use super::{arrivals, members, without_control};
use crate::family::{Attach, Family, First, record};
use crate::service::kick;
use crate::stream::channel::{self, Channel};
use crate::stream::state::Stream;
use crate::wait::epoll;

/// A connection that the child gets.
struct Inherited {
    /// The parent's record, and the child's.
    from: u32,
    to: u32,
    page: &'static Page,
    member: u32,
}

thread_local! {
    /// What the child of the fork under way gets.
    static INHERITED: RefCell<Vec<Inherited>> = const { RefCell::new(Vec::new()) };
}

/// What a child inherits under a descriptor.
pub(crate) enum Heirloom {
    /// The record that its parent has.
    Same,
    /// A record of its own.
    Own(u32),
    /// Nothing: too many processes have the connection already.
    Nothing,
}

/// Before a fork. [`inherit`] follows for each descriptor.
pub(crate) fn prepare() {
    arrivals::hold_for_fork();
}

/// Before a fork, with the table locked: what the child in `slot`, which will have that token, gets for `fd`, whose record here is
/// `index`.
pub(crate) fn inherit(family: &Family, slot: usize, token: [u64; 2], fd: i32, index: u32) -> Heirloom {
    INHERITED.with_borrow_mut(|all| {
        if let Some(known) = all.iter().find(|inherited| inherited.from == index) {
            return Heirloom::Own(known.to);
        }
        let Some(page) = shareable(family, index) else { return Heirloom::Same };
        let Some(to) = record::allocate(family) else { return Heirloom::Nothing };
        let Some(member) = members::prepare_child(page, token) else {
            record::free(family, to);
            return Heirloom::Nothing;
        };
        copy(family, index, to);
        if let Some(stream) = Stream::at(to) {
            without_control(&stream.with(fd), slot);
        }
        page.shared.store(1, Ordering::Release);
        // It has one to watch it from now on, and cannot end the stream alone.
        kick::kick_own(index);
        all.push(Inherited { from: index, to, page, member });
        Heirloom::Own(to)
    })
}

/// The page of a connection that can move to another process.
fn shareable(family: &Family, index: u32) -> Option<&'static Page> {
    let record = family.record(index);
    if record.first() != First::Connected || record.attach() != Attach::Attached {
        return None;
    }
    let page = channel::of(index)?.page.load()?;
    let moves = matches!(page.control(), Control::Held(_) | Control::Offered(_));
    (page.magic.load(Ordering::Acquire) == MAGIC && moves && members::own(page).is_some()).then_some(page)
}

/// What both processes' sockets have in common, being one for the kernel.
fn copy(family: &Family, from: u32, to: u32) {
    let (from, to) = (family.record(from), family.record(to));
    for (from, to) in [
        (&from.role, &to.role),
        (&from.options, &to.options),
        (&from.low_water, &to.low_water),
        (&from.provider, &to.provider),
    ] {
        to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    for (from, to) in [(&from.receive_timeout, &to.receive_timeout), (&from.send_timeout, &to.send_timeout)] {
        to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    super::copy_name(&from.first.local, &to.first.local);
    super::copy_name(&from.first.peer, &to.first.peer);
}

/// After a fork, in the parent. `failed`: there is no child; before its table is emptied.
pub(crate) fn settle_parent(family: &Family, failed: bool) {
    INHERITED.with_borrow_mut(|all| {
        for Inherited { from, to, page, member } in all.drain(..).filter(|_| failed) {
            members::leave(page, member);
            // Nobody's service thread has it: it is freed with its last descriptor.
            family.record(to).set_attach(Attach::Never);
            kick::kick_own(from);
        }
    });
    arrivals::release_after_fork();
}

/// After a fork, in the child, which has its table and its token, and none of whose threads has run.
pub(crate) fn settle_child() {
    arrivals::restart_in_child();
    INHERITED.with_borrow_mut(|all| {
        for Inherited { from, to, page, member } in all.drain(..) {
            members::settle_child(page, member);
            let (Some(here), Some(there)) = (channel::of(from), channel::of(to)) else { continue };
            hand_on(here, there, page);
            if let Some(stream) = Stream::at(to) {
                epoll::inherit(from, &stream);
                arrivals::add(&stream, None);
            }
            kick::mark_own(to);
        }
    });
}

fn hand_on(parents: &Channel, own: &Channel, page: &'static Page) {
    if let (Some(send), Some(recv)) = (parents.send.load(), parents.recv.load()) {
        own.send.store(send);
        own.recv.store(recv);
    }
    own.page.store(page);
    own.memory.forget();
    own.owed.store(0, Ordering::Relaxed);
    own.lanes.store(0, Ordering::Relaxed);
    parents.memory.forget();
    parents.clear();
}

/// The process ends, and its service thread has not taken up what it inherited: it has never been more than a name on the page.
pub(crate) fn renounce(index: u32) {
    let Some(stream) = Stream::at(index) else { return };
    let Some(page) = stream.channel().ok().and_then(|channel| channel.page.load()) else { return };
    let Some(me) = members::own(page).filter(|me| members::is_child(page, *me)) else { return };
    if super::take_arrival(index, stream.generation).is_some() {
        members::leave(page, me);
        members::tell_all(page);
        // So that it is freed with its last descriptor.
        stream.record.set_attach(Attach::Never);
    }
}
