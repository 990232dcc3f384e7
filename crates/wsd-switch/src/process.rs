//! The life of a process under the switch: start, tracking of descriptors, fork, exec.

use std::cell::Cell;

use rustix::io::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::{clock, futex};

use crate::family::layout::Process;
use crate::family::{self, Attach, Family, Life, Role, members, record, table};
use crate::reason::Reason;
use crate::registry;
use crate::service::{kick, pump};
use crate::stream::channel;
use crate::stream::gate::State;
use crate::stream::state::Stream;
use crate::wait::{bells, epoll, pair, sets};

thread_local! {
    /// Slot reserved for the child of the fork under way.
    static CHILD: Cell<Option<usize>> = const { Cell::new(None) };
}

pub(crate) fn start() -> Result<(), Errno> {
    if !registry::any() {
        return Ok(());
    }
    channel::start()?;
    pair::start()?;
    epoll::start()?;
    bells::start()?;
    family::start()
}

/// Starts following a descriptor.
pub(crate) fn track(fd: i32, life: Life, role: Role) {
    let Some(family) = family::get() else { return };
    if table::in_vfork_child() {
        return;
    }
    let Some(index) = record::allocate(family) else { return };
    let record = family.record(index);
    record.set_life(life);
    record.role.store(role as u32, Ordering::Release);
    record.descriptor.store(fd as u32, Ordering::Relaxed);
    if !table::insert(family, fd, index) {
        record::free(family, index);
    }
}

/// Stops following a descriptor that is about to be closed.
pub(crate) fn untrack(family: &Family, fd: i32) {
    give_back_before_last(family, fd);
    let Some(index) = table::remove(family, fd) else { return };
    let me: &Process = family.me();
    if me.counts[index as usize].load(Ordering::Acquire) == 1 {
        epoll::gone(index);
    }
    record::drop_reference(family, me, index);
}

/// This process has the companion, but others go on with the connection after it: they need it on TCP.
fn give_back_before_last(family: &Family, fd: i32) {
    let Some(index) = table::find(family, fd) else { return };
    let record = family.record(index);
    let last_here = family.me().counts[index as usize].load(Ordering::Acquire) == 1;
    let others = record.holders.load(Ordering::Acquire) > 1;
    let mine = record.controller.load(Ordering::Acquire) as usize == family::my_slot() + 1;
    if last_here
        && others
        && mine
        && record.attach() == Attach::Attached
        && let Some(stream) = Stream::at(index)
    {
        let _ = leave(&stream.with(fd), Reason::SharedByProcesses);
    }
}

/// Whether another process of the family has the companion. Its sleepers are reached there only, so whoever waits for the
/// connection in a set here needs it on TCP.
pub(crate) fn bring_home(stream: &Stream) {
    let record = stream.record;
    let controller = record.controller.load(Ordering::Acquire) as usize;
    if controller != 0 && controller != family::my_slot() + 1 && record.attach() == Attach::Attached {
        let _ = leave(stream, Reason::SharedByProcesses);
    }
}

pub(crate) fn before_fork() {
    let Some(family) = family::get() else { return };
    epoll::before_fork();
    table::hold_for_fork();
    CHILD.set(members::prepare_child(family));
}

pub(crate) fn after_fork_in_parent(failed: bool) {
    let Some(family) = family::get() else { return };
    if let Some(slot) = CHILD.take()
        && failed
    {
        members::cancel_child(family, slot);
    }
    table::release_after_fork();
    epoll::after_fork();
}

pub(crate) fn after_fork_in_child() {
    let Some(family) = family::get() else { return };
    match CHILD.take() {
        Some(slot) => members::enter_child(family, slot),
        None => family::leave(),
    }
    pair::inherit_all();
    kick::restart_in_child();
    pump::restart_in_child();
    bells::restart_in_child();
    sets::restart_in_child();
    epoll::in_child();
    wsd_os::fd::close_private_in_child(&[crate::trace::descriptor()]);
    table::release_after_fork();
    epoll::after_fork();
}

/// Descriptors that survive into the new image leave our reach.
pub(crate) fn before_exec() {
    let Some(family) = family::get() else { return };
    let me = family.me();
    let highest = me.descriptors.load(Ordering::Acquire) as usize;
    for (fd, entry) in me.table.iter().enumerate().take(highest) {
        let (Some(index), Ok(fd)) = (entry.load(Ordering::Acquire).checked_sub(1), i32::try_from(fd)) else {
            continue;
        };
        if !wsd_os::fd::is_close_on_exec(wsd_os::fd::borrow(fd))
            && let Some(stream) = Stream::at(index)
            && stream.record.life() != Life::Listening
        {
            let _ = leave(&stream.with(fd), Reason::Exec);
        }
    }
}

/// Nothing was changed that a process which goes on would miss.
pub(crate) fn exec_failed() {}

/// How long a call waits until a connection is back on TCP.
const LEAVE_WITHIN: u64 = 2_000_000_000;

/// Takes a connection to TCP for good.
pub(crate) fn leave(stream: &Stream, reason: Reason) -> Result<(), Errno> {
    let record = stream.record;
    loop {
        match record.attach() {
            Attach::Never => {
                if on_tcp(stream) {
                    record.set_reason(Some(reason));
                }
                break;
            }
            Attach::No => {
                if record.change_attach(Attach::No, Attach::Never) {
                    record.set_reason(Some(reason));
                    return Ok(());
                }
            }
            from @ (Attach::Wanted | Attach::Attached) => {
                if record.change_attach(from, Attach::Leaving) {
                    record.set_reason(Some(reason));
                    kick::kick(stream.index);
                    break;
                }
            }
            Attach::Leaving => break,
        }
    }
    let end = clock::now_ns() + LEAVE_WITHIN;
    loop {
        let change = &record.recv.common.change;
        let seen = change.load(Ordering::Acquire);
        if record.attach() == Attach::Never {
            return if on_tcp(stream) { Ok(()) } else { Err(Errno::CONNRESET) };
        }
        let left = end.saturating_sub(clock::now_ns());
        if left == 0 {
            crate::stream::close::give_up(stream, reason);
            return Err(Errno::CONNRESET);
        }
        let _ = futex::wait(change, seen, Some(std::time::Duration::from_nanos(left.min(20_000_000))));
    }
}

fn on_tcp(stream: &Stream) -> bool {
    [&stream.record.send.common, &stream.record.recv.common]
        .iter()
        .all(|common| common.gate().state() == State::Tcp)
}
