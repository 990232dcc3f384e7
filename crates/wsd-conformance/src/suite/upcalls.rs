//! Up-calls and calls from inside them; several sockets and threads at a time.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use wsd_spi::WsaError;
use wsd_spi::ffi::{SO_MAX_MSG_SIZE, SOL_SOCKET};

use super::messages::pattern;
use super::options::size;
use crate::Check;
use crate::check::{Step, ensure, equal, fail, must, one_of};
use crate::raw::{Mode, UpCall, recorder};
use crate::world::{Pair, Rig, quiet, wait};

pub(super) const CHECKS: &[Check] = &[
    Check::new(&["SP-018"], "the provider can be called from inside a completion", called_in_completion),
    Check::new(
        &["SP-018"],
        "the provider can be called from inside WPUCreateSocketHandle and WPUCloseSocketHandle",
        called_in_handles,
    ),
    Check::new(&["SP-018"], "a socket can be closed from inside its own completion", closed_in_completion),
    Check::new(
        &["SP-210"],
        "handles are made on the thread that is inside WSPSocket or WSPAccept",
        handles_on_thread,
    ),
    Check::new(&["SP-014"], "transfers return at once although nobody takes the data", never_blocks),
    Check::new(&["SP-017"], "WSPCloseSocket may race with every other call", close_races),
    Check::new(&["SP-020"], "connections do not disturb each other", interleaved),
    Check::new(&["SP-017"], "several threads use several connections at a time", threads),
];

/// SP-018: send, receive and options inside the completion of a receive; a lock that is held would never be given.
fn called_in_completion(rig: &Rig) -> Step {
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    let mut pair = Pair::connected(rig)?;
    let (side, s) = (pair.side, pair.s);
    let receives = pair.peer.post(pair.theirs, 3, 64)?;
    let inbox = side.registered(s, &[0; 64], wsd_spi::ffi::MEM_READWRITE)?.memory;
    recorder().hook(Box::new(move |up_call| {
        if let UpCall::Complete(completion) = up_call
            && completion.error.is_none()
            && completion.bytes == 4
        {
            let option = side.table.get_option(s, SOL_SOCKET, SO_MAX_MSG_SIZE, Some(4));
            let posted = side.post_into(s, inbox, Mode::Polled);
            let sent = side.send_from(s, inbox.part(0, 8), Mode::Polled);
            let made = side.socket().and_then(|made| side.close(made));
            let all = option.is_ok_and(|option| option.len() == 4)
                && posted.is_ok()
                && sent.is_ok()
                && made.is_ok();
            INSIDE.store(if all { 1 } else { 2 }, Ordering::Release);
        }
    }));
    let posted = side.post(s, 64, Mode::Notified)?;
    pair.peer.send(pair.theirs, b"four")?;
    side.success("a notified receive", &posted)?;
    let inside = wait("the end of the calls inside a completion", || match INSIDE.load(Ordering::Acquire) {
        0 => None,
        inside => Some(inside),
    })?;
    equal("1 for calls that succeeded inside a completion, 2 for a failure", inside, 1)?;
    equal("length of the message sent there", pair.peer.finish(receives)?.1.len(), 8)
}

/// SP-018.
fn called_in_handles(rig: &Rig) -> Step {
    static OTHER: OnceLock<usize> = OnceLock::new();
    let side = rig.side()?;
    let _ = OTHER.set(side.socket()?);
    recorder().hook(Box::new(move |up_call| {
        let failed = matches!(up_call, UpCall::Create(_) | UpCall::Close(_))
            && OTHER.get().is_some_and(|s| side.table.address_list(*s, 65_536).is_err());
        if failed {
            recorder().breach("SP-018", "a call inside an up-call failed".to_owned());
        }
    }));
    let s = side.socket()?;
    side.close(s)?;
    let pair = Pair::accepted(rig)?;
    pair.side.close(pair.s)?;
    pair.side.close(pair.listener)
}

/// SP-018, SP-170.
fn closed_in_completion(rig: &Rig) -> Step {
    static CLOSED: AtomicUsize = AtomicUsize::new(0);
    static ONCE: AtomicBool = AtomicBool::new(false);
    let mut pair = Pair::connected(rig)?;
    let (side, s) = (pair.side, pair.s);
    recorder().hook(Box::new(move |up_call| {
        if matches!(up_call, UpCall::Complete(_)) && !ONCE.swap(true, Ordering::AcqRel) {
            CLOSED.store(if side.table.close(s).is_ok() { 1 } else { 2 }, Ordering::Release);
        }
    }));
    let first = side.post(s, 64, Mode::Notified)?;
    let second = side.post(s, 64, Mode::Notified)?;
    pair.peer.send(pair.theirs, b"close now")?;
    side.success("the first receive", &first)?;
    let closed = wait("WSPCloseSocket inside the completion", || match CLOSED.load(Ordering::Acquire) {
        0 => None,
        closed => Some(closed),
    })?;
    equal("1 for a close that succeeded inside a completion, 2 for a failure", closed, 1)?;
    let finished = side.finished("the second receive", &second)?;
    one_of("the second receive", finished.error, &[WsaError::WSA_OPERATION_ABORTED])
}

/// SP-210.
fn handles_on_thread(rig: &Rig) -> Step {
    let before = recorder().count();
    let pair = Pair::accepted(rig)?;
    quiet();
    let own = thread::current().id();
    for (up_call, thread) in recorder().since(before) {
        if matches!(up_call, UpCall::Create(_)) {
            ensure(thread == own, || "WPUCreateSocketHandle came on another thread".to_owned())?;
        }
    }
    pair.side.close(pair.s)
}

/// SP-014: the parent of this process notices a call that blocks. A limit of outstanding requests is openly told; a provider
/// without flow control may end the connection once the peer holds what it must (SP-020, SP-021).
fn never_blocks(rig: &Rig) -> Step {
    let pair = Pair::connected(rig)?;
    let limit = size(pair.side, pair.s, SO_MAX_MSG_SIZE)?.unwrap_or(u32::MAX) as usize;
    let part = pair.side.registered(pair.s, &vec![1; limit.min(2048)], wsd_spi::ffi::MEM_READ)?;
    for _ in 0..200 {
        if let Err(code) = pair.side.send_from(pair.s, part.memory, Mode::Polled) {
            let limited = [WsaError::WSAEWOULDBLOCK, WsaError::WSAENOBUFS];
            let ended = [WsaError::WSAECONNRESET, WsaError::WSAECONNABORTED];
            return one_of("WSPSend", Some(code), &[limited, ended].concat());
        }
    }
    Ok(())
}

/// SP-017: whatever the calls answer, nothing crashes or hangs, and every request ends.
fn close_races(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    for _ in 0..10 {
        let (s, _) = pair.another(rig)?;
        let memory = side.registered(s, &[0; 64], wsd_spi::ffi::MEM_READWRITE)?.memory;
        let using = thread::spawn(move || {
            let mut posted = Vec::new();
            for _ in 0..50 {
                posted.extend(side.post_into(s, memory, Mode::Notified));
                posted.extend(side.send_from(s, memory, Mode::Notified));
            }
            posted
        });
        thread::yield_now();
        side.close(s)?;
        let Ok(posted) = using.join() else { return fail("a thread of the suite panicked") };
        for posted in &posted {
            side.finished("an operation of a closed socket", posted)?;
        }
    }
    Ok(())
}

/// SP-020: and closing one leaves the others.
fn interleaved(rig: &Rig) -> Step {
    const COUNT: usize = 6;
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let mut all = vec![(pair.s, pair.theirs)];
    for _ in 1..COUNT {
        all.push(pair.another(rig)?);
    }
    for round in 0..10 {
        let mut posted = Vec::new();
        let mut receives = Vec::new();
        for (s, theirs) in &all {
            posted.push(side.post(*s, 512, Mode::Polled)?);
            receives.push(pair.peer.post(*theirs, 1, 512)?);
        }
        for (n, (s, theirs)) in all.iter().enumerate().rev() {
            pair.peer.send(*theirs, &pattern(n * 1000 + round, 20 + n))?;
            side.send(*s, &pattern(n * 2000 + round, 30 + n), Mode::Polled)?;
        }
        for n in 0..all.len() {
            ensure(side.message("a receive", &posted[n])? == pattern(n * 1000 + round, 20 + n), || {
                format!("connection {n} got another message")
            })?;
            ensure(pair.peer.finish(receives[n])?.1 == pattern(n * 2000 + round, 30 + n), || {
                format!("the other end of connection {n} got another message")
            })?;
        }
        if round == 4 {
            let (s, _) = all.remove(2);
            side.close(s)?;
        }
    }
    Ok(())
}

/// SP-017.
fn threads(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let mut all = vec![(pair.s, pair.theirs)];
    for _ in 0..3 {
        all.push(pair.another(rig)?);
    }
    for (_, theirs) in &all {
        pair.peer.post(*theirs, 50, 64)?;
    }
    let talk = |s: usize| -> Step {
        for number in 0..50u8 {
            let posted = side.send(s, &[number; 60], Mode::Notified)?;
            equal("byte count of a send", side.success("a send", &posted)?, 60)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let running: Vec<_> = all.iter().map(|(s, _)| scope.spawn(move || talk(*s))).collect();
        running.into_iter().try_for_each(|thread| match thread.join() {
            Ok(step) => step,
            Err(_) => fail("a thread of the suite panicked"),
        })
    })?;
    for (number, _) in all.iter().enumerate() {
        for message in 0..50u8 {
            let (finished, got) = pair.peer.finish(number * 50 + usize::from(message))?;
            equal("status of a receive", finished.error, None)?;
            equal("a message", got, vec![message; 60])?;
        }
    }
    must("WSPCloseSocket", side.table.close(pair.s))
}
