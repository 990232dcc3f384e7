//! Listening and accepting on TCP and on every provider that fits (SW-080..097).

use std::net::SocketAddr;
use std::time::Duration;

use wsd_os::Errno;
use wsd_os::atomic::{AtomicU32, Ordering};
use wsd_os::fd::{AsRawFd, OwnedFd};
use wsd_os::poll::{PollFd, ppoll};
use wsd_os::tcp::{self, DescriptorFlags};
use wsd_os::{clock, futex};

use crate::family::first::{give_place, has_queued, pop, put_back};
use crate::family::{self, Attach, Family, First, Life, table};
use crate::front::{self, Accepted, Outcome, Request, Verdict};
use crate::reason::Reason;
use crate::registry;
use crate::service::kick;
use crate::sharing::listeners;
use crate::stream::close;
use crate::stream::readiness::IN;
use crate::stream::state::Stream;
use crate::trace;
use crate::wait::{Timeout, sets};

/// How long listen(2) waits for the providers (nanoseconds).
const LISTEN_WITHIN: u64 = 2_000_000_000;
/// The kernel's limit of a backlog, where it cannot be asked (net.core.somaxconn).
const MOST: i32 = 4096;

/// Listeners of this process that the SAN has; a fork looks for them only if there are any.
static LISTENERS: AtomicU32 = AtomicU32::new(0);

/// See [`crate::front::listen`].
pub(crate) fn listen(stream: &Stream, backlog: i32) {
    let record = stream.record;
    trace::note(format_args!("connection {}: TCP listens, backlog {backlog}", stream.index));
    // As the kernel: a negative one is the largest.
    let backlog = if (0..MOST).contains(&backlog) { backlog.max(1) as u32 } else { MOST as u32 };
    record.first.backlog.store(backlog, Ordering::Relaxed);
    record.set_life(Life::Listening);
    if record.first() == First::Listening {
        return kick::kick(stream.index);
    }
    if !registry::connects_san_first() || !record.change_attach(Attach::No, Attach::Attached) {
        record.set_attach(Attach::Never);
        return;
    }
    begun();
    record.mirror(&stream.borrow());
    record.descriptor.store(stream.fd as u32, Ordering::Relaxed);
    record.first.listens.store(0, Ordering::Relaxed);
    record.set_first(First::Listening);
    kick::kick_or_start(stream.index);
    // A client that comes right after the call shall find the SAN listening.
    let end = clock::now_ns() + LISTEN_WITHIN;
    loop {
        let change = &record.recv.common.change;
        let seen = change.load(Ordering::Acquire);
        let left = end.saturating_sub(clock::now_ns());
        if record.first.listens.load(Ordering::Acquire) != 0 || left == 0 {
            return;
        }
        let _ = futex::wait(change, seen, Some(Duration::from_nanos(left)));
    }
}

/// The SAN listens no more, TCP may: what waits in the queue can still be accepted.
pub(crate) fn stop(stream: &Stream) {
    stream.record.first.backlog.store(0, Ordering::Relaxed);
    kick::kick(stream.index);
}

/// After a fork, in the parent: two processes have each listener, of which one alone can be told of a SAN connection.
#[cfg(target_os = "linux")]
pub(crate) fn shared_by_fork(family: &Family) {
    if LISTENERS.load(Ordering::Relaxed) == 0 {
        return;
    }
    let highest = family.me().descriptors.load(Ordering::Acquire) as usize;
    for entry in family.me().table.iter().take(highest) {
        if let Some(index) = entry.load(Ordering::Acquire).checked_sub(1)
            && family.record(index).first() == First::Listening
        {
            kick::kick(index);
        }
    }
}

/// Whether a SAN connection can be accepted in this process.
pub(crate) fn has_waiting(stream: &Stream) -> bool {
    is_mine(stream) && has_queued(stream.record)
}

fn is_mine(stream: &Stream) -> bool {
    stream.record.controller.load(Ordering::Acquire) as usize == family::my_slot() + 1
}

/// See [`crate::front::accept`].
pub(crate) fn accept(
    stream: &Stream,
    flags: DescriptorFlags,
    condition: &mut dyn FnMut(&Request) -> Verdict,
    kernel: &mut dyn FnMut() -> Result<i32, Errno>,
) -> Outcome<Accepted> {
    if stream.record.first() != First::Listening || !is_mine(stream) {
        return Outcome::Pass;
    }
    let timeout = Timeout::micros(&stream.record.receive_timeout);
    // SW-084: in turn.
    let san_first = stream.record.first.turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
    loop {
        let taken = if san_first {
            from_san(stream, flags, condition).or_else(|| from_tcp(stream, kernel))
        } else {
            from_tcp(stream, kernel).or_else(|| from_san(stream, flags, condition))
        };
        if let Some(result) = taken {
            listeners::served(stream);
            return Outcome::Served(result);
        }
        if stream.nonblocking(0) {
            listeners::found_nothing(stream);
            return Outcome::Served(Err(Errno::AGAIN));
        }
        if let Err(error) = sets::wait_for(stream, IN, &timeout) {
            return Outcome::Served(Err(error));
        }
    }
}

/// TCP's accept, if it will not wait. One thread at a time, so that it stays true.
fn from_tcp(
    stream: &Stream,
    kernel: &mut dyn FnMut() -> Result<i32, Errno>,
) -> Option<Result<Accepted, Errno>> {
    let _turn = stream.record.send.common.hold().ok()?;
    let mut fds = [PollFd { fd: stream.fd, events: IN as i16, revents: 0 }];
    if !matches!(ppoll(&mut fds, Some(Duration::ZERO), None), Ok(1..)) {
        return None;
    }
    match kernel() {
        Err(Errno::AGAIN) => None,
        result => Some(result.map(Accepted::Tcp)),
    }
}

/// The oldest connection in the queue that still stands.
fn from_san(
    stream: &Stream,
    flags: DescriptorFlags,
    condition: &mut dyn FnMut(&Request) -> Verdict,
) -> Option<Result<Accepted, Errno>> {
    let family = family::get()?;
    loop {
        let index = match pop(family, stream.record) {
            Ok(index) => index?,
            Err(error) => return Some(Err(error)),
        };
        let connection = Stream::at(index)?;
        let names = (connection.record.first.local.get(), connection.record.first.peer.get());
        let (Some(local), Some(peer)) = names else {
            refuse(family, stream, &connection);
            continue;
        };
        match condition(&Request { local, peer }) {
            Verdict::Accept => {}
            Verdict::Reject => {
                refuse(family, stream, &connection);
                continue;
            }
            Verdict::Defer => return Some(put_back(family, stream.record, index).and(Err(Errno::AGAIN))),
        }
        return Some(adopt(family, stream, &connection, flags).map(|fd| Accepted::San { fd, local, peer }));
    }
}

/// Gives the connection a descriptor (SW-094).
fn adopt(
    family: &'static Family,
    listener: &Stream,
    connection: &Stream,
    flags: DescriptorFlags,
) -> Result<OwnedFd, Errno> {
    let made = match tcp::like(listener.borrow(), flags) {
        Ok(made) => made,
        Err(error) => {
            put_back(family, listener.record, connection.index)?;
            return Err(error);
        }
    };
    let fd = made.as_raw_fd();
    front::reused(fd);
    give_place(listener.record);
    connection.record.mirror(&made);
    connection.record.descriptor.store(fd as u32, Ordering::Relaxed);
    if table::insert(family, fd, connection.index) {
        return Ok(made);
    }
    // A number that is not tracked.
    close::refuse(family, connection);
    Err(Errno::MFILE)
}

/// Resets a connection that nobody accepts.
pub(crate) fn refuse(family: &Family, listener: &Stream, connection: &Stream) {
    give_place(listener.record);
    close::refuse(family, connection);
}

/// Resets all that wait.
pub(crate) fn refuse_all(family: &Family, listener: &Stream, reason: Reason) {
    while let Ok(Some(index)) = pop(family, listener.record) {
        if let Some(connection) = Stream::at(index) {
            trace::note(format_args!("connection {index} was not accepted: {reason}"));
            refuse(family, listener, &connection);
        }
    }
}

/// The SAN has one more listener.
pub(crate) fn begun() {
    LISTENERS.fetch_add(1, Ordering::Relaxed);
}

/// The SAN does not have the listener any more.
pub(crate) fn ended() {
    LISTENERS.fetch_sub(1, Ordering::Relaxed);
}

/// The name of a socket in the form of sockets of the family of `like`: IPv4 addresses as IPv6 ones of an IPv6 socket.
pub(crate) fn in_form_of(like: SocketAddr, address: SocketAddr) -> SocketAddr {
    match (like, address) {
        (SocketAddr::V6(_), SocketAddr::V4(v4)) => {
            SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
        }
        (SocketAddr::V4(_), v6) => SocketAddr::new(v6.ip().to_canonical(), v6.port()),
        (_, address) => address,
    }
}
