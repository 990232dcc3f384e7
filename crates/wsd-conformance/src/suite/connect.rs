//! Names and connecting: `WSPBind`, `WSPConnect`.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use wsd_spi::ffi::{AF_INET, AF_INET6, CF_REJECT, FD_CONNECT};
use wsd_spi::{SockAddr, WsaError};

use crate::Check;
use crate::check::{Step, ensure, equal, fail, must, one_of, refuses, refuses_with, skip};
use crate::raw::{Extras, Mode, Text, recorder};
use crate::world::{Ends, Pair, Rig, encoded, quiet};

pub(super) const CHECKS: &[Check] = &[
    Check::new(&["SP-010"], "addresses are sockaddr_in in both directions", plain_addresses),
    Check::new(&["SP-045"], "WSPBind takes own addresses and the wildcard, no others", own_addresses),
    Check::new(&["SP-045"], "WSPBind does not look for conflicts of ports", no_conflicts),
    Check::new(&["SP-045"], "WSPBind refuses bad names, and a second one", bad_names),
    Check::new(&["SP-065"], "WSPConnect ends at once or by FD_CONNECT, and the connection stands", connects),
    Check::new(&["SP-065"], "WSPConnect in a wrong state is refused", wrong_states),
    Check::new(&["SP-065"], "WSPConnect refuses bad names", bad_destinations),
    Check::new(
        &["SP-066"],
        "WSPCloseSocket aborts a pending connect, and nothing follows",
        close_while_connecting,
    ),
    Check::new(&["SP-067"], "nobody listening does not forbid the way by TCP", nobody_listens),
    Check::new(&["SP-067"], "a peer that refuses is WSAECONNREFUSED", refused_by_peer),
    Check::new(
        &["SP-068"],
        "the own name is refused with a code that lets TCP try, or served as declared",
        own_name,
    ),
    Check::new(&["SP-010"], "IPv6 works if it is declared", ipv6),
];

/// SP-010: what the condition function and WSPAccept tell.
fn plain_addresses(rig: &Rig) -> Step {
    let side = rig.side()?;
    let mut peer = rig.peer()?;
    let (here, there) = (rig.name()?, rig.name()?);
    let listener = side.listen(&here, 1)?;
    peer.start_connect(&there, &here)?;
    side.await_request(&listener)?;
    let (accepted, asked) = side.answer(listener.s, 0);
    let (_, address) = must("WSPAccept", accepted)?;
    equal("length of the address of WSPAccept", address.len(), 16)?;
    equal("the address of WSPAccept", address, encoded(&there))?;
    let Some(asked) = asked.first() else { return fail("the condition function was not called") };
    equal("lpCallerId", asked.caller, Some((there, 16)))?;
    equal("lpCalleeId", asked.callee, Some((here, 16)))
}

/// SP-045. 192.0.2.0/24 is reserved for documentation.
fn own_addresses(rig: &Rig) -> Step {
    let side = rig.side()?;
    let own = rig.name()?;
    for ip in [own.socket_addr().ip(), IpAddr::V4(Ipv4Addr::UNSPECIFIED)] {
        side.bound(&SockAddr::from(std::net::SocketAddr::new(ip, own.port())))?;
    }
    let foreign = SockAddr::from(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 77), 7777));
    let s = side.socket()?;
    refuses("WSPBind of a foreign address", side.bind(s, &foreign), WsaError::WSAEADDRNOTAVAIL)?;
    must("WSPBind after a refused one", side.bind(s, &own))
}

/// SP-045.
fn no_conflicts(rig: &Rig) -> Step {
    let side = rig.side()?;
    let name = rig.name()?;
    side.bound(&name)?;
    side.bound(&name)?;
    let pair = Pair::connected(rig)?;
    side.bound(&pair.name)?;
    side.bound(&pair.their_name).map(drop)
}

/// SP-045, errors of section 6.4 and the row of section 13.
fn bad_names(rig: &Rig) -> Step {
    let pair = Pair::accepted(rig)?;
    let side = pair.side;
    let name = encoded(&rig.name()?);
    let s = side.socket()?;
    refuses("WSPBind of NULL", side.table.bind(s, Text::null(16)), WsaError::WSAEFAULT)?;
    for length in [0, 15, -1] {
        let text = if length < 0 { Text::null(length) } else { Text::of(&name).stated(length) };
        let bound = side.table.bind(s, text);
        refuses(&format!("WSPBind with a length of {length}"), bound, WsaError::WSAEFAULT)?;
    }
    let mut family = name.clone();
    family[0] = 77;
    refuses("WSPBind of family 77", side.table.bind(s, Text::of(&family)), WsaError::WSAEFAULT)?;
    must("WSPBind after refused ones", side.table.bind(s, Text::of(&name)))?;
    for (s, state) in [(s, "bound"), (pair.listener, "listening"), (pair.s, "connected")] {
        let bound = side.table.bind(s, Text::of(&name));
        refuses(&format!("WSPBind of a {state} socket"), bound, WsaError::WSAEINVAL)?;
    }
    Ok(())
}

/// SP-065.
fn connects(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let posted = pair.side.post(pair.s, 64, Mode::Polled)?;
    pair.peer.send(pair.theirs, b"it stands")?;
    equal("a message", pair.side.message("a receive", &posted)?, b"it stands".to_vec())
}

/// SP-065: rows of section 13.
fn wrong_states(rig: &Rig) -> Step {
    let pair = Pair::accepted(rig)?;
    let side = pair.side;
    let to = rig.name()?;
    let fresh = side.socket()?;
    refuses("WSPConnect of a fresh socket", side.connect(fresh, &to), WsaError::WSAEINVAL)?;
    refuses("WSPConnect of a listener", side.connect(pair.listener, &to), WsaError::WSAEINVAL)?;
    refuses("WSPConnect of a connected socket", side.connect(pair.s, &to), WsaError::WSAEISCONN)?;
    let listener = side.listen(&to, 1)?;
    let connecting = side.start_connect(&rig.name()?, &to)?;
    if connecting.is_pending() && !recorder().event(connecting.event).0 {
        // Nobody has accepted, so the connect is under way.
        refuses("WSPConnect while connecting", side.connect(connecting.s, &to), WsaError::WSAEALREADY)?;
    }
    side.close(listener.s)
}

/// SP-065, errors of section 6.8.
fn bad_destinations(rig: &Rig) -> Step {
    let side = rig.side()?;
    let s = side.bound(&rig.name()?)?;
    let name = encoded(&rig.name()?);
    let extras = Extras::default();
    refuses("WSPConnect to NULL", side.table.connect(s, Text::null(16), &extras), WsaError::WSAEFAULT)?;
    let short = side.table.connect(s, Text::of(&name).stated(15), &extras);
    refuses("WSPConnect with a length of 15", short, WsaError::WSAEFAULT)?;
    let mut family = name.clone();
    family[0] = 77;
    let other = side.table.connect(s, Text::of(&family), &extras);
    refuses_with("WSPConnect to family 77", other, &[WsaError::WSAEAFNOSUPPORT, WsaError::WSAEADDRNOTAVAIL])?;
    for zero in [&[2, 3][..], &[4, 5, 6, 7]] {
        let mut none = name.clone();
        zero.iter().for_each(|n| none[*n] = 0);
        let connected = side.table.connect(s, Text::of(&none), &extras);
        refuses("WSPConnect to address or port 0", connected, WsaError::WSAEADDRNOTAVAIL)?;
    }
    Ok(())
}

/// SP-066.
fn close_while_connecting(rig: &Rig) -> Step {
    let side = rig.side()?;
    let mut peer = rig.peer()?;
    let (from, to) = (rig.name()?, rig.name()?);
    peer.listen(&to, 1)?;
    let s = side.bound(&from)?;
    let event = side.select(s, FD_CONNECT)?;
    if side.connect(s, &to).is_ok() {
        return skip("WSPConnect ends at once");
    }
    side.close(s)?;
    let (_, sets) = recorder().event(event);
    recorder().clear_event(event);
    quiet();
    equal("WPUSetEvent after WSPCloseSocket", recorder().event(event).1, sets)?;
    refuses("WSPEnumNetworkEvents", side.table.enum_network_events(s, event).map(drop), WsaError::WSAENOTSOCK)
}

/// SP-067: a missing listener of the SAN does not prove that TCP fails. Only bounded while the wait for an answer is:
/// a provider may take its time.
fn nobody_listens(rig: &Rig) -> Step {
    if rig.ends() == Ends::NoConnections {
        return skip("the provider openly refuses to connect this host to itself (SP-068)");
    }
    let side = rig.side()?;
    let connecting = side.start_connect(&rig.name()?, &rig.name()?)?;
    let code = match connecting.refused_at_once() {
        Some(code) => Some(code),
        None => {
            quiet();
            if !recorder().event(connecting.event).0 {
                // Still looking for it, which forbids nothing.
                return side.close(connecting.s);
            }
            side.connected(&connecting)?
        }
    };
    let Some(code) = code else { return fail("nobody listens: expected a failure got 0") };
    let forbidding = [WsaError::WSAECONNREFUSED, WsaError::WSAECONNRESET, WsaError::WSAEHOSTUNREACH];
    ensure(!forbidding.into_iter().any(|error| code.is(error)), || {
        format!("only the SAN's listener is missing, but {code} forbids TCP: expected WSAETIMEDOUT")
    })?;
    one_of("nobody listens", Some(code), &[WsaError::WSAETIMEDOUT, WsaError::WSAEADDRNOTAVAIL])
}

/// SP-067: and the socket is bound again (section 13).
fn refused_by_peer(rig: &Rig) -> Step {
    let side = rig.side()?;
    let mut peer = rig.peer()?;
    let to = rig.name()?;
    let listener = peer.listen(&to, 1)?;
    let connecting = side.start_connect(&rig.name()?, &to)?;
    let told = peer.answer(listener, CF_REJECT)?;
    one_of("WSPAccept of the other end", Some(told), &[WsaError::WSAECONNREFUSED])?;
    one_of("WSPConnect", side.connected(&connecting)?, &[WsaError::WSAECONNREFUSED])?;
    side.close(connecting.s)
}

/// SP-068, section 0.3.
fn own_name(rig: &Rig) -> Step {
    if rig.ends() != Ends::NoConnections {
        // The own host is served: the declared extension, which every other check of connections uses.
        let own = rig.name()?.socket_addr().ip();
        let listed = rig.addresses()?.iter().any(|address| address.socket_addr().ip() == own);
        ensure(listed, || format!("{own} is served but not listed"))?;
        return Pair::connected(rig).map(drop);
    }
    let side = rig.side()?;
    let name = rig.name()?;
    let connecting = side.start_connect(&name, &name)?;
    let code = side.connected(&connecting)?;
    one_of("WSPConnect to the own name", code, &[WsaError::WSAEADDRNOTAVAIL, WsaError::WSAETIMEDOUT])
}

/// SP-010, section 0.3.
fn ipv6(rig: &Rig) -> Step {
    let all = rig.addresses()?;
    let Some(ip) = all.iter().find(|address| address.family() == AF_INET6) else {
        return skip("no IPv6 address is listed");
    };
    let side = rig.side()?;
    let mut peer = rig.peer()?;
    let (from, to) = (rig.reserve(ip.socket_addr().ip())?, rig.reserve(ip.socket_addr().ip())?);
    let listener = peer.listen(&to, 1)?;
    let connecting = side.start_connect(&from, &to)?;
    let theirs = peer.accept(listener)?;
    equal("WSPConnect by IPv6", side.connected(&connecting)?, None)?;
    let posted = side.post(connecting.s, 16, Mode::Polled)?;
    peer.send(theirs, b"six")?;
    equal("a message", side.message("a receive", &posted)?, b"six".to_vec())?;
    let s = must("WSPSocket", side.socket_of(AF_INET))?;
    refuses("WSPBind of an IPv6 address to an IPv4 socket", side.bind(s, &from), WsaError::WSAEFAULT)
}
