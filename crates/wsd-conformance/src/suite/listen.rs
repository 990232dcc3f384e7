//! `WSPListen`, `WSPAccept` and the condition function.

use std::thread;

use wsd_spi::ffi::{CF_ACCEPT, CF_DEFER, CF_REJECT, SO_DEBUG, SOL_SOCKET, SOMAXCONN};
use wsd_spi::{SockAddr, WsaError};

use crate::Check;
use crate::check::{Cite, Step, ensure, equal, fail, must, one_of, refuses, refuses_with, skip};
use crate::raw::{Mode, Text, recorder};
use crate::world::{Listener, Pair, Peer, Rig, Side, quiet, wait};

pub(super) const CHECKS: &[Check] = &[
    Check::new(&["SP-070"], "a listener at the wildcard is found at every own address", wildcard),
    Check::new(&["SP-070"], "WSPListen in a wrong state is refused", wrong_states),
    Check::new(&["SP-071"], "a request beyond the backlog is refused at once, and not signalled", full_queue),
    Check::new(&["SP-072"], "a second WSPListen changes the backlog", second_listen),
    Check::new(&["SP-075"], "requests are accepted in the order in which they came", oldest_first),
    Check::new(
        &["SP-075"],
        "WSPAccept with nothing queued is WSAEWOULDBLOCK, elsewhere WSAEINVAL",
        nothing_queued,
    ),
    Check::new(
        &["SP-076"],
        "the condition function is asked once, on the calling thread, with both addresses",
        asked_once,
    ),
    Check::new(&["SP-076"], "the peer learns nothing before the condition function has decided", asked_first),
    Check::new(&["SP-077"], "CF_ACCEPT: the new socket inherits options and is usable at once", accepted),
    Check::new(&["SP-077"], "an accept without a handle refuses the peer and leaves nothing", no_handle),
    Check::new(&["SP-078"], "CF_REJECT: the peer's connect fails with WSAECONNREFUSED", rejected),
    Check::new(&["SP-079"], "CF_DEFER keeps the request; an unknown answer rejects it", deferred),
    Check::new(&["SP-080"], "WSPAccept resets the event, and sets it again if more is queued", rearmed),
    Check::new(&["SP-080"], "WSPAccept refuses bad arguments and keeps the request", bad_arguments),
    Check::new(
        &["SP-211"],
        "a listener can be closed on another thread while the condition function runs",
        closed_meanwhile,
    ),
];

/// A listener of the check, and the other end.
fn here(rig: &Rig, backlog: i32) -> Step<(Side, Listener, SockAddr, Peer)> {
    let peer = rig.peer()?;
    let name = rig.name()?;
    let side = rig.side()?;
    Ok((side, side.listen(&name, backlog)?, name, peer))
}

/// SP-070.
fn wildcard(rig: &Rig) -> Step {
    let side = rig.side()?;
    let mut peer = rig.peer()?;
    let name = rig.name()?;
    let any = std::net::Ipv4Addr::UNSPECIFIED;
    let listener = side.listen(&std::net::SocketAddr::from((any, name.port())).into(), SOMAXCONN)?;
    let own = rig.addresses()?.into_iter().filter(|address| address.socket_addr().is_ipv4());
    for address in own.take(3) {
        let to = address.with_port(name.port());
        let theirs = peer.start_connect(&rig.reserve(address.socket_addr().ip())?, &to)?;
        side.accept(&listener)?;
        equal(&format!("WSPConnect to {to}"), peer.connected(theirs)?, None)?;
    }
    Ok(())
}

/// SP-070, SP-192: errors of section 6.9, rows of section 13.
fn wrong_states(rig: &Rig) -> Step {
    let pair = Pair::accepted(rig)?;
    let fresh = pair.side.socket()?;
    refuses("WSPListen of an unbound socket", pair.side.table.listen(fresh, 1), WsaError::WSAEINVAL)?;
    refuses("WSPListen of a connected socket", pair.side.table.listen(pair.s, 1), WsaError::WSAEISCONN)
}

/// SP-071.
fn full_queue(rig: &Rig) -> Step {
    const QUEUED: u32 = 2;
    let (side, listener, name, mut peer) = here(rig, 2)?;
    let mut waiting = Vec::new();
    for _ in 0..QUEUED {
        waiting.push(peer.start_connect(&rig.name()?, &name)?);
        wait("FD_ACCEPT", || recorder().event(listener.event).0.then_some(()))?;
        quiet();
    }
    let third = peer.start_connect(&rig.name()?, &name)?;
    one_of("a connect to a full queue", peer.connected(third)?, &[WsaError::WSAECONNREFUSED])?;
    // The second signal may come late, or not at all: the event is set.
    let (_, sets) = recorder().event(listener.event);
    ensure(sets <= QUEUED, || format!("WPUSetEvent {sets} times for {QUEUED} requests"))?;
    for s in waiting {
        side.accept_queued(listener.s)?;
        equal("a connect that was queued", peer.connected(s)?, None)?;
    }
    Ok(())
}

/// SP-072.
fn second_listen(rig: &Rig) -> Step {
    let (side, listener, name, mut peer) = here(rig, 3)?;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(peer.start_connect(&rig.name()?, &name)?);
        wait("FD_ACCEPT", || (recorder().event(listener.event).1 >= 1).then_some(()))?;
        quiet();
    }
    must("a second WSPListen", side.table.listen(listener.s, 1))?;
    let mut refused = 0;
    side.accept_queued(listener.s)?;
    for s in waiting {
        match peer.connected(s)? {
            None => {}
            Some(code) => {
                one_of("an excess request", Some(code), &[WsaError::WSAECONNREFUSED])?;
                refused += 1;
            }
        }
    }
    equal("excess requests that were refused", refused, 2)
}

/// SP-075.
fn oldest_first(rig: &Rig) -> Step {
    let (side, listener, name, mut peer) = here(rig, 5)?;
    let mut callers = Vec::new();
    for _ in 0..3 {
        let caller = rig.name()?;
        peer.start_connect(&caller, &name)?;
        callers.push(caller);
        wait("FD_ACCEPT", || recorder().event(listener.event).0.then_some(()))?;
        quiet();
    }
    for (n, caller) in callers.into_iter().enumerate() {
        let (answer, asked) = side.answer(listener.s, CF_ACCEPT);
        must("WSPAccept", answer)?;
        let seen = asked.first().and_then(|asked| asked.caller).map(|(address, _)| address);
        equal(&format!("caller number {n}"), seen, Some(caller))?;
    }
    refuses("WSPAccept of an empty queue", side.answer(listener.s, CF_ACCEPT).0, WsaError::WSAEWOULDBLOCK)
}

/// SP-075, row of section 13.
fn nothing_queued(rig: &Rig) -> Step {
    let pair = Pair::accepted(rig)?;
    let side = pair.side;
    let (answer, asked) = side.answer(pair.listener, CF_ACCEPT);
    refuses("WSPAccept with nothing queued", answer, WsaError::WSAEWOULDBLOCK)?;
    equal("calls of the condition function", asked.len(), 0)?;
    let bound = side.bound(&rig.name()?)?;
    for (s, state) in [(side.socket()?, "fresh"), (bound, "bound"), (pair.s, "connected")] {
        let answer = side.answer(s, CF_ACCEPT).0;
        refuses(&format!("WSPAccept of a {state} socket"), answer, WsaError::WSAEINVAL)?;
    }
    Ok(())
}

/// SP-076.
fn asked_once(rig: &Rig) -> Step {
    let (side, listener, name, mut peer) = here(rig, 1)?;
    let caller = rig.name()?;
    peer.start_connect(&caller, &name)?;
    side.await_request(&listener)?;
    let callback_data = 0x1122_3344_5566_7788;
    let (answer, asked) = side.table.accept(listener.s, 28, CF_ACCEPT, callback_data, None);
    must("WSPAccept", answer)?;
    let [asked] = asked.as_slice() else {
        return fail(format!(
            "the condition function was called {} times on the calling thread",
            asked.len()
        ));
    };
    equal("its thread", asked.thread, thread::current().id())?;
    equal("dwCallbackData", asked.callback_data, callback_data)?;
    equal("lpCallerId", asked.caller, Some((caller, 16)))?;
    equal("lpCalleeId", asked.callee, Some((name, 16)))
}

/// SP-076: in the middle of the condition function the connect has no result yet.
fn asked_first(rig: &Rig) -> Step {
    if rig.ends() != crate::world::Ends::OneProcess {
        return skip("the provider does not connect a process to itself, so the peer cannot be looked at");
    }
    let side = rig.side()?;
    let (name, caller) = (rig.name()?, rig.name()?);
    let listener = side.listen(&name, 1)?;
    let connecting = side.start_connect(&caller, &name)?;
    side.await_request(&listener)?;
    let event = connecting.event;
    let during = Box::new(move || {
        quiet();
        if recorder().event(event).0 {
            recorder().breach(
                "SP-076",
                "the peer's FD_CONNECT came before the condition function returned".to_owned(),
            );
        }
    });
    let (answer, _) = side.table.accept(listener.s, 28, CF_ACCEPT, 0, Some(during));
    must("WSPAccept", answer)?;
    equal("WSPConnect", side.connected(&connecting)?, None)
}

/// SP-077.
fn accepted(rig: &Rig) -> Step {
    let (side, listener, name, mut peer) = here(rig, 1)?;
    let debug = Text::of(&[1, 0, 0, 0]);
    let has_debug = side.table.set_option(listener.s, SOL_SOCKET, SO_DEBUG, debug).is_ok();
    let theirs = peer.start_connect(&rig.name()?, &name)?;
    side.await_request(&listener)?;
    let before = recorder().open_handles().len();
    let (s, _) = must("WSPAccept", side.answer(listener.s, CF_ACCEPT).0)?;
    let posted = side.post(s, 64, Mode::Polled).cite("SP-091")?;
    ensure(recorder().open_handles().len() > before, || "WSPAccept made no handle".to_owned())?;
    if has_debug {
        let option = side.table.get_option(s, SOL_SOCKET, SO_DEBUG, Some(4)).map_err(|(code, _)| code);
        let option = must("SO_DEBUG of the new socket", option)?;
        ensure(option.iter().any(|byte| *byte != 0), || {
            "SO_DEBUG of the listener is not inherited".to_owned()
        })?;
    }
    equal("WSPConnect", peer.connected(theirs)?, None)?;
    peer.send(theirs, b"at once")?;
    equal("a message", side.message("a receive", &posted)?, b"at once".to_vec())
}

/// SP-077: the end of section 6.10.
fn no_handle(rig: &Rig) -> Step {
    let (side, listener, name, mut peer) = here(rig, 1)?;
    let theirs = peer.start_connect(&rig.name()?, &name)?;
    side.await_request(&listener)?;
    let before = recorder().open_handles().len();
    recorder().deny_handles(true);
    let (answer, _) = side.answer(listener.s, CF_ACCEPT);
    recorder().deny_handles(false);
    refuses_with("WSPAccept without a handle", answer, &[WsaError::WSAENOBUFS, WsaError::WSAEMFILE])?;
    ensure(peer.connected(theirs)?.is_some(), || "the peer's connect succeeded".to_owned())?;
    equal("open handles", recorder().open_handles().len(), before)
}

/// SP-078.
fn rejected(rig: &Rig) -> Step {
    let (side, listener, name, mut peer) = here(rig, 1)?;
    let theirs = peer.start_connect(&rig.name()?, &name)?;
    side.await_request(&listener)?;
    let before = recorder().open_handles().len();
    refuses("WSPAccept with CF_REJECT", side.answer(listener.s, CF_REJECT).0, WsaError::WSAECONNREFUSED)?;
    one_of("the peer's WSPConnect", peer.connected(theirs)?, &[WsaError::WSAECONNREFUSED])?;
    equal("open handles", recorder().open_handles().len(), before)
}

/// SP-079.
fn deferred(rig: &Rig) -> Step {
    let (side, listener, name, mut peer) = here(rig, 2)?;
    let (first, second) = (rig.name()?, rig.name()?);
    let waiting = peer.start_connect(&first, &name)?;
    side.await_request(&listener)?;
    peer.start_connect(&second, &name)?;
    quiet();
    for _ in 0..2 {
        let (answer, asked) = side.answer(listener.s, CF_DEFER);
        refuses("WSPAccept with CF_DEFER", answer, WsaError::WSATRY_AGAIN)?;
        let caller = asked.first().and_then(|asked| asked.caller).map(|(address, _)| address);
        equal("the request at the head", caller, Some(first))?;
    }
    must("WSPAccept of a deferred request", side.answer(listener.s, CF_ACCEPT).0)?;
    equal("the peer's WSPConnect", peer.connected(waiting)?, None)?;
    let (answer, _) = side.answer(listener.s, 77);
    refuses_with("answer 77", answer, &[WsaError::WSAECONNREFUSED, WsaError::WSAEINVAL])
}

/// SP-080.
fn rearmed(rig: &Rig) -> Step {
    let (side, listener, name, mut peer) = here(rig, 3)?;
    for _ in 0..2 {
        peer.start_connect(&rig.name()?, &name)?;
        wait("FD_ACCEPT", || recorder().event(listener.event).0.then_some(()))?;
        quiet();
    }
    must("WSPAccept", side.answer(listener.s, CF_ACCEPT).0)?;
    ensure(recorder().event(listener.event).0, || "one more is queued, but the event is not set".to_owned())?;
    must("WSPAccept", side.answer(listener.s, CF_ACCEPT).0)?;
    ensure(!recorder().event(listener.event).0, || "nothing is queued, but the event is set".to_owned())?;
    peer.start_connect(&rig.name()?, &name)?;
    side.await_request(&listener)
}

/// SP-080, errors of section 6.10.
fn bad_arguments(rig: &Rig) -> Step {
    let (side, listener, name, mut peer) = here(rig, 1)?;
    peer.start_connect(&rig.name()?, &name)?;
    side.await_request(&listener)?;
    let (answer, asked) = side.table.accept(listener.s, 15, CF_ACCEPT, 0, None);
    refuses("WSPAccept with an *addrlen of 15", answer, WsaError::WSAEFAULT)?;
    equal("calls of the condition function", asked.len(), 0)?;
    let refused = side.table.accept_without_condition(listener.s);
    refuses("WSPAccept without a condition function", refused, WsaError::WSAEFAULT)?;
    must("WSPAccept afterwards", side.answer(listener.s, CF_ACCEPT).0).map(drop)
}

/// SP-211.
fn closed_meanwhile(rig: &Rig) -> Step {
    let (side, listener, name, mut peer) = here(rig, 1)?;
    let theirs = peer.start_connect(&rig.name()?, &name)?;
    side.await_request(&listener)?;
    let during = Box::new(move || {
        let closing = thread::spawn(move || side.table.close(listener.s));
        if !matches!(closing.join(), Ok(Ok(()))) {
            recorder().breach("SP-211", "WSPCloseSocket of the listener failed".to_owned());
        }
    });
    let (answer, _) = side.table.accept(listener.s, 28, CF_ACCEPT, 0, Some(during));
    let outcome = peer.connected(theirs)?;
    match answer {
        // It was accepted before the listener went.
        Ok((s, _)) => {
            equal("the peer's WSPConnect", outcome, None)?;
            side.close(s)
        }
        Err(_) => {
            ensure(outcome.is_some(), || "WSPAccept failed, but the peer's connect succeeded".to_owned())
        }
    }
}
