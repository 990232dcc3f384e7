//! Member processes: slots, fork, and the inheritance of those that died.

use wsd_os::atomic::Ordering;
use wsd_os::process;
use wsd_os::thread;

use super::layout::{PENDING, SLOTS, TAKEN};
use super::{Attach, Family, record};

/// Gives the calling process a slot, if need be one of a dead member.
pub(super) fn join(family: &Family) -> Option<usize> {
    let slot = reserve(family)?;
    settle(family, slot);
    Some(slot)
}

/// A slot in state [`PENDING`].
pub(super) fn reserve(family: &Family) -> Option<usize> {
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

pub(super) fn settle(family: &Family, slot: usize) {
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

pub(super) fn empty(family: &Family, slot: usize) {
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
