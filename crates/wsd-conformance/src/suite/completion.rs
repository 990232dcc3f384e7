//! How operations complete: polled, notified, once, in order, and what is in the request then.

use std::thread;

use wsd_spi::WsaError;
use wsd_spi::ffi::MEM_WRITE;

use crate::Check;
use crate::check::{Step, ensure, equal, fail, must, one_of};
use crate::raw::{Completion, Mode, Target, UpCall, recorder};
use crate::world::{Pair, Posted, Rig, quiet, wait};

pub(super) const CHECKS: &[Check] = &[
    Check::new(&["SP-180"], "a polled request is never notified, neither in success nor in failure", polled),
    Check::new(&["SP-181"], "a notified request is completed by exactly one up-call", notified),
    Check::new(&["SP-182"], "bit 0 of hEvent counts at submission", bit_at_submission),
    Check::new(&["SP-183"], "a polled request carries its result: bytes, error, Internal last", fields),
    Check::new(&["SP-184"], "the byte count is valid on the notified path", notified_count),
    Check::new(&["SP-185"], "a request is not touched after its completion", untouched),
    Check::new(&["SP-186"], "a call that succeeds at once is completed like every other", at_once),
    Check::new(&["SP-187"], "completions of one kind come in the order of issue", issue_order),
    Check::new(&["SP-095"], "a pending request is WSA_IO_INCOMPLETE, and asking makes progress", incomplete),
    Check::new(
        &["SP-096"],
        "the result of a request has bytes, flags and status, as often as it is asked",
        result,
    ),
    Check::new(&["SP-097"], "fWait waits for the completion of a polled request", waits),
    Check::new(&["SP-098"], "WSPGetOverlappedResult returns TRUE or FALSE and nothing else", truth),
];

/// The completions since an up-call.
fn completions(from: usize) -> Vec<Completion> {
    let since = recorder().since(from);
    since
        .into_iter()
        .filter_map(|(up_call, _)| match up_call {
            UpCall::Complete(completion) => Some(completion),
            _ => None,
        })
        .collect()
}

/// SP-180: send, receive, RDMA, and a receive that fails; the recorder notes any up-call for them.
fn polled(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let (_, descriptor) = pair.peer.expose(pair.theirs, &[0; 64], MEM_WRITE)?;
    let received = side.post(pair.s, 64, Mode::Polled)?;
    let failing = side.post(pair.s, 64, Mode::Polled)?;
    let receives = pair.peer.post(pair.theirs, 1, 64)?;
    let sent = side.send(pair.s, b"one", Mode::Polled)?;
    side.success("a send", &sent)?;
    pair.peer.finish(receives)?;
    pair.peer.send(pair.theirs, b"two")?;
    side.success("a receive", &received)?;
    let (ended, _) = side.rdma(pair.s, true, b"three", Target { descriptor: &descriptor, offset: 0 })?;
    must("WSPRdmaWrite", ended)?;
    pair.peer.close(pair.theirs)?;
    side.finished("a receive", &failing)?;
    let last = side.table.close(pair.s);
    must("WSPCloseSocket", last)
}

/// SP-181.
fn notified(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let before = recorder().count();
    let received = side.post(pair.s, 64, Mode::Notified)?;
    let failing = side.post(pair.s, 64, Mode::Notified)?;
    pair.peer.post(pair.theirs, 1, 64)?;
    let sent = side.send(pair.s, b"one", Mode::Notified)?;
    side.success("a notified send", &sent)?;
    pair.peer.send(pair.theirs, b"two")?;
    equal("a notified receive", side.message("a notified receive", &received)?, b"two".to_vec())?;
    pair.peer.close(pair.theirs)?;
    side.finished("a notified receive", &failing)?;
    quiet();
    equal("WPUCompleteOverlappedRequest for three requests", completions(before).len(), 3)
}

/// SP-182.
fn bit_at_submission(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let polled = side.post(pair.s, 64, Mode::Polled)?;
    let notified = side.post(pair.s, 64, Mode::Notified)?;
    polled.request.switch_to(Mode::Notified);
    notified.request.switch_to(Mode::Polled);
    pair.peer.send(pair.theirs, b"one")?;
    pair.peer.send(pair.theirs, b"two")?;
    side.success("a request that was polled when submitted", &polled)?;
    side.success("a request that was notified when submitted", &notified).map(drop)
}

/// SP-183.
fn fields(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let good = side.post(pair.s, 64, Mode::Polled)?;
    let bad = side.post(pair.s, 64, Mode::Polled)?;
    pair.peer.send(pair.theirs, b"five!")?;
    wait("Internal of a polled receive", || (!good.request.is_marked_pending()).then_some(()))?;
    equal("InternalHigh and OffsetHigh", good.request.result_fields(), (Some(5), 0))?;
    pair.peer.close(pair.theirs)?;
    wait("Internal of a failing receive", || (!bad.request.is_marked_pending()).then_some(()))?;
    equal("OffsetHigh", bad.request.result_fields().1, WsaError::WSAECONNRESET.code() as u32)
}

/// SP-184, SP-183.
fn notified_count(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let received = side.post(pair.s, 64, Mode::Notified)?;
    pair.peer.send(pair.theirs, b"seven!!")?;
    side.success("a notified receive", &received)?;
    let Some(completion) = recorder().completion(received.request) else { return fail("no completion") };
    equal("cbTransferred", completion.bytes, 7)?;
    match side.table.result(pair.s, received.request, false) {
        Ok(Some(finished)) => equal("*lpcbTransfer afterwards", finished.bytes, 7),
        other => fail(format!("WSPGetOverlappedResult after the notification: {other:?}")),
    }
}

/// SP-185.
fn untouched(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let mut done = Vec::new();
    for mode in [Mode::Polled, Mode::Notified, Mode::Polled, Mode::Notified] {
        let posted = side.post(pair.s, 64, mode)?;
        pair.peer.send(pair.theirs, b"then")?;
        side.success("a receive", &posted)?;
        posted.request.scribble();
        done.push(posted);
    }
    pair.peer.close(pair.theirs)?;
    quiet();
    side.close(pair.s)?;
    quiet();
    for posted in done {
        ensure(posted.request.is_scribbled(), || "a completed WSAOVERLAPPED was written to".to_owned())?;
    }
    Ok(())
}

/// SP-186: the early message is there already.
fn at_once(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let before = recorder().count();
    pair.peer.send(pair.theirs, b"early")?;
    quiet();
    let posted = pair.side.post(pair.s, 64, Mode::Notified)?;
    pair.side.success("a receive of what has arrived", &posted)?;
    quiet();
    equal("its up-calls", completions(before).len(), 1)
}

/// SP-187.
fn issue_order(rig: &Rig) -> Step {
    const COUNT: usize = 40;
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let mut received: Vec<Posted> = Vec::new();
    for _ in 0..COUNT {
        received.push(side.post(pair.s, 64, Mode::Notified)?);
    }
    pair.peer.post(pair.theirs, COUNT, 64)?;
    let before = recorder().count();
    let mut sent: Vec<Posted> = Vec::new();
    for number in 0..COUNT {
        sent.push(side.send(pair.s, &[number as u8; 8], Mode::Notified)?);
        pair.peer.send(pair.theirs, &[number as u8; 8])?;
    }
    for posted in sent.iter().chain(&received) {
        side.success("an operation", posted)?;
    }
    let order = completions(before);
    let places = |kind: &[Posted]| -> Vec<usize> {
        let place = |posted: &Posted| {
            order.iter().position(|completion| completion.request == posted.request.address())
        };
        kind.iter().filter_map(place).collect()
    };
    ensure(places(&sent).is_sorted(), || {
        "sends completed in another order than they were issued".to_owned()
    })?;
    ensure(places(&received).is_sorted(), || {
        "receives completed in another order than they were issued".to_owned()
    })
}

/// SP-095.
fn incomplete(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let posted = pair.side.post(pair.s, 64, Mode::Polled)?;
    for _ in 0..3 {
        // `WSA_IO_INCOMPLETE` is `None` here.
        equal("a pending receive", pair.side.table.result(pair.s, posted.request, false), Ok(None))?;
    }
    pair.peer.send(pair.theirs, b"now")?;
    equal("a message", pair.side.message("a receive that is polled", &posted)?, b"now".to_vec())
}

/// SP-096.
fn result(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let good = side.post(pair.s, 64, Mode::Polled)?;
    let bad = side.post(pair.s, 64, Mode::Polled)?;
    pair.peer.send(pair.theirs, b"once")?;
    side.success("a receive", &good)?;
    pair.peer.close(pair.theirs)?;
    side.finished("a receive", &bad)?;
    for _ in 0..2 {
        let told = must("WSPGetOverlappedResult", side.table.result(pair.s, good.request, false))?;
        let Some(told) = told else { return fail("a completed request is WSA_IO_INCOMPLETE again") };
        equal("status, bytes and flags", (told.error, told.bytes, told.flags), (None, 4, 0))?;
        let told = must("WSPGetOverlappedResult", side.table.result(pair.s, bad.request, false))?;
        one_of("a failed receive", told.and_then(|told| told.error), &[WsaError::WSAECONNRESET])?;
    }
    Ok(())
}

/// SP-097: the other end answers from a thread meanwhile.
fn waits(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let (side, s) = (pair.side, pair.s);
    let posted = side.post(s, 64, Mode::Polled)?;
    let waiting = thread::spawn(move || side.table.result(s, posted.request, true));
    quiet();
    ensure(!waiting.is_finished(), || "fWait returned before the completion".to_owned())?;
    pair.peer.send(pair.theirs, b"at last")?;
    wait("the return of a WSPGetOverlappedResult with fWait", || waiting.is_finished().then_some(()))?;
    match waiting.join() {
        Ok(Ok(Some(finished))) => equal("its status and bytes", (finished.error, finished.bytes), (None, 7)),
        Ok(other) => fail(format!("WSPGetOverlappedResult with fWait: {other:?}")),
        Err(_) => fail("a thread of the suite panicked"),
    }
}

/// SP-098: `raw` tells every other value.
fn truth(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let posted = side.post(pair.s, 64, Mode::Polled)?;
    equal("while pending", side.table.result(pair.s, posted.request, false), Ok(None))?;
    pair.peer.close(pair.theirs)?;
    side.finished("a receive", &posted)?;
    let failed = must("WSPGetOverlappedResult", side.table.result(pair.s, posted.request, false))?;
    ensure(failed.is_some_and(|failed| failed.error.is_some()), || {
        "a failed receive returned TRUE".to_owned()
    })?;
    side.close(pair.s)?;
    match side.table.result(pair.s, posted.request, false) {
        Err(code) => one_of("after WSPCloseSocket", Some(code), &[WsaError::WSAENOTSOCK]),
        Ok(_) => fail("after WSPCloseSocket: expected WSAENOTSOCK got 0"),
    }
}
