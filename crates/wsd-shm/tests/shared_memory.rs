//! `WsdAllocate`, `WsdFree`, `WsdMap`, `WsdUnmap`.

mod support;

use support::{Side, armed_sides, connect, sides, wait_for};
use wsd_spi::WsaError;
use wsd_spi::client::{MemoryExt, SharedMemory, StableMemory};

fn descriptor(memory: &SharedMemory) -> &[u8] {
    memory.descriptor().expect("allocated here")
}

fn start(memory: &SharedMemory) -> usize {
    memory.as_ptr().as_ptr().addr()
}

/// Both ends see the same bytes, at any size; atomics work.
#[test]
fn both_ends_see_it() {
    for [server, client] in [sides(), armed_sides()] {
        let (accepted, connected) = connect(&server, &client, "127.0.0.1:9001");
        for (owner, peer) in [(&accepted, &connected), (&connected, &accepted)] {
            for length in [8, 4096, 100_000, 9_500_000, 300_000_000] {
                let memory = owner.allocate(length).expect("memory");
                assert_eq!(start(&memory) % 4096, 0, "page-aligned");
                // The peer may get the descriptor before its engine has read anything.
                let mapped = peer.map(descriptor(&memory)).expect("maps");
                assert!(mapped.len() >= length as usize && mapped.as_ptr() != memory.as_ptr());
                memory.write(length as usize - 1, b"x");
                let mut byte = [0];
                mapped.read(length as usize - 1, &mut byte);
                assert_eq!(&byte, b"x");
                mapped.atomic_u64(0).store(77, std::sync::atomic::Ordering::Release);
                assert_eq!(memory.atomic_u64(0).load(std::sync::atomic::Ordering::Acquire), 77);
                let again = peer.map(descriptor(&memory)).expect("maps twice");
                assert_eq!(start(&again), start(&mapped));
            }
        }
    }
}

/// Only the peer of the socket maps, only what is allocated, only with the right descriptor.
#[test]
fn descriptors_are_checked() {
    let [server, client, third] = armed_sides();
    let all: [&Side; 3] = [&server, &client, &third];
    let (accepted, connected) = connect(&server, &client, "127.0.0.1:9011");
    let (_other, other_end) = connect(&server, &client, "127.0.0.1:9012");
    let memory = accepted.allocate(5000).expect("memory");
    let good = descriptor(&memory).to_vec();
    let invalid = Some(WsaError::WSAEINVAL);
    assert_eq!(other_end.map(&good).err(), invalid, "another connection");
    assert_eq!(accepted.map(&good).err(), invalid, "the owner");
    assert_eq!(connected.map(&good[1..]).err(), invalid);
    assert_eq!(connected.map(&[]).err(), invalid);
    for byte in 0..good.len() {
        for bit in [0x01, 0x80] {
            let mut bad = good.clone();
            bad[byte] ^= bit;
            // One is another slot, which nobody has allocated; all others are nobody's.
            if let Ok(mapped) = connected.map(&bad) {
                let good = connected.map(&good).expect("maps");
                assert_ne!(start(&mapped), start(&good), "byte {byte}");
            }
        }
    }
    let mapped = connected.map(&good).expect("maps");
    drop(memory);
    (0..50).for_each(|_| all.iter().for_each(|side| side.step()));
    assert_eq!(connected.map(&good).err(), invalid, "given back");
    mapped.write(0, b"still valid here");
}

/// What is read far behind the start of memory that is used again: Windows cannot take pages back.
const COLD: &[u8; 4] = if cfg!(windows) { b"cold" } else { &[0; 4] };

/// Memory is used again when both ends have done with it, not before; the pages at its start stay warm.
#[test]
fn reuse() {
    let [server, client] = armed_sides();
    let all = [&server, &client];
    let (accepted, connected) = connect(&server, &client, "127.0.0.1:9021");
    let memory = accepted.allocate(1_000_000).expect("memory");
    memory.write(0, b"warm");
    memory.write(900_000, b"cold");
    let place = start(&memory);
    let mapped = connected.map(descriptor(&memory)).expect("maps");
    drop(memory);
    (0..50).for_each(|_| all.iter().for_each(|side| side.step()));
    let other = accepted.allocate(1_000_000).expect("memory");
    assert_ne!(start(&other), place, "the peer still has it");
    drop(mapped);
    let mut again = Vec::new();
    wait_for(&all, "reuse", || {
        again.push(accepted.allocate(1_000_000).expect("memory"));
        again.last().is_some_and(|memory| start(memory) == place)
    });
    let last = again.pop().expect("there is one");
    let (mut warm, mut cold) = ([0; 4], [0; 4]);
    last.read(0, &mut warm);
    last.read(900_000, &mut cold);
    assert_eq!((&warm, &cold), (b"warm", COLD));

    // Closing gives everything back too, at either end.
    let place = start(&last);
    let _mapped = connected.map(descriptor(&last)).expect("maps");
    accepted.close().expect("closes");
    connected.close().expect("closes");
    (0..50).for_each(|_| all.iter().for_each(|side| side.step()));
    let (accepted, _connected) = connect(&server, &client, "127.0.0.1:9022");
    let places: Vec<_> = (0..32).map(|_| start(&accepted.allocate(1_000_000).expect("memory"))).collect();
    assert!(places.contains(&place));
}

/// Many allocations: all apart from each other.
#[test]
fn allocations_do_not_overlap() {
    let [server, client] = armed_sides();
    let (accepted, connected) = connect(&server, &client, "127.0.0.1:9031");
    let memory: Vec<_> = (0..100).map(|_| accepted.allocate(20_000).expect("memory")).collect();
    let mapped: Vec<_> =
        memory.iter().map(|memory| connected.map(descriptor(memory)).expect("maps")).collect();
    for (n, memory) in memory.iter().enumerate() {
        memory.write(0, &[n as u8; 20_000]);
    }
    for (n, mapped) in mapped.iter().enumerate() {
        let mut bytes = [0; 20_000];
        mapped.read(0, &mut bytes);
        assert!(bytes.iter().all(|byte| *byte == n as u8));
    }
}

/// Memory that is not from here is refused.
#[test]
fn foreign_memory() {
    let [server, client] = armed_sides();
    let (accepted, connected) = connect(&server, &client, "127.0.0.1:9041");
    let memory = accepted.allocate(5000).expect("memory");
    let mapped = connected.map(descriptor(&memory)).expect("maps");
    let mut errno = 0;
    let (free, unmap) = {
        let extensions = &server.san.table().extensions;
        (extensions.free.expect("WsdFree"), extensions.unmap.expect("WsdUnmap"))
    };
    let owner = accepted.descriptor().raw();
    for place in [start(&mapped), start(&memory) + 4096, 0] {
        let place = std::ptr::without_provenance_mut(place);
        // SAFETY: the provider checks addresses; `errno` is valid.
        assert_eq!(unsafe { free(owner, place, &raw mut errno) }, -1);
        assert!(matches!(WsaError::reported(errno), WsaError::WSAEINVAL | WsaError::WSAEFAULT));
    }
    // SAFETY: as above; the memory is not mapped but allocated.
    assert_eq!(unsafe { unmap(owner, memory.as_ptr().as_ptr().cast(), &raw mut errno) }, -1);
    assert_eq!(WsaError::reported(errno), WsaError::WSAEINVAL);
}

/// After the peer has gone, and its process with it, memory stays readable until the own socket is closed.
#[test]
fn peer_is_gone() {
    let [server, client] = armed_sides();
    let (accepted, connected) = connect(&server, &client, "127.0.0.1:9051");
    let memory = connected.allocate(5000).expect("memory");
    memory.write(0, b"last words");
    let mapped = accepted.map(descriptor(&memory)).expect("maps");
    let own = accepted.allocate(5000).expect("memory");
    drop(memory);
    connected.close().expect("closes");
    drop(connected);
    let Side { san, .. } = client;
    assert_eq!(san.cleanup(), Some(Ok(())), "nothing of it is left in use");
    wait_for(&[&server], "reset", || accepted.allocate(1).is_err());
    let mut bytes = [0; 10];
    mapped.read(0, &mut bytes);
    assert_eq!(&bytes, b"last words");
    own.write(0, b"x");
    assert_eq!(accepted.allocate(5000).map(drop), Err(WsaError::WSAENOTCONN));
}
