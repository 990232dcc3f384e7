//! `WSPCloseSocket`.

use wsd_spi::WsaError;
use wsd_spi::ffi::{MEM_READ, MEM_WRITE};

use crate::Check;
use crate::check::{Step, ensure, equal, fail, must, one_of};
use crate::raw::{Mode, Target, UpCall, recorder};
use crate::world::{Pair, Rig, quiet, wait};

pub(super) const CHECKS: &[Check] = &[
    Check::new(&["SP-170"], "pending operations are aborted: notified by up-call, polled in place", aborted),
    Check::new(&["SP-170"], "WPUCloseSocketHandle comes once, after the last completion", handle_last),
    Check::new(&["SP-170"], "the handle is given back from every state of a socket", every_state),
    Check::new(&["SP-170"], "the peer's pending receives complete with WSAECONNRESET", peer_is_reset),
    Check::new(&["SP-171"], "WSPCloseSocket succeeds at once whatever is under way", busy),
    Check::new(&["SP-172"], "closing a listener refuses what is queued and ends the listening", listener),
    Check::new(&["SP-173"], "nothing is touched or called up after the last completion", quiet_afterwards),
    Check::new(
        &["SP-115"],
        "buffers of aborted operations are not written after the close",
        buffers_left_alone,
    ),
];

/// SP-170.
fn aborted(rig: &Rig) -> Step {
    let pair = Pair::connected(rig)?;
    let side = pair.side;
    let notified = [side.post(pair.s, 64, Mode::Notified)?, side.post(pair.s, 64, Mode::Notified)?];
    let polled = side.post(pair.s, 64, Mode::Polled)?;
    side.close(pair.s)?;
    for posted in &notified {
        let finished = side.finished("a pending notified receive", posted)?;
        one_of("a pending notified receive", finished.error, &[WsaError::WSA_OPERATION_ABORTED])?;
        equal("its byte count", finished.bytes, 0)?;
    }
    wait("the end of a pending polled receive in place", || {
        (!polled.request.is_marked_pending()).then_some(())
    })?;
    let (bytes, error) = polled.request.result_fields();
    equal("OffsetHigh of a polled receive", error, WsaError::WSA_OPERATION_ABORTED.code() as u32)?;
    equal("InternalHigh of a polled receive", bytes, Some(0))
}

/// SP-170, SP-173: the order of up-calls with the handle of the socket. A second close and a late completion are noted
/// by the recorder.
fn handle_last(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let first = side.post(pair.s, 64, Mode::Notified)?;
    for _ in 0..3 {
        side.post(pair.s, 64, Mode::Notified)?;
    }
    pair.peer.send(pair.theirs, b"tells the handle")?;
    side.success("a notified receive", &first)?;
    let Some(completion) = recorder().completion(first.request) else { return fail("no completion") };
    let handle = completion.handle;
    let before = recorder().count();
    side.close(pair.s)?;
    wait("WPUCloseSocketHandle", || recorder().is_closed(handle).then_some(()))?;
    quiet();
    let order = recorder().since(before);
    let closes =
        order.iter().filter(|(up_call, _)| matches!(up_call, UpCall::Close(closed) if *closed == handle));
    equal("WPUCloseSocketHandle with the handle", closes.count(), 1)?;
    let completions = |(up_call, _): &&(UpCall, _)| matches!(up_call, UpCall::Complete(_));
    equal("completions", order.iter().filter(completions).count(), 3)?;
    let last = order.iter().rfind(|(up_call, _)| match up_call {
        UpCall::Close(closed) => *closed == handle,
        UpCall::Complete(completion) => completion.handle == handle,
        UpCall::Create(_) => false,
    });
    ensure(matches!(last, Some((UpCall::Close(_), _))), || {
        "a completion came after WPUCloseSocketHandle".to_owned()
    })
}

/// SP-170: handles of sockets that are fresh, bound, listening, connecting, connected, broken, refused.
fn every_state(rig: &Rig) -> Step {
    let mut pair = Pair::accepted(rig)?;
    let side = pair.side;
    let bound = side.bound(&rig.name()?)?;
    let name = rig.name()?;
    pair.peer.listen(&name, 1)?;
    let connecting = side.start_connect(&rig.name()?, &name)?;
    let (broken, others) = pair.another(rig)?;
    let posted = side.post(broken, 64, Mode::Notified)?;
    pair.peer.close(others)?;
    side.finished("a receive", &posted)?;
    let nowhere = side.start_connect(&rig.name()?, &rig.name()?)?;
    let fresh = side.socket()?;
    let all = [
        (fresh, "fresh"),
        (bound, "bound"),
        (connecting.s, "connecting"),
        (nowhere.s, "connecting to nobody"),
        (broken, "broken"),
        (pair.s, "connected"),
        (pair.listener, "listening"),
    ];
    for (s, state) in all {
        let before = recorder().open_handles().len();
        side.close(s)?;
        wait(&format!("WPUCloseSocketHandle of a {state} socket"), || {
            (recorder().open_handles().len() < before).then_some(())
        })?;
    }
    Ok(())
}

/// SP-170.
fn peer_is_reset(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let receives = pair.peer.post(pair.theirs, 3, 64)?;
    pair.side.close(pair.s)?;
    for number in 0..3 {
        let (finished, _) = pair.peer.finish(receives + number)?;
        one_of("a receive of the peer", finished.error, &[WsaError::WSAECONNRESET])?;
    }
    Ok(())
}

/// SP-171: sends that nobody takes, RDMA, receives.
fn busy(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let (_, descriptor) = pair.peer.expose(pair.theirs, &vec![0; 100_000], MEM_WRITE)?;
    let part = side.registered(pair.s, &vec![1; 100_000], MEM_READ)?;
    let target = Target { descriptor: &descriptor, offset: 0 };
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(side.post(pair.s, 64, Mode::Notified)?);
        all.push(side.send(pair.s, &[7; 200], Mode::Notified)?);
        all.push(must("WSPRdmaWrite", side.rdma_from(pair.s, true, &[part], target, Mode::Notified))?);
    }
    side.close(pair.s)?;
    for posted in &all {
        let finished = side.finished("an operation of a closed socket", posted)?;
        // What was done already has succeeded.
        if let Some(code) = finished.error {
            one_of("an operation of a closed socket", Some(code), &[WsaError::WSA_OPERATION_ABORTED])?;
        }
    }
    Ok(())
}

/// SP-172. Who is told that a queued request was refused is left to `WSAECONNREFUSED` or a code that lets TCP try.
fn listener(rig: &Rig) -> Step {
    let side = rig.side()?;
    let mut peer = rig.peer()?;
    let name = rig.name()?;
    let listener = side.listen(&name, 5)?;
    let queued = peer.start_connect(&rig.name()?, &name)?;
    side.await_request(&listener)?;
    side.close(listener.s)?;
    one_of("a queued connect", peer.connected(queued)?, &[WsaError::WSAECONNREFUSED])?;
    let again = side.bound(&name)?;
    must("WSPListen at the same name", side.table.listen(again, 1))
}

/// SP-173, SP-185.
fn quiet_afterwards(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let posted = side.post(pair.s, 64, Mode::Notified)?;
    pair.peer.send(pair.theirs, b"just before")?;
    side.close(pair.s)?;
    side.finished("a receive", &posted)?;
    wait("WPUCloseSocketHandle", || {
        let completion = recorder().completion(posted.request)?;
        recorder().is_closed(completion.handle).then_some(())
    })?;
    posted.request.scribble();
    let count = recorder().count();
    quiet();
    equal("up-calls after WPUCloseSocketHandle", recorder().count(), count)?;
    ensure(posted.request.is_scribbled(), || "a completed WSAOVERLAPPED was written to".to_owned())
}

/// SP-115: "release memory of outstanding operations".
fn buffers_left_alone(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let polled = side.post(pair.s, 64, Mode::Polled)?;
    side.close(pair.s)?;
    wait("the end of a receive", || (!polled.request.is_marked_pending()).then_some(()))?;
    polled.memory.write(0, &[0x33; 64]);
    // Refused if the other end knows already that the connection is gone.
    let _ = pair.peer.send(pair.theirs, b"too late");
    quiet();
    ensure(polled.memory.read() == [0x33; 64], || {
        "a buffer was written after its receive was aborted".to_owned()
    })
}
