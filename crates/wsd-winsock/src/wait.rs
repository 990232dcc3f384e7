//! Waiting for sockets: `select` and `WSAPoll`.

use core::time::Duration;

use windows_sys::Win32::Networking::WinSock::{
    FD_SET, POLLERR, POLLHUP, POLLNVAL, POLLRDBAND, POLLRDNORM, POLLWRNORM, SOCKET, TIMEVAL, WSAPOLLFD,
};
use wsd_os::fd::borrow;
use wsd_os::tcp;
use wsd_os::thread::{Inside, outside};
use wsd_switch::front::{self, Outcome, PollFd};

use crate::original;
use crate::result::{answer, answer_count, number};

/// Readiness as the switch tells it: Linux's values.
mod known {
    pub(super) const IN: i16 = 0x1;
    pub(super) const PRI: i16 = 0x2;
    pub(super) const OUT: i16 = 0x4;
    pub(super) const ERR: i16 = 0x8;
    pub(super) const HUP: i16 = 0x10;
    pub(super) const NVAL: i16 = 0x20;
    pub(super) const RDHUP: i16 = 0x2000;
}

/// What `select` takes and gives: as many sockets as the program has room for.
struct Set {
    place: *mut FD_SET,
    events: i16,
    sockets: Vec<SOCKET>,
}

impl Set {
    /// # Safety
    ///
    /// `place` is null, or a count and as many sockets, which can be written.
    unsafe fn read(place: *mut FD_SET, events: i16) -> Self {
        let mut sockets = Vec::new();
        if !place.is_null() {
            // SAFETY: the contract; the array may be longer than the type says.
            unsafe {
                let count = (*place).fd_count as usize;
                let first = (&raw const (*place).fd_array).cast::<SOCKET>();
                sockets.extend(core::slice::from_raw_parts(first, count));
            }
        }
        Self { place, events, sockets }
    }

    /// Leaves those in the program's set that are ready; how many.
    ///
    /// # Safety
    ///
    /// As for [`Set::read`].
    unsafe fn write(&self, ready: &[PollFd]) -> usize {
        let mut left = 0;
        for (socket, entry) in self.sockets.iter().zip(ready) {
            if self.is_ready(*socket, entry.revents) {
                // SAFETY: not more than there were.
                unsafe { (&raw mut (*self.place).fd_array).cast::<SOCKET>().add(left).write(*socket) };
                left += 1;
            }
        }
        if !self.place.is_null() {
            // SAFETY: the contract.
            unsafe { (*self.place).fd_count = left as u32 };
        }
        left
    }

    fn is_ready(&self, socket: SOCKET, events: i16) -> bool {
        let failed = || events & known::ERR != 0 && tcp::peer_name(borrow(number(socket))).is_err();
        match self.events {
            known::IN => events & (known::IN | known::HUP | known::RDHUP) != 0,
            known::OUT => events & known::OUT != 0 && !failed(),
            _ => events & known::PRI != 0 || failed(),
        }
    }
}

/// # Safety
/// As select.
pub(crate) unsafe extern "system" fn select(
    count: i32,
    reads: *mut FD_SET,
    writes: *mut FD_SET,
    errors: *mut FD_SET,
    timeout: *const TIMEVAL,
) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel = || unsafe { original::select(count, reads, writes, errors, timeout) };
    let Some(_inside) = Inside::enter() else { return kernel() };
    let places = [(reads, known::IN), (writes, known::OUT), (errors, known::PRI)];
    // SAFETY: the program's own sets.
    let sets = places.map(|(place, events)| unsafe { Set::read(place, events) });
    if !sets.iter().flat_map(|set| &set.sockets).any(|socket| front::find(number(*socket)).is_some()) {
        return outside(kernel);
    }
    let entries = sets.iter().flat_map(|set| set.sockets.iter().map(|socket| (*socket, set.events)));
    let mut fds: Vec<PollFd> =
        entries.map(|(socket, events)| PollFd { fd: number(socket), events, revents: 0 }).collect();
    // SAFETY: the program's own, or null.
    let limit = unsafe { timeout.as_ref() }.map(|limit| {
        Duration::from_secs(limit.tv_sec.max(0) as u64) + Duration::from_micros(limit.tv_usec.max(0) as u64)
    });
    match front::poll(&mut fds, limit, None) {
        Outcome::Pass => outside(kernel),
        Outcome::Served(Err(error)) => answer(Err(error)),
        // As the kernel says it.
        Outcome::Served(Ok(_)) if fds.iter().any(|fd| fd.revents & known::NVAL != 0) => outside(kernel),
        Outcome::Served(Ok(_)) => {
            let mut rest = &fds[..];
            let mut ready = 0;
            for set in &sets {
                let (own, others) = rest.split_at(set.sockets.len());
                // SAFETY: the program's own set.
                ready += unsafe { set.write(own) };
                rest = others;
            }
            ready as i32
        }
    }
}

/// # Safety
/// As WSAPoll.
pub(crate) unsafe extern "system" fn poll(sockets: *mut WSAPOLLFD, count: u32, timeout: i32) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel = || unsafe { original::WSAPoll(sockets, count, timeout) };
    let Some(_inside) = Inside::enter() else { return kernel() };
    if sockets.is_null() {
        return outside(kernel);
    }
    // SAFETY: the program's own array.
    let entries = unsafe { core::slice::from_raw_parts_mut(sockets, count as usize) };
    if !entries.iter().any(|entry| front::find(number(entry.fd)).is_some()) {
        return outside(kernel);
    }
    let of = |entry: &WSAPOLLFD| PollFd { fd: number(entry.fd), events: wanted(entry.events), revents: 0 };
    let mut fds: Vec<PollFd> = entries.iter().map(of).collect();
    let limit = u64::try_from(timeout).ok().map(Duration::from_millis);
    match front::poll(&mut fds, limit, None) {
        Outcome::Pass => outside(kernel),
        Outcome::Served(Err(error)) => answer(Err(error)),
        Outcome::Served(Ok(ready)) => {
            for (entry, fd) in entries.iter_mut().zip(&fds) {
                entry.revents = told(fd.revents, entry.events);
            }
            answer_count(Ok(ready))
        }
    }
}

/// What the program waits for, as the switch knows it.
fn wanted(events: i16) -> i16 {
    let one = |bit, known| if events & bit != 0 { known } else { 0 };
    one(POLLRDNORM, known::IN) | one(POLLRDBAND, known::PRI) | one(POLLWRNORM, known::OUT)
}

/// What is ready, as Winsock says it.
fn told(events: i16, wanted: i16) -> i16 {
    let one = |known, bit| if events & known != 0 { bit } else { 0 };
    let asked = one(known::IN, POLLRDNORM) | one(known::PRI, POLLRDBAND) | one(known::OUT, POLLWRNORM);
    (asked & wanted)
        | one(known::ERR, POLLERR)
        | one(known::HUP | known::RDHUP, POLLHUP)
        | one(known::NVAL, POLLNVAL)
}
