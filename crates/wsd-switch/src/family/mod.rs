//! Memory that a process shares with the processes it forks, and never with a peer: who is a member, which
//! descriptor is which socket, and one record per socket.

#[cfg(target_os = "linux")]
pub(crate) mod children;
pub(crate) mod first;
pub(crate) mod layout;
pub(crate) mod members;
pub(crate) mod record;
pub(crate) mod table;

use std::sync::OnceLock;

use wsd_os::Errno;
use wsd_os::atomic::{AtomicUsize, Ordering};
use wsd_os::memory::{RegionOptions, SharedRegion};

use layout::{Header, Process, RECORDS, Record, SLOTS};

/// Life of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Life {
    /// Not in use.
    Free = 0,
    /// A socket that is neither connected nor listening.
    Opened = 1,
    /// connect(2) said EINPROGRESS.
    Connecting = 2,
    /// Connected.
    Connected = 3,
    /// A listener.
    Listening = 4,
    /// The last descriptor was closed; the service thread still has work with it.
    Closed = 5,
    /// Its connection was ended so that it can be used for another one.
    Disconnected = 6,
}

/// Which end this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Role {
    /// Not connected yet.
    None = 0,
    /// Called connect(2): its companion listens.
    Connector = 1,
    /// Came from accept(2): its companion connects.
    Acceptor = 2,
}

/// How far the companion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Attach {
    /// Not tried, or waiting for the next trigger.
    No = 0,
    /// Handed to the service thread.
    Wanted = 1,
    /// Companion, session, rings stand.
    Attached = 2,
    /// Never (again).
    Never = 3,
    /// Back to TCP asked for.
    Leaving = 4,
}

/// How far a socket is that the SAN connects or listens for first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum First {
    /// TCP alone so far, or for good.
    No = 0,
    /// The service thread connects it, or makes what was accepted ready.
    Connecting = 1,
    /// Connected by the SAN: TCP has no part in it, ever.
    Connected = 2,
    /// The connect failed and the program has not been told.
    Failed = 3,
    /// The SAN listens beside TCP.
    Listening = 4,
}

/// The region, mapped at one address in all members.
pub(crate) struct Family {
    pub(crate) header: &'static Header,
    pub(crate) processes: &'static [Process],
    pub(crate) records: &'static [Record],
}

static FAMILY: OnceLock<Family> = OnceLock::new();
/// Slot of this process, set at start and after fork.
static SLOT: AtomicUsize = AtomicUsize::new(0);
/// Slot that is never given out: its table stays empty.
#[cfg(target_os = "linux")]
const NOBODY: usize = SLOTS - 1;

impl Family {
    /// Makes the region of a new family.
    pub(crate) fn create() -> Result<Self, Errno> {
        let options = RegionOptions { fixed_size: true, no_dump: true, arena: None };
        let mut region = SharedRegion::create_visible(layout::REGION_NAME, layout::REGION_BYTES, options)?;
        // The mapping is what the family shares, by fork; the descriptor would only be in the program's way.
        drop(region.take_fd());
        let region: &'static SharedRegion = Box::leak(Box::new(region));
        let header: &Header = region.at(0).ok_or(Errno::INVAL)?;
        let processes = region.slice_at(layout::PROCESSES_AT, SLOTS).ok_or(Errno::INVAL)?;
        let records = region.slice_at(layout::RECORDS_AT, RECORDS).ok_or(Errno::INVAL)?;
        header.length.store(layout::REGION_BYTES as u64, Ordering::Relaxed);
        header.record_bytes.store(size_of::<Record>() as u64, Ordering::Relaxed);
        header.records_at.store(layout::RECORDS_AT as u64, Ordering::Relaxed);
        header.processes_at.store(layout::PROCESSES_AT as u64, Ordering::Relaxed);
        header.process_bytes.store(size_of::<Process>() as u64, Ordering::Relaxed);
        header.magic.store(layout::MAGIC, Ordering::Release);
        Ok(Self { header, processes, records })
    }

    /// The slot of the calling process.
    pub(crate) fn me(&self) -> &'static Process {
        &self.processes[SLOT.load(Ordering::Relaxed)]
    }

    pub(crate) fn record(&self, index: u32) -> &'static Record {
        &self.records[index as usize]
    }
}

/// The family, once [`start`] has made it.
#[inline]
pub(crate) fn get() -> Option<&'static Family> {
    FAMILY.get()
}

/// Number of this process's slot.
pub(crate) fn my_slot() -> usize {
    SLOT.load(Ordering::Relaxed)
}

/// Makes the family and takes a slot for this process. Without it everything passes to the kernel.
pub(crate) fn start() -> Result<(), Errno> {
    let family = Family::create()?;
    let slot = members::join(&family).ok_or(Errno::NFILE)?;
    table::set_home();
    SLOT.store(slot, Ordering::Relaxed);
    FAMILY.set(family).map_err(|_| Errno::ALREADY)
}

/// For a child without a slot of its own: it follows nothing.
#[cfg(target_os = "linux")]
pub(crate) fn leave() {
    SLOT.store(NOBODY, Ordering::Relaxed);
}
