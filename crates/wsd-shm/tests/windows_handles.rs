//! How many handles are used. The only test of its file, since it counts those of the process.
#![cfg(windows)]

mod support;

use std::slice::from_ref;
use std::task::Poll;

use support::{connect, memory, result, sides, wait_for};
use windows_sys::Win32::Foundation::{GetHandleInformation, HANDLE};
use wsd_spi::{MemoryAccess, WsaError};

/// SP-035: everything is completed and closed, whatever was under way; SP-212.
#[test]
fn cleanup_leaves_no_handle() {
    // The system's thread pool and the test's own threads have come by then.
    (0..3).for_each(|_| life());
    let before = handles();
    let file = std::fs::File::open(std::env::current_exe().expect("own path")).expect("a file");
    assert_eq!(handles(), before + 1, "the system counts");
    drop(file);
    (0..10).for_each(|_| life());
    assert!(handles() <= before, "{before} handles were {} after ten lives", handles());
}

fn life() {
    let [server, client] = sides();
    let all = [&server, &client];
    let (accepted, connected) = connect(&server, &client, "127.0.0.1:2111");
    let inbox = memory(&[0; 8]);
    let _inbox = accepted.register_memory(&inbox, MemoryAccess::Write).expect("registers");
    let _data = connected.register_memory(&inbox, MemoryAccess::Read).expect("registers");
    let shared = accepted.allocate(100_000).expect("memory");
    let descriptor = memory(shared.descriptor().expect("a descriptor"));
    let mapped = connected.map(&support::bytes(&descriptor)).expect("maps");
    let mut first = accepted.recv(from_ref(&inbox)).expect("a receive");
    let mut sent = connected.send(from_ref(&inbox)).expect("sends");
    assert!(result(&all, &mut sent).is_ok() && result(&all, &mut first).is_ok());
    drop((shared, mapped));

    let mut polled = accepted.recv(from_ref(&inbox)).expect("a receive");
    let _listener = server.listener("127.0.0.1:2112", 3);
    // The raw entry: the switch's own objects are still there.
    let cleanup = server.san.table().procs.lpWSPCleanup.expect("an entry");
    let mut errno = 0;
    // SAFETY: `errno` is valid; what the client calls later is answered with WSANOTINITIALISED.
    assert_eq!(unsafe { cleanup(&raw mut errno) }, 0);
    assert_eq!(server.upcalls.open_handles(), 0);
    let polled = polled.poll();
    assert!(matches!(polled, Poll::Ready(Err(_))), "{polled:?}");
    assert_eq!(server.san.arm(), Err(WsaError::WSANOTINITIALISED));
    wait_for(&[&client], "reset", || connected.register_memory(&inbox, MemoryAccess::Read).is_err());
}

/// Wine does not count them, but knows each.
fn handles() -> usize {
    let is_open = |number: &usize| {
        let mut flags = 0;
        // SAFETY: asks about a number; `flags` is a live variable.
        unsafe { GetHandleInformation(*number as HANDLE, &raw mut flags) != 0 }
    };
    (4..16_384).step_by(4).filter(is_open).count()
}
