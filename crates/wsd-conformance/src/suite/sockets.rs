//! Making sockets, their descriptors and handles.

use std::collections::HashSet;

use wsd_spi::WsaError;
use wsd_spi::ffi::{
    AF_INET, AF_INET6, FD_CONNECT, INVALID_SOCKET, IPPROTO_TCP, IPPROTO_UDP, MEM_READ, SO_DEBUG, SOCK_DGRAM,
    SOCK_STREAM, SOL_SOCKET, WSA_FLAG_OVERLAPPED,
};

use crate::Check;
use crate::check::{Cite, Step, ensure, equal, fail, must, refuses, refuses_with};
use crate::raw::{Answer, Mode, Request, Target, Text, recorder};
use crate::world::{Pair, Rig, Side, encoded, memory_of, wait};

pub(super) const CHECKS: &[Check] = &[
    Check::new(&["SP-040"], "WSPSocket makes one handle with WPUCreateSocketHandle", one_handle),
    Check::new(
        &["SP-040"],
        "WSPSocket fails with the code of WPUCreateSocketHandle, and leaves nothing",
        no_handle,
    ),
    Check::new(&["SP-040"], "WSPSocket checks family, type, protocol and flags in this order", arguments),
    Check::new(&["SP-011"], "descriptors are the provider's own, handles the switch's", namespaces),
    Check::new(&["SP-012"], "a descriptor stays valid, and its value unused, until WSPCloseSocket", kept),
    Check::new(&["SP-013"], "after WSPCloseSocket every call is WSAENOTSOCK", after_close),
    Check::new(&["SP-013"], "calls with what never was a socket are WSAENOTSOCK", never_a_socket),
    Check::new(&["SP-017"], "sockets are made and closed on several threads at a time", threads),
    Check::new(&["SP-016"], "no call fails with WSAEINTR or WSAEINPROGRESS", no_blocking_codes),
];

/// SP-040.
fn one_handle(rig: &Rig) -> Step {
    let side = rig.side()?;
    let before = recorder().open_handles().len();
    let (s, handle) = side.socket_with_handle()?;
    equal("handles made by one WSPSocket", recorder().open_handles().len(), before + 1)?;
    side.close(s)?;
    wait("WPUCloseSocketHandle", || recorder().is_closed(handle).then_some(()))
}

/// SP-040.
fn no_handle(rig: &Rig) -> Step {
    let side = rig.side()?;
    recorder().deny_handles(true);
    let refused = side.socket_of(AF_INET);
    recorder().deny_handles(false);
    refuses("WSPSocket without a handle", refused, WsaError::WSAENOBUFS)?;
    let s = side.socket()?;
    side.close(s)
}

/// SP-040: the order of section 6.3. IPv6 is refused unless addresses of it are listed (section 0.3).
fn arguments(rig: &Rig) -> Step {
    let table = rig.side()?.table;
    let try_with = |arguments, flags| table.socket(arguments, None, flags);
    let bad = 99;
    refuses("family 99", try_with([bad, bad, bad], 0), WsaError::WSAEAFNOSUPPORT)?;
    for kind in [SOCK_DGRAM, bad] {
        let made = try_with([AF_INET, kind, bad], 0);
        refuses_with(
            &format!("type {kind}"),
            made,
            &[WsaError::WSAESOCKTNOSUPPORT, WsaError::WSAEPROTOTYPE],
        )?;
    }
    for protocol in [IPPROTO_UDP, bad] {
        let made = try_with([AF_INET, SOCK_STREAM, protocol], 0);
        refuses_with(
            &format!("protocol {protocol}"),
            made,
            &[WsaError::WSAEPROTONOSUPPORT, WsaError::WSAEPROTOTYPE],
        )?;
    }
    let other_flags = try_with([AF_INET, SOCK_STREAM, IPPROTO_TCP], WSA_FLAG_OVERLAPPED | 2);
    refuses("flags other than WSA_FLAG_OVERLAPPED", other_flags, WsaError::WSAEINVAL)?;
    let v6 = try_with([AF_INET6, SOCK_STREAM, IPPROTO_TCP], WSA_FLAG_OVERLAPPED);
    if rig.addresses()?.iter().any(|address| address.family() == AF_INET6) {
        must("WSPSocket of IPv6, which the address list declares", v6).map(drop)
    } else {
        refuses("WSPSocket of IPv6", v6, WsaError::WSAEAFNOSUPPORT)
    }
}

/// SP-011: what goes up and what comes down are never mixed; the recorder notes foreign handles.
fn namespaces(rig: &Rig) -> Step {
    let mut pair = Pair::accepted(rig)?;
    ensure(pair.s != INVALID_SOCKET, || "a descriptor is INVALID_SOCKET".to_owned())?;
    let posted = pair.side.post(pair.s, 64, Mode::Notified)?;
    pair.peer.send(pair.theirs, b"up")?;
    pair.side.success("a notified receive", &posted)?;
    for handle in recorder().open_handles() {
        if handle != pair.s {
            refuses(
                "WSPListen on a handle of the switch",
                pair.side.table.listen(handle, 1),
                WsaError::WSAENOTSOCK,
            )?;
        }
    }
    pair.side.close(pair.s)?;
    pair.side.close(pair.listener)
}

/// SP-012: a connection whose peer has gone, failed connects.
fn kept(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let posted = side.post(pair.s, 64, Mode::Polled)?;
    pair.peer.close(pair.theirs)?;
    side.finished("a receive whose peer has closed", &posted)?;
    let mut seen = HashSet::from([pair.s]);
    for _ in 0..50 {
        let s = side.socket()?;
        ensure(seen.insert(s), || format!("the value {s:#x} was given again before WSPCloseSocket"))?;
    }
    let option = side.table.get_option(pair.s, SOL_SOCKET, wsd_spi::ffi::SO_MAX_MSG_SIZE, Some(4));
    must("WSPGetSockOpt of a broken connection", option.map_err(|(code, _)| code))?;
    let recv = side.post_into(pair.s, posted.memory, Mode::Polled);
    match recv {
        Err(code) if code.is(WsaError::WSAENOTSOCK) => fail(
            "WSPRecv on a broken connection is WSAENOTSOCK: its socket was released before WSPCloseSocket",
        ),
        _ => side.close(pair.s),
    }
}

/// Length of the provider's descriptors, which any socket tells (SP-120).
pub(super) fn descriptor_length(side: Side) -> Step<usize> {
    let s = side.socket()?;
    let probed = side.extensions.expose(s, None, MEM_READ, 0);
    side.close(s)?;
    match probed {
        Ok(_) => fail("no room for a descriptor: expected WSAEFAULT got 0").cite("SP-120"),
        Err((code, length)) => {
            refuses("no room for a descriptor", Err::<(), _>(code), WsaError::WSAEFAULT).cite("SP-120")?;
            Ok(length as usize)
        }
    }
}

/// Every function that takes a socket.
fn every_call(side: Side, s: usize, name: &[u8]) -> Step<Vec<(&'static str, Answer<()>)>> {
    let memory = memory_of(&[0; 64])?;
    let request = || Request::new(Mode::Polled);
    let part = crate::raw::Part { memory, handle: 1 };
    let descriptor = vec![0; descriptor_length(side)?];
    let target = Target { descriptor: &descriptor, offset: 0 };
    let extras = crate::raw::Extras::default();
    let mut record = vec![
        ("WSPBind", side.table.bind(s, Text::of(name))),
        ("WSPConnect", side.table.connect(s, Text::of(name), &extras)),
        ("WSPListen", side.table.listen(s, 1)),
        ("WSPAccept", side.answer(s, 0).0.map(drop)),
        ("WSPEventSelect", side.table.event_select(s, 0x40, FD_CONNECT)),
        ("WSPEnumNetworkEvents", side.table.enum_network_events(s, 0).map(drop)),
        (
            "WSPGetSockOpt",
            side.table.get_option(s, SOL_SOCKET, SO_DEBUG, Some(4)).map(drop).map_err(|(code, _)| code),
        ),
        ("WSPSetSockOpt", side.table.set_option(s, SOL_SOCKET, SO_DEBUG, Text::of(&[0; 4]))),
        ("SIO_ADDRESS_LIST_QUERY", side.table.address_list(s, 4096).map(drop).map_err(|(code, _)| code)),
        ("WSPSend", side.table.send(s, &[memory], request())),
        ("WSPRecv", side.table.recv(s, &[memory], request())),
        ("WSPGetOverlappedResult", side.table.result(s, request(), false).map(drop)),
        ("WSPDuplicateSocket", side.table.duplicate(s, std::process::id()).map(drop)),
        ("WSPRegisterMemory", side.extensions.register(s, Some(memory), MEM_READ).map(drop)),
        ("WSPDeregisterMemory", side.extensions.deregister(s, 1)),
        ("WSPRegisterRdmaMemory", side.expose_memory(s, memory, MEM_READ).map(drop)),
        ("WSPRdmaWrite", side.extensions.rdma(s, true, &[part], target, request())),
        ("WSPCloseSocket", side.table.close(s)),
    ];
    if side.extensions.reads() {
        record.push(("WSPRdmaRead", side.extensions.rdma(s, false, &[part], target, request())));
    }
    Ok(record)
}

/// SP-013.
fn after_close(rig: &Rig) -> Step {
    let pair = Pair::connected(rig)?;
    let name = encoded(&rig.name()?);
    let fresh = pair.side.socket()?;
    for s in [fresh, pair.s] {
        pair.side.close(s)?;
        for (function, answer) in every_call(pair.side, s, &name)? {
            refuses(&format!("{function} after WSPCloseSocket"), answer, WsaError::WSAENOTSOCK)?;
        }
    }
    Ok(())
}

/// SP-013: `INVALID_SOCKET` was seen after a close.
fn never_a_socket(rig: &Rig) -> Step {
    let side = rig.side()?;
    let name = encoded(&rig.name()?);
    for s in [INVALID_SOCKET, 0x0BAD_50C4_0000_0001, usize::MAX - 1] {
        for (function, answer) in every_call(side, s, &name)? {
            refuses(&format!("{function} of {s:#x}"), answer, WsaError::WSAENOTSOCK)?;
        }
    }
    Ok(())
}

/// SP-017.
fn threads(rig: &Rig) -> Step {
    let side = rig.side()?;
    std::thread::scope(|scope| {
        let work = || -> Step {
            for _ in 0..100 {
                let s = side.socket()?;
                side.close(s)?;
            }
            Ok(())
        };
        let all: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        all.into_iter().try_for_each(|thread| match thread.join() {
            Ok(step) => step,
            Err(_) => fail("a thread of the suite panicked"),
        })
    })?;
    // The last up-calls may come after the close (SP-173).
    let given_back = || recorder().open_handles().is_empty().then_some(());
    wait("WPUCloseSocketHandle of every closed socket", given_back).cite("SP-170")
}

/// SP-016: calls that block elsewhere. The recorder notes the two codes in every check.
fn no_blocking_codes(rig: &Rig) -> Step {
    let pair = Pair::accepted(rig)?;
    let side = pair.side;
    let nothing = side.answer(pair.listener, 0).0;
    refuses("WSPAccept with nothing queued", nothing, WsaError::WSAEWOULDBLOCK)?;
    let posted = side.post(pair.s, 64, Mode::Polled)?;
    equal("a pending receive", side.table.result(pair.s, posted.request, false), Ok(None))?;
    let extras = crate::raw::Extras::default();
    let again = side.table.connect(pair.s, Text::of(&encoded(&pair.their_name)), &extras);
    refuses("WSPConnect of a connected socket", again, WsaError::WSAEISCONN)
}
