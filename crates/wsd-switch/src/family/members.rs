//! Member processes: slots, fork, and the inheritance of those that died.

use wsd_os::atomic::Ordering;
use wsd_os::process;
use wsd_os::thread;

use super::layout::{PENDING, SLOTS, TAKEN};
use super::{Attach, Family, SLOT, record, table};
use crate::sharing::fork::Heirloom;

/// Gives the calling process a slot, if need be one of a dead member.
pub(super) fn join(family: &Family) -> Option<usize> {
    let slot = reserve(family)?;
    settle(family, slot);
    Some(slot)
}

/// A slot in state [`PENDING`].
fn reserve(family: &Family) -> Option<usize> {
    claim(family).or_else(|| {
        reclaim_dead(family);
        claim(family)
    })
}

fn claim(family: &Family) -> Option<usize> {
    // The last slot is nobody's.
    let usable = &family.header.members[..SLOTS - 1];
    let slot = usable.iter().position(|member| {
        member.pid.load(Ordering::Relaxed) == 0
            && member.pid.compare_exchange(0, PENDING, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    })?;
    family.header.members[slot].parent.store(thread::pid(), Ordering::Release);
    let process = &family.processes[slot];
    process.served.store(0, Ordering::Relaxed);
    process.kick_pending.store(0, Ordering::Relaxed);
    process.descriptors.store(0, Ordering::Relaxed);
    Some(slot)
}

fn settle(family: &Family, slot: usize) {
    let member = &family.header.members[slot];
    let pid = thread::pid();
    member.start.store(process::start_time(pid).unwrap_or(0), Ordering::Relaxed);
    member.pid.store(pid, Ordering::Release);
}

/// Takes back what members that died without closing still counted.
pub(crate) fn reclaim_dead(family: &Family) {
    for (slot, member) in family.header.members.iter().enumerate() {
        let pid = member.pid.load(Ordering::Acquire);
        let start = member.start.load(Ordering::Relaxed);
        if pid == 0 || pid == PENDING || pid == TAKEN || process::is_alive(pid, start) {
            continue;
        }
        // The id changes hands exactly once, so only one member takes the inheritance.
        if member.pid.compare_exchange(pid, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            empty(family, slot);
            member.pid.store(0, Ordering::Release);
        }
    }
}

fn empty(family: &Family, slot: usize) {
    let process = &family.processes[slot];
    let highest = process.descriptors.swap(0, Ordering::AcqRel) as usize;
    for entry in process.table.iter().take(highest) {
        if let Some(index) = entry.swap(0, Ordering::AcqRel).checked_sub(1) {
            let record = family.record(index);
            let served = record.controller.load(Ordering::Acquire) as usize == slot + 1;
            if served && record.references.load(Ordering::Acquire) == 1 {
                // The service thread that would have freed it is gone, too.
                record.set_attach(Attach::Never);
            }
            record::drop_reference(family, process, index);
        }
    }
    for (bit, summary) in process.kick_summary.iter().enumerate() {
        if summary.swap(0, Ordering::AcqRel) != 0 {
            for word in process.kicks.iter().skip(bit * 64).take(64) {
                word.store(0, Ordering::Relaxed);
            }
        }
    }
}

/// Before a fork, with the table locked: a slot for the child that already counts what it will inherit, so that no
/// connection looks unshared in between. `inherit` is asked for each descriptor and record what the child in that slot gets.
/// `None`: no slot; the child will pass everything through.
pub(crate) fn prepare_child(
    family: &Family,
    mut inherit: impl FnMut(usize, i32, u32) -> Heirloom,
) -> Option<usize> {
    let slot = reserve(family)?;
    let (me, child) = (family.me(), &family.processes[slot]);
    let highest = me.descriptors.load(Ordering::Acquire);
    for (fd, (from, to)) in (0i32..).zip(me.table.iter().zip(&child.table)).take(highest as usize) {
        let index = from.load(Ordering::Acquire).checked_sub(1);
        let inherited = index.and_then(|index| match inherit(slot, fd, index) {
            Heirloom::Same => Some(index),
            Heirloom::Own(own) => Some(own),
            Heirloom::Nothing => None,
        });
        to.store(inherited.map_or(0, |index| index + 1), Ordering::Release);
        if let Some(index) = inherited {
            record::add_reference(family, child, index);
        }
    }
    child.descriptors.store(highest, Ordering::Release);
    Some(slot)
}

/// In the child of a fork.
pub(crate) fn enter_child(family: &Family, slot: usize) {
    settle(family, slot);
    SLOT.store(slot, Ordering::Relaxed);
    table::set_home();
}

/// In the parent, when the fork failed: gives the reserved slot back.
pub(crate) fn cancel_child(family: &Family, slot: usize) {
    let member = &family.header.members[slot];
    if member.pid.compare_exchange(PENDING, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
        empty(family, slot);
        member.pid.store(0, Ordering::Release);
    }
}
