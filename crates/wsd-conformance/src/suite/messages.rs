//! `WSPSend` and `WSPRecv`: messages, their order, the early message, errors.

use wsd_spi::WsaError;
use wsd_spi::ffi::{MEM_READ, MEM_WRITE, SO_MAX_MSG_SIZE};

use super::options::size;
use crate::Check;
use crate::check::{Step, ensure, equal, must, one_of, refuses, refuses_with, skip};
use crate::raw::{Mode, Request};
use crate::world::{Pair, Rig, memory_of, quiet};

pub(super) const CHECKS: &[Check] = &[
    Check::new(&["SP-020"], "one WSPSend is one message, whole and unchanged", boundaries),
    Check::new(&["SP-020"], "several buffers are one message", several_buffers),
    Check::new(&["SP-021"], "early message is delivered to the first WSPRecv", early_message),
    Check::new(
        &["SP-021"],
        "an early message of a peer that closes is delivered, then the close",
        early_then_close,
    ),
    Check::new(&["SP-085"], "messages from and to memory that is not registered", unregistered),
    Check::new(&["SP-086"], "a pending request is marked; a refused one never completes", marked_pending),
    Check::new(&["SP-087"], "the array of buffers may go when the call has returned", transient_array),
    Check::new(&["SP-088"], "sends arrive in the order in which they were issued", in_order),
    Check::new(
        &["SP-089"],
        "a message above SO_MAX_MSG_SIZE is WSAEMSGSIZE, one of that size arrives",
        largest,
    ),
    Check::new(
        &["SP-090"],
        "receives take one message each, in the order in which they were posted",
        one_each,
    ),
    Check::new(&["SP-091"], "receives can be posted as soon as the socket is connected", posted_at_once),
    Check::new(&["SP-092"], "a message longer than its buffer completes with WSAEMSGSIZE", too_long),
    Check::new(&["SP-093"], "after the peer's close everything fails with WSAECONNRESET", stored_code),
    Check::new(
        &["SP-093"],
        "after the peer's death everything fails with WSAECONNRESET or WSAECONNABORTED",
        killed_peer,
    ),
    Check::new(&["SP-085"], "bad buffers and wrong states are refused", bad_arguments),
];

/// Bytes that differ everywhere, and from number to number.
pub(super) fn pattern(number: usize, length: usize) -> Vec<u8> {
    (0..length).map(|n| (n.wrapping_mul(31) ^ number.wrapping_mul(97) ^ (n >> 8)) as u8).collect()
}

/// SP-020.
fn boundaries(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    for (number, length) in [1, 2, 255, 256, 257, 1000, 4000].into_iter().enumerate() {
        let limit = size(pair.side, pair.s, SO_MAX_MSG_SIZE)?.unwrap_or(u32::MAX) as usize;
        let sent = pattern(number, length.min(limit));
        let receives = pair.peer.post(pair.theirs, 1, 4096)?;
        let posted = pair.side.send(pair.s, &sent, Mode::Polled)?;
        let count = pair.side.success("a send", &posted)?;
        equal("byte count of the send", count as usize, sent.len())?;
        let (finished, got) = pair.peer.finish(receives)?;
        equal("status of the receive", finished.error, None)?;
        equal("byte count of the receive", finished.bytes as usize, sent.len())?;
        ensure(got == sent, || format!("a message of {} bytes came changed", sent.len()))?;
    }
    Ok(())
}

/// SP-020: in both directions; receives of several buffers too.
fn several_buffers(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let bytes = pattern(1, 300);
    let part = side.registered(pair.s, &bytes, MEM_READ)?;
    let pieces = [part.memory.part(0, 100), part.memory.part(100, 7), part.memory.part(107, 193)];
    let receives = pair.peer.post(pair.theirs, 1, 4096)?;
    let request = Request::new(Mode::Polled);
    must("WSPSend of three buffers", side.table.send(pair.s, &pieces, request))?;
    let (_, got) = pair.peer.finish(receives)?;
    ensure(got == bytes, || "a message of three buffers came changed".to_owned())?;

    let inbox = side.registered(pair.s, &[0; 300], MEM_WRITE)?;
    let pieces = [inbox.memory.part(0, 100), inbox.memory.part(100, 200)];
    let request = Request::new(Mode::Polled);
    match side.table.recv(pair.s, &pieces, request) {
        // Too many segments for the hardware (section 6.12).
        Err(code) => one_of("WSPRecv of two buffers", Some(code), &[WsaError::WSAEINVAL]),
        Ok(()) => {
            pair.peer.send(pair.theirs, &bytes)?;
            let finished = crate::world::wait("the result of a receive", || {
                side.table.result(pair.s, request, false).ok().flatten()
            })?;
            equal("status of the receive", finished.error, None)?;
            ensure(inbox.memory.read() == bytes, || "a receive of two buffers came changed".to_owned())
        }
    }
}

/// SP-021: 256 bytes, at the end that accepted and at the end that connected.
fn early_message(rig: &Rig) -> Step {
    for connected in [true, false] {
        let mut pair = if connected { Pair::connected(rig)? } else { Pair::accepted(rig)? };
        let hello = pattern(5, 256);
        pair.peer.send(pair.theirs, &hello)?;
        quiet();
        let first = pair.side.post(pair.s, 256, Mode::Polled)?;
        let got = pair.side.message("the early message at the first WSPRecv", &first)?;
        ensure(got == hello, || format!("the early message came changed, with {} bytes", got.len()))?;
        let second = pair.side.post(pair.s, 256, Mode::Polled)?;
        pair.peer.send(pair.theirs, b"then")?;
        equal("the message after it", pair.side.message("a receive", &second)?, b"then".to_vec())?;
    }
    Ok(())
}

/// SP-021: it "must not be lost".
fn early_then_close(rig: &Rig) -> Step {
    let mut pair = Pair::accepted(rig)?;
    let sent = pair.peer.send(pair.theirs, b"last words")?;
    let (finished, _) = pair.peer.finish(sent)?;
    equal("status of the send", finished.error, None)?;
    quiet();
    let posted = pair.side.post(pair.s, 64, Mode::Polled)?;
    equal("the early message", pair.side.message("a receive", &posted)?, b"last words".to_vec())?;
    let next = pair.side.post(pair.s, 64, Mode::Polled)?;
    pair.peer.close(pair.theirs)?;
    one_of("the next receive", pair.side.finished("a receive", &next)?.error, &[WsaError::WSAECONNRESET])
}

/// SP-085: a provider that copies needs no registration; any other answers `WSAEFAULT`.
fn unregistered(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let memory = memory_of(b"not registered")?;
    let receives = pair.peer.post(pair.theirs, 1, 64)?;
    match pair.side.send_from(pair.s, memory, Mode::Polled) {
        Ok(posted) => {
            pair.side.success("a send of memory that is not registered", &posted)?;
            equal("the message", pair.peer.finish(receives)?.1, b"not registered".to_vec())?;
        }
        Err(code) => one_of("WSPSend of memory that is not registered", Some(code), &[WsaError::WSAEFAULT])?,
    }
    match pair.side.post_into(pair.s, memory, Mode::Polled) {
        Ok(posted) => {
            pair.peer.send(pair.theirs, b"NOT REGISTERED")?;
            equal("the message", pair.side.message("a receive", &posted)?, b"NOT REGISTERED".to_vec())
        }
        Err(code) => one_of("WSPRecv into memory that is not registered", Some(code), &[WsaError::WSAEFAULT]),
    }
}

/// SP-086. The byte count of a pending request is looked at by `raw`.
fn marked_pending(rig: &Rig) -> Step {
    let pair = Pair::connected(rig)?;
    let side = pair.side;
    for mode in [Mode::Polled, Mode::Notified] {
        let posted = side.post(pair.s, 64, mode)?;
        ensure(posted.request.is_marked_pending(), || {
            format!("Internal of a pending {mode:?} request is not WSS_OPERATION_IN_PROGRESS")
        })?;
    }
    let request = Request::new(Mode::Notified);
    let fresh = side.socket()?;
    let refused = side.table.recv(fresh, &[memory_of(&[0; 16])?], request);
    refuses("WSPRecv of a fresh socket", refused, WsaError::WSAENOTCONN)?;
    quiet();
    ensure(crate::raw::recorder().completion(request).is_none(), || {
        "a refused request was completed by an up-call".to_owned()
    })
}

/// SP-087: `raw` overwrites the array of every call.
fn transient_array(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let posted = pair.side.post(pair.s, 64, Mode::Polled)?;
    quiet();
    pair.peer.send(pair.theirs, b"into the buffer")?;
    equal("a message", pair.side.message("a receive", &posted)?, b"into the buffer".to_vec())
}

/// SP-088.
fn in_order(rig: &Rig) -> Step {
    const COUNT: usize = 100;
    let mut pair = Pair::connected(rig)?;
    let receives = pair.peer.post(pair.theirs, COUNT, 256)?;
    let mut sends = Vec::new();
    for number in 0..COUNT {
        let length = 4 + number * 7 % 200;
        let mut message = pattern(number, length);
        message[..4].copy_from_slice(&(number as u32).to_ne_bytes());
        sends.push(pair.side.send(pair.s, &message, Mode::Polled)?);
    }
    for number in 0..COUNT {
        let (finished, got) = pair.peer.finish(receives + number)?;
        equal("status of a receive", finished.error, None)?;
        let first = got.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
        equal(&format!("message at receive {number}"), first, Some(number as u32))?;
    }
    sends.iter().try_for_each(|posted| pair.side.success("a send", posted).map(drop))
}

/// SP-089.
fn largest(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let Some(limit) = size(pair.side, pair.s, SO_MAX_MSG_SIZE)? else {
        return skip("SO_MAX_MSG_SIZE is WSAENOPROTOOPT");
    };
    if limit > 64 << 20 {
        return skip(format!("SO_MAX_MSG_SIZE is {limit}"));
    }
    let bytes = pattern(3, limit as usize + 1);
    let memory = memory_of(&bytes)?;
    let longest = memory.part(0, limit as usize);
    must("WSPRegisterMemory", pair.side.extensions.register(pair.s, Some(longest), MEM_READ))?;
    // A provider may refuse to register more than a message (section 6.16).
    let whole = pair.side.extensions.register(pair.s, Some(memory), MEM_READ);
    let above = pair.side.send_from(pair.s, memory, Mode::Polled).map(drop);
    let allowed: &[WsaError] =
        if whole.is_ok() { &[WsaError::WSAEMSGSIZE] } else { &[WsaError::WSAEMSGSIZE, WsaError::WSAEFAULT] };
    refuses_with("WSPSend above SO_MAX_MSG_SIZE", above, allowed)?;
    let receives = pair.peer.post(pair.theirs, 1, limit as usize)?;
    let posted = must("WSPSend", pair.side.send_from(pair.s, longest, Mode::Polled))?;
    pair.side.success("a send of SO_MAX_MSG_SIZE", &posted)?;
    let (finished, got) = pair.peer.finish(receives)?;
    equal("status of the receive", finished.error, None)?;
    ensure(got == bytes[..limit as usize], || "the longest message came changed".to_owned())
}

/// SP-090.
fn one_each(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let mut posted = Vec::new();
    for _ in 0..12 {
        posted.push(pair.side.post(pair.s, 100, Mode::Polled)?);
    }
    for number in 0..12 {
        pair.peer.send(pair.theirs, &pattern(number, 10 + number))?;
    }
    for (number, posted) in posted.iter().enumerate() {
        let got = pair.side.message(&format!("receive {number}"), posted)?;
        ensure(got == pattern(number, 10 + number), || {
            format!("receive {number} got another message, of {} bytes", got.len())
        })?;
    }
    Ok(())
}

/// SP-091.
fn posted_at_once(rig: &Rig) -> Step {
    for connected in [true, false] {
        let mut pair = if connected { Pair::connected(rig)? } else { Pair::accepted(rig)? };
        let mut posted = Vec::new();
        for _ in 0..12 {
            posted.push(pair.side.post(pair.s, 256, Mode::Polled)?);
        }
        pair.peer.send(pair.theirs, b"negotiation")?;
        equal("a message", pair.side.message("a receive", &posted[0])?, b"negotiation".to_vec())?;
    }
    Ok(())
}

/// SP-092: and nothing is written behind the buffer.
fn too_long(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let part = pair.side.registered(pair.s, &[0x11; 64], MEM_WRITE)?;
    let posted = must("WSPRecv", pair.side.post_into(pair.s, part.memory.part(0, 16), Mode::Polled))?;
    pair.peer.send(pair.theirs, &[0x22; 40])?;
    let finished = pair.side.finished("a receive", &posted)?;
    one_of("a message of 40 bytes into 16", finished.error, &[WsaError::WSAEMSGSIZE])?;
    ensure(part.memory.part(16, 48).read() == [0x11; 48], || {
        "bytes behind the buffer were written".to_owned()
    })
}

/// SP-093.
fn stored_code(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let polled = side.post(pair.s, 64, Mode::Polled)?;
    let notified = side.post(pair.s, 64, Mode::Notified)?;
    let memory = side.registered(pair.s, &[1; 16], MEM_READ)?.memory;
    pair.peer.close(pair.theirs)?;
    let reset = [WsaError::WSAECONNRESET];
    one_of("a pending polled receive", side.finished("a receive", &polled)?.error, &reset)?;
    one_of("a pending notified receive", side.finished("a receive", &notified)?.error, &reset)?;
    refuses("WSPSend afterwards", side.send_from(pair.s, memory, Mode::Polled).map(drop), reset[0])?;
    refuses("WSPRecv afterwards", side.post_into(pair.s, polled.memory, Mode::Polled).map(drop), reset[0])
}

/// SP-093: between two processes.
fn killed_peer(rig: &Rig) -> Step {
    let pair = Pair::with(rig, rig.other_process()?)?;
    let side = pair.side;
    let posted = side.post(pair.s, 64, Mode::Polled)?;
    let memory = side.registered(pair.s, &[1; 16], MEM_READ)?.memory;
    pair.peer.kill()?;
    let dead = [WsaError::WSAECONNRESET, WsaError::WSAECONNABORTED];
    let finished = side.finished("a receive whose peer was killed", &posted)?;
    one_of("a receive whose peer was killed", finished.error, &dead)?;
    refuses_with("WSPSend afterwards", side.send_from(pair.s, memory, Mode::Polled).map(drop), &dead)?;
    side.close(pair.s)
}

/// SP-085, errors of section 6.12 and the row of section 13.
fn bad_arguments(rig: &Rig) -> Step {
    let pair = Pair::accepted(rig)?;
    let side = pair.side;
    for (send, function) in [(true, "WSPSend"), (false, "WSPRecv")] {
        let refused = side.table.without_buffers(pair.s, send);
        refuses_with(&format!("{function} with NULL for the buffers"), refused, &[WsaError::WSAEFAULT])?;
    }
    let memory = memory_of(&[0; 16])?;
    let bound = side.bound(&rig.name()?)?;
    for (s, state) in [(side.socket()?, "fresh"), (bound, "bound"), (pair.listener, "listening")] {
        let sent = side.send_from(s, memory, Mode::Polled).map(drop);
        refuses(&format!("WSPSend of a {state} socket"), sent, WsaError::WSAENOTCONN)?;
        let received = side.post_into(s, memory, Mode::Polled).map(drop);
        refuses(&format!("WSPRecv of a {state} socket"), received, WsaError::WSAENOTCONN)?;
        let asked = side.table.result(s, Request::new(Mode::Polled), false);
        let code = asked.map_or_else(Some, |finished| finished.and_then(|finished| finished.error));
        one_of(&format!("WSPGetOverlappedResult of a {state} socket"), code, &[WsaError::WSAEINVAL])?;
    }
    Ok(())
}
