//! `WSPDuplicateSocket` and adoption by `WSPSocket`.

use wsd_spi::WsaError;
use wsd_spi::ffi::{MEM_READ, SO_DEBUG, SOL_SOCKET};

use crate::Check;
use crate::check::{Cite, Step, ensure, equal, fail, must, one_of, refuses, refuses_with};
use crate::raw::{Mode, Text, UpCall, recorder};
use crate::world::{Pair, Peer, Rig, adopt, memory_of, quiet, wait};

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        &["SP-150"],
        "WSPDuplicateSocket completes pending receives with 0 bytes, polled ones in place",
        receives_end,
    ),
    Check::new(&["SP-151"], "the value is not 0, works once, and in the named process only", value),
    Check::new(&["SP-152"], "the old descriptor stays reserved until it is closed", old_descriptor),
    Check::new(
        &["SP-153", "SP-041"],
        "a connection is adopted in its own process: same state, same options",
        own_process,
    ),
    Check::new(
        &["SP-153"],
        "a connection is adopted in another process, with what was on its way",
        other_process,
    ),
    Check::new(&["SP-154"], "the peer's posted receives survive the move", peer_sees_nothing),
    Check::new(&["SP-155"], "a listener moves, with what is queued", listener_moves),
    Check::new(&["SP-174"], "closing the old descriptor does not end the moved connection", old_is_closed),
    Check::new(
        &["SP-152"],
        "WSPDuplicateSocket of what is neither connected nor listening is WSAENOTCONN",
        wrong_states,
    ),
];

fn own_number() -> u32 {
    std::process::id()
}

/// SP-150.
fn receives_end(rig: &Rig) -> Step {
    let pair = Pair::connected(rig)?;
    let side = pair.side;
    let notified = [side.post(pair.s, 64, Mode::Notified)?, side.post(pair.s, 64, Mode::Notified)?];
    let polled = side.post(pair.s, 64, Mode::Polled)?;
    must("WSPDuplicateSocket", side.table.duplicate(pair.s, own_number()))?;
    for posted in &notified {
        let finished = side.finished("a pending notified receive", posted)?;
        equal("status and bytes of a notified receive", (finished.error, finished.bytes), (None, 0))?;
    }
    let finished = side.finished("a pending polled receive", &polled)?;
    equal("status and bytes of a polled receive", (finished.error, finished.bytes), (None, 0))
}

/// SP-151.
fn value(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let (second, _) = pair.another(rig)?;
    let value = must("WSPDuplicateSocket", side.table.duplicate(pair.s, own_number()))?;
    ensure(value != 0, || "dwProviderReserved is 0".to_owned())?;
    let refused = [WsaError::WSAENETDOWN, WsaError::WSAEINVAL];
    refuses_with("adoption of another value", adopt(&side, value ^ 0x5555_5555), &refused)?;
    let s = must("adoption", adopt(&side, value))?;
    refuses_with("a second adoption", adopt(&side, value), &refused)?;
    side.close(s)?;
    // Process 1 is there, and not this one.
    let value = must("WSPDuplicateSocket for process 1", side.table.duplicate(second, 1))?;
    refuses_with("adoption in a process that was not named", adopt(&side, value), &refused)
}

/// SP-152, SP-012, rows of section 13.
fn old_descriptor(rig: &Rig) -> Step {
    let pair = Pair::connected(rig)?;
    let side = pair.side;
    let memory = side.registered(pair.s, &[0; 16], MEM_READ)?.memory;
    must("WSPDuplicateSocket", side.table.duplicate(pair.s, own_number()))?;
    let not_connected = WsaError::WSAENOTCONN;
    refuses(
        "WSPSend on the old descriptor",
        side.send_from(pair.s, memory, Mode::Polled).map(drop),
        not_connected,
    )?;
    refuses(
        "WSPRecv on the old descriptor",
        side.post_into(pair.s, memory, Mode::Polled).map(drop),
        not_connected,
    )?;
    let registered = side.extensions.register(pair.s, Some(memory), MEM_READ);
    refuses("WSPRegisterMemory on the old descriptor", registered, not_connected)?;
    let again = side.table.duplicate(pair.s, own_number());
    refuses("WSPDuplicateSocket on the old descriptor", again, not_connected)?;
    for _ in 0..20 {
        let other = side.socket()?;
        ensure(other != pair.s, || "the value of the old descriptor was given again".to_owned())?;
    }
    side.close(pair.s)
}

/// Checks that bytes go both ways.
fn works(side: crate::world::Side, s: usize, peer: &mut Peer, theirs: usize) -> Step {
    let posted = side.post(s, 64, Mode::Polled)?;
    let receives = peer.post(theirs, 1, 64)?;
    peer.send(theirs, b"to you")?;
    equal("a message to the moved socket", side.message("a receive", &posted)?, b"to you".to_vec())?;
    side.send(s, b"to me", Mode::Polled)?;
    equal("a message from the moved socket", peer.finish(receives)?.1, b"to me".to_vec())
}

/// SP-153, SP-041.
fn own_process(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let debug = Text::of(&[1, 0, 0, 0]);
    let has_debug = side.table.set_option(pair.s, SOL_SOCKET, SO_DEBUG, debug).is_ok();
    let value = must("WSPDuplicateSocket", side.table.duplicate(pair.s, own_number()))?;
    let before = recorder().count();
    let s = must("adoption", adopt(&side, value))?;
    let made = recorder().since(before).iter().any(|(up_call, _)| matches!(up_call, UpCall::Create(Some(_))));
    ensure(made != (s == pair.s), || {
        "adoption gives the same descriptor without a handle, or a new one with a handle".to_owned()
    })?;
    if s != pair.s {
        side.close(pair.s)?;
    }
    let again = side.connect(s, &pair.their_name);
    refuses("WSPConnect of the adopted socket", again, WsaError::WSAEISCONN).cite("SP-041")?;
    if has_debug {
        let option = side.table.get_option(s, SOL_SOCKET, SO_DEBUG, Some(4)).map_err(|(code, _)| code);
        let option = must("SO_DEBUG of the adopted socket", option)?;
        ensure(option.iter().any(|byte| *byte != 0), || "SO_DEBUG is not the same any more".to_owned())?;
    }
    works(side, s, &mut pair.peer, pair.theirs)
}

/// SP-153.
fn other_process(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let mut third = rig.other_process()?;
    pair.peer.send(pair.theirs, b"on its way")?;
    quiet();
    let value = must("WSPDuplicateSocket", side.table.duplicate(pair.s, third.process()?))?;
    let s = must("adoption in another process", third.adopt(value)?)?;
    side.close(pair.s)?;
    let received = third.post(s, 2, 64)?;
    equal("what was on its way", third.finish(received)?.1, b"on its way".to_vec())?;
    pair.peer.send(pair.theirs, b"and more")?;
    equal("a message", third.finish(received + 1)?.1, b"and more".to_vec())?;
    let receives = pair.peer.post(pair.theirs, 1, 64)?;
    third.send(s, b"from there")?;
    equal("a message", pair.peer.finish(receives)?.1, b"from there".to_vec())
}

/// SP-154.
fn peer_sees_nothing(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let receives = pair.peer.post(pair.theirs, 4, 64)?;
    let mut s = pair.s;
    for number in 0..3 {
        let value = must("WSPDuplicateSocket", side.table.duplicate(s, own_number()))?;
        let adopted = must("adoption", adopt(&side, value))?;
        if adopted != s {
            side.close(s)?;
        }
        s = adopted;
        side.send(s, &[number as u8; 3], Mode::Polled)?;
        let (finished, got) = pair.peer.finish(receives + number)?;
        equal("status of a receive that was posted before", finished.error, None)?;
        equal("a message", got, vec![number as u8; 3])?;
    }
    Ok(())
}

/// SP-155.
fn listener_moves(rig: &Rig) -> Step {
    let side = rig.side()?;
    let mut peer = rig.peer()?;
    let mut third = rig.other_process()?;
    let name = rig.name()?;
    let listener = side.listen(&name, 5)?;
    let value = must("WSPDuplicateSocket of a listener", side.table.duplicate(listener.s, own_number()))?;
    let s = must("adoption of a listener", adopt(&side, value))?;
    if s != listener.s {
        side.close(listener.s)?;
    }
    let event = side.select(s, wsd_spi::ffi::FD_ACCEPT)?;
    let theirs = peer.start_connect(&rig.name()?, &name)?;
    wait("FD_ACCEPT at the adopted listener", || recorder().event(event).0.then_some(()))?;
    side.accept_queued(s)?;
    equal("WSPConnect to a moved listener", peer.connected(theirs)?, None)?;
    let value = must("WSPDuplicateSocket for another process", side.table.duplicate(s, third.process()?))?;
    must("adoption of a listener in another process", third.adopt(value)?)?;
    side.close(s)
}

/// SP-174.
fn old_is_closed(rig: &Rig) -> Step {
    let mut pair = Pair::accepted(rig)?;
    let side = pair.side;
    let value = must("WSPDuplicateSocket", side.table.duplicate(pair.s, own_number()))?;
    let s = must("adoption", adopt(&side, value))?;
    if s == pair.s {
        return works(side, s, &mut pair.peer, pair.theirs);
    }
    let receives = pair.peer.post(pair.theirs, 1, 64)?;
    side.close(pair.s)?;
    quiet();
    side.send(s, b"still here", Mode::Polled)?;
    equal("a message", pair.peer.finish(receives)?.1, b"still here".to_vec())?;
    side.close(s)?;
    let last = pair.peer.post(pair.theirs, 1, 64);
    match last {
        // The other end may know already that the connection has ended.
        Err(_) => Ok(()),
        Ok(last) => {
            one_of("after the last close", pair.peer.finish(last)?.0.error, &[WsaError::WSAECONNRESET])
        }
    }
}

/// SP-152, errors of section 6.19.
fn wrong_states(rig: &Rig) -> Step {
    let side = rig.side()?;
    let bound = side.bound(&rig.name()?)?;
    for (s, state) in [(side.socket()?, "fresh"), (bound, "bound")] {
        let duplicated = side.table.duplicate(s, own_number());
        refuses(&format!("WSPDuplicateSocket of a {state} socket"), duplicated, WsaError::WSAENOTCONN)?;
    }
    let pair = Pair::connected(rig)?;
    if side.table.duplicate_into_null(pair.s).is_ok() {
        return fail("WSPDuplicateSocket into NULL: expected a failure got 0");
    }
    let memory = memory_of(&[0; 16])?;
    side.send_from(pair.s, memory, Mode::Polled).map_or_else(
        |code| one_of("WSPSend after a refused WSPDuplicateSocket", Some(code), &[WsaError::WSAEFAULT]),
        |_| Ok(()),
    )
}
