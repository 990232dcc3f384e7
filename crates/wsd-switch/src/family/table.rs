//! Descriptor number -> record, per process. Changes happen under the process's table lock, so that the service thread can
//! use a descriptor number for one bounded system call without the number being closed and reused under its feet.

use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wsd_os::atomic::{AtomicU32, Ordering};
use wsd_os::signal::Critical;

use super::layout::DESCRIPTORS;
use super::{Family, record};

/// Private to the process; fork handlers hold it across the fork.
static TABLE: Mutex<()> = Mutex::new(());
/// Process id that this library was started or forked in; a vfork child differs.
static HOME: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static FORKING: RefCell<Option<Held>> = const { RefCell::new(None) };
}

/// The table lock, held; signal handlers are deferred meanwhile.
pub(crate) struct Held {
    _guard: MutexGuard<'static, ()>,
    _critical: Critical,
}

/// Holds the table still.
pub(crate) fn lock() -> Held {
    let critical = Critical::enter();
    Held { _guard: TABLE.lock().unwrap_or_else(PoisonError::into_inner), _critical: critical }
}

/// Holds the table still until [`release_after_fork`], called by the same thread in both processes.
#[cfg(target_os = "linux")]
pub(crate) fn hold_for_fork() {
    FORKING.set(Some(lock()));
}

/// See [`hold_for_fork`].
#[cfg(target_os = "linux")]
pub(crate) fn release_after_fork() {
    FORKING.set(None);
}

/// The table is this process's from now on.
pub(crate) fn set_home() {
    HOME.store(wsd_os::thread::pid(), Ordering::Relaxed);
}

/// Whether the caller runs in a `vfork` child, which shares our memory but not our descriptors.
pub(crate) fn in_vfork_child() -> bool {
    HOME.load(Ordering::Relaxed) != wsd_os::thread::pid()
}

/// Record index behind a descriptor.
#[inline]
pub(crate) fn find(family: &Family, fd: i32) -> Option<u32> {
    let entry = family.me().table.get(usize::try_from(fd).ok()?)?.load(Ordering::Acquire);
    entry.checked_sub(1)
}

/// Enters a descriptor for a record and counts it.
pub(crate) fn insert(family: &Family, fd: i32, index: u32) -> bool {
    let Ok(number) = usize::try_from(fd) else { return false };
    if number >= DESCRIPTORS {
        return false;
    }
    let me = family.me();
    let guard = lock();
    record::add_reference(family, me, index);
    me.descriptors.fetch_max(number as u32 + 1, Ordering::AcqRel);
    let old = me.table[number].swap(index + 1, Ordering::AcqRel);
    drop(guard);
    if old != 0 {
        record::drop_reference(family, me, old - 1);
    }
    true
}

/// Takes a descriptor out; the record index it had. The reference is the caller's to drop.
pub(crate) fn remove(family: &Family, fd: i32) -> Option<u32> {
    let number = usize::try_from(fd).ok()?;
    let entry = family.me().table.get(number)?;
    if entry.load(Ordering::Acquire) == 0 {
        return None;
    }
    let _guard = lock();
    entry.swap(0, Ordering::AcqRel).checked_sub(1)
}

/// A descriptor of this process for the record, to be used only while the table lock is held.
pub(crate) fn descriptor_of(family: &Family, index: u32) -> Option<i32> {
    let me = family.me();
    let hint = family.record(index).descriptor.load(Ordering::Relaxed) as usize;
    if me.table.get(hint)?.load(Ordering::Acquire) == index + 1 {
        return i32::try_from(hint).ok();
    }
    let highest = me.descriptors.load(Ordering::Acquire) as usize;
    let found = me.table.iter().take(highest).position(|e| e.load(Ordering::Acquire) == index + 1)?;
    family.record(index).descriptor.store(found as u32, Ordering::Relaxed);
    i32::try_from(found).ok()
}
