//! Sending: into the kernel while the gate says TCP, into the ring afterwards.

use std::io::IoSlice;

use wsd_os::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::poll::ppoll;
use wsd_os::ring::Ring;
use wsd_os::signal::Critical;
use wsd_os::{clock, futex, tcp, thread};

use super::channel::Channel;
use super::flags;
use super::gate::State;
use super::hashing;
use super::readiness::OUT;
use super::sleep;
use super::state::Stream;
use crate::family::record::{self, RESET, RESET_SEEN, SHUT, URGENT, WRITE_WANTED};
use crate::front::PollFd;
use crate::sharing;
use crate::wait::wake::{LANE_SHIFT, wake};
use crate::wait::{Timeout, spin};

/// Sends on a tracked socket, see [`crate::front::send`].
#[inline]
pub(crate) fn send(
    stream: Stream,
    data: &[IoSlice<'_>],
    call_flags: u32,
    kernel: &mut impl FnMut(u32) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    loop {
        let common = &stream.record.send.common;
        match common.gate().enter() {
            Ok(()) => {
                if call_flags & flags::OOB != 0 {
                    common.flag(URGENT);
                }
                if call_flags & flags::MORE != 0 {
                    stream.record.set_option(record::CORKED, true);
                }
                return counted(&stream, data, || kernel(0));
            }
            Err(State::San) => match through_ring(&stream, data, call_flags) {
                Err(Errno::STALE) => {}
                result => return finish(result, call_flags),
            },
            Err(State::Dead) => return finish(Err(dead(&stream)), call_flags),
            Err(_) => {
                // Rewinding into TCP, being connected, or controlled by another process: wait for the end of it.
                sharing::want(&stream);
                stream.record.send.common.flag(WRITE_WANTED);
                if stream.nonblocking(call_flags) {
                    return Err(Errno::AGAIN);
                }
                wait_for_change(&stream)?;
            }
        }
    }
}

/// Sends by `kernel` if the direction is on TCP and nobody has to see the bytes, see [`crate::front::send_by_kernel`].
pub(crate) fn by_kernel(
    stream: &Stream,
    kernel: impl FnOnce() -> Result<usize, Errno>,
) -> Option<Result<usize, Errno>> {
    if hashing::wants_bytes(&stream.record.send.common) {
        return None;
    }
    stream.record.send.common.gate().enter().ok()?;
    Some(counted(stream, &[], kernel))
}

/// Makes the kernel's call, which sends `data`, in the gate that was entered, and leaves it.
#[inline]
fn counted(
    stream: &Stream,
    data: &[IoSlice<'_>],
    kernel: impl FnOnce() -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let result = kernel();
    stream.sent_by_kernel(*result.as_ref().unwrap_or(&0), data);
    result
}

/// SIGPIPE where TCP would raise it.
fn finish(result: Result<usize, Errno>, call_flags: u32) -> Result<usize, Errno> {
    if result == Err(Errno::PIPE) && call_flags & flags::NOSIGNAL == 0 {
        thread::raise_sigpipe();
    }
    result
}

/// What a writer learns of a dead companion: the reset once, then EPIPE, as TCP does.
fn dead(stream: &Stream) -> Errno {
    let common = &stream.record.send.common;
    if common.flagged(SHUT) {
        return Errno::PIPE;
    }
    if common.flagged(RESET) && stream.record.recv.common.flag(RESET_SEEN) {
        return Errno::CONNRESET;
    }
    nobody_reads()
}

/// What a writer learns when the peer reads no more: Winsock keeps EPIPE for those who have shut down themselves.
fn nobody_reads() -> Errno {
    if cfg!(windows) { Errno::CONNRESET } else { Errno::PIPE }
}

/// If another process controls the connection, waits until this one does: a change of its state is a use of it (SW-181).
pub(super) fn bring_here(stream: &Stream) -> Result<(), Errno> {
    while away(stream) {
        sharing::want(stream);
        wait_for_change(stream)?;
    }
    Ok(())
}

fn wait_for_change(stream: &Stream) -> Result<(), Errno> {
    let common = &stream.record.send.common;
    let seen = common.change.load(Ordering::Acquire);
    if !matches!(common.gate().state(), State::Rewind | State::Opening) {
        return Ok(());
    }
    match futex::wait(&common.change, seen, None) {
        Err(Errno::INTR) => Err(Errno::INTR),
        _ => Ok(()),
    }
}

/// The ring path. `ESTALE` says that the path changed before anything was written.
fn through_ring(stream: &Stream, data: &[IoSlice<'_>], call_flags: u32) -> Result<usize, Errno> {
    let channel = stream.channel()?;
    let Some(mut ring) = channel.send.load() else { return Err(dead(stream)) };
    let total: usize = data.iter().map(|piece| piece.len()).sum();
    let mut done = 0;
    let mut timeout: Option<Timeout> = None;
    loop {
        match step(stream, channel, ring, data, done, call_flags) {
            Ok(n) => {
                done += n;
                if done == total {
                    return Ok(done);
                }
            }
            Err(error) if done == 0 => return Err(error),
            // Another process took control in between: the rest follows when it comes back.
            Err(Errno::STALE) if away(stream) && !stream.nonblocking(call_flags) => {
                sharing::want(stream);
                if wait_for_change(stream).is_err() {
                    return Ok(done);
                }
                continue;
            }
            // The companion is gone: the rest follows by TCP, so that a blocking send does not return before its time.
            Err(Errno::STALE) if !stream.nonblocking(call_flags) => {
                let timeout = timeout.get_or_insert_with(|| Timeout::micros(&stream.record.send_timeout));
                done = rest_by_tcp(stream, data, done, timeout);
                match channel.send.load() {
                    Some(later) if done < total && later != ring => ring = later,
                    _ => return Ok(done),
                }
                continue;
            }
            Err(_) => return Ok(done),
        }
        if stream.nonblocking(call_flags) {
            if ask_for_space(stream, channel, ring)? {
                continue;
            }
            return if done == 0 { Err(Errno::AGAIN) } else { Ok(done) };
        }
        let timeout = timeout.get_or_insert_with(|| Timeout::micros(&stream.record.send_timeout));
        match wait_for_space(stream, channel, ring, timeout) {
            Ok(()) => {}
            Err(_) if done != 0 => return Ok(done),
            Err(error) => return Err(error),
        }
    }
}

/// What a blocking send had not written when its direction went back to TCP. How much of `data` is written then: all, unless an
/// error, a signal or the time-out ended it, or the direction is in another ring by now.
#[cold]
fn rest_by_tcp(stream: &Stream, data: &[IoSlice<'_>], mut done: usize, timeout: &Timeout) -> usize {
    let total: usize = data.iter().map(|piece| piece.len()).sum();
    while done < total {
        match stream.record.send.common.gate().enter() {
            Ok(()) => {
                let mut pieces = data.to_vec();
                let mut rest = &mut pieces[..];
                IoSlice::advance_slices(&mut rest, done);
                let most = rest.len().min(1024);
                let sent = counted(stream, &rest[..most], || {
                    tcp::send(stream.borrow(), &rest[..most], tcp::Flags::NO_SIGNAL)
                });
                match sent {
                    Ok(sent) => done += sent,
                    Err(Errno::AGAIN) => {
                        let Ok(left) = timeout.left() else { break };
                        let mut socket = [PollFd { fd: stream.fd, events: OUT as i16, revents: 0 }];
                        if !ppoll(&mut socket, left, None).is_ok_and(|ready| ready != 0) {
                            break;
                        }
                    }
                    Err(_) => break,
                }
            }
            Err(State::Rewind) => {
                stream.record.send.common.flag(WRITE_WANTED);
                if wait_for_change(stream).is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    done
}

/// Whether another process controls the connection.
fn away(stream: &Stream) -> bool {
    stream.record.send.common.gate().state() == State::Opening
}

/// Writes what fits from byte `done` on.
#[inline]
fn step(
    stream: &Stream,
    channel: &Channel,
    ring: Ring,
    data: &[IoSlice<'_>],
    done: usize,
    call_flags: u32,
) -> Result<usize, Errno> {
    let side = &stream.record.send;
    // A handler that jumped out between the bytes and the wake-up would leave the reader asleep.
    let _critical = Critical::enter();
    let guard = side.common.hold()?;
    if !stream.is_current() {
        return Err(Errno::BADF);
    }
    // A later promotion has another ring.
    if side.common.gate().state() != State::San || channel.send.load() != Some(ring) {
        return Err(if side.common.gate().state() == State::Dead { dead(stream) } else { Errno::STALE });
    }
    // The peer has closed: nobody will read this.
    if side.common.flagged(SHUT) {
        return Err(Errno::PIPE);
    }
    if ring.reader_control().closed {
        // TCP reports a reset once: here, so the receive direction just ends.
        stream.record.recv.common.flag(RESET_SEEN);
        return Err(nobody_reads());
    }
    let urgent = call_flags & flags::OOB != 0;
    let mut written = write_pieces(ring, stream, data, done, urgent)?;
    let total: usize = data.iter().map(|piece| piece.len()).sum();
    while done + written < total {
        // Full. What the kernel's buffers would have taken, the ring takes too, before anyone waits.
        if ring.reader_control().closed {
            return Err(nobody_reads());
        }
        if !ring.grow(&side.ring) {
            break;
        }
        written += write_pieces(ring, stream, data, done + written, urgent)?;
    }
    side.common.san_bytes.fetch_add(written as u64, Ordering::Relaxed);
    drop(guard);
    sharing::served(channel, stream.index);
    wake(ring.take_data_wait(), ring.data_wait_word(), channel, stream.index);
    Ok(written)
}

/// Writes what fits into the area in use from byte `done` on. `urgent`: the last byte of `data` is.
#[inline]
fn write_pieces(
    ring: Ring,
    stream: &Stream,
    data: &[IoSlice<'_>],
    done: usize,
    mut urgent: bool,
) -> Result<usize, Errno> {
    let state = &stream.record.send.ring;
    let mut staging = ring.stage(state);
    let mut skip = done;
    let mut written = 0;
    for piece in data {
        if skip >= piece.len() {
            skip -= piece.len();
            continue;
        }
        let rest = &piece[skip..];
        skip = 0;
        let n = match staging.push(rest) {
            Ok(n) => n,
            Err(violation) => return Err(super::close::violated(stream, violation)),
        };
        written += n;
        if n < rest.len() {
            urgent = false;
            break;
        }
    }
    if urgent && written != 0 {
        ring.set_urgent(staging.offset());
    }
    staging.publish();
    Ok(written)
}

/// Before a non-blocking writer is told to come back: the sets that watch the connection are notified when there is room.
/// Whether to look again: there is room already, or the stream has left this ring.
fn ask_for_space(stream: &Stream, channel: &Channel, ring: Ring) -> Result<bool, Errno> {
    let lanes = channel.lanes.load(Ordering::Acquire);
    if lanes == 0 {
        return Ok(false);
    }
    let side = &stream.record.send;
    let _guard = side.common.hold()?;
    if side.common.gate().state() != State::San || channel.send.load() != Some(ring) {
        return Ok(true);
    }
    ring.arm_space_wait(&side.ring, lanes << LANE_SHIFT);
    // Looked at after the asking, so room that came before it is found and room that comes later is notified.
    Ok(ring.writable(&side.ring).is_ok_and(|room| room != 0))
}

fn wait_for_space(stream: &Stream, channel: &Channel, ring: Ring, timeout: &Timeout) -> Result<(), Errno> {
    let side = &stream.record.send;
    let began = clock::now_ns();
    let has_space = || ring.space_hint(&side.ring) || side.common.gate().state() != State::San;
    if spin::for_ring(channel, has_space) {
        spin::learn(began);
        return Ok(());
    }
    sleep::for_space(stream, channel, ring, timeout)?;
    spin::learn(began);
    Ok(())
}

/// Bytes that SIOCOUTQ reports, if the direction is in the ring: what the peer has not read.
pub(crate) fn unsent_bytes(stream: &Stream) -> Option<usize> {
    let side = &stream.record.send;
    let in_ring = || side.common.gate().state() == State::San;
    // The ring is looked up with the lock held: before, the next promotion may have brought another one.
    let _guard = in_ring().then(|| side.common.hold().ok())??;
    let ring = in_ring().then(|| stream.channel().ok()?.send.load())??;
    let _ = ring.writable(&side.ring);
    usize::try_from(side.ring.tail().saturating_sub(side.ring.known_head())).ok()
}
