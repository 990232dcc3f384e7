//! WSPStartup and WSPCleanup.

use std::ptr;

use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use crate::support::{
    Pending, await_state, call, connected_pair, in_own_process, is_given_back, listener, protocol_info,
    start, table, upcalls,
};

fn startup(version: WORD, table: WSPUPCALLTABLE, data: LPWSPDATA, functions: LPWSPPROC_TABLE) -> INT {
    let mut info = protocol_info();
    // SAFETY: pointers are NULL or to live variables.
    unsafe { wsd_wsp::door::WSPStartup(version, data, &raw mut info, table, functions) }
}

/// All 30 entries are filled, so that ws2_32's own check would pass.
#[test]
fn every_entry() {
    // SAFETY: a table is 30 pointers, each NULL or not.
    let entries: [usize; 30] = unsafe { std::mem::transmute(*table()) };
    assert!(entries.iter().all(|entry| *entry != 0));
}

/// SP-031: versions below 2.2, NULL, and an up-call table that no socket can work with.
#[test]
fn refused() {
    let (mut data, mut functions) = (WSPDATA::zeroed(), WSPPROC_TABLE::empty());
    let (data, functions) = (&raw mut data, &raw mut functions);
    for version in [0x0102, 0x0002, 1] {
        let code = startup(version, upcalls(), data, functions);
        assert_eq!(code, WsaError::WSAVERNOTSUPPORTED.code(), "{version:#x}");
    }
    assert_eq!(startup(0x0202, upcalls(), ptr::null_mut(), functions), WsaError::WSAEFAULT.code());
    assert_eq!(startup(0x0202, upcalls(), data, ptr::null_mut()), WsaError::WSAEFAULT.code());
    assert_eq!(startup(0x0202, WSPUPCALLTABLE::empty(), data, functions), WsaError::WSAEFAULT.code());
}

fn cleanup() -> Result<(), WsaError> {
    call!(lpWSPCleanup(), SOCKET_ERROR).map(drop)
}

/// SP-030, SP-035: start-ups are counted; the last clean-up ends everything that is pending and gives all descriptors back;
/// afterwards nothing works until the next start-up.
#[test]
fn last_cleanup() {
    in_own_process("startup::last_cleanup_itself");
}

#[test]
#[ignore = "needs a process of its own: last_cleanup runs it"]
fn last_cleanup_itself() {
    let (client, server) = connected_pair();
    let (listener, _) = listener();
    let mut receive = Pending::new(vec![0; 4]);
    assert_eq!(server.start_recv(&mut receive, 0), Ok(None));
    start();
    assert_eq!(cleanup(), Ok(()));
    assert_eq!(client.send(b""), Ok(0), "one start-up is left");
    let (sender, task) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        sender.send(std::fs::read_link("/proc/thread-self")).expect("it is awaited");
        let answer = listener.accept().err();
        (listener, answer)
    });
    let task = task.recv().expect("no panic").expect("procfs");
    await_state(&task, 'S');
    assert_eq!(cleanup(), Ok(()));
    let (listener, answer) = waiting.join().expect("no panic");
    assert_eq!(answer, Some(WsaError::WSAEINTR));
    assert!(receive.event.is_set());
    assert_eq!(receive.overlapped.OffsetHigh, WsaError::WSA_OPERATION_ABORTED.code().cast_unsigned());
    assert!([&client, &server, &listener].iter().all(|socket| is_given_back(socket.handle)));
    assert_eq!(cleanup(), Err(WsaError::WSANOTINITIALISED));
    assert_eq!(client.send(b"x"), Err(WsaError::WSANOTINITIALISED));
    let threads = std::fs::read_dir("/proc/self/task").expect("procfs").filter_map(Result::ok);
    let names = threads.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    assert!(!names.collect::<String>().contains("wsd-wsp"), "the thread is gone");
    start();
    let (client, server) = connected_pair();
    client.send(b"again").expect("connected");
    assert_eq!(server.recv_all(5), b"again");
}
