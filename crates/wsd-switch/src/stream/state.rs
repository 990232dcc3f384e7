//! What the data path needs to know of a socket in one call, gathered once.

use wsd_os::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::fd::BorrowedFd;
use wsd_os::fd::borrow;
use wsd_os::futex;
use wsd_os::lock::FamilyGuard;

use super::channel::{self, Channel};
use super::flags;
use super::gate::Gate;
use crate::family::layout::{Common, Record};
use crate::family::{self, record};
use crate::front::Socket;

/// A tracked socket with everything behind it.
#[derive(Clone, Copy)]
pub(crate) struct Stream {
    pub fd: i32,
    pub index: u32,
    pub record: &'static Record,
    /// The record's generation when it was found: a record that was freed meanwhile has another.
    pub generation: u32,
}

impl Stream {
    #[inline]
    pub(crate) fn of(socket: Socket) -> Option<Self> {
        let family = family::get()?;
        Some(Self {
            fd: socket.fd,
            index: socket.index,
            record: family.record(socket.index),
            generation: socket.generation,
        })
    }

    /// By index alone, without a descriptor.
    pub(crate) fn at(index: u32) -> Option<Self> {
        let record = family::get()?.record(index);
        Some(Self { fd: -1, index, record, generation: record.generation.load(Ordering::Acquire) })
    }

    /// With a descriptor of this process.
    pub(crate) fn with(&self, fd: i32) -> Self {
        Self { fd, ..*self }
    }

    /// Whether the record still is this connection's.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        self.record.generation.load(Ordering::Acquire) == self.generation
    }

    /// The program's descriptor, borrowed for one call as the program itself does.
    pub(crate) fn borrow(&self) -> BorrowedFd<'static> {
        borrow(self.fd)
    }

    pub(crate) fn channel(&self) -> Result<&'static Channel, Errno> {
        channel::of(self.index).ok_or(Errno::CONNRESET)
    }

    pub(crate) fn nonblocking(&self, call_flags: u32) -> bool {
        call_flags & flags::DONTWAIT != 0 || self.record.has(record::NONBLOCK)
    }
}

impl Common {
    #[inline]
    pub(crate) fn gate(&self) -> Gate<'_> {
        Gate(&self.gate)
    }

    #[inline]
    pub(crate) fn flagged(&self, flag: u32) -> bool {
        self.flags.load(Ordering::Acquire) & flag != 0
    }

    /// Sets a flag; whether it was clear before.
    pub(crate) fn flag(&self, flag: u32) -> bool {
        self.flags.fetch_or(flag, Ordering::AcqRel) & flag == 0
    }

    /// Clears a flag; whether it was set before.
    pub(crate) fn unflag(&self, flag: u32) -> bool {
        self.flags.fetch_and(!flag, Ordering::AcqRel) & flag != 0
    }

    /// Of the receive direction: bytes in front of those in the ring that TCP has, or has yet to bring.
    #[inline]
    pub(crate) fn rest(&self) -> u64 {
        self.promoted_at.load(Ordering::Relaxed).saturating_sub(self.kernel_bytes.load(Ordering::Relaxed))
    }

    /// The direction's lock. A previous owner that died in it left cursors that are right, since they
    /// are stored before they are published. A thread that holds it already (a signal handler that was not deferred) gets EINTR.
    #[inline]
    pub(crate) fn hold(&self) -> Result<FamilyGuard<'_>, Errno> {
        self.lock.lock().map(wsd_os::lock::Acquired::into_guard).map_err(|_| Errno::INTR)
    }

    /// What one thread has left is for another one that sleeps.
    #[inline]
    pub(crate) fn pass_on(&self) {
        if self.sleepers.load(Ordering::SeqCst) != 0 {
            self.announce_change();
        }
    }

    /// Tells those who sleep on the gate that it changed.
    pub(crate) fn announce_change(&self) {
        self.change.fetch_add(1, Ordering::AcqRel);
        let _ = futex::wake(&self.change, i32::MAX as u32);
    }
}
