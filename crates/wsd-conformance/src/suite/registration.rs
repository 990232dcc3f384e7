//! Registering memory.

use wsd_spi::WsaError;
use wsd_spi::ffi::{MEM_READ, MEM_READWRITE, MEM_WRITE};

use super::sockets::descriptor_length;
use crate::Check;
use crate::check::{Step, ensure, equal, fail, must, one_of, refuses, refuses_with, skip};
use crate::raw::{Mode, Part, Target};
use crate::world::{Pair, Rig, memory_of};

pub(super) const CHECKS: &[Check] = &[
    Check::new(&["SP-110", "SP-121"], "three access flags are known, others are WSAEINVAL", flags),
    Check::new(&["SP-111"], "a buffer can be registered repeatedly; each registration counts", counted),
    Check::new(&["SP-111"], "a handle is good for its own socket only", own_socket_only),
    Check::new(&["SP-112"], "registering needs a connected socket", connected_only),
    Check::new(&["SP-114"], "an unknown handle is WSAEINVAL", unknown_handle),
    Check::new(&["SP-110"], "NULL and a range that wraps around are WSAEFAULT", bad_ranges),
    Check::new(&["SP-115"], "memory can be deregistered before the close, or left to it", at_close),
    Check::new(&["SP-120"], "a length probe tells the length before anything else is looked at", probe),
    Check::new(&["SP-122"], "descriptors are small, of one length, and can be copied", small_descriptor),
    Check::new(
        &["SP-124"],
        "an unknown descriptor, or one of another length, is WSAEINVAL",
        unknown_descriptor,
    ),
    Check::new(&["SP-124"], "memory can be exposed repeatedly; each registration counts", exposed_twice),
    Check::new(&["SP-160"], "the cache callback drops every registration that overlaps", uncached),
    Check::new(
        &["SP-133"],
        "a handle that the cache callback dropped gives an error, not a fault",
        dropped_handle,
    ),
    Check::new(&["SP-162"], "the cache callback can be called at any time, on any thread", uncache_any_time),
];

/// SP-110, SP-121.
fn flags(rig: &Rig) -> Step {
    let pair = Pair::connected(rig)?;
    let side = pair.side;
    let memory = memory_of(&[0; 64])?;
    for flags in [MEM_READ, MEM_WRITE, MEM_READWRITE] {
        must(
            &format!("WSPRegisterMemory with {flags}"),
            side.extensions.register(pair.s, Some(memory), flags),
        )?;
        must(&format!("WSPRegisterRdmaMemory with {flags}"), side.expose_memory(pair.s, memory, flags))?;
    }
    for flags in [0, 4, 7, 0x8000_0001] {
        let registered = side.extensions.register(pair.s, Some(memory), flags);
        refuses(&format!("WSPRegisterMemory with {flags:#x}"), registered, WsaError::WSAEINVAL)?;
        let exposed = side.expose_memory(pair.s, memory, flags);
        refuses(&format!("WSPRegisterRdmaMemory with {flags:#x}"), exposed, WsaError::WSAEINVAL)?;
    }
    Ok(())
}

/// SP-111.
fn counted(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let memory = memory_of(b"registered twice")?;
    let (_, descriptor) = pair.peer.expose(pair.theirs, &[0; 16], MEM_WRITE)?;
    let first = must("WSPRegisterMemory", side.extensions.register(pair.s, Some(memory), MEM_READ))?;
    let second = must("WSPRegisterMemory again", side.extensions.register(pair.s, Some(memory), MEM_READ))?;
    must("WSPDeregisterMemory", side.extensions.deregister(pair.s, first))?;
    let target = Target { descriptor: &descriptor, offset: 0 };
    let part = Part { memory, handle: second };
    let posted = must(
        "WSPRdmaWrite with the other handle",
        side.rdma_from(pair.s, true, &[part], target, Mode::Polled),
    )?;
    side.success("WSPRdmaWrite", &posted)?;
    must("the second WSPDeregisterMemory", side.extensions.deregister(pair.s, second))?;
    refuses("a third one", side.extensions.deregister(pair.s, second), WsaError::WSAEINVAL)
}

/// How the use of a bad handle ended: refused, or completed with an error.
fn ends_badly(pair: &Pair, s: usize, what: &str, part: Part, target: Target<'_>) -> Step {
    match pair.side.rdma_from(s, true, &[part], target, Mode::Polled) {
        Err(code) => one_of(what, Some(code), &[WsaError::WSAEFAULT, WsaError::WSAEINVAL]),
        Ok(posted) => match pair.side.finished(what, &posted)?.error {
            Some(_) => Ok(()),
            None => fail(format!("{what}: expected a failure got 0")),
        },
    }
}

/// SP-111, SW-201: a handle of one socket used on another.
fn own_socket_only(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let (other, others_peer) = pair.another(rig)?;
    let part = side.registered(pair.s, b"not for the other", MEM_READ)?;
    let (exposed, descriptor) = pair.peer.expose(others_peer, &[0; 17], MEM_WRITE)?;
    refuses(
        "WSPDeregisterMemory on another socket",
        side.extensions.deregister(other, part.handle),
        WsaError::WSAEINVAL,
    )?;
    ends_badly(
        &pair,
        other,
        "a handle of another socket",
        part,
        Target { descriptor: &descriptor, offset: 0 },
    )?;
    equal("the memory of the other end", pair.peer.content(exposed)?, vec![0; 17])?;
    must("WSPDeregisterMemory", side.extensions.deregister(pair.s, part.handle))
}

/// SP-112, row of section 13.
fn connected_only(rig: &Rig) -> Step {
    let mut pair = Pair::accepted(rig)?;
    let side = pair.side;
    let memory = memory_of(&[0; 64])?;
    let posted = side.post(pair.s, 64, Mode::Polled)?;
    let bound = side.bound(&rig.name()?)?;
    pair.peer.close(pair.theirs)?;
    side.finished("a receive", &posted)?;
    for (s, state) in
        [(side.socket()?, "fresh"), (bound, "bound"), (pair.listener, "listening"), (pair.s, "broken")]
    {
        let registered = side.extensions.register(s, Some(memory), MEM_READ);
        refuses(&format!("WSPRegisterMemory of a {state} socket"), registered, WsaError::WSAENOTCONN)?;
        let exposed = side.expose_memory(s, memory, MEM_READ);
        refuses(&format!("WSPRegisterRdmaMemory of a {state} socket"), exposed, WsaError::WSAENOTCONN)?;
    }
    refuses(
        "WSPDeregisterMemory of a bound socket",
        side.extensions.deregister(bound, 1),
        WsaError::WSAEINVAL,
    )
}

/// SP-114.
fn unknown_handle(rig: &Rig) -> Step {
    let pair = Pair::connected(rig)?;
    let side = pair.side;
    let part = side.registered(pair.s, &[0; 64], MEM_READ)?;
    for handle in [0, part.handle ^ 0x5555_0000, usize::MAX] {
        let what = format!("WSPDeregisterMemory of {handle:#x}");
        refuses(&what, side.extensions.deregister(pair.s, handle), WsaError::WSAEINVAL)?;
    }
    must("WSPDeregisterMemory", side.extensions.deregister(pair.s, part.handle))?;
    refuses("a second one", side.extensions.deregister(pair.s, part.handle), WsaError::WSAEINVAL)
}

/// SP-110: errors of section 6.16 and 6.17.
fn bad_ranges(rig: &Rig) -> Step {
    let pair = Pair::connected(rig)?;
    let side = pair.side;
    let length = descriptor_length(side)?;
    let registered = side.extensions.register(pair.s, None, MEM_READ);
    refuses("WSPRegisterMemory of NULL", registered, WsaError::WSAEFAULT)?;
    let exposed = side.extensions.expose(pair.s, None, MEM_READ, length).map_err(|(code, _)| code);
    refuses("WSPRegisterRdmaMemory of NULL", exposed, WsaError::WSAEFAULT)
}

/// SP-115.
fn at_close(rig: &Rig) -> Step {
    let pair = Pair::connected(rig)?;
    let side = pair.side;
    let part = side.registered(pair.s, &[0; 64], MEM_READ)?;
    let exposed = side.expose(pair.s, &[0; 64], MEM_READ)?;
    side.registered(pair.s, &[0; 64], MEM_WRITE)?;
    side.expose(pair.s, &[0; 64], MEM_WRITE)?;
    side.post(pair.s, 64, Mode::Polled)?;
    must("WSPDeregisterMemory", side.extensions.deregister(pair.s, part.handle))?;
    must("WSPDeregisterRdmaMemory", side.extensions.conceal(pair.s, &exposed.descriptor))?;
    side.close(pair.s)
}

/// SP-120: on a fresh socket, with flags and memory that would be refused.
fn probe(rig: &Rig) -> Step {
    let side = rig.side()?;
    let length = descriptor_length(side)?;
    let s = side.socket()?;
    for room in [0, length - 1] {
        match side.extensions.expose(s, None, 99, room) {
            Ok(_) => return fail("too little room: expected WSAEFAULT got 0"),
            Err((code, needed)) => {
                one_of("too little room", Some(code), &[WsaError::WSAEFAULT])?;
                equal("*lpdwDescriptorLength", needed as usize, length)?;
            }
        }
    }
    let pair = Pair::connected(rig)?;
    let exposed = side.extensions.expose(pair.s, Some(memory_of(&[0; 8])?), MEM_READ, length + 7);
    let descriptor = must("WSPRegisterRdmaMemory with too much room", exposed.map_err(|(code, _)| code))?;
    equal("length used", descriptor.len(), length)
}

/// SP-122. A control message of 256 bytes has to hold it.
fn small_descriptor(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let small = side.expose(pair.s, &[0; 1], MEM_READ)?;
    let large = side.expose(pair.s, &vec![0; 300_000], MEM_READWRITE)?;
    equal("lengths of descriptors", small.descriptor.len(), large.descriptor.len())?;
    ensure((1..=256).contains(&small.descriptor.len()), || format!("{} bytes", small.descriptor.len()))?;
    ensure(small.descriptor != large.descriptor, || "two descriptors are equal".to_owned())?;
    for exposed in [&small, &large] {
        let address = exposed.memory.start().addr().to_ne_bytes();
        let tells = exposed.descriptor.windows(8).any(|part| part == address);
        ensure(!tells, || {
            "the descriptor has the address of the memory, which a peer could forge".to_owned()
        })?;
    }
    let moved = large.descriptor.clone();
    let (ended, _) = pair.peer.rdma(pair.theirs, true, b"copied", &moved, 299_994)?;
    must("WSPRdmaWrite with a copy", ended)?;
    equal("the memory", large.memory.part(299_994, 6).read(), b"copied".to_vec())
}

/// SP-124.
fn unknown_descriptor(rig: &Rig) -> Step {
    let pair = Pair::connected(rig)?;
    let side = pair.side;
    let exposed = side.expose(pair.s, &[0; 64], MEM_READ)?;
    let conceal = |descriptor: &[u8]| side.extensions.conceal(pair.s, descriptor);
    let mut longer = exposed.descriptor.clone();
    longer.push(0);
    let mut other = exposed.descriptor.clone();
    other.iter_mut().for_each(|byte| *byte ^= 0x5A);
    for (descriptor, what) in [
        (&exposed.descriptor[1..], "a shorter descriptor"),
        (&longer, "a longer descriptor"),
        (&other, "another descriptor"),
    ] {
        refuses(&format!("WSPDeregisterRdmaMemory of {what}"), conceal(descriptor), WsaError::WSAEINVAL)?;
    }
    must("WSPDeregisterRdmaMemory", conceal(&exposed.descriptor))?;
    refuses("a second one", conceal(&exposed.descriptor), WsaError::WSAEINVAL)
}

/// SP-124.
fn exposed_twice(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let memory = memory_of(&[0; 16])?;
    let first = must("WSPRegisterRdmaMemory", side.expose_memory(pair.s, memory, MEM_WRITE))?;
    let second = must("WSPRegisterRdmaMemory again", side.expose_memory(pair.s, memory, MEM_WRITE))?;
    must("WSPDeregisterRdmaMemory", side.extensions.conceal(pair.s, &first))?;
    let (ended, _) = pair.peer.rdma(pair.theirs, true, b"still", &second, 0)?;
    must("WSPRdmaWrite by the other descriptor", ended)?;
    equal("the memory", memory.part(0, 5).read(), b"still".to_vec())?;
    must("the second WSPDeregisterRdmaMemory", side.extensions.conceal(pair.s, &second))
}

/// SP-160: overlap, not containment: the last bytes of a page that another page follows.
fn uncached(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    if !side.extensions.uncaches() {
        return skip("WSPMemoryRegistrationCacheCallback is WSAEOPNOTSUPP");
    }
    let memory = memory_of(&[7; 3 * 4096])?;
    let descriptor =
        must("WSPRegisterRdmaMemory", side.expose_memory(pair.s, memory.part(0, 2 * 4096), MEM_READWRITE))?;
    callback(side, memory.part(4096, 2 * 4096))?;
    let (ended, _) = pair.peer.rdma(pair.theirs, true, &[9; 16], &descriptor, 4096)?;
    if ended.is_ok() {
        return fail("RDMA into memory whose mapping changes: expected a failure got 0");
    }
    ensure(memory.read() == [7; 3 * 4096], || "the memory was written after the callback".to_owned())
}

fn callback(side: crate::world::Side, memory: crate::raw::Memory) -> Step {
    match side.extensions.uncache(memory) {
        Ok(()) => Ok(()),
        // Never cached.
        Err(code) => one_of("WSPMemoryRegistrationCacheCallback", Some(code), &[WsaError::WSAEINVAL]),
    }
}

/// SP-133.
fn dropped_handle(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    if !side.extensions.uncaches() {
        return skip("WSPMemoryRegistrationCacheCallback is WSAEOPNOTSUPP");
    }
    let part = side.registered(pair.s, &[3; 64], MEM_READ)?;
    let (exposed, descriptor) = pair.peer.expose(pair.theirs, &[0; 64], MEM_WRITE)?;
    match side.extensions.uncache(part.memory) {
        Ok(()) => {}
        Err(code) => {
            one_of("WSPMemoryRegistrationCacheCallback", Some(code), &[WsaError::WSAEINVAL])?;
            return skip("the memory was not cached");
        }
    }
    ends_badly(&pair, pair.s, "a dropped handle", part, Target { descriptor: &descriptor, offset: 0 })?;
    equal("the memory of the other end", pair.peer.content(exposed)?, vec![0; 64])?;
    let given_back = side.extensions.deregister(pair.s, part.handle);
    match given_back {
        Ok(()) => Ok(()),
        Err(_) => refuses_with("WSPDeregisterMemory", given_back, &[WsaError::WSAEINVAL]),
    }
}

/// SP-162.
fn uncache_any_time(rig: &Rig) -> Step {
    let pair = Pair::connected(rig)?;
    let (side, s) = (pair.side, pair.s);
    if !side.extensions.uncaches() {
        return skip("WSPMemoryRegistrationCacheCallback is WSAEOPNOTSUPP");
    }
    let memory = memory_of(&[0; 4096])?;
    let calling = std::thread::spawn(move || (0..200).try_for_each(|_| callback(side, memory)));
    for _ in 0..50 {
        let part = side.registered(s, &[0; 64], MEM_READ)?;
        must("WSPDeregisterMemory", side.extensions.deregister(s, part.handle))?;
    }
    calling.join().unwrap_or_else(|_| fail("a thread of the suite panicked"))
}
