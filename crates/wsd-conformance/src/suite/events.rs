//! `WSPEventSelect` and `WSPEnumNetworkEvents`.

use wsd_spi::WsaError;
use wsd_spi::ffi::{CF_ACCEPT, FD_ACCEPT, FD_ACCEPT_BIT, FD_CONNECT, FD_CONNECT_BIT, FD_READ};

use crate::Check;
use crate::check::{Step, ensure, equal, fail, must, refuses};
use crate::raw::{UNWRITTEN, recorder};
use crate::world::{Rig, new_event, quiet, wait};

pub(super) const CHECKS: &[Check] = &[
    Check::new(&["SP-055"], "after WSPEventSelect neither connect nor accept blocks", non_blocking),
    Check::new(&["SP-056"], "an event is recorded, then set with WPUSetEvent", recorded_and_set),
    Check::new(&["SP-057"], "an event from before WSPEventSelect is not lost", not_lost),
    Check::new(&["SP-058"], "a later WSPEventSelect replaces mask and event; 0 stops them", replaced),
    Check::new(&["SP-060"], "WSPEnumNetworkEvents takes the record, clears it and resets the event", taken),
    Check::new(&["SP-060"], "a failed WSPEnumNetworkEvents neither resets nor clears", failed),
    Check::new(&["SP-061"], "error codes are written for recorded events only", codes),
    Check::new(&["SP-058"], "other events than FD_ACCEPT and FD_CONNECT are WSAEINVAL", other_events),
];

/// SP-055: the parent of this process notices if a call blocks.
fn non_blocking(rig: &Rig) -> Step {
    let side = rig.side()?;
    let mut peer = rig.peer()?;
    let (from, to, here) = (rig.name()?, rig.name()?, rig.name()?);
    let listener = side.listen(&here, 1)?;
    refuses("WSPAccept", side.answer(listener.s, CF_ACCEPT).0, WsaError::WSAEWOULDBLOCK)?;
    let there = peer.listen(&to, 1)?;
    let connecting = side.start_connect(&from, &to)?;
    peer.accept(there)?;
    equal("WSPConnect", side.connected(&connecting)?, None)
}

/// SP-056: whoever sees the event finds the record.
fn recorded_and_set(rig: &Rig) -> Step {
    let side = rig.side()?;
    let mut peer = rig.peer()?;
    let name = rig.name()?;
    let listener = side.listen(&name, 1)?;
    quiet();
    equal("WPUSetEvent before anything happens", recorder().event(listener.event).1, 0)?;
    peer.start_connect(&rig.name()?, &name)?;
    side.await_request(&listener)
}

/// SP-057: a request between WSPListen and WSPEventSelect.
fn not_lost(rig: &Rig) -> Step {
    let side = rig.side()?;
    let mut peer = rig.peer()?;
    let name = rig.name()?;
    let s = side.bound(&name)?;
    must("WSPListen", side.table.listen(s, 1))?;
    peer.start_connect(&rig.name()?, &name)?;
    quiet();
    let event = side.select(s, FD_ACCEPT)?;
    wait("the event of a request from before", || recorder().event(event).0.then_some(()))?;
    let record = must("WSPEnumNetworkEvents", side.table.enum_network_events(s, event))?;
    equal("lNetworkEvents", record.lNetworkEvents, FD_ACCEPT)
}

/// SP-058.
fn replaced(rig: &Rig) -> Step {
    let side = rig.side()?;
    let mut peer = rig.peer()?;
    let name = rig.name()?;
    let listener = side.listen(&name, 5)?;
    let later = side.select(listener.s, FD_ACCEPT)?;
    peer.start_connect(&rig.name()?, &name)?;
    wait("the later event", || recorder().event(later).0.then_some(()))?;
    equal("WPUSetEvent of the replaced event", recorder().event(listener.event).1, 0)?;
    must("WSPEnumNetworkEvents", side.table.enum_network_events(listener.s, later))?;
    must("WSPAccept", side.answer(listener.s, CF_ACCEPT).0)?;
    must("WSPEventSelect with 0", side.table.event_select(listener.s, later, 0))?;
    let (_, sets) = recorder().event(later);
    peer.start_connect(&rig.name()?, &name)?;
    quiet();
    equal("WPUSetEvent after WSPEventSelect with 0", recorder().event(later).1, sets)
}

/// SP-060.
fn taken(rig: &Rig) -> Step {
    let side = rig.side()?;
    let mut peer = rig.peer()?;
    let name = rig.name()?;
    let listener = side.listen(&name, 5)?;
    peer.start_connect(&rig.name()?, &name)?;
    wait("FD_ACCEPT", || recorder().event(listener.event).0.then_some(()))?;
    let first = must("WSPEnumNetworkEvents", side.table.enum_network_events(listener.s, listener.event))?;
    equal("lNetworkEvents", first.lNetworkEvents, FD_ACCEPT)?;
    ensure(!recorder().event(listener.event).0, || "the event is still set".to_owned())?;
    let second = must("WSPEnumNetworkEvents", side.table.enum_network_events(listener.s, 0))?;
    equal("lNetworkEvents taken twice", second.lNetworkEvents, 0)?;
    must("WSPAccept", side.answer(listener.s, CF_ACCEPT).0)?;
    peer.start_connect(&rig.name()?, &name)?;
    side.await_request(&listener)
}

/// SP-060.
fn failed(rig: &Rig) -> Step {
    let side = rig.side()?;
    let mut peer = rig.peer()?;
    let name = rig.name()?;
    let listener = side.listen(&name, 5)?;
    peer.start_connect(&rig.name()?, &name)?;
    wait("FD_ACCEPT", || recorder().event(listener.event).0.then_some(()))?;
    if side.table.enum_without_record(listener.s).is_ok() {
        return fail("WSPEnumNetworkEvents with NULL for the record: expected a failure got 0");
    }
    let bad = side.table.enum_network_events(rig.no_socket(), listener.event);
    refuses("WSPEnumNetworkEvents of no socket", bad.map(drop), WsaError::WSAENOTSOCK)?;
    ensure(recorder().event(listener.event).0, || "a failed call reset the event".to_owned())?;
    let record = must("WSPEnumNetworkEvents", side.table.enum_network_events(listener.s, listener.event))?;
    equal("lNetworkEvents after a failed call", record.lNetworkEvents, FD_ACCEPT)
}

/// SP-061.
fn codes(rig: &Rig) -> Step {
    let side = rig.side()?;
    let mut peer = rig.peer()?;
    let (from, to) = (rig.name()?, rig.name()?);
    let listener = peer.listen(&to, 1)?;
    let connecting = side.start_connect(&from, &to)?;
    peer.accept(listener)?;
    if connecting.is_pending() {
        wait("FD_CONNECT", || recorder().event(connecting.event).0.then_some(()))?;
        let record =
            must("WSPEnumNetworkEvents", side.table.enum_network_events(connecting.s, connecting.event))?;
        equal("lNetworkEvents", record.lNetworkEvents, FD_CONNECT)?;
        equal("iErrorCode[FD_CONNECT_BIT]", record.iErrorCode[FD_CONNECT_BIT], 0)?;
        equal("iErrorCode[FD_ACCEPT_BIT], not recorded", record.iErrorCode[FD_ACCEPT_BIT], UNWRITTEN)?;
    }
    let listener = side.listen(&rig.name()?, 1)?;
    let record = must("WSPEnumNetworkEvents", side.table.enum_network_events(listener.s, 0))?;
    equal("lNetworkEvents of nothing", record.lNetworkEvents, 0)?;
    ensure(record.iErrorCode.iter().all(|code| *code == UNWRITTEN), || {
        format!("error codes of events that are not recorded were written: {:?}", record.iErrorCode)
    })
}

/// SP-058, errors of section 6.6.
fn other_events(rig: &Rig) -> Step {
    let side = rig.side()?;
    let s = side.bound(&rig.name()?)?;
    for mask in [FD_READ, FD_ACCEPT | FD_READ, 0x400, i32::MIN] {
        let selected = side.table.event_select(s, new_event(), mask);
        refuses(&format!("WSPEventSelect of {mask:#x}"), selected, WsaError::WSAEINVAL)?;
    }
    must("WSPEventSelect of both", side.table.event_select(s, new_event(), FD_ACCEPT | FD_CONNECT))?;
    must("WSPEventSelect of 0 without an event", side.table.event_select(s, 0, 0))
}
