//! Records: allocation, counting, mirrored options.

use wsd_os::atomic::Ordering;
use wsd_os::fd::AsFd;
use wsd_os::{Errno, tcp};

use super::layout::{Process, RECORDS, Record};
use super::{Attach, Family, First, Life, Role, members};
use crate::reason::Reason;
use crate::stream::hashing;
use crate::stream::state::Stream;

/// `options`: O_NONBLOCK.
pub(crate) const NONBLOCK: u32 = 1;
/// `options`: SO_OOBINLINE.
pub(crate) const OOB_INLINE: u32 = 2;
/// `options`: SO_LINGER with time-out 0.
pub(crate) const LINGER_ZERO: u32 = 4;
/// `options`: TCP_CORK, or the last send had MSG_MORE.
pub(crate) const CORKED: u32 = 8;

/// `flags` of a direction: the peer proposed and waits for consent (receive), or the service thread waits to switch (send).
pub(crate) const SWITCH_WANTED: u32 = 1;
/// `flags`: the program has shut this direction down.
pub(crate) const SHUT: u32 = 2;
/// `flags`: urgent data went by TCP and may be pending.
pub(crate) const URGENT: u32 = 4;
/// `flags`: a reset was reported to the program.
pub(crate) const RESET_SEEN: u32 = 8;
/// `flags`: the peer (or its switch) is gone.
pub(crate) const PEER_GONE: u32 = 16;
/// `flags`: the direction must end with ECONNRESET.
pub(crate) const RESET: u32 = 32;
/// `flags`: what the kernel moves is hashed, since the peer may be on another host.
pub(crate) const HASHED: u32 = 128;
/// `flags`: the hash was given up, since not all bytes were seen.
pub(crate) const UNSEEN: u32 = 256;
/// `flags`: the service thread waits until nobody is in the kernel path (send), or until TCP was read up to the offset that the
/// sender has fixed (receive).
pub(crate) const FIX_WANTED: u32 = 64;
/// `flags`: the program wanted to write while the offset was fixed (send).
pub(crate) const WRITE_WANTED: u32 = 512;

/// Bit of `attach`: the last descriptor is gone. In the same word, so that exactly one of two frees the record.
const CLOSED: u32 = 0x80;

/// Score of the first attach.
pub(crate) const FIRST_TRIGGER: u32 = 8;

impl Record {
    pub(crate) fn life(&self) -> Life {
        match self.life.load(Ordering::Acquire) {
            1 => Life::Opened,
            2 => Life::Connecting,
            3 => Life::Connected,
            4 => Life::Listening,
            5 => Life::Closed,
            6 => Life::Disconnected,
            _ => Life::Free,
        }
    }

    pub(crate) fn set_life(&self, life: Life) {
        self.life.store(life as u32, Ordering::Release);
    }

    pub(crate) fn role(&self) -> Role {
        match self.role.load(Ordering::Acquire) {
            1 => Role::Connector,
            2 => Role::Acceptor,
            _ => Role::None,
        }
    }

    pub(crate) fn attach(&self) -> Attach {
        Self::attach_of(self.attach.load(Ordering::Acquire))
    }

    fn attach_of(word: u32) -> Attach {
        match word & !CLOSED {
            0 => Attach::No,
            1 => Attach::Wanted,
            2 => Attach::Attached,
            4 => Attach::Leaving,
            _ => Attach::Never,
        }
    }

    /// Sets how far the companion is; whether the last descriptor was gone before.
    pub(crate) fn set_attach(&self, attach: Attach) -> bool {
        let before = self
            .attach
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| Some((word & CLOSED) | attach as u32))
            .unwrap_or_else(|word| word);
        before & CLOSED != 0
    }

    /// Notes that the last descriptor is gone; how far the companion was. Without one under way the caller frees the record,
    /// otherwise the service thread does ([`companion_done`]): one of both, whoever is later.
    pub(crate) fn close_attach(&self) -> Attach {
        Self::attach_of(self.attach.fetch_or(CLOSED, Ordering::AcqRel))
    }

    pub(crate) fn change_attach(&self, from: Attach, to: Attach) -> bool {
        self.attach.compare_exchange(from as u32, to as u32, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    pub(crate) fn set_reason(&self, reason: Option<Reason>) {
        self.reason.store(reason.map_or(0, |r| r as u32), Ordering::Relaxed);
    }

    pub(crate) fn reason(&self) -> Option<Reason> {
        Reason::from_number(self.reason.load(Ordering::Relaxed))
    }

    /// Whether both directions go by TCP, whatever becomes of the companion.
    pub(crate) fn is_on_tcp(&self) -> bool {
        [&self.send.common, &self.recv.common].iter().all(|common| common.gate().state().is_tcp())
    }

    #[inline]
    pub(crate) fn has(&self, option: u32) -> bool {
        self.options.load(Ordering::Relaxed) & option != 0
    }

    pub(crate) fn set_option(&self, option: u32, on: bool) {
        if on {
            self.options.fetch_or(option, Ordering::Relaxed);
        } else {
            self.options.fetch_and(!option, Ordering::Relaxed);
        }
    }

    /// Reads back from the kernel what the switch mirrors.
    pub(crate) fn mirror(&self, socket: &impl AsFd) {
        let fd = || socket.as_fd();
        match tcp::is_nonblocking(fd()) {
            // The system does not tell: what the program has said holds.
            Err(Errno::OPNOTSUPP) => {}
            nonblocking => self.set_option(NONBLOCK, nonblocking.unwrap_or(false)),
        }
        self.set_option(OOB_INLINE, tcp::out_of_band_inline(fd()).unwrap_or(false));
        self.set_option(CORKED, tcp::is_corked(fd()).unwrap_or(false));
        let low_water = tcp::receive_low_water(fd()).unwrap_or(1);
        self.low_water.store(u32::try_from(low_water).unwrap_or(u32::MAX), Ordering::Relaxed);
        let linger = tcp::linger(fd()).ok().flatten();
        self.set_option(LINGER_ZERO, linger.is_some_and(|time| time.is_zero()));
        let micros = |time: Option<std::time::Duration>| time.map_or(0, |t| t.as_micros() as u64);
        let timeout = |direction: tcp::Direction| micros(tcp::timeout(fd(), direction).ok().flatten());
        self.receive_timeout.store(timeout(tcp::Direction::Receive), Ordering::Relaxed);
        self.send_timeout.store(timeout(tcp::Direction::Send), Ordering::Relaxed);
    }
}

/// The service thread has no companion for the record any more; `next` is how it goes on.
pub(crate) fn companion_done(family: &Family, index: u32, next: Attach) {
    if next == Attach::Never
        && let Some(stream) = Stream::at(index)
    {
        hashing::end(&stream);
    }
    if family.record(index).set_attach(next) {
        free(family, index);
    }
}

/// A fresh record with no descriptor yet.
pub(crate) fn allocate(family: &Family) -> Option<u32> {
    let count = family.header.allocations.fetch_add(1, Ordering::Relaxed);
    if count % 1024 == 1023 {
        members::reclaim_dead(family);
    }
    let index = pop(family).or_else(|| fresh(family)).or_else(|| {
        members::reclaim_dead(family);
        pop(family)
    })?;
    let record = family.record(index);
    record.reset();
    Some(index)
}

impl Record {
    fn reset(&self) {
        self.references.store(0, Ordering::Relaxed);
        self.holders.store(0, Ordering::Relaxed);
        self.role.store(Role::None as u32, Ordering::Relaxed);
        self.set_reason(Some(Reason::LittleTraffic));
        self.controller.store(0, Ordering::Relaxed);
        self.options.store(0, Ordering::Relaxed);
        self.descriptor.store(0, Ordering::Relaxed);
        self.attach.store(Attach::No as u32, Ordering::Relaxed);
        self.calls.store(0, Ordering::Relaxed);
        self.trigger.store(FIRST_TRIGGER, Ordering::Relaxed);
        self.provider.store(0, Ordering::Relaxed);
        self.breaks.store(0, Ordering::Relaxed);
        self.attach_after.store(0, Ordering::Relaxed);
        self.low_water.store(1, Ordering::Relaxed);
        self.receive_timeout.store(0, Ordering::Relaxed);
        self.send_timeout.store(0, Ordering::Relaxed);
        for common in [&self.send.common, &self.recv.common] {
            common.gate.store(0, Ordering::Relaxed);
            common.flags.store(0, Ordering::Relaxed);
            common.change.store(0, Ordering::Relaxed);
            common.sleepers.store(0, Ordering::Relaxed);
            common.kernel_bytes.store(0, Ordering::Relaxed);
            common.san_bytes.store(0, Ordering::Relaxed);
            common.promoted_at.store(0, Ordering::Relaxed);
            common.demoted_at.store(0, Ordering::Relaxed);
            common.urgent_taken.store(0, Ordering::Relaxed);
        }
        self.first.reset();
        self.send.ring.clear();
        self.recv.ring.clear();
        self.set_life(Life::Opened);
    }
}

fn fresh(family: &Family) -> Option<u32> {
    family
        .header
        .fresh
        .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |n| ((n as usize) < RECORDS).then_some(n + 1))
        .ok()
}

fn pop(family: &Family) -> Option<u32> {
    let mut head = family.header.free.load(Ordering::Acquire);
    loop {
        let index = (head as u32).checked_sub(1)?;
        let next = family.record(index).next_free.load(Ordering::Acquire);
        // The tag in the upper half changes with every pop, so a list that changed in between is noticed.
        let new = ((head >> 32).wrapping_add(1) << 32) | u64::from(next);
        match family.header.free.compare_exchange_weak(head, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Some(index),
            Err(now) => head = now,
        }
    }
}

/// Gives a record back. The caller alone has it.
pub(crate) fn free(family: &Family, index: u32) {
    let record = family.record(index);
    // Whoever is told of it later finds nothing to do.
    record.set_first(First::No);
    record.set_life(Life::Free);
    record.generation.fetch_add(1, Ordering::AcqRel);
    let mut head = family.header.free.load(Ordering::Acquire);
    loop {
        record.next_free.store(head as u32, Ordering::Release);
        let new = (head & !0xFFFF_FFFF) | u64::from(index + 1);
        match family.header.free.compare_exchange_weak(head, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return,
            Err(now) => head = now,
        }
    }
}

/// One more descriptor of `process` for the record.
pub(crate) fn add_reference(family: &Family, process: &Process, index: u32) {
    let record = family.record(index);
    record.references.fetch_add(1, Ordering::AcqRel);
    if process.counts[index as usize].fetch_add(1, Ordering::AcqRel) == 0 {
        record.holders.fetch_add(1, Ordering::AcqRel);
    }
}

/// One descriptor less; the record goes with the last one, unless a companion has to be closed first.
pub(crate) fn drop_reference(family: &Family, process: &Process, index: u32) {
    let record = family.record(index);
    if process.counts[index as usize].fetch_sub(1, Ordering::AcqRel) == 1 {
        record.holders.fetch_sub(1, Ordering::AcqRel);
    }
    if record.references.fetch_sub(1, Ordering::AcqRel) == 1 {
        crate::stream::close::last_descriptor_gone(family, index);
    }
}
