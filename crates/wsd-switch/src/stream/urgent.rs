//! Urgent data on a promoted connection (SW-125, SW-126): the byte travels in the stream, the ring's `urgent` word names the
//! offset behind it, and the reader applies TCP's rules.

use std::io::IoSliceMut;

use wsd_os::Errno;
use wsd_os::ring::Ring;

use super::close;
use super::flags;
use super::recv::oob_inline;
use super::state::Stream;

/// How many bytes an ordinary receive may take now, 0 if none is there: it stops before an urgent byte, and skips it when it
/// stands right there and was asked for out of line.
pub(super) fn limit(stream: &Stream, ring: Ring) -> Result<usize, Errno> {
    let state = &stream.record.recv.ring;
    let violated = |violation| close::violated(stream, violation);
    // The bytes first: a mark is set before its byte is published, so whatever is there has its mark.
    let there = ring.readable(state).map_err(violated)?;
    let Some(byte) = ring.writer_control().urgent.and_then(|after| after.checked_sub(1)) else {
        return Ok(there);
    };
    let head = state.head();
    if head > byte {
        return Ok(there);
    }
    if head < byte {
        return Ok(usize::try_from(byte - head).map_or(there, |before| there.min(before)));
    }
    if oob_inline(stream) {
        return Ok(there);
    }
    let skipped = ring.consume(state, there.min(1)).map_err(violated)?;
    Ok(there - skipped)
}

/// `recv` with MSG_OOB.
pub(super) fn take(stream: &Stream, data: &mut [IoSliceMut<'_>], call_flags: u32) -> Result<usize, Errno> {
    let side = &stream.record.recv;
    if oob_inline(stream) {
        return Err(Errno::INVAL);
    }
    let Some(ring) = stream.channel()?.recv.load() else { return Err(Errno::INVAL) };
    let _guard = side.common.hold()?;
    let Some(byte) = ring.writer_control().urgent.and_then(|after| after.checked_sub(1)) else {
        return Err(Errno::INVAL);
    };
    let head = side.ring.head();
    if byte < head || side.common.urgent_taken.load(wsd_os::atomic::Ordering::Relaxed) == byte + 1 {
        return Err(Errno::INVAL);
    }
    let skip = usize::try_from(byte - head).map_err(|_| Errno::INVAL)?;
    let mut urgent = [0u8; 1];
    match ring.peek(&side.ring, skip, &mut urgent) {
        Err(violation) => Err(close::violated(stream, violation)),
        Ok(0) => Err(Errno::AGAIN),
        Ok(_) => {
            let Some(first) = data.iter_mut().find_map(|piece| piece.first_mut()) else { return Ok(0) };
            *first = urgent[0];
            if call_flags & flags::PEEK == 0 {
                // Remembered as taken; the stream skips it when it gets there.
                side.common.urgent_taken.store(byte + 1, wsd_os::atomic::Ordering::Relaxed);
            }
            Ok(1)
        }
    }
}

/// Whether the next byte is the urgent one.
pub(crate) fn at_mark(stream: &Stream) -> Option<bool> {
    let side = &stream.record.recv;
    if !side.ring.begun() {
        return None;
    }
    let ring = stream.channel().ok()?.recv.load()?;
    let byte = ring.writer_control().urgent.and_then(|after| after.checked_sub(1));
    // Winsock asks whether no urgent byte is to come any more before the next one.
    let none = cfg!(windows) && byte.is_none_or(|byte| byte < side.ring.head());
    Some(none || byte == Some(side.ring.head()))
}

/// Whether there is urgent data that was neither taken nor passed. The receive lock is held.
pub(super) fn pending(stream: &Stream, urgent: Option<u64>) -> bool {
    let side = &stream.record.recv;
    urgent.is_some_and(|after| {
        after > side.ring.head() && side.common.urgent_taken.load(wsd_os::atomic::Ordering::Relaxed) != after
    })
}
