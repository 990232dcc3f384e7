//! Fork and exec: what must be consistent across them.

use std::cell::Cell;

use crate::access;
use crate::family::{self, children, table};
use crate::first;
use crate::service::{kick, pump, working};
use crate::sharing::{self, fork::Heirloom};
use crate::stream::channel;
use crate::wait::{bells, epoll, pair, sets};

thread_local! {
    /// What the child of the fork under way will be. `None`: there is no fork, or nothing is held for it.
    static CHILD: Cell<Option<Child>> = const { Cell::new(None) };
}

/// A process that is about to begin.
#[derive(Clone, Copy)]
struct Child {
    /// Reserved for it. `None`: there is none left.
    slot: Option<usize>,
    /// Its token.
    token: [u64; 2],
}

pub(crate) fn before_fork() {
    let Some(family) = family::get() else { return };
    if table::in_vfork_child() {
        // No member, and its locks may be copies that threads of the parent hold: they stay locked for ever.
        return;
    }
    working::hold_for_fork();
    epoll::before_fork();
    table::hold_for_fork();
    sharing::fork::prepare();
    // Without random numbers it is found by nobody, and so gets nothing that has to be found.
    let token = bells::draw().ok();
    let slot = children::prepare(family, |slot, fd, index| match token {
        Some(token) => sharing::fork::inherit(family, slot, token, fd, index),
        None => Heirloom::Same,
    });
    wsd_os::fd::hold_for_fork();
    CHILD.set(Some(Child { slot, token: token.unwrap_or_default() }));
}

pub(crate) fn after_fork_in_parent(failed: bool) {
    let (Some(family), Some(Child { slot, .. })) = (family::get(), CHILD.take()) else { return };
    wsd_os::fd::release_after_fork();
    sharing::fork::settle_parent(family, failed);
    if let Some(slot) = slot.filter(|_| failed) {
        children::cancel(family, slot);
    }
    table::release_after_fork();
    epoll::after_fork();
    working::release_after_fork();
    if !failed {
        first::listening::shared_by_fork(family);
    }
}

pub(crate) fn after_fork_in_child() {
    let (Some(family), Some(Child { slot, token })) = (family::get(), CHILD.take()) else { return };
    wsd_os::fd::release_after_fork();
    match slot {
        Some(slot) => children::enter(family, slot),
        None => family::leave(),
    }
    pair::inherit_all();
    channel::restart_in_child();
    working::restart_in_child();
    kick::restart_in_child();
    access::restart_in_child();
    pump::restart_in_child();
    bells::restart_in_child(token);
    sets::restart_in_child();
    epoll::in_child();
    sharing::fork::settle_child();
    wsd_os::fd::close_hidden_in_child(&[crate::trace::descriptor()]);
    table::release_after_fork();
    epoll::after_fork();
}

/// See [`crate::front::serve_in_child`].
pub(crate) fn serve_in_child() {
    if !table::in_vfork_child() {
        kick::serve_marked();
    }
}

/// See [`crate::front::forget_in_child`].
pub(crate) fn forget_in_child() {
    family::leave();
    wsd_os::fd::close_hidden_in_child(&[crate::trace::descriptor()]);
}

/// Nothing was changed that a process which goes on would miss.
pub(crate) fn exec_failed() {}
