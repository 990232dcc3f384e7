//! The end of a process: what its program has written lies in this process's memory, and leaves it before the process does.

use std::time::Duration;

use wsd_os::atomic::{AtomicU32, Ordering};
use wsd_os::{clock, futex};

use crate::family::{self, Attach, table};
use crate::process;
use crate::reason::Reason;
use crate::stream::channel::Channel;
use crate::stream::state::Stream;

/// Connections of this process that have something of the program in its memory.
static UNSETTLED: AtomicU32 = AtomicU32::new(0);
/// Raised whenever bytes of a closed connection have left.
static PROGRESS: AtomicU32 = AtomicU32::new(0);
/// A process waits no longer than this (nanoseconds) without progress.
const PATIENCE: u64 = 5_000_000_000;

/// Counts a connection.
pub(crate) struct Unsettled;

impl Unsettled {
    pub(crate) fn new() -> Self {
        UNSETTLED.fetch_add(1, Ordering::AcqRel);
        Self
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        UNSETTLED.fetch_sub(1, Ordering::AcqRel);
        let _ = futex::wake(&UNSETTLED, i32::MAX as u32);
    }
}

/// Bytes of a closed connection have left.
pub(super) fn progressed() {
    PROGRESS.fetch_add(1, Ordering::AcqRel);
}

/// In the child of a fork: what the parent's pumps hold is the parent's to send.
#[cfg(target_os = "linux")]
pub(crate) fn restart_in_child() {
    UNSETTLED.store(0, Ordering::Release);
}

/// Before the process ends or runs another program: connections of the pump go back to TCP, where the kernel looks after
/// their bytes, and closed ones are given some time.
pub(crate) fn settle(reason: Reason) {
    if UNSETTLED.load(Ordering::Acquire) == 0 || table::in_vfork_child() {
        return;
    }
    let Some(family) = family::get() else { return };
    let me = family.me();
    let highest = me.descriptors.load(Ordering::Acquire) as usize;
    let open: Vec<Stream> = (0i32..)
        .zip(me.table.iter().take(highest))
        .filter_map(|(fd, entry)| Some(Stream::at(entry.load(Ordering::Acquire).checked_sub(1)?)?.with(fd)))
        .filter(is_pumped)
        .collect();
    let began = clock::now_ns();
    for stream in &open {
        if stream.record.change_attach(Attach::Attached, Attach::Leaving) {
            stream.record.set_reason(Some(reason));
            crate::service::kick::kick(stream.index);
        }
    }
    for stream in &open {
        let _ = process::leave_since(stream, reason, began);
    }
    wait_for_closed();
}

fn is_pumped(stream: &Stream) -> bool {
    let mine = stream.record.controller.load(Ordering::Acquire) as usize == family::my_slot() + 1;
    let attached = matches!(stream.record.attach(), Attach::Attached | Attach::Leaving);
    let own_rings = stream.channel().is_ok_and(Channel::is_pumped);
    mine && attached && own_rings
}

fn wait_for_closed() {
    let mut seen = PROGRESS.load(Ordering::Acquire);
    let mut end = clock::now_ns() + PATIENCE;
    loop {
        let left = UNSETTLED.load(Ordering::Acquire);
        let now = clock::now_ns();
        let progress = PROGRESS.load(Ordering::Acquire);
        if progress != seen {
            (seen, end) = (progress, now + PATIENCE);
        }
        if left == 0 || now >= end {
            return;
        }
        let _ = futex::wait(&UNSETTLED, left, Some(Duration::from_millis(100)));
    }
}
