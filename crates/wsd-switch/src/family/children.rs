//! Slots of processes that are about to be forked.

use wsd_os::atomic::Ordering;

use super::layout::{PENDING, TAKEN};
use super::members::{empty, reserve, settle};
use super::{Family, SLOT, record, table};
use crate::sharing::fork::Heirloom;

/// Before a fork, with the table locked: a slot for the child that already counts what it will inherit, so that no
/// connection looks unshared in between. `inherit` is asked for each descriptor and record what the child in that slot gets.
/// `None`: no slot; the child will pass everything through.
pub(crate) fn prepare(
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
pub(crate) fn enter(family: &Family, slot: usize) {
    settle(family, slot);
    SLOT.store(slot, Ordering::Relaxed);
    table::set_home();
}

/// In the parent, when the fork failed: gives the reserved slot back.
pub(crate) fn cancel(family: &Family, slot: usize) {
    let member = &family.header.members[slot];
    if member.pid.compare_exchange(PENDING, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
        empty(family, slot);
        member.pid.store(0, Ordering::Release);
    }
}
