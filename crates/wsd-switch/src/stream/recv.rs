//! Receiving: from the kernel while the gate says TCP, from both while the ring may begin, from the ring afterwards.

use std::io::IoSliceMut;

use wsd_os::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::ring::{Drain, Ring};
use wsd_os::signal::Critical;
use wsd_os::{clock, futex, tcp};

use super::channel::Channel;
use super::close;
use super::flags;
use super::gate::State;
use super::sleep;
use super::state::Stream;
use crate::family::First;
use crate::family::record::{self, FIX_WANTED, RESET, RESET_SEEN, SHUT, URGENT};
use crate::service::WATCHES_LATE;
use crate::sharing;
use crate::wait::wake::wake;
use crate::wait::{Timeout, sets, spin};

/// Receives on a tracked socket, see [`crate::front::recv`].
#[inline]
pub(crate) fn recv(
    stream: Stream,
    data: &mut [IoSliceMut<'_>],
    call_flags: u32,
    kernel: &mut impl FnMut(&mut [IoSliceMut<'_>], u32) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let common = &stream.record.recv.common;
    if call_flags & flags::ERRQUEUE != 0 {
        return kernel(data, 0);
    }
    match common.gate().enter() {
        Ok(()) => {
            if call_flags & flags::OOB != 0 {
                common.flag(URGENT);
            }
            let result = kernel(data, 0);
            let taken =
                if call_flags & (flags::PEEK | flags::OOB) != 0 { 0 } else { *result.as_ref().unwrap_or(&0) };
            // What MSG_TRUNC takes nobody sees.
            let seen = if call_flags & flags::TRUNC != 0 { &[] } else { &*data };
            stream.received_by_kernel(taken, seen);
            result
        }
        Err(_) => companion(&stream, data, call_flags),
    }
}

/// What one attempt found.
enum Step {
    /// Bytes.
    Got(usize),
    /// End of stream or an error.
    End(Result<usize, Errno>),
    /// Nothing yet; wait for the ring.
    Ring(&'static Channel, Ring),
    /// Nothing yet; wait for TCP (and the ring's begin).
    Tcp,
    /// The connection is being made, another process controls it, or the path is being changed.
    Opening,
}

/// Receives on a direction that has a companion.
fn companion(stream: &Stream, data: &mut [IoSliceMut<'_>], call_flags: u32) -> Result<usize, Errno> {
    if call_flags & flags::OOB != 0 {
        return super::urgent::take(stream, data, call_flags);
    }
    let total: usize = data.iter().map(|piece| piece.len()).sum();
    let all = call_flags & flags::WAITALL != 0 && call_flags & flags::PEEK == 0;
    let nonblocking = stream.nonblocking(call_flags);
    let mut timeout: Option<Timeout> = None;
    let mut done = 0;
    loop {
        let step = attempt(stream, data, done, call_flags);
        if matches!(step, Step::Opening) {
            sharing::want(stream);
        }
        match step {
            Step::Got(n) => {
                done += n;
                if !all || done == total {
                    return Ok(done);
                }
                continue;
            }
            Step::End(_) if done != 0 => return Ok(done),
            Step::End(result) => return result,
            Step::Ring(..) | Step::Tcp | Step::Opening if nonblocking => {
                return if done == 0 { Err(Errno::AGAIN) } else { Ok(done) };
            }
            Step::Ring(channel, ring) => {
                let timeout = timeout.get_or_insert_with(|| Timeout::micros(&stream.record.receive_timeout));
                match wait_for_data(stream, channel, ring, timeout) {
                    Ok(()) => {}
                    Err(_) if done != 0 => return Ok(done),
                    Err(error) => return Err(error),
                }
            }
            Step::Opening => {
                let timeout = timeout.get_or_insert_with(|| Timeout::micros(&stream.record.receive_timeout));
                match wait_for_opening(stream, timeout) {
                    Ok(()) => {}
                    Err(_) if done != 0 => return Ok(done),
                    Err(error) => return Err(error),
                }
            }
            Step::Tcp => {
                let timeout = timeout.get_or_insert_with(|| Timeout::micros(&stream.record.receive_timeout));
                match sets::wait_for(stream, super::readiness::IN, timeout) {
                    Ok(()) => {}
                    Err(_) if done != 0 => return Ok(done),
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

fn attempt(stream: &Stream, data: &mut [IoSliceMut<'_>], done: usize, call_flags: u32) -> Step {
    let common = &stream.record.recv.common;
    // A handler that jumped out between taking bytes and the wake-up would leave the writer asleep.
    let _critical = Critical::enter();
    let guard = match common.hold() {
        Ok(guard) => guard,
        Err(error) => return Step::End(Err(error)),
    };
    if !stream.is_current() {
        return Step::End(Err(Errno::BADF));
    }
    let state = common.gate().state();
    let Ok(channel) = stream.channel() else { return Step::End(Err(Errno::CONNRESET)) };
    let step = match (state, channel.recv.load()) {
        (State::Tcp, _) => kernel_bytes(stream, data, done, call_flags, None),
        (State::Agreed, Some(ring)) => match ring.started_at() {
            None => kernel_bytes(stream, data, done, call_flags, None),
            Some(start) => match enter_ring(stream, ring, start) {
                Err(error) => Step::End(Err(error)),
                Ok(()) => ring_or_rest(stream, channel, ring, data, done, call_flags),
            },
        },
        (State::San | State::Dead, Some(ring)) => ring_or_rest(stream, channel, ring, data, done, call_flags),
        (State::Dead, None) => after_death(stream, data, done, call_flags),
        (State::Rest, _) => rest_of_ring(stream, data, done, call_flags),
        (State::Opening | State::Rewind, _) => Step::Opening,
        _ => Step::End(Err(Errno::CONNRESET)),
    };
    let step = match step {
        Step::Ring(..) | Step::Tcp if common.flagged(SHUT) => Step::End(after_shutdown()),
        step => step,
    };
    drop(guard);
    if !matches!(step, Step::Opening) {
        sharing::served(channel, stream.index);
    }
    if let (Step::Got(_), Some(ring)) = (&step, channel.recv.load()) {
        if ring.has_data_hint(&stream.record.recv.ring) {
            common.pass_on();
        }
        wake(
            ring.take_space_wait_lazy(&stream.record.recv.ring),
            ring.space_wait_word(),
            channel,
            stream.index,
        );
    }
    step
}

/// What a receive gets when nothing is left and the program has shut the direction down.
fn after_shutdown() -> Result<usize, Errno> {
    if cfg!(windows) { Err(Errno::PIPE) } else { Ok(0) }
}

/// The sender has named S (session protocol 4.4).
pub(crate) fn enter_ring(stream: &Stream, ring: Ring, start: u64) -> Result<(), Errno> {
    let side = &stream.record.recv;
    let read = side.common.kernel_bytes.load(Ordering::Acquire);
    if start < read {
        return Err(close::violated(stream, wsd_os::ring::Violation::Start));
    }
    match ring.accept_begin(&side.ring, start) {
        Ok(true) => {
            side.common.promoted_at.store(start, Ordering::Release);
            side.common.gate().force_from(State::Agreed, State::San);
            side.common.announce_change();
            Ok(())
        }
        Ok(false) => Ok(()),
        Err(violation) => Err(close::violated(stream, violation)),
    }
}

/// What TCP still has up to S, then the ring.
#[inline]
fn ring_or_rest(
    stream: &Stream,
    channel: &'static Channel,
    ring: Ring,
    data: &mut [IoSliceMut<'_>],
    done: usize,
    call_flags: u32,
) -> Step {
    let side = &stream.record.recv;
    if !side.ring.begun() {
        // The peer died right after it named S: what it wrote behind S is in the ring all the same.
        match ring.started_at() {
            None => return after_death(stream, data, done, call_flags),
            Some(start) => {
                if let Err(error) = enter_ring(stream, ring, start) {
                    return Step::End(Err(error));
                }
            }
        }
    }
    let rest = side.common.rest();
    if rest != 0 {
        return kernel_bytes(stream, data, done, call_flags, Some(rest));
    }
    // Of a companion that dies from here on, what it wrote last may be missed: the next look finds it.
    let gone = side.common.gate().state() == State::Dead;
    match from_ring(stream, ring, data, done, call_flags) {
        Err(error) => Step::End(Err(error)),
        // No room for a byte: as TCP, only wait if there is none.
        Ok(0) if data.iter().all(|piece| piece.is_empty()) && ring.readable(&side.ring).unwrap_or(0) != 0 => {
            Step::End(Ok(0))
        }
        Ok(0) => match end_in_ring(stream, ring) {
            Some(end) => Step::End(end),
            None if gone => after_death(stream, data, done, call_flags),
            None => Step::Ring(channel, ring),
        },
        Ok(n) => Step::Got(n),
    }
}

/// What was in the sender's ring when the companion died comes by TCP, then the stream goes on there.
fn rest_of_ring(stream: &Stream, data: &mut [IoSliceMut<'_>], done: usize, call_flags: u32) -> Step {
    let common = &stream.record.recv.common;
    let step = match common.rest() {
        0 => kernel_bytes(stream, data, done, call_flags, None),
        left => kernel_bytes(stream, data, done, call_flags, Some(left)),
    };
    if common.rest() == 0 && common.gate().force_from(State::Rest, State::Tcp) {
        common.announce_change();
        crate::service::kick::kick(stream.index);
    }
    step
}

fn from_ring(
    stream: &Stream,
    ring: Ring,
    data: &mut [IoSliceMut<'_>],
    done: usize,
    call_flags: u32,
) -> Result<usize, Errno> {
    let side = &stream.record.recv;
    let limit = super::urgent::limit(stream, ring)?;
    let violated = |violation| close::violated(stream, violation);
    let n = if call_flags & (flags::PEEK | flags::TRUNC) != 0 {
        special(ring, side, data, done, call_flags, limit).map_err(violated)?
    } else {
        let mut drain = ring.drain(&side.ring);
        pull_pieces(&mut drain, data, done, limit).map_err(violated)?;
        drain.commit()
    };
    if call_flags & flags::PEEK == 0 {
        side.common.san_bytes.fetch_add(n as u64, Ordering::Relaxed);
    }
    Ok(n)
}

#[inline]
fn pull_pieces(
    drain: &mut Drain<'_>,
    data: &mut [IoSliceMut<'_>],
    done: usize,
    mut limit: usize,
) -> Result<(), wsd_os::ring::Violation> {
    let mut skip = done;
    for piece in data {
        if skip >= piece.len() {
            skip -= piece.len();
            continue;
        }
        let rest = &mut piece[skip..];
        skip = 0;
        let want = rest.len().min(limit);
        let n = drain.pull(&mut rest[..want])?;
        limit -= n;
        if n < rest.len() {
            break;
        }
    }
    Ok(())
}

/// MSG_PEEK and MSG_TRUNC (which discards on TCP).
fn special(
    ring: Ring,
    side: &crate::family::layout::RecvSide,
    data: &mut [IoSliceMut<'_>],
    done: usize,
    call_flags: u32,
    limit: usize,
) -> Result<usize, wsd_os::ring::Violation> {
    let total: usize = data.iter().map(|piece| piece.len()).sum();
    if call_flags & flags::TRUNC != 0 {
        let n = ring.readable(&side.ring)?.min(limit).min(total - done.min(total));
        return if call_flags & flags::PEEK != 0 { Ok(n) } else { ring.consume(&side.ring, n) };
    }
    let mut seen = 0;
    for piece in data {
        let want = piece.len().min(limit - seen);
        let n = ring.peek(&side.ring, seen, &mut piece[..want])?;
        seen += n;
        if n < piece.len() {
            break;
        }
    }
    Ok(seen)
}

/// What a ring in which nothing is left says of the end of the stream.
fn end_in_ring(stream: &Stream, ring: Ring) -> Option<Result<usize, Errno>> {
    if ring.writer_control().reset {
        return Some(reset_once(stream));
    }
    match ring.at_fin(&stream.record.recv.ring) {
        Ok(at_fin) => at_fin.then_some(Ok(0)),
        Err(violation) => Some(Err(close::violated(stream, violation))),
    }
}

/// ECONNRESET the first time, end of stream afterwards; Winsock says it each time.
fn reset_once(stream: &Stream) -> Result<usize, Errno> {
    stream.record.send.common.flag(RESET);
    let first = stream.record.recv.common.flag(RESET_SEEN);
    if first || cfg!(windows) { Err(Errno::CONNRESET) } else { Ok(0) }
}

/// The companion is gone and the ring is drained: what does TCP say? The service thread has shut the kernel socket down or
/// marked the direction reset within a bounded time, so this never waits for ever.
fn after_death(stream: &Stream, data: &mut [IoSliceMut<'_>], done: usize, call_flags: u32) -> Step {
    if stream.record.recv.common.flagged(RESET) {
        return Step::End(reset_once(stream));
    }
    // Of a connection that was never TCP's there is no other end than that in the ring.
    if stream.record.first() == First::Connected {
        return Step::End(reset_once(stream));
    }
    let room = |piece: &IoSliceMut<'_>| !piece.is_empty();
    if !data.iter().any(room) {
        return Step::End(Ok(0));
    }
    let mut probe = [0u8; 1];
    let begun = stream.record.recv.ring.begun();
    if !begun {
        // Never promoted: the stream simply goes on by TCP.
        return kernel_bytes(stream, data, done, call_flags, None);
    }
    let heard = tcp::recv(stream.borrow(), &mut [IoSliceMut::new(&mut probe)], tcp::Flags::PEEK);
    // Said by the service thread before it shuts a silent socket down, which is heard here as the end, or as a shutdown of our own.
    if stream.record.recv.common.flagged(RESET) {
        return Step::End(reset_once(stream));
    }
    match heard.map(|got| got.len) {
        Ok(0) => Step::End(Ok(0)),
        // A byte behind the ring's end cannot belong to the stream.
        Ok(_) => Step::End(reset_once(stream)),
        Err(Errno::AGAIN) => Step::Tcp,
        Err(error) => Step::End(Err(error)),
    }
}

/// Takes bytes from the kernel without waiting, at most `rest`.
fn kernel_bytes(
    stream: &Stream,
    data: &mut [IoSliceMut<'_>],
    done: usize,
    call_flags: u32,
    rest: Option<u64>,
) -> Step {
    let rest = rest.map_or(usize::MAX, |rest| usize::try_from(rest).unwrap_or(usize::MAX));
    let mut skip = done;
    let Some(piece) = data.iter_mut().find_map(|piece| {
        if skip >= piece.len() {
            skip -= piece.len();
            return None;
        }
        let end = piece.len().min(skip.saturating_add(rest));
        Some(&mut piece[skip..end])
    }) else {
        return Step::End(Ok(0));
    };
    let kept = call_flags & (flags::PEEK | flags::TRUNC);
    match tcp::recv(stream.borrow(), &mut [IoSliceMut::new(piece)], tcp::Flags(kept as i32))
        .map(|got| got.len)
    {
        Ok(n) if n != 0 => {
            if call_flags & flags::PEEK == 0 {
                let common = &stream.record.recv.common;
                common.kernel_bytes.fetch_add(n as u64, Ordering::Relaxed);
                if common.flagged(FIX_WANTED) || (WATCHES_LATE && n == rest) {
                    crate::service::kick::kick(stream.index);
                }
            }
            Step::Got(n)
        }
        // The kernel's FIN before S was reached cannot be: the sender's switch comes before its FIN.
        Ok(_) if rest != usize::MAX => Step::End(reset_once(stream)),
        Ok(_) => Step::End(Ok(0)),
        Err(Errno::AGAIN) => Step::Tcp,
        Err(error) => Step::End(Err(error)),
    }
}

/// Until a connection that the SAN makes stands, or does not; one that another process controls has come here; or the path has
/// been changed.
fn wait_for_opening(stream: &Stream, timeout: &Timeout) -> Result<(), Errno> {
    let common = &stream.record.recv.common;
    let seen = common.change.load(Ordering::Acquire);
    if !matches!(common.gate().state(), State::Opening | State::Rewind) {
        return Ok(());
    }
    match futex::wait(&common.change, seen, timeout.left()?) {
        Err(Errno::INTR) => Err(Errno::INTR),
        Err(Errno::TIMEDOUT) => Err(Errno::AGAIN),
        _ => Ok(()),
    }
}

fn wait_for_data(stream: &Stream, channel: &Channel, ring: Ring, timeout: &Timeout) -> Result<(), Errno> {
    let side = &stream.record.recv;
    let began = clock::now_ns();
    if spin::for_ring(channel, || ring.has_data_hint(&side.ring)) {
        spin::learn(began);
        return Ok(());
    }
    sleep::for_data(stream, channel, ring, timeout)?;
    spin::learn(began);
    Ok(())
}

/// Bytes that FIONREAD reports, if the direction has a companion.
pub(crate) fn readable_bytes(stream: &Stream) -> Option<usize> {
    let side = &stream.record.recv;
    match side.common.gate().state() {
        State::San | State::Dead if side.ring.begun() => {
            let ring = stream.channel().ok()?.recv.load()?;
            let _guard = side.common.hold().ok()?;
            let kernel = match stream.record.first() {
                First::Connected => 0,
                _ => tcp::unread(stream.borrow()).unwrap_or(0),
            };
            Some(ring.readable(&side.ring).unwrap_or(0) + kernel)
        }
        _ => None,
    }
}

/// Whether the program asked for urgent data in the stream.
pub(crate) fn oob_inline(stream: &Stream) -> bool {
    stream.record.has(record::OOB_INLINE)
}
