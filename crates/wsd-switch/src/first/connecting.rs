//! connect(2) through the SAN: begun here, done by the service thread, waited for here.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use wsd_os::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::futex;

use crate::family::record::{self, SHUT};
use crate::family::{self, Attach, Family, First, Life, Role};
use crate::front::Outcome;
use crate::reason::Reason;
use crate::registry;
use crate::service::kick;
use crate::stream::gate::State;
use crate::stream::state::Stream;
use crate::wait::{Timeout, notice};

/// See [`crate::front::connect`].
pub(crate) fn connect(stream: &Stream, peer: SocketAddr) -> Outcome<()> {
    let record = stream.record;
    if let Some(error) = record.take_connect_error() {
        return Outcome::Served(Err(error));
    }
    if record.first() == First::No {
        wait_for_the_end_of_another(stream);
    }
    match record.first() {
        First::No if record.life() == Life::Opened && begin(stream, peer) => wait(stream),
        First::No | First::Listening => Outcome::Pass,
        First::Connecting if stream.nonblocking(0) => Outcome::Served(Err(Errno::ALREADY)),
        First::Connecting => wait(stream),
        First::Connected | First::Failed => settled(stream),
    }
}

/// Hands the connection to the service thread (SW-062); false: it is TCP's (SW-042).
fn begin(stream: &Stream, peer: SocketAddr) -> bool {
    let record = stream.record;
    let tcp_only = !registry::connects_san_first() || !is_unicast(peer);
    if tcp_only || record.attach() != Attach::No || !record.change_first(First::No, First::Connecting) {
        stay_on_tcp(stream);
        return false;
    }
    record.mirror(&stream.borrow());
    record.descriptor.store(stream.fd as u32, Ordering::Relaxed);
    record.role.store(Role::Connector as u32, Ordering::Release);
    record.first.peer.set(peer);
    record.first.told.store(0, Ordering::Relaxed);
    for common in [&record.send.common, &record.recv.common] {
        common.gate().force(State::Opening);
    }
    record.set_life(Life::Connecting);
    record.set_reason(Some(Reason::Attaching));
    // From here on the service thread has it, and everything is there that it needs.
    if !stream.is_current() || !record.change_attach(Attach::No, Attach::Wanted) {
        // Closed by another thread.
        return false;
    }
    kick::kick_or_start(stream.index);
    true
}

/// The service thread has told the end of a connect, and is not quite done with it.
fn wait_for_the_end_of_another(stream: &Stream) {
    let common = &stream.record.send.common;
    loop {
        let seen = common.change.load(Ordering::Acquire);
        if stream.record.attach() != Attach::Wanted || stream.record.first() != First::No {
            return;
        }
        let _ = futex::wait(&common.change, seen, Some(Duration::from_millis(20)));
    }
}

/// A connection that TCP makes has no companion later on either (SW-042).
pub(crate) fn stay_on_tcp(stream: &Stream) {
    if registry::connects_san_first() && stream.record.change_attach(Attach::No, Attach::Never) {
        stream.record.first.tcps_turn.store(1, Ordering::Relaxed);
        stream.record.set_reason(Some(Reason::ConnectedByTcp));
    }
}

/// TCP could not connect either: the socket is as new, and the next connect may be the SAN's.
pub(crate) fn tcp_failed(stream: &Stream) {
    let record = stream.record;
    let closed = wsd_os::tcp::state(stream.borrow()) == Ok(wsd_os::tcp::State::Closed);
    if closed && record.first.tcps_turn.swap(0, Ordering::Relaxed) != 0 {
        record.change_attach(Attach::Never, Attach::No);
        record.set_life(Life::Opened);
    }
}

/// SW-060: a SAN reaches single hosts. (Which of them, the providers' addresses say.)
fn is_unicast(peer: SocketAddr) -> bool {
    let host = match peer.ip().to_canonical() {
        IpAddr::V4(ip) => !(ip.is_unspecified() || ip.is_broadcast() || ip.is_multicast()),
        IpAddr::V6(ip) => !(ip.is_unspecified() || ip.is_multicast()),
    };
    host && peer.port() != 0
}

fn wait(stream: &Stream) -> Outcome<()> {
    if stream.nonblocking(0) {
        return Outcome::Served(Err(Errno::INPROGRESS));
    }
    let common = &stream.record.send.common;
    let timeout = Timeout::micros(&stream.record.send_timeout);
    loop {
        let seen = common.change.load(Ordering::Acquire);
        if !stream.is_current() || stream.record.life() == Life::Closed {
            return Outcome::Served(Err(Errno::BADF));
        }
        if stream.record.first() != First::Connecting {
            return settled(stream);
        }
        let slept = timeout
            .left()
            .map_err(|_| Errno::TIMEDOUT)
            .and_then(|left| futex::wait(&common.change, seen, left));
        match slept {
            // The connection goes on being made; the program learns of it by poll, or by the next connect.
            Err(Errno::INTR) => return Outcome::Served(Err(Errno::INTR)),
            Err(Errno::TIMEDOUT) => return Outcome::Served(Err(Errno::INPROGRESS)),
            _ => {}
        }
    }
}

/// What became of it.
fn settled(stream: &Stream) -> Outcome<()> {
    let record = stream.record;
    if let Some(error) = record.take_connect_error() {
        return Outcome::Served(Err(error));
    }
    if record.first() != First::Connected {
        // TCP is connecting, or has.
        return if record.life() == Life::Connected { Outcome::Served(Ok(())) } else { Outcome::Pass };
    }
    match record.first.told.swap(1, Ordering::AcqRel) {
        0 => Outcome::Served(Ok(())),
        _ => Outcome::Served(Err(Errno::ISCONN)),
    }
}

/// Ends a connect that is under way (SW-067), as shutdown(2) of a connecting TCP socket does.
pub(crate) fn cancel(stream: &Stream) -> Result<(), Errno> {
    stream.record.send.common.flag(SHUT);
    kick::kick(stream.index);
    Ok(())
}

/// Tells the program that the connect failed.
pub(crate) fn fail(stream: &Stream, error: Errno) {
    let record = stream.record;
    record.first.error.store(error.raw_os_error() as u32, Ordering::Release);
    record.set_life(Life::Opened);
    reopen(stream);
    record.set_first(First::Failed);
}

/// TCP has the socket from now on; `life` is how far it is.
pub(crate) fn hand_to_tcp(stream: &Stream, life: Life) {
    stream.record.set_life(life);
    reopen(stream);
    stream.record.set_first(First::No);
}

fn reopen(stream: &Stream) {
    for common in [&stream.record.send.common, &stream.record.recv.common] {
        common.unflag(SHUT);
        common.gate().force(State::Tcp);
    }
}

/// Wakes those who wait for the connect, and reports it to sets.
pub(crate) fn announce(stream: &Stream) {
    stream.record.send.common.announce_change();
    stream.record.recv.common.announce_change();
    notice::changed(stream.index);
}

/// This process has no service thread: nothing may wait for it.
pub(crate) fn fail_all(family: &Family) {
    let mine = family::my_slot() as u32 + 1;
    let highest = family.me().descriptors.load(Ordering::Acquire) as usize;
    for entry in family.me().table.iter().take(highest) {
        let Some(stream) = entry.load(Ordering::Acquire).checked_sub(1).and_then(Stream::at) else {
            continue;
        };
        let record = stream.record;
        if record.controller.load(Ordering::Acquire) != mine || record.first() != First::Connecting {
            continue;
        }
        fail(&stream, Errno::NOBUFS);
        record::companion_done(family, stream.index, Attach::Never);
        announce(&stream);
    }
}
