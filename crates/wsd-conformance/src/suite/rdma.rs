//! RDMA, and who may use exposed memory when.

use wsd_spi::WsaError;
use wsd_spi::ffi::{MEM_READ, MEM_READWRITE, MEM_WRITE, SO_MAX_RDMA_SIZE};

use super::messages::pattern;
use super::options::size;
use crate::Check;
use crate::check::{Cite, Step, ensure, equal, fail, must, one_of, refuses_with, skip};
use crate::raw::{Answer, Memory, Mode, Part, Target};
use crate::world::{Pair, Rig, Side};

pub(super) const CHECKS: &[Check] = &[
    Check::new(&["SP-130"], "RDMA moves bytes, takes no receive and signals nothing", one_sided),
    Check::new(&["SP-131"], "RDMA completes with the sum of its lengths, polled or notified", counted),
    Check::new(&["SP-022"], "a message arrives after the RDMA write before it", write_then_send),
    Check::new(&["SP-022"], "a message leaves after the RDMA read before it", read_then_send),
    Check::new(&["SP-132", "SW-208"], "access in the direction that was not granted fails", wrong_direction),
    Check::new(&["SP-123", "SW-207"], "access after WSPDeregisterRdmaMemory fails", after_deregistration),
    Check::new(&["SP-123", "SW-207"], "access after the close of the exposing socket fails", after_close),
    Check::new(&["SP-123", "SW-206"], "access by another connection fails", wrong_peer),
    Check::new(&["SP-132"], "access outside of the registered range fails", out_of_range),
    Check::new(&["SP-132"], "a descriptor of another length, or a forged one, fails", forged),
    Check::new(&["SP-132"], "local memory is used only by its handle and in its range", local_side),
    Check::new(&["SW-205"], "memory registered for own operations is out of the peer's reach", local_only),
    Check::new(&["SP-132"], "RDMA above SO_MAX_RDMA_SIZE is refused", too_large),
];

/// The two directions that a provider has: write, and read if supported.
fn directions(side: Side) -> &'static [bool] {
    if side.extensions.reads() { &[true, false] } else { &[true] }
}

/// SP-130.
fn one_sided(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let posted = side.post(pair.s, 64, Mode::Polled)?;
    let receives = pair.peer.post(pair.theirs, 1, 64)?;
    let (exposed, descriptor) = pair.peer.expose(pair.theirs, &pattern(1, 70_000), MEM_READWRITE)?;
    let bytes = pattern(2, 50_000);
    let target = Target { descriptor: &descriptor, offset: 1001 };
    let (ended, _) = side.rdma(pair.s, true, &bytes, target)?;
    equal("bytes written", must("WSPRdmaWrite", ended)?, 50_000)?;
    let mut expected = pattern(1, 70_000);
    expected[1001..51_001].copy_from_slice(&bytes);
    ensure(pair.peer.content(exposed)? == expected, || "WSPRdmaWrite wrote something else".to_owned())?;
    if side.extensions.reads() {
        let target = Target { descriptor: &descriptor, offset: 7 };
        let (ended, got) = side.rdma(pair.s, false, &vec![0; 60_000], target)?;
        equal("bytes read", must("WSPRdmaRead", ended)?, 60_000)?;
        ensure(got == expected[7..60_007], || "WSPRdmaRead read something else".to_owned())?;
    }
    equal("the receive at this end", side.table.result(pair.s, posted.request, false), Ok(None))?;
    side.send(pair.s, b"first", Mode::Polled)?;
    equal("the receive at the other end", pair.peer.finish(receives)?.1, b"first".to_vec())
}

/// SP-131.
fn counted(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    let (exposed, descriptor) = pair.peer.expose(pair.theirs, &[0; 100], MEM_READWRITE)?;
    let one = side.registered(pair.s, &[1; 10], MEM_READ)?;
    let two = side.registered(pair.s, &[2; 20], MEM_READ)?;
    for mode in [Mode::Polled, Mode::Notified] {
        let target = Target { descriptor: &descriptor, offset: 50 };
        let posted =
            must("WSPRdmaWrite of two buffers", side.rdma_from(pair.s, true, &[one, two], target, mode))?;
        equal("byte count", side.success("WSPRdmaWrite", &posted)?, 30)?;
    }
    let content = pair.peer.content(exposed)?;
    ensure(content[50..60] == [1; 10] && content[60..80] == [2; 20], || "the bytes are elsewhere".to_owned())
}

/// SP-022.
fn write_then_send(rig: &Rig) -> Step {
    let mut pair = Pair::accepted(rig)?;
    let exposed = pair.side.expose(pair.s, &vec![0; 200_000], MEM_WRITE)?;
    for round in 1..=10u8 {
        let posted = pair.side.post(pair.s, 16, Mode::Polled)?;
        // The other end waits for its write in `rdma`; what counts is that the message is not earlier.
        let (ended, _) = pair.peer.rdma(pair.theirs, true, &vec![round; 200_000], &exposed.descriptor, 0)?;
        must("WSPRdmaWrite", ended)?;
        pair.peer.send(pair.theirs, b"written")?;
        pair.side.message("a receive", &posted)?;
        ensure(exposed.memory.read().iter().all(|byte| *byte == round), || {
            "the message arrived before the bytes of the RDMA write".to_owned()
        })?;
    }
    let part = pair.side.registered(pair.s, &vec![77; 200_000], MEM_READ)?;
    let (memory, descriptor) = pair.peer.expose(pair.theirs, &vec![0; 200_000], MEM_WRITE)?;
    let receives = pair.peer.post(pair.theirs, 1, 16)?;
    let target = Target { descriptor: &descriptor, offset: 0 };
    let posted = must("WSPRdmaWrite", pair.side.rdma_from(pair.s, true, &[part], target, Mode::Polled))?;
    pair.side.send(pair.s, b"written", Mode::Polled)?;
    pair.peer.finish(receives)?;
    let content = pair.peer.content(memory)?;
    ensure(content.iter().all(|byte| *byte == 77), || {
        "a message that was sent behind an RDMA write arrived before its bytes".to_owned()
    })?;
    pair.side.success("WSPRdmaWrite", &posted).map(drop)
}

/// SP-022: the other end changes the memory when it has the message.
fn read_then_send(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let side = pair.side;
    if !side.extensions.reads() {
        return skip("WSPRdmaRead is WSAEOPNOTSUPP");
    }
    for _ in 0..5 {
        let (_, descriptor) = pair.peer.expose(pair.theirs, &vec![5; 300_000], MEM_READ)?;
        let receives = pair.peer.post(pair.theirs, 1, 16)?;
        let part = side.registered(pair.s, &vec![0; 300_000], MEM_WRITE)?;
        let target = Target { descriptor: &descriptor, offset: 0 };
        let posted = must("WSPRdmaRead", side.rdma_from(pair.s, false, &[part], target, Mode::Polled))?;
        side.send(pair.s, b"read finished", Mode::Polled)?;
        pair.peer.finish(receives)?;
        let concealed = pair.peer.conceal(pair.theirs, &descriptor)?;
        equal("WSPDeregisterRdmaMemory after the message", concealed, None)?;
        equal("bytes read", side.success("WSPRdmaRead before the message", &posted)?, 300_000)?;
        ensure(part.memory.read().iter().all(|byte| *byte == 5), || "other bytes were read".to_owned())?;
    }
    Ok(())
}

/// An access that has to fail, by any code but success.
fn denied(what: &str, ended: &Answer<u32>) -> Step {
    match ended {
        Ok(bytes) => fail(format!("{what}: expected a failure got 0 and {bytes} bytes")),
        Err(_) => Ok(()),
    }
}

const SECRET: [u8; 64] = [0x53; 64];

/// Tries to write and read: neither may work, nor change or give anything.
fn attack(pair: &mut Pair, s: usize, what: &str, target: Target<'_>, write: bool) -> Step {
    let local = [0x99; 64];
    let (ended, got) = pair.side.rdma(s, write, &local, target)?;
    denied(&format!("{} {what}", if write { "WSPRdmaWrite" } else { "WSPRdmaRead" }), &ended)?;
    ensure(write || got.iter().all(|byte| *byte == 0x99), || format!("{what}: bytes were given"))
}

/// SP-132, SW-208. A violation may end the connection, so each attack has one of its own.
fn wrong_direction(rig: &Rig) -> Step {
    for write in [true, false] {
        let mut pair = Pair::connected(rig)?;
        if !write && !pair.side.extensions.reads() {
            continue;
        }
        let granted = if write { MEM_READ } else { MEM_WRITE };
        let (exposed, descriptor) = pair.peer.expose(pair.theirs, &SECRET, granted)?;
        let what =
            if write { "of memory registered with MEM_READ" } else { "of memory registered with MEM_WRITE" };
        let s = pair.s;
        attack(&mut pair, s, what, Target { descriptor: &descriptor, offset: 0 }, write)?;
        equal("the exposed memory", pair.peer.content(exposed)?, SECRET.to_vec()).cite("SW-208")?;
    }
    Ok(())
}

/// SP-123, SW-207.
fn after_deregistration(rig: &Rig) -> Step {
    for write in directions(rig.side()?) {
        let mut pair = Pair::connected(rig)?;
        let (exposed, descriptor) = pair.peer.expose(pair.theirs, &SECRET, MEM_READWRITE)?;
        let target = Target { descriptor: &descriptor, offset: 0 };
        let (ended, _) = pair.side.rdma(pair.s, true, &SECRET, target)?;
        must("WSPRdmaWrite while registered", ended)?;
        equal("WSPDeregisterRdmaMemory", pair.peer.conceal(pair.theirs, &descriptor)?, None)?;
        let s = pair.s;
        attack(&mut pair, s, "after WSPDeregisterRdmaMemory", target, *write)?;
        equal("the memory", pair.peer.content(exposed)?, SECRET.to_vec())?;
    }
    Ok(())
}

/// SP-123, SW-207.
fn after_close(rig: &Rig) -> Step {
    for write in directions(rig.side()?) {
        let mut pair = Pair::connected(rig)?;
        let (other, _) = pair.another(rig)?;
        let part = pair.side.registered(pair.s, &[0x99; 64], if *write { MEM_READ } else { MEM_WRITE })?;
        let (exposed, descriptor) = pair.peer.expose(pair.theirs, &SECRET, MEM_READWRITE)?;
        pair.peer.close(pair.theirs)?;
        let target = Target { descriptor: &descriptor, offset: 0 };
        match pair.side.rdma_from(pair.s, *write, &[part], target, Mode::Polled) {
            Err(code) => one_of("RDMA after the peer's close", Some(code), &[WsaError::WSAECONNRESET])?,
            Ok(posted) => {
                let finished = pair.side.finished("RDMA after the peer's close", &posted)?;
                denied("RDMA after the peer's close", &finished.error.map_or(Ok(finished.bytes), Err))?;
            }
        }
        equal("the memory", pair.peer.content(exposed)?, SECRET.to_vec())?;
        attack(&mut pair, other, "by another connection, after the close", target, *write)?;
        equal("the memory", pair.peer.content(exposed)?, SECRET.to_vec())?;
    }
    Ok(())
}

/// SP-123, SW-206: another connection between the same two ends.
fn wrong_peer(rig: &Rig) -> Step {
    for write in directions(rig.side()?) {
        let mut pair = Pair::connected(rig)?;
        let (other, _) = pair.another(rig)?;
        let (exposed, descriptor) = pair.peer.expose(pair.theirs, &SECRET, MEM_READWRITE)?;
        let target = Target { descriptor: &descriptor, offset: 0 };
        attack(&mut pair, other, "by another connection", target, *write)?;
        equal("the memory", pair.peer.content(exposed)?, SECRET.to_vec())?;
    }
    Ok(())
}

/// SP-132: also where offset and length together wrap around.
fn out_of_range(rig: &Rig) -> Step {
    for write in directions(rig.side()?) {
        for offset in [1, 64, 65, 0x7FFF_FFFF, u32::MAX, u32::MAX - 63, u32::MAX - 31] {
            let mut pair = Pair::connected(rig)?;
            // Bytes on both sides of the registered range.
            let (exposed, descriptor) = pair.peer.expose(pair.theirs, &SECRET, MEM_READWRITE)?;
            let s = pair.s;
            let what = format!("of 64 bytes at offset {offset} of 64");
            attack(&mut pair, s, &what, Target { descriptor: &descriptor, offset }, *write)?;
            equal("the memory", pair.peer.content(exposed)?, SECRET.to_vec())?;
        }
    }
    Ok(())
}

/// SP-132.
fn forged(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let (exposed, descriptor) = pair.peer.expose(pair.theirs, &SECRET, MEM_READWRITE)?;
    for wrong in [&descriptor[1..], &[&descriptor[..], &[0]].concat(), &[]] {
        let target = Target { descriptor: wrong, offset: 0 };
        let (ended, _) = pair.side.rdma(pair.s, true, &[0; 64], target)?;
        refuses_with("a descriptor of another length", ended, &[WsaError::WSAEINVAL])?;
    }
    for place in 0..descriptor.len() {
        let mut pair = Pair::connected(rig)?;
        let (hidden, descriptor) = pair.peer.expose(pair.theirs, &SECRET, MEM_READ)?;
        let mut wrong = descriptor.clone();
        wrong[place] ^= 0x81;
        let s = pair.s;
        let what = format!("with byte {place} of the descriptor changed");
        attack(&mut pair, s, &what, Target { descriptor: &wrong, offset: 0 }, true)?;
        equal("the memory", pair.peer.content(hidden)?, SECRET.to_vec())?;
    }
    equal("the memory", pair.peer.content(exposed)?, SECRET.to_vec())
}

/// SP-132: the local side of an operation.
fn local_side(rig: &Rig) -> Step {
    for attempt in 0..3 {
        let mut pair = Pair::connected(rig)?;
        let side = pair.side;
        let (exposed, descriptor) = pair.peer.expose(pair.theirs, &SECRET, MEM_READWRITE)?;
        let target = Target { descriptor: &descriptor, offset: 0 };
        let mut part = side.registered(pair.s, &[0x99; 64], MEM_READ)?;
        let what = match attempt {
            0 => {
                part.handle ^= 0x5555_0000;
                "an unknown handle"
            }
            1 => {
                part.memory = side.registered(pair.s, &[0x77; 64], MEM_READ)?.memory;
                "memory outside of the registration"
            }
            _ => {
                must("WSPDeregisterMemory", side.extensions.deregister(pair.s, part.handle))?;
                "a deregistered handle"
            }
        };
        match side.rdma_from(pair.s, true, &[part], target, Mode::Polled) {
            Err(code) => one_of(what, Some(code), &[WsaError::WSAEFAULT, WsaError::WSAEINVAL])?,
            Ok(posted) => {
                let finished = side.finished(what, &posted)?;
                denied(what, &finished.error.map_or(Ok(finished.bytes), Err))?;
            }
        }
        equal("the memory of the other end", pair.peer.content(exposed)?, SECRET.to_vec())?;
    }
    Ok(())
}

/// SW-205: the peer puts the handle of such a registration wherever a descriptor may have its number.
fn local_only(rig: &Rig) -> Step {
    let mut place = 0;
    loop {
        let mut pair = Pair::connected(rig)?;
        let part = pair.side.registered(pair.s, &SECRET, MEM_READWRITE)?;
        let mut forged = pair.side.expose(pair.s, &[0; 64], MEM_READWRITE)?.descriptor;
        let handle = part.handle.to_ne_bytes();
        let Some(number) = forged.get_mut(place..place + handle.len()) else { return Ok(()) };
        number.copy_from_slice(&handle);
        // What it answers is not looked at: bytes of a descriptor may mean nothing.
        let _ = pair.peer.rdma(pair.theirs, true, &[0x99; 64], &forged, 0)?;
        ensure(part.memory.read() == SECRET, || {
            format!("the peer wrote to memory that was not exposed, with its handle at byte {place}")
        })?;
        place += 1;
    }
}

/// SP-132, section 6.18.
fn too_large(rig: &Rig) -> Step {
    let mut pair = Pair::connected(rig)?;
    let Some(limit) = size(pair.side, pair.s, SO_MAX_RDMA_SIZE)? else {
        return skip("SO_MAX_RDMA_SIZE is WSAENOPROTOOPT");
    };
    let Some(above) = limit.checked_add(1) else { return skip("SO_MAX_RDMA_SIZE is no limit") };
    let (_, descriptor) = pair.peer.expose(pair.theirs, &[0; 64], MEM_WRITE)?;
    // Never touched, hence never in memory.
    let Ok(memory) = Memory::zeroed(above as usize) else { return skip("the suite has not so much memory") };
    let handle = match pair.side.extensions.register(pair.s, Some(memory), MEM_READ) {
        Ok(handle) => handle,
        Err(code) => {
            return one_of("WSPRegisterMemory", Some(code), &[WsaError::WSAENOBUFS, WsaError::WSAEFAULT]);
        }
    };
    let target = Target { descriptor: &descriptor, offset: 0 };
    let ended = match pair.side.rdma_from(pair.s, true, &[Part { memory, handle }], target, Mode::Polled) {
        Err(code) => Err(code),
        Ok(posted) => {
            let finished = pair.side.finished("WSPRdmaWrite", &posted)?;
            finished.error.map_or(Ok(finished.bytes), Err)
        }
    };
    denied("WSPRdmaWrite above SO_MAX_RDMA_SIZE", &ended)
}
