//! The path of the switch, between two processes.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use support::{LIMIT, address, armed_sides, bytes, connect, memory, result, sides, wait_event, wait_for};
use wsd_spi::client::{MemoryExt, StableMemory};
use wsd_spi::{Condition, Event, MemoryAccess, WsaError};

/// Runs one of the `child_*` functions below in a process of its own.
fn child(name: &str) -> Child {
    Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", name, "--nocapture", "--ignored"])
        .env("WSD_SHM_TEST_CHILD", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child")
}

fn is_child() -> bool {
    std::env::var_os("WSD_SHM_TEST_CHILD").is_some()
}

const RING: u32 = 9_500_000;
/// What the child to be killed says when all that is to arrive has been sent.
const SENT: &str = "sent";

/// What the service threads of two switches do: bind, listen, connect, receives posted,
/// small messages, shared memory, close.
#[test]
fn switch_path() {
    let name = "127.0.0.1:5001";
    let [side] = armed_sides();
    let all = [&side];
    let listener = side.listener(name, 1);
    let mut child = child("child_of_switch_path");
    wait_event(&all, &side, 1);
    let events = listener.enum_network_events(Some(Event::from_raw(1))).expect("a record");
    assert_eq!(events.accept, Some(Ok(())));
    let (socket, peer) = listener
        .accept(|caller, callee| {
            assert_eq!((*caller, *callee), (address("127.0.0.1:5002"), address(name)));
            Condition::Accept
        })
        .expect("a request");
    assert_eq!(peer, address("127.0.0.1:5002"));
    listener.close().expect("closes");

    let control = memory(&[0; 13 * 4096]);
    let _registered = socket.register_memory(&control, MemoryAccess::ReadWrite).expect("registers");
    let part = |n: u32| control.slice(n * 4096..(n + 1) * 4096).expect("a part");
    let mut receives: Vec<_> = (0..12).map(|n| socket.recv(&[part(n)]).expect("a receive")).collect();

    // The connecting end speaks first, perhaps before the receives were posted.
    let first = result(&all, &mut receives[0]).expect("a message");
    assert_eq!((first.bytes, &bytes(&part(0))[..5]), (5, &b"hello"[..]));
    let ring = socket.allocate(RING).expect("memory");
    ring.write(0, b"in the ring");
    ring.write(RING as usize - 3, b"end");
    let descriptor = ring.descriptor().expect("a descriptor");
    part(12).write(0, descriptor);
    let mut sent =
        socket.send(&[part(12).slice(0..descriptor.len() as u32).expect("a part")]).expect("sends");
    assert_eq!(result(&all, &mut sent).map(|sent| sent.bytes), Ok(descriptor.len() as u32));

    // The child writes there and says so.
    let second = result(&all, &mut receives[1]).expect("a message");
    assert_eq!(second.bytes, 4);
    let mut start = [0; 9];
    ring.read(100, &mut start);
    assert_eq!(&start, b"from afar");

    // It closes, and all other receives end (SP-170).
    for receive in &mut receives[2..] {
        assert_eq!(result(&all, receive), Err(WsaError::WSAECONNRESET));
    }
    assert!(child.wait().expect("the child ends").success());
    drop(ring);
    socket.close().expect("closes");
    assert_eq!(side.upcalls.open_handles(), 0);
}

#[test]
#[ignore = "part of switch_path"]
fn child_of_switch_path() {
    if !is_child() {
        return;
    }
    let [side] = armed_sides();
    let all = [&side];
    let socket = side.connecting("127.0.0.1:5002", "127.0.0.1:5001", 2);
    wait_event(&all, &side, 2);
    let events = socket.enum_network_events(Some(Event::from_raw(2))).expect("a record");
    assert_eq!(events.connect, Some(Ok(())));
    let control = memory(b"hello");
    let _sends = socket.register_memory(&control, MemoryAccess::Read).expect("registers");
    let inbox = memory(&[0; 4096]);
    let _receives = socket.register_memory(&inbox, MemoryAccess::Write).expect("registers");
    let mut receive = socket.recv(std::slice::from_ref(&inbox)).expect("a receive");
    let mut sent = socket.send(std::slice::from_ref(&control)).expect("sends");
    assert_eq!(result(&all, &mut sent).map(|sent| sent.bytes), Ok(5));
    let got = result(&all, &mut receive).expect("a message");
    let descriptor = &bytes(&inbox)[..got.bytes as usize];
    let ring = socket.map(descriptor).expect("maps");
    assert!(ring.len() >= RING as usize);
    let (mut start, mut end) = ([0; 11], [0; 3]);
    ring.read(0, &mut start);
    ring.read(RING as usize - 3, &mut end);
    assert_eq!((&start, &end), (b"in the ring", b"end"));
    ring.write(100, b"from afar");
    let mut sent = socket.send(&[control.slice(0..4).expect("a part")]).expect("sends");
    assert_eq!(result(&all, &mut sent).map(|sent| sent.bytes), Ok(4));
    drop(ring);
    socket.close().expect("closes");
}

/// A peer that is killed: what had arrived is delivered, the rest is reset, memory stays readable.
#[test]
fn peer_is_killed() {
    let name = "127.0.0.1:5011";
    let [side] = armed_sides();
    let all = [&side];
    let listener = side.listener(name, 1);
    let mut child = child("child_to_be_killed");
    wait_event(&all, &side, 1);
    let (socket, _) = listener.accept(|_, _| Condition::Accept).expect("a request");
    let inbox = memory(&[0; 4096]);
    let _registered = socket.register_memory(&inbox, MemoryAccess::ReadWrite).expect("registers");
    let mut receive = socket.recv(std::slice::from_ref(&inbox)).expect("a receive");
    let got = result(&all, &mut receive).expect("a descriptor");
    let ring = socket.map(&bytes(&inbox)[..got.bytes as usize]).expect("maps");
    let said = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut said = said.map(|line| line.expect("text"));
    assert!(said.any(|line| line.ends_with(SENT)), "a second message is sent behind it, before the kill");
    child.kill().expect("kills");
    child.wait().expect("the child ends");
    let mut receive = socket.recv(std::slice::from_ref(&inbox)).expect("a receive");
    assert_eq!(result(&all, &mut receive).map(|got| got.bytes), Ok(6));
    wait_for(&all, "reset", || socket.recv(std::slice::from_ref(&inbox)).is_err());
    assert_eq!(socket.recv(std::slice::from_ref(&inbox)).map(drop), Err(WsaError::WSAECONNRESET));
    assert_eq!(socket.send(std::slice::from_ref(&inbox)).map(drop), Err(WsaError::WSAECONNRESET));
    let mut start = [0; 7];
    ring.read(0, &mut start);
    assert_eq!(&start, b"my last");
    // Nothing is left of the child's listener.
    let again = side.bound("127.0.0.1:5012");
    again.listen(1).expect("the name is free");
}

#[test]
#[ignore = "part of peer_is_killed"]
fn child_to_be_killed() {
    if !is_child() {
        return;
    }
    let [side] = sides();
    let all = [&side];
    let _listener = side.listener("127.0.0.1:5012", 3);
    let socket = side.connecting("127.0.0.1:5013", "127.0.0.1:5011", 2);
    wait_event(&all, &side, 2);
    let ring = socket.allocate(RING).expect("memory");
    ring.write(0, b"my last");
    let descriptor = memory(ring.descriptor().expect("a descriptor"));
    let _registered = socket.register_memory(&descriptor, MemoryAccess::Read).expect("registers");
    let mut sent = socket.send(std::slice::from_ref(&descriptor)).expect("sends");
    result(&all, &mut sent).expect("sent");
    let mut sent = socket.send(&[descriptor.slice(0..6).expect("a part")]).expect("sends");
    result(&all, &mut sent).expect("sent");
    println!("{SENT}");
    std::thread::sleep(LIMIT);
}

/// Two engines of one process meet like those of two.
#[test]
fn two_engines() {
    let ([one], [other]) = (sides(), armed_sides());
    let (accepted, connected) = connect(&one, &other, "127.0.0.1:5021");
    accepted.close().expect("closes");
    connected.close().expect("closes");
    wait_for(&[&one, &other], "handles", || one.upcalls.open_handles() + other.upcalls.open_handles() == 0);
}
