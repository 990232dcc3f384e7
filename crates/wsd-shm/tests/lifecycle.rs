//! Start-up and clean-up (SP-030..035, SP-212), threads, fork.
#![cfg(target_os = "linux")]

mod support;

use std::slice::from_ref;
use std::task::Poll;

use support::{address, armed_sides, connect, memory, result, sides, wait_event, wait_for};
use wsd_spi::client::Provider;
use wsd_spi::ffi::{AF_INET, WSAPROTOCOL_INFOW};
use wsd_spi::{Condition, Event, ExtensionFunction, MemoryAccess, WsaError};

fn threads() -> usize {
    let all = std::fs::read_dir("/proc/self/task").expect("procfs");
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
    all.filter_map(|task| name(task.ok()?)).filter(|name| name.trim() == "wsd-shm").count()
}

/// One test, since threads are those of the process: SP-212, `WsdArm`, SP-035, SP-030; fork (SP-213).
#[test]
fn life() {
    no_thread_without_need();
    cleanup_completes_everything();
    child_begins_anew();
}

fn no_thread_without_need() {
    let [server, client] = sides();
    assert_eq!(threads(), 0, "nothing to do yet");
    let pair = connect(&server, &client, "127.0.0.1:2101");
    assert_eq!(threads(), 2);
    let fd = server.san.arm().expect("WsdArm");
    assert_eq!(server.san.arm(), Ok(fd), "the same one");
    assert_eq!(threads(), 1, "the caller drives");
    let inbox = memory(&[0; 8]);
    let _inbox = pair.0.register_memory(&inbox, MemoryAccess::Write).expect("registers");
    let _data = pair.1.register_memory(&inbox, MemoryAccess::Read).expect("registers");
    pair.0.recv_notified(from_ref(&inbox), 1).expect("a receive");
    let mut poll = [wsd_os::poll::PollFd { fd, events: wsd_os::poll::POLLIN, revents: 0 }];
    let mut is_ready = || wsd_os::poll::ppoll(&mut poll, Some(std::time::Duration::from_millis(50)), None);
    assert_eq!(is_ready(), Ok(0), "nothing to do");
    let mut sent = pair.1.send(from_ref(&inbox)).expect("sends");
    assert!(result(&[], &mut sent).is_ok());
    assert_eq!(is_ready(), Ok(1));
    assert!(server.upcalls.completed.lock().expect("a lock").is_empty(), "nobody has called WsdProgress");
    server.san.progress().expect("WsdProgress");
    assert_eq!(server.upcalls.completed.lock().expect("a lock").len(), 1);
    assert_eq!(is_ready(), Ok(0), "level-triggered");
    for function in ExtensionFunction::ALL {
        assert!(server.san.has(function), "{function:?}");
    }
}

fn cleanup_completes_everything() {
    let before = std::fs::read_dir("/proc/self/fd").expect("procfs").count();
    for _ in 0..3 {
        let [server, client] = sides();
        let (accepted, connected) = connect(&server, &client, "127.0.0.1:2111");
        let inbox = memory(&[0; 8]);
        let registered = accepted.register_memory(&inbox, MemoryAccess::Write).expect("registers");
        accepted.recv_notified(from_ref(&inbox), 5).expect("a receive");
        let mut polled = accepted.recv(from_ref(&inbox)).expect("a receive");
        let _listener = server.listener("127.0.0.1:2112", 3);
        // The raw entry: the switch's own objects are still there.
        let cleanup = server.san.table().procs.lpWSPCleanup.expect("an entry");
        let mut errno = 0;
        // SAFETY: `errno` is valid; what the client calls later is answered with WSANOTINITIALISED.
        assert_eq!(unsafe { cleanup(&raw mut errno) }, 0);
        let completed = server.upcalls.completed.lock().expect("a lock").clone();
        let handle = accepted.handle().expect("a handle");
        assert_eq!(completed, [(handle, 5, Err(WsaError::WSA_OPERATION_ABORTED), 0)]);
        assert_eq!(server.upcalls.open_handles(), 0);
        let result = polled.poll();
        assert!(matches!(result, Poll::Ready(Err(_))), "{result:?}");
        assert_eq!(server.san.arm(), Err(WsaError::WSANOTINITIALISED));
        assert_eq!(registered.deregister(), Err(WsaError::WSANOTINITIALISED));
        wait_for(&[&client], "reset", || connected.register_memory(&inbox, MemoryAccess::Read).is_err());
        // SAFETY: as above. A start-up counts again, so that the client's own clean-up has its match (SP-030).
        assert_eq!(unsafe { cleanup(&raw mut errno) }, -1);
        assert_eq!(WsaError::reported(errno), WsaError::WSANOTINITIALISED);
    }
    assert_eq!(threads(), 0, "SP-212");
    assert_eq!(std::fs::read_dir("/proc/self/fd").expect("procfs").count(), before, "nothing is left open");
    let info = WSAPROTOCOL_INFOW::tcp_ip(AF_INET);
    let [side] = sides();
    let again = Provider::builtin("again", wsd_shm::SAN_PROVIDER_ENTRY);
    assert!(again.startup(0x0102, &info, side.upcalls.clone(), None).is_err(), "SP-031");
}

/// A child has an engine of its own; the parent's sockets go on, and their peers notice the end of the parent only.
fn child_begins_anew() {
    let [server, client] = armed_sides();
    let all = [&server, &client];
    let (accepted, connected) = connect(&server, &client, "127.0.0.1:2121");
    let listener = server.listener("127.0.0.1:2122", 1);
    let [mut ready, mut go] = [pipe(), pipe()];
    // SAFETY: the process has no other threads that hold locks; the child ends by _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        wsd_shm::after_fork_in_child();
        let good = || {
            // The parent's sockets are not the child's.
            assert_eq!(accepted.get_option_u32(wsd_spi::ffi::SO_MAX_MSG_SIZE), Err(WsaError::WSAENOTSOCK));
            // The parent's listener is; a link of the child's own leads there.
            let socket = client.connecting("127.0.0.1:2123", "127.0.0.1:2122", 2);
            wait_event(&[&client], &client, 2);
            let events = socket.enum_network_events(Some(Event::from_raw(2))).expect("a record");
            assert_eq!(events.connect, Some(Ok(())));
            ready.1.write(b"x");
            go.0.read();
        };
        let good = std::panic::catch_unwind(std::panic::AssertUnwindSafe(good)).is_ok();
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(if good { 0 } else { 1 }) };
    }
    wait_event(&[&server], &server, 1);
    let (from_child, peer) = listener.accept(|_, _| Condition::Accept).expect("a request");
    assert_eq!(peer, address("127.0.0.1:2123"));
    ready.0.read();
    // The parent's connection has not noticed anything.
    let inbox = memory(&[0; 8]);
    let _inbox = accepted.register_memory(&inbox, MemoryAccess::Write).expect("registers");
    let _data = connected.register_memory(&inbox, MemoryAccess::Read).expect("registers");
    let mut receive = accepted.recv(from_ref(&inbox)).expect("a receive");
    let mut sent = connected.send(from_ref(&inbox)).expect("sends");
    assert!(result(&all, &mut sent).is_ok() && result(&all, &mut receive).is_ok());
    // Closing the listener frees the name, although the child lives.
    listener.close().expect("closes");
    server.listener("127.0.0.1:2122", 1).close().expect("closes");
    // Ending the client's engine is noticed, although the child lives.
    drop((sent, _data));
    connected.close().expect("closes");
    drop(connected);
    wait_for(&[&server], "reset", || accepted.register_memory(&inbox, MemoryAccess::Read).is_err());
    go.1.write(b"x");
    let mut status = -1;
    // SAFETY: waits for our own child.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(status, 0);
    wait_for(&[&server], "the child is gone", || {
        from_child.register_memory(&inbox, MemoryAccess::Read).is_err()
    });
}

struct End(std::fs::File);

impl End {
    fn write(&mut self, bytes: &[u8]) {
        std::io::Write::write_all(&mut self.0, bytes).expect("writes");
    }

    fn read(&mut self) {
        std::io::Read::read_exact(&mut self.0, &mut [0]).expect("reads");
    }
}

fn pipe() -> (End, End) {
    let (read, write) = std::io::pipe().expect("a pipe");
    let end = |fd: std::os::fd::OwnedFd| End(fd.into());
    (end(read.into()), end(write.into()))
}
