//! The life of a process under the switch: start, tracking of descriptors, its end.

#[cfg(target_os = "linux")]
pub(crate) mod fork;

use wsd_os::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::{clock, futex};

use crate::access;
use crate::family::layout::Process;
use crate::family::{self, Attach, Family, First, Life, Role, record, table};
use crate::first;
use crate::networks;
use crate::reason::Reason;
use crate::registry;
use crate::service::kick;
use crate::sharing;
use crate::stream::channel;
use crate::stream::hashing;
use crate::stream::state::Stream;
use crate::wait::{bells, pair, watchers};

pub(crate) fn start() -> Result<(), Errno> {
    if !registry::any() {
        return Ok(());
    }
    channel::start()?;
    pair::start()?;
    watchers::start()?;
    bells::start()?;
    networks::start();
    access::start();
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
    keep_kernel_socket(family, fd);
    let Some(index) = table::remove(family, fd) else { return };
    let me: &Process = family.me();
    if me.counts[index as usize].load(Ordering::Acquire) == 1 {
        watchers::gone(index);
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
        && record.first() == First::No
        && record.attach() == Attach::Attached
        && let Some(stream) = Stream::at(index)
    {
        let _ = leave(&stream.with(fd), Reason::SharedByProcesses);
    }
}

/// The last descriptor of a pumped connection goes: what its service thread has not handed over may still have to go by TCP.
fn keep_kernel_socket(family: &Family, fd: i32) {
    let Some(index) = table::find(family, fd) else { return };
    let record = family.record(index);
    let attached = matches!(record.attach(), Attach::Attached | Attach::Leaving);
    if !attached || record.first() != First::No || record.references.load(Ordering::Acquire) != 1 {
        return;
    }
    let Some(channel) = channel::of(index) else { return };
    if channel.is_pumped() {
        // Without a free descriptor number the bytes depend on the companion alone.
        let _ = channel::keep_kernel(index, wsd_os::fd::borrow(fd));
    }
}

/// Whether another process of the family has the companion. Its sleepers are reached there only, so whoever waits for the
/// connection in a set here needs it on TCP.
pub(crate) fn bring_home(stream: &Stream) {
    let record = stream.record;
    let controller = record.controller.load(Ordering::Acquire) as usize;
    if controller != 0 && controller != family::my_slot() + 1 && record.attach() == Attach::Attached {
        match record.first() {
            // Of a listener the kernel's part is everybody's.
            First::Listening => {}
            First::No => drop(leave(stream, Reason::SharedByProcesses)),
            _ => abandon(stream, Reason::SharedByProcesses),
        }
    }
}

/// The kernel alone is going to be asked what is ready, and knows nothing of what the SAN makes first: so that nobody waits in
/// vain, a connection is reset, the making of one ends, and a listener goes on with TCP only. Other sockets are left alone.
pub(crate) fn abandon(stream: &Stream, reason: Reason) {
    match stream.record.first() {
        First::Connecting => drop(first::connecting::cancel(stream)),
        First::Connected => crate::stream::close::give_up(stream, reason),
        First::Listening => first::listening::stop(stream),
        First::No | First::Failed => {}
    }
}

/// Descriptors that survive into the new image, or that a new process gets, leave our reach.
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

/// The process ends, or becomes another program: what the SAN carries for it ends as by close(2), since no program that follows
/// could use it.
pub(crate) fn close_san_first() {
    let Some(family) = family::get() else { return };
    if !registry::connects_san_first() || table::in_vfork_child() {
        return;
    }
    let me = family.me();
    let highest = me.descriptors.load(Ordering::Acquire) as usize;
    for (fd, entry) in (0i32..).zip(me.table.iter().take(highest)) {
        let Some(index) = entry.load(Ordering::Acquire).checked_sub(1) else { continue };
        let record = family.record(index);
        let shared = || channel::of(index).is_some_and(sharing::is_shared);
        match record.first() {
            First::No | First::Failed => continue,
            // Nobody but this process has it.
            First::Listening if !shared() || record.holders.load(Ordering::Acquire) > 1 => continue,
            _ => {}
        }
        #[cfg(target_os = "linux")]
        sharing::fork::renounce(index);
        let mine = record.controller.load(Ordering::Acquire) as usize == family::my_slot() + 1;
        if mine
            && record.holders.load(Ordering::Acquire) > 1
            && let Some(stream) = Stream::at(index)
        {
            // The companion goes with this process, the others stay.
            crate::stream::close::give_up(&stream, Reason::SharedByProcesses);
        }
        untrack(family, fd);
    }
}

/// How long a call waits until a connection is back on TCP, if nothing of it moves.
const LEAVE_WITHIN: u64 = 10_000_000_000;

/// Takes a connection to TCP for good.
pub(crate) fn leave(stream: &Stream, reason: Reason) -> Result<(), Errno> {
    leave_since(stream, reason, clock::now_ns())
}

/// The same, of a connection that has been on its way since `began`.
pub(crate) fn leave_since(stream: &Stream, reason: Reason, began: u64) -> Result<(), Errno> {
    let record = stream.record;
    if record.first() == First::Listening {
        first::listening::stop(stream);
        record.set_reason(Some(reason));
        return Ok(());
    }
    if record.first() != First::No {
        // SP-019: there is no TCP connection to go back to.
        record.set_reason(Some(reason));
        return Err(Errno::OPNOTSUPP);
    }
    loop {
        match record.attach() {
            Attach::Never => {
                if record.is_on_tcp() {
                    record.set_reason(Some(reason));
                }
                break;
            }
            Attach::No => {
                if record.change_attach(Attach::No, Attach::Never) {
                    record.set_reason(Some(reason));
                    hashing::end(stream);
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
    let mut end = began + LEAVE_WITHIN;
    let mut moved = moved_by_tcp(stream);
    loop {
        let before = std::mem::replace(&mut moved, moved_by_tcp(stream));
        if moved != before {
            end = clock::now_ns() + LEAVE_WITHIN;
        }
        let change = &record.recv.common.change;
        let seen = change.load(Ordering::Acquire);
        if record.attach() == Attach::Never {
            return if record.is_on_tcp() { Ok(()) } else { Err(Errno::CONNRESET) };
        }
        let left = end.saturating_sub(clock::now_ns());
        if left == 0 {
            crate::stream::close::give_up(stream, reason);
            return Err(Errno::CONNRESET);
        }
        let _ = futex::wait(change, seen, Some(std::time::Duration::from_nanos(left.min(20_000_000))));
    }
}

/// What grows while streams go back to TCP.
fn moved_by_tcp(stream: &Stream) -> [u64; 3] {
    let (send, recv) = (&stream.record.send.common, &stream.record.recv.common);
    [&send.kernel_bytes, &send.demoted_at, &recv.kernel_bytes].map(|count| count.load(Ordering::Acquire))
}
