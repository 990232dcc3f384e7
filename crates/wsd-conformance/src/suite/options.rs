//! `WSPGetSockOpt`, `WSPSetSockOpt`, `WSPIoctl`.

use wsd_spi::WsaError;
use wsd_spi::ffi::{
    AF_INET, FIONREAD, IPPROTO_TCP, SIO_FLUSH, SO_DEBUG, SO_MAX_MSG_SIZE, SO_MAX_RDMA_SIZE,
    SO_RDMA_THRESHOLD_SIZE, SOL_SOCKET, TCP_NODELAY,
};

use crate::Check;
use crate::check::{Step, ensure, equal, fail, must, one_of, refuses, skip};
use crate::raw::{Mode, Text};
use crate::world::{Pair, Rig, Side};

pub(super) const CHECKS: &[Check] = &[
    Check::new(&["SP-042"], "a new socket tells its sizes", sizes),
    Check::new(&["SP-050"], "options can be read in every state", every_state),
    Check::new(&["SP-051"], "too small a buffer is WSAEFAULT with the needed size", short_buffer),
    Check::new(&["SP-052"], "setting a get-only or unknown option is WSAENOPROTOOPT", not_settable),
    Check::new(&["SP-052"], "an unknown level is WSAEINVAL", unknown_level),
    Check::new(&["SP-052"], "SO_DEBUG is set and read back", debug),
    Check::new(&["SP-102"], "the address list is laid out as the reference says", address_list),
    Check::new(&["SP-102"], "too small a buffer for the list is WSAEFAULT with the needed size", short_list),
    Check::new(&["SP-103"], "the address list can be asked for again and again, in every state", list_again),
    Check::new(&["SP-104"], "an unknown control code is WSAEINVAL", unknown_code),
];

const SIZES: [(i32, &str); 3] = [
    (SO_MAX_MSG_SIZE, "SO_MAX_MSG_SIZE"),
    (SO_MAX_RDMA_SIZE, "SO_MAX_RDMA_SIZE"),
    (SO_RDMA_THRESHOLD_SIZE, "SO_RDMA_THRESHOLD_SIZE"),
];

/// An option of 32 bits; `None` if the provider does not have it.
pub(super) fn size(side: Side, s: usize, name: i32) -> Step<Option<u32>> {
    match side.table.get_option(s, SOL_SOCKET, name, Some(4)) {
        Ok(value) => match <[u8; 4]>::try_from(value.as_slice()) {
            Ok(bytes) => Ok(Some(u32::from_ne_bytes(bytes))),
            Err(_) => fail(format!("option {name:#x} has {} bytes", value.len())),
        },
        Err((code, _)) => one_of("WSPGetSockOpt", Some(code), &[WsaError::WSAENOPROTOOPT]).map(|()| None),
    }
}

/// SP-042. Unbounded transports need not have the options.
fn sizes(rig: &Rig) -> Step {
    let side = rig.side()?;
    let s = side.socket()?;
    for (name, text) in SIZES {
        if let Some(0) = size(side, s, name)? {
            return fail(format!("{text} of a new socket is 0"));
        }
    }
    // A session needs at least the negotiation message.
    let message = size(side, s, SO_MAX_MSG_SIZE)?;
    ensure(message.is_none_or(|size| size >= 256), || format!("SO_MAX_MSG_SIZE is {message:?}"))
}

/// SP-050.
fn every_state(rig: &Rig) -> Step {
    let mut pair = Pair::accepted(rig)?;
    let side = pair.side;
    let fresh = side.socket()?;
    let expected = size(side, fresh, SO_MAX_MSG_SIZE)?;
    let bound = side.bound(&rig.name()?)?;
    for (s, state) in [(bound, "bound"), (pair.listener, "listening"), (pair.s, "connected")] {
        equal(&format!("SO_MAX_MSG_SIZE of a {state} socket"), size(side, s, SO_MAX_MSG_SIZE)?, expected)?;
    }
    let posted = side.post(pair.s, 64, Mode::Polled)?;
    pair.peer.close(pair.theirs)?;
    side.finished("a receive", &posted)?;
    equal("SO_MAX_MSG_SIZE of a broken socket", size(side, pair.s, SO_MAX_MSG_SIZE)?, expected)
}

/// An option that the provider has.
fn some_option(side: Side, s: usize) -> Step<i32> {
    for (name, _) in SIZES {
        if size(side, s, name)?.is_some() {
            return Ok(name);
        }
    }
    skip("every option is WSAENOPROTOOPT")
}

/// SP-051.
fn short_buffer(rig: &Rig) -> Step {
    let side = rig.side()?;
    let s = side.socket()?;
    let name = some_option(side, s)?;
    for room in [0, 3] {
        match side.table.get_option(s, SOL_SOCKET, name, Some(room)) {
            Ok(_) => return fail(format!("{room} bytes for an option of 4: expected WSAEFAULT got 0")),
            Err((code, needed)) => {
                one_of("too small a buffer", Some(code), &[WsaError::WSAEFAULT])?;
                equal("*optlen", needed, 4)?;
            }
        }
    }
    let null = side.table.get_option(s, SOL_SOCKET, name, None).map_err(|(code, _)| code);
    refuses("WSPGetSockOpt into NULL", null, WsaError::WSAEFAULT)
}

/// SP-052.
fn not_settable(rig: &Rig) -> Step {
    let side = rig.side()?;
    let s = side.socket()?;
    for (name, text) in SIZES.into_iter().chain([(0x7ABC, "option 0x7abc")]) {
        let set = side.table.set_option(s, SOL_SOCKET, name, Text::of(&[1, 0, 0, 0]));
        refuses(&format!("setting {text}"), set, WsaError::WSAENOPROTOOPT)?;
    }
    let got = side.table.get_option(s, SOL_SOCKET, 0x7ABC, Some(4)).map_err(|(code, _)| code);
    refuses("getting option 0x7abc", got, WsaError::WSAENOPROTOOPT)
}

/// SP-052, errors of section 6.5.
fn unknown_level(rig: &Rig) -> Step {
    let side = rig.side()?;
    let s = side.socket()?;
    let set = side.table.set_option(s, 0x1234, SO_DEBUG, Text::of(&[1, 0, 0, 0]));
    refuses("WSPSetSockOpt at level 0x1234", set, WsaError::WSAEINVAL)?;
    let got = side.table.get_option(s, 0x1234, SO_DEBUG, Some(4)).map_err(|(code, _)| code);
    refuses("WSPGetSockOpt at level 0x1234", got, WsaError::WSAEINVAL)?;
    let nodelay = side.table.set_option(s, IPPROTO_TCP, TCP_NODELAY, Text::of(&[1, 0, 0, 0]));
    match nodelay {
        Ok(()) => Ok(()),
        Err(code) => one_of("TCP_NODELAY", Some(code), &[WsaError::WSAENOPROTOOPT, WsaError::WSAEINVAL]),
    }
}

/// SP-052: an option that is optional.
fn debug(rig: &Rig) -> Step {
    let side = rig.side()?;
    let s = side.socket()?;
    if let Err((code, _)) = side.table.get_option(s, SOL_SOCKET, SO_DEBUG, Some(4)) {
        one_of("SO_DEBUG", Some(code), &[WsaError::WSAENOPROTOOPT])?;
        return skip("SO_DEBUG is WSAENOPROTOOPT");
    }
    for value in [1i32, 0] {
        must(
            "WSPSetSockOpt of SO_DEBUG",
            side.table.set_option(s, SOL_SOCKET, SO_DEBUG, Text::of(&value.to_ne_bytes())),
        )?;
        let got = side.table.get_option(s, SOL_SOCKET, SO_DEBUG, Some(4)).map_err(|(code, _)| code);
        let got = must("WSPGetSockOpt of SO_DEBUG", got)?;
        equal("SO_DEBUG", got.iter().any(|byte| *byte != 0), value != 0)?;
    }
    let short = side.table.set_option(s, SOL_SOCKET, SO_DEBUG, Text::of(&[1, 0, 0]));
    refuses("SO_DEBUG with a length of 3", short, WsaError::WSAEFAULT)?;
    let null = side.table.set_option(s, SOL_SOCKET, SO_DEBUG, Text::null(4));
    refuses("SO_DEBUG from NULL", null, WsaError::WSAEFAULT)
}

fn needed(side: Side, s: usize) -> Step<usize> {
    match side.table.address_list(s, 0) {
        Ok(list) => {
            fail(format!("no room for the list: expected WSAEFAULT got 0 and {} entries", list.count))
        }
        Err((code, needed)) => {
            one_of("no room for the list", Some(code), &[WsaError::WSAEFAULT])?;
            Ok(needed as usize)
        }
    }
}

/// SP-102, SP-010: IPv4 entries have 16 bytes; IPv6 entries are the declared extension of section 0.3 with 28.
fn address_list(rig: &Rig) -> Step {
    let side = rig.side()?;
    let s = side.socket()?;
    let room = needed(side, s)?;
    let list = side.table.address_list(s, room).map_err(|(code, _)| code);
    let list = must("SIO_ADDRESS_LIST_QUERY", list)?;
    ensure(list.count > 0, || format!("{} addresses", list.count))?;
    equal("entries that can be read", list.entries.len(), list.count as usize)?;
    let mut sum = 8;
    for (length, address) in &list.entries {
        let Some(address) = address else {
            return fail(format!("an entry of {length} bytes does not lead to an address in the buffer"));
        };
        let expected = if address.family() == AF_INET { 16 } else { 28 };
        equal(&format!("iSockaddrLength of {address}"), *length, expected)?;
        equal(&format!("port of {address}"), address.port(), 0)?;
        sum += 16 + expected as usize;
    }
    if list.entries.iter().all(|(length, _)| *length == 16) {
        equal("size of the list", room, sum)?;
    }
    ensure(room >= sum && list.written as usize >= sum, || {
        format!("{sum} bytes of list: {room} needed, {} written", list.written)
    })
}

/// SP-102.
fn short_list(rig: &Rig) -> Step {
    let side = rig.side()?;
    let s = side.socket()?;
    let room = needed(side, s)?;
    ensure(room >= 8, || format!("{room} bytes for a list"))?;
    match side.table.address_list(s, room - 8) {
        Ok(_) => fail("8 bytes too few for the list: expected WSAEFAULT got 0"),
        Err((code, again)) => {
            one_of("8 bytes too few for the list", Some(code), &[WsaError::WSAEFAULT])?;
            equal("needed size", again as usize, room)
        }
    }
}

/// SP-103.
fn list_again(rig: &Rig) -> Step {
    let pair = Pair::accepted(rig)?;
    let side = pair.side;
    let room = needed(side, pair.s)?;
    for s in [side.socket()?, pair.listener, pair.s, pair.s] {
        let list = side.table.address_list(s, room).map_err(|(code, _)| code);
        let list = must("SIO_ADDRESS_LIST_QUERY", list)?;
        ensure(list.count > 0, || "an empty list".to_owned())?;
    }
    Ok(())
}

/// SP-104.
fn unknown_code(rig: &Rig) -> Step {
    let side = rig.side()?;
    let s = side.socket()?;
    for code in [0x4800_7777, SIO_FLUSH, FIONREAD, 0] {
        let mut output = [0; 64];
        let answer = side.table.ioctl(s, code, &[0; 8], &mut output).map_err(|(code, _)| code);
        refuses(&format!("control code {code:#x}"), answer, WsaError::WSAEINVAL)?;
    }
    Ok(())
}
