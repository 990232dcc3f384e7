//! Telling the service thread that a connection needs it: a bit per record in the process's slot, and one event. No handler
//! interrupts the telling: one that jumped out of it would leave a kick that nobody hears of, or the event marked and not signalled.

use wsd_os::atomic::{AtomicU32, Ordering};
use wsd_os::doorbell;
use wsd_os::fd::BorrowedFd;
use wsd_os::memory::FdSlot;
use wsd_os::signal::Critical;

use super::thread;
use crate::family::layout::Process;
use crate::family::{self, Family};
use crate::wait::bells;
use crate::wait::pair::bits_of;

static EVENT: FdSlot = FdSlot::new();

/// Number of service threads being started: only one thread starts it.
static STARTING: AtomicU32 = AtomicU32::new(0);

/// The event that the service thread sleeps on.
pub(super) fn event() -> Option<BorrowedFd<'static>> {
    EVENT.get_or_make(doorbell::event).ok()
}

/// In the child of a fork: no service thread, and an event of its own.
#[cfg(target_os = "linux")]
pub(crate) fn restart_in_child() {
    EVENT.forget();
    STARTING.store(0, Ordering::Release);
}

/// The service thread of this process shall look at the record.
pub(crate) fn kick(index: u32) {
    if let Some(family) = family::get() {
        kick_controller(family, index);
    }
}

/// The service thread of this process, which is started if need be, shall look at the record, whoever controls it.
pub(crate) fn kick_own(index: u32) {
    let Some(family) = family::get() else { return };
    let _critical = Critical::enter();
    mark(family.me(), index);
    start_if_none(family);
    signal(family.me());
}

/// In the child of a fork: its service thread, once there is one, shall look at the record.
#[cfg(target_os = "linux")]
pub(crate) fn mark_own(index: u32) {
    if let Some(family) = family::get() {
        mark(family.me(), index);
    }
}

/// Starts the service thread if something waits for it already.
#[cfg(target_os = "linux")]
pub(crate) fn serve_marked() {
    let Some(family) = family::get() else { return };
    if any(family.me()) {
        start_if_none(family);
        signal(family.me());
    }
}

fn start_if_none(family: &'static Family) {
    if family.me().served.load(Ordering::Acquire) == 0 && STARTING.swap(1, Ordering::AcqRel) == 0 {
        thread::start(family);
    }
}

/// As [`kick`], and there shall be a service thread in this process, which becomes the controller.
pub(crate) fn kick_or_start(index: u32) {
    let Some(family) = family::get() else { return };
    let _critical = Critical::enter();
    family.record(index).controller.store(family::my_slot() as u32 + 1, Ordering::Release);
    mark(family.me(), index);
    start_if_none(family);
    signal(family.me());
}

/// The service thread that controls the record shall look at it.
pub(crate) fn kick_controller(family: &Family, index: u32) {
    kick_slot(family, family.record(index).controller.load(Ordering::Acquire), index);
}

/// The service thread of the process in `controller` (slot + 1) shall look at the record.
pub(crate) fn kick_slot(family: &Family, controller: u32, index: u32) {
    let slot = controller as usize;
    let Some(process) = slot.checked_sub(1).and_then(|slot| family.processes.get(slot)) else { return };
    let _critical = Critical::enter();
    mark(process, index);
    if slot == family::my_slot() + 1 {
        signal(process);
    } else {
        let token = [process.token[0].load(Ordering::Relaxed), process.token[1].load(Ordering::Relaxed)];
        bells::ring(token, 0);
    }
}

fn mark(process: &Process, index: u32) {
    let (word, bit) = (index as usize / 64, index % 64);
    process.kicks[word].fetch_or(1 << bit, Ordering::AcqRel);
    process.kick_summary[word / 64].fetch_or(1 << (word % 64), Ordering::SeqCst);
}

/// Wakes the service thread of this process, unless it is awake or somebody has done so.
fn signal(process: &Process) {
    if process.kick_pending.swap(1, Ordering::SeqCst) == 0
        && let Some(event) = event()
    {
        doorbell::signal(event);
    }
}

/// The service thread is awake: who kicks need not wake it.
pub(super) fn awake(process: &Process) {
    process.kick_pending.store(1, Ordering::Relaxed);
}

/// The service thread is about to sleep on the event: whether it may, since nobody has kicked it.
pub(super) fn may_sleep(process: &Process) -> bool {
    // Pairs with `mark` and `signal`: either the mark is seen here, or the zero there.
    process.kick_pending.store(0, Ordering::SeqCst);
    !any(process)
}

/// Whether anybody has kicked.
pub(super) fn any(process: &Process) -> bool {
    process.kick_summary.iter().any(|summary| summary.load(Ordering::SeqCst) != 0)
}

/// The event was signalled.
pub(super) fn silence() {
    if let Some(event) = event() {
        doorbell::clear(event);
    }
}

/// Takes all kicks of this process.
pub(super) fn take(mut each: impl FnMut(u32)) {
    let Some(family) = family::get() else { return };
    let me = family.me();
    for (summary, bits) in me.kick_summary.iter().enumerate() {
        if bits.load(Ordering::Acquire) == 0 {
            continue;
        }
        for word in bits_of(bits.swap(0, Ordering::AcqRel)) {
            let word = summary * 64 + word;
            for bit in bits_of(me.kicks[word].swap(0, Ordering::AcqRel)) {
                each((word * 64 + bit) as u32);
            }
        }
    }
}
