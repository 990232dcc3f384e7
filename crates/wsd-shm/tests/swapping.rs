//! `WSPDuplicateSocket` and adoption (SP-150..156).

mod support;

use std::process::{Child, Command, Stdio};
use std::slice::from_ref;

use support::{Side, address, armed_sides, bytes, connect, memory, result, sides, wait_event, wait_for};
use wsd_spi::client::Socket;
use wsd_spi::ffi::{AF_INET, SO_DEBUG, SOL_SOCKET, WSAPROTOCOL_INFOW};
use wsd_spi::{Condition, Event, EventMask, MemoryAccess, WsaError};

fn own_process() -> u32 {
    std::process::id()
}

fn send(all: &[&Side], socket: &Socket, data: &[u8]) {
    let data = memory(data);
    let _registered = socket.register_memory(&data, MemoryAccess::Read).expect("registers");
    let mut sent = socket.send(from_ref(&data)).expect("sends");
    assert!(result(all, &mut sent).is_ok());
}

fn receive(all: &[&Side], socket: &Socket) -> Vec<u8> {
    let inbox = memory(&[0; 100]);
    let _registered = socket.register_memory(&inbox, MemoryAccess::Write).expect("registers");
    let mut receive = socket.recv(from_ref(&inbox)).expect("a receive");
    let got = result(all, &mut receive).expect("a message");
    bytes(&inbox)[..got.bytes as usize].to_vec()
}

/// SP-150, SP-151, SP-153, SP-154: a connection moves to another engine and back; nothing is lost, the peer sees nothing.
#[test]
fn connection_moves() {
    for [old, new, peer] in [sides(), armed_sides()] {
        let all = [&old, &new, &peer];
        let (mut mine, theirs) = connect(&old, &peer, "127.0.0.1:2201");
        mine.set_option(SOL_SOCKET, SO_DEBUG, &1u32.to_ne_bytes()).expect("an option");
        let inbox = memory(&[0; 100]);
        let _inbox = theirs.register_memory(&inbox, MemoryAccess::Write).expect("registers");
        let mut posted: Vec<_> =
            (0..4).map(|n| theirs.recv(from_ref(&part(&inbox, n))).expect("a receive")).collect();
        for (n, (from, to)) in
            [(&old, &new), (&new, &old), (&old, &old), (&old, &new)].into_iter().enumerate()
        {
            let buffer = memory(&[0; 10]);
            let registered = mine.register_memory(&buffer, MemoryAccess::Write).expect("registers");
            mine.recv_notified(from_ref(&buffer), 1).expect("a receive");
            let mut polled = mine.recv(from_ref(&buffer)).expect("a receive");
            let done = from.upcalls.completed.lock().expect("a lock").len();
            let value = mine.duplicate(own_process(), AF_INET).expect("a value");
            assert_ne!(value.dwProviderReserved, 0, "SP-151");
            let nothing = (mine.handle().expect("a handle"), 1, Ok(()), 0);
            wait_for(&all, "SP-150", || from.upcalls.completed.lock().expect("a lock").len() > done);
            assert_eq!(from.upcalls.completed.lock().expect("a lock").last(), Some(&nothing), "SP-150");
            assert_eq!(result(&all, &mut polled).map(|got| got.bytes), Ok(0), "SP-150");
            assert_eq!(mine.send(from_ref(&buffer)).map(drop), Err(WsaError::WSAENOTCONN), "section 13");
            registered.deregister().expect("section 13");
            // What the peer says meanwhile waits, or goes along if it was on its way.
            let early = memory(b"early");
            let _early = theirs.register_memory(&early, MemoryAccess::Read).expect("registers");
            let mut sent = theirs.send(from_ref(&early)).expect("sends");
            let adopted = adopt(&all, to, &value);
            assert_eq!(to.upcalls.query(&adopted), adopted.descriptor().raw());
            assert!(to.san.adopt(&value).is_err(), "SP-151: usable once");
            mine.close().expect("closes");
            mine = adopted;
            assert_eq!(receive(&all, &mine), b"early");
            assert_eq!(result(&all, &mut sent).map(|sent| sent.bytes), Ok(5));
            assert_eq!(mine.get_option_u32(SO_DEBUG), Ok(1), "SP-153: same options");
            send(&all, &mine, &[n as u8; 7]);
            assert_eq!(result(&all, &mut posted[n]).map(|got| got.bytes), Ok(7), "SP-154");
            assert_eq!(bytes(&part(&inbox, n as u32))[..7], [n as u8; 7]);
            // RDMA and shared memory work as before.
            let memory = mine.allocate(5000).expect("memory");
            wait_for(&all, "joined", || theirs.map(memory.descriptor().expect("one")).is_ok());
        }
        theirs.close().expect("closes");
        wait_for(&all, "reset", || mine.allocate(1).is_err());
    }
}

fn part(memory: &wsd_spi::client::MemorySlice, n: u32) -> wsd_spi::client::MemorySlice {
    memory.slice(n * 20..(n + 1) * 20).expect("a part")
}

/// Adoption waits; whoever drives the other engines goes on meanwhile.
fn adopt(all: &[&Side], side: &Side, value: &WSAPROTOCOL_INFOW) -> Socket {
    std::thread::scope(|scope| {
        let adopting = scope.spawn(|| side.san.adopt(value));
        while !adopting.is_finished() {
            all.iter().for_each(|side| side.step());
        }
        adopting.join().expect("no panic").expect("adopted")
    })
}

/// SP-155: a listener moves; its name stays, and what waits is not lost.
#[test]
fn listener_moves() {
    let [old, new, peer] = sides();
    let all = [&old, &new, &peer];
    let name = "127.0.0.1:2211";
    let first = old.listener(name, 1);
    let waiting = peer.connecting("127.0.0.1:2212", name, 2);
    wait_event(&all, &old, 1);
    let value = first.duplicate(own_process(), AF_INET).expect("a value");
    assert_eq!(first.accept(|_, _| Condition::Accept).map(drop), Err(WsaError::WSAEINVAL));
    let between = peer.connecting("127.0.0.1:2213", name, 3);
    let second = new.san.adopt(&value).expect("adopted");
    second.event_select(Some(Event::from_raw(4)), EventMask::ACCEPT).expect("selects");
    first.close().expect("closes");
    let late = peer.connecting("127.0.0.1:2214", name, 5);
    let mut seen = Vec::new();
    wait_for(&all, "requests", || {
        if let Ok((_, caller)) = second.accept(|_, _| Condition::Accept) {
            seen.push(caller);
        }
        seen.len() == 3
    });
    seen.sort();
    assert_eq!(seen, ["127.0.0.1:2212", "127.0.0.1:2213", "127.0.0.1:2214"].map(address));
    for event in [2, 3, 5] {
        wait_event(&all, &peer, event);
    }
    drop((waiting, between, late));
    // The place at the name is still taken: another listener gets the next.
    let third = old.listener(name, 6);
    let last = peer.connecting("127.0.0.1:2215", name, 7);
    wait_for(&all, "the request", || second.accept(|_, _| Condition::Accept).is_ok());
    wait_event(&all, &peer, 7);
    assert_eq!(third.accept(|_, _| Condition::Accept).map(drop), Err(WsaError::WSAEWOULDBLOCK));
    drop(last);
}

/// SP-151, SP-156: for that process only; what nobody claims ends in a reset.
#[test]
fn failing() {
    let [old, new, peer] = sides();
    let (mine, theirs) = connect(&old, &peer, "127.0.0.1:2221");
    let inbox = memory(&[0; 100]);
    let _inbox = theirs.register_memory(&inbox, MemoryAccess::Write).expect("registers");
    let mut posted = theirs.recv(from_ref(&inbox)).expect("a receive");
    assert_eq!(new.socket().duplicate(1, AF_INET).map(drop), Err(WsaError::WSAENOTCONN));
    let value = mine.duplicate(1, AF_INET).expect("a value");
    assert_eq!(new.san.adopt(&value).map(drop), Err(WsaError::WSAENETDOWN), "another process");
    let mut unknown = value;
    unknown.dwProviderReserved = value.dwProviderReserved.wrapping_add(1).max(1);
    assert_eq!(new.san.adopt(&unknown).map(drop), Err(WsaError::WSAENETDOWN), "no such value");
    assert_eq!(mine.duplicate(1, AF_INET).map(drop), Err(WsaError::WSAENOTCONN), "twice");
    drop(mine);
    drop(old);
    assert_eq!(result(&[&new, &peer], &mut posted).map(drop), Err(WsaError::WSAECONNRESET), "SP-156");
}

/// SP-156: the process that a socket is for ends before it has claimed it. The peer learns of it then, not when time is up.
#[test]
fn claimant_that_ends() {
    let [old, peer] = sides();
    let inbox = memory(&[0; 100]);
    let mut next = sleeper();
    // Whose process lives has less time left.
    let [living, dead] = [(1, "127.0.0.1:2241"), (next.id(), "127.0.0.1:2242")].map(|(process, name)| {
        let (mine, theirs) = connect(&old, &peer, name);
        let registered = theirs.register_memory(&inbox, MemoryAccess::Write).expect("registers");
        let posted = theirs.recv(from_ref(&inbox)).expect("a receive");
        mine.duplicate(process, AF_INET).expect("a value");
        (posted, registered, mine, theirs)
    });
    next.kill().expect("a child");
    next.wait().expect("a child");
    let (mut living, mut dead) = (living, dead);
    assert_eq!(result(&[&old, &peer], &mut dead.0).map(drop), Err(WsaError::WSAECONNRESET));
    assert!(living.0.poll().is_pending());
}

/// A process that does nothing.
fn sleeper() -> Child {
    let mut own = Command::new(std::env::current_exe().expect("own path"));
    own.args(["--exact", "sleeps", "--ignored"]).env("WSD_SHM_TEST_CHILD", "1").spawn().expect("a process")
}

#[test]
#[ignore = "part of claimant_that_ends"]
fn sleeps() {
    if std::env::var_os("WSD_SHM_TEST_CHILD").is_some() {
        std::thread::sleep(support::LIMIT);
    }
}

/// Between processes: a connection whose peer is in a third one.
#[test]
fn other_process() {
    let [server, client] = sides();
    let all = [&server, &client];
    let (mine, theirs) = connect(&server, &client, "127.0.0.1:2231");
    let inbox = memory(&[0; 100]);
    let _inbox = theirs.register_memory(&inbox, MemoryAccess::Write).expect("registers");
    let mut posted = theirs.recv(from_ref(&inbox)).expect("a receive");
    let mut child = Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", "child_that_adopts", "--nocapture", "--ignored"])
        .env("WSD_SHM_TEST_CHILD", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("a child");
    send(&all, &theirs, b"to whom it may concern");
    let value = mine.duplicate(child.id(), AF_INET).expect("a value");
    mine.close().expect("closes");
    let line = format!("{}\n", value.dwProviderReserved);
    let stdin = child.stdin.as_mut().expect("a pipe");
    std::io::Write::write_all(stdin, line.as_bytes()).expect("writes");
    assert_eq!(result(&all, &mut posted).map(|got| got.bytes), Ok(5));
    assert_eq!(&bytes(&inbox)[..5], b"reply");
    assert!(child.wait().expect("ends").success());
    let mut posted = theirs.recv(from_ref(&inbox)).map_err(drop);
    if let Ok(posted) = &mut posted {
        assert_eq!(result(&all, posted).map(drop), Err(WsaError::WSAECONNRESET));
    }
}

#[test]
#[ignore = "part of other_process"]
fn child_that_adopts() {
    if std::env::var_os("WSD_SHM_TEST_CHILD").is_none() {
        return;
    }
    let [side] = sides();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("reads");
    let mut value = WSAPROTOCOL_INFOW::tcp_ip(AF_INET);
    value.dwProviderReserved = line.trim().parse().expect("a number");
    let socket = side.san.adopt(&value).expect("adopted");
    assert_eq!(receive(&[&side], &socket), b"to whom it may concern");
    send(&[&side], &socket, b"reply");
}
