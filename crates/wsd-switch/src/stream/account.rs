//! Counting (and, where that is wanted, hashing) what goes through the kernel, and the traffic that makes a companion worth while.

use std::io::{IoSlice, IoSliceMut};
use std::ops::Deref;
use std::time::Duration;

use wsd_os::atomic::Ordering;
use wsd_os::{clock, futex};
use wsd_session::Direction;

use super::state::Stream;
use super::{hashing, promote};
use crate::family::record::{FIX_WANTED, HASHED, SWITCH_WANTED};
use crate::family::{Attach, Life, Role};
use crate::service::kick;

/// Bytes that weigh as much as a call.
const BYTES_PER_CALL: u64 = 2048;
/// How long a writer that has left the kernel leaves the way to the service thread, at most.
const WAY_FOR_SERVICE: Duration = Duration::from_millis(20);

impl Stream {
    /// After a call on the kernel's send path that moved the first `bytes` of `data`.
    #[inline]
    pub(crate) fn sent_by_kernel(&self, bytes: usize, data: &[IoSlice<'_>]) {
        let common = &self.record.send.common;
        if common.flagged(HASHED) {
            hashing::count(self, Direction::Send, bytes, data.iter().map(Deref::deref));
        } else {
            common.kernel_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        self.leave_send();
        if bytes != 0 {
            self.weigh();
        }
    }

    /// After a call on the kernel's receive path that took `bytes` out of it, and put them into `data`.
    #[inline]
    pub(crate) fn received_by_kernel(&self, bytes: usize, data: &[IoSliceMut<'_>]) {
        let common = &self.record.recv.common;
        if common.flagged(HASHED) {
            hashing::count(self, Direction::Receive, bytes, data.iter().map(Deref::deref));
        } else {
            common.kernel_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        self.leave_recv();
        if bytes != 0 {
            self.weigh();
        }
    }

    fn leave_send(&self) {
        let common = &self.record.send.common;
        if common.gate().leave() && common.flagged(SWITCH_WANTED | FIX_WANTED) {
            self.left_send();
        }
    }

    #[cold]
    fn left_send(&self) {
        let common = &self.record.send.common;
        let seen = common.change.load(Ordering::Acquire);
        if common.unflag(FIX_WANTED) {
            kick::kick(self.index);
            // A program that does nothing but write would be in the kernel again before the service thread has come.
            let _ = futex::wait(&common.change, seen, Some(WAY_FOR_SERVICE));
        } else {
            promote::switch_send(self);
        }
    }

    fn leave_recv(&self) {
        let common = &self.record.recv.common;
        if common.gate().leave() && common.flagged(SWITCH_WANTED) {
            promote::agree(self);
        }
    }

    #[inline]
    fn weigh(&self) {
        let record = self.record;
        let calls = record.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if record.attach.load(Ordering::Relaxed) == Attach::No as u32 {
            let bytes = record.send.common.kernel_bytes.load(Ordering::Relaxed)
                + record.recv.common.kernel_bytes.load(Ordering::Relaxed);
            let score = u64::from(calls) + bytes / BYTES_PER_CALL;
            if score >= u64::from(record.trigger.load(Ordering::Relaxed)) {
                self.want_companion();
            }
        }
    }

    /// Asks for a companion, unless there was one or somebody has asked.
    #[cold]
    pub(crate) fn want_companion(&self) {
        let after = self.record.attach_after.load(Ordering::Relaxed);
        if after != 0 && clock::now_ns() < after {
            return;
        }
        if self.record.life() == Life::Connecting {
            self.record.set_life(Life::Connected);
        }
        if self.record.role() != Role::None && self.record.change_attach(Attach::No, Attach::Wanted) {
            self.record.descriptor.store(self.fd as u32, Ordering::Relaxed);
            kick::kick_or_start(self.index);
        }
    }
}
