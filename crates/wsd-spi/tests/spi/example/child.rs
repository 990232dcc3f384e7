//! What the other process does.

use std::path::Path;

use wsd_spi::client::{Remote, Transfer};
use wsd_spi::ffi::{AF_INET, WSAPROTOCOL_INFOW};
use wsd_spi::{MemoryAccess, WsaError};

use super::WRITTEN;
use super::end::{End, LIBRARY, SCENE, receive, result, send};

use crate::support::{contents, memory};

/// An access that the owner of the memory has to refuse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Case {
    /// The registration has ended.
    Deregistered,
    /// Registered for reading; the descriptor was changed to say otherwise.
    ReadOnly,
    /// Beyond the end; likewise.
    Beyond,
    /// The memory is another connection's.
    Stranger,
}

/// All of them, one connection each.
pub(super) const CASES: [Case; 4] = [Case::Deregistered, Case::ReadOnly, Case::Beyond, Case::Stranger];

#[test]
#[ignore = "part of the tests with two processes"]
fn scene() {
    let (Some(library), Ok(scene)) = (std::env::var_os(LIBRARY), std::env::var(SCENE)) else { return };
    let end = End::load(Path::new(&library));
    match scene.as_str() {
        "talks" => talks(&end),
        "reaches" => reaches(&end),
        "adopts" => adopts(&end),
        other => panic!("no scene {other}"),
    }
}

fn tell(line: &str) {
    println!("told: {line}");
}

/// See `two_processes`.
fn talks(end: &End) {
    let socket = end.connected(2, 1);
    let greeting = memory(&[7; 256]);
    let registered = socket.register_memory(&greeting, MemoryAccess::ReadWrite).expect("registered");
    send(&socket, &greeting);
    tell("greeted");

    let length = receive(&socket, &greeting).expect("a descriptor") as usize;
    let descriptor = contents(&greeting)[..length].to_vec();
    let data: Vec<u8> = (0..WRITTEN).map(|at| at as u8).collect();
    let source = socket.register_memory(&memory(&data), MemoryAccess::Read).expect("registered");
    // In three segments, in several packets.
    let cuts = [0, 100, 90_000, WRITTEN as u32];
    let segments: Vec<_> =
        cuts.windows(2).map(|cut| source.segment(cut[0]..cut[1]).expect("within")).collect();
    let place = Remote { descriptor: &descriptor, offset: 5 };
    let mut write = socket.rdma_write(&segments, place).expect("started");
    // Right behind it, before it is confirmed.
    let done = memory(b"done");
    let message = socket.register_memory(&done, MemoryAccess::Read).expect("registered");
    send(&socket, &done);
    assert_eq!(result(&mut write), Ok(Transfer { bytes: WRITTEN as u32, flags: 0 }));

    assert_eq!(receive(&socket, &greeting), Err(WsaError::WSAECONNRESET));
    assert_eq!(socket.send(std::slice::from_ref(&done)).err(), Some(WsaError::WSAECONNRESET));
    tell("reset");
    drop((registered, source, message));
    assert_eq!(socket.close(), Ok(()));
    assert_eq!(end.switch.open_handles(), 0);
}

/// See `refused_accesses`.
fn reaches(end: &End) {
    let _other = end.connected(2, 1);
    for case in CASES {
        let socket = end.connected(2, 1);
        let inbox = memory(&[0xff; 64]);
        let registered = socket.register_memory(&inbox, MemoryAccess::ReadWrite).expect("registered");
        let length = receive(&socket, &inbox).expect("a descriptor") as usize;
        let mut descriptor = contents(&inbox)[..length].to_vec();
        let offset = if case == Case::Beyond { 4096 - 32 } else { 0 };
        let write = |descriptor: &[u8]| {
            let segment = registered.segment(0..64).expect("within");
            socket.rdma_write(&[segment], Remote { descriptor, offset })
        };
        if matches!(case, Case::ReadOnly | Case::Beyond) {
            assert_eq!(write(&descriptor).err(), Some(WsaError::WSAEFAULT));
            // A peer that lies: length and rights of this provider's descriptors.
            descriptor[16..20].copy_from_slice(&u32::MAX.to_ne_bytes());
            descriptor[20..24].copy_from_slice(&MemoryAccess::ReadWrite.flags().to_ne_bytes());
        }
        let mut refused = write(&descriptor).expect("started");
        assert_eq!(result(&mut refused), Err(WsaError::WSAEFAULT), "{case:?}");
        assert_eq!(socket.send(std::slice::from_ref(&inbox)).err(), Some(WsaError::WSAECONNABORTED));
        tell("refused");
    }
}

/// See `socket_moves`.
fn adopts(end: &End) {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a value");
    let mut info = WSAPROTOCOL_INFOW::tcp_ip(AF_INET);
    info.dwProviderReserved = line.trim().parse().expect("a number");
    let socket = end.san.adopt(&info).expect("adopted");
    let hello = memory(b"hello");
    let registered = socket.register_memory(&hello, MemoryAccess::Read).expect("registered");
    send(&socket, &hello);
    send(&socket, &hello.slice(0..4).expect("within"));
    assert_eq!(end.san.adopt(&info).err(), Some(WsaError::WSAENETDOWN), "used once");
    drop(registered);
    assert_eq!(socket.close(), Ok(()));
}
