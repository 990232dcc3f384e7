//! `WSPDuplicateSocket` and adoption (SP-150..156) on an RDMA device whose address is 10.9.0.1: `cargo xtask rdma`.

mod support;

use std::process::{Child, Command, Stdio};
use std::slice::from_ref;

use support::{
    Side, address, armed_sides, bytes, connect, memory, receive, result, send, sides, wait_event, wait_for,
};
use wsd_engine::handover;
use wsd_spi::client::{Operation, Registration, Remote, Socket};
use wsd_spi::ffi::{AF_INET, WSAPROTOCOL_INFOW};
use wsd_spi::{Condition, Event, EventMask, MemoryAccess, WsaError};

fn own_process() -> u32 {
    std::process::id()
}

/// Adoption waits; whoever drives the other engines goes on meanwhile.
fn adopt(all: &[&Side], side: &Side, value: &WSAPROTOCOL_INFOW) -> Result<Socket, WsaError> {
    std::thread::scope(|scope| {
        let adopting = scope.spawn(|| side.san.adopt(value));
        while !adopting.is_finished() {
            all.iter().for_each(|side| side.step());
        }
        adopting.join().expect("no panic")
    })
}

/// As [`adopt`]: the old queue pair has to be drained.
fn duplicate(all: &[&Side], socket: &Socket, process: u32) -> WSAPROTOCOL_INFOW {
    std::thread::scope(|scope| {
        let giving = scope.spawn(|| socket.duplicate(process, AF_INET));
        while !giving.is_finished() {
            all.iter().for_each(|side| side.step());
        }
        giving.join().expect("no panic").expect("a value")
    })
}

/// SP-150, SP-153, SP-154: a connection moves between engines; the peer's posted receives and its exposed memory stay, and
/// what it sends while nobody has the connection arrives once.
#[test]
#[ignore = "needs an RDMA device"]
fn connection_moves() {
    for [old, new, peer] in [sides(), armed_sides()] {
        let all = [&old, &new, &peer];
        let (mut mine, theirs) = connect(&old, &peer, "10.9.0.1:52001");
        let inbox = memory(&[0; 100]);
        let _inbox = theirs.register_memory(&inbox, MemoryAccess::Write).expect("registers");
        let mut posted: Vec<_> = (0..4)
            .map(|n| {
                theirs.recv(from_ref(&inbox.slice(n * 20..n * 20 + 20).expect("a part"))).expect("a receive")
            })
            .collect();
        let exposed = memory(&[0; 8]);
        let access = theirs.register_rdma_memory(&exposed, MemoryAccess::Write).expect("exposes");
        let early = memory(b"early");
        let _early = theirs.register_memory(&early, MemoryAccess::Read).expect("registers");
        for (n, to) in [&new, &old, &old, &new].into_iter().enumerate() {
            let buffer = memory(&[0; 10]);
            let registered = mine.register_memory(&buffer, MemoryAccess::Write).expect("registers");
            let mut pending = mine.recv(from_ref(&buffer)).expect("a receive");
            let value = duplicate(&all, &mine, own_process());
            assert_eq!(result(&all, &mut pending).map(|got| got.bytes), Ok(0), "SP-150");
            registered.deregister().expect("section 13");
            let mut sent: Vec<_> = (0..3).map(|_| theirs.send(from_ref(&early)).expect("sends")).collect();
            let adopted = adopt(&all, to, &value).expect("adopted");
            assert_eq!(to.upcalls.query(&adopted), adopted.descriptor().raw());
            assert_eq!(adopted.enum_network_events(None).expect("a record").connect, None, "SP-153: no news");
            mine.close().expect("closes");
            mine = adopted;
            for sent in &mut sent {
                assert_eq!(receive(&all, &mine), b"early", "SP-153");
                assert_eq!(result(&all, sent).map(|sent| sent.bytes), Ok(5));
            }
            send(&all, &mine, &[n as u8; 7]);
            assert_eq!(result(&all, &mut posted[n]).map(|got| got.bytes), Ok(7), "SP-154");
            assert_eq!(bytes(&inbox)[n * 20..n * 20 + 7], [n as u8; 7]);
            let source = memory(&[n as u8 + 1; 8]);
            let local = mine.register_memory(&source, MemoryAccess::Read).expect("registers");
            let remote = Remote { descriptor: access.descriptor(), offset: 0 };
            let mut written =
                mine.rdma_write(&[local.segment(0..8).expect("a segment")], remote).expect("writes");
            assert_eq!(result(&all, &mut written).map(|written| written.bytes), Ok(8));
            assert_eq!(bytes(&exposed), [n as u8 + 1; 8]);
        }
        mine.close().expect("closes");
        // It may know already.
        let last = theirs.recv(from_ref(&inbox)).and_then(|mut last| result(&all, &mut last));
        assert_eq!(last.map(drop), Err(WsaError::WSAECONNRESET), "SP-174: the last close");
    }
}

/// SP-155: a listener moves with what is queued: the caller comes again, and its program does not notice.
#[test]
#[ignore = "needs an RDMA device"]
fn listener_moves() {
    let [old, new, peer] = sides();
    let all = [&old, &new, &peer];
    let name = "10.9.0.1:52011";
    let first = old.listener(name, 1);
    let waiting = peer.connecting("10.9.0.1:52012", name, 2);
    wait_event(&all, &old, 1);
    let value = duplicate(&all, &first, own_process());
    assert_eq!(first.accept(|_, _| Condition::Accept).map(drop), Err(WsaError::WSAEINVAL));
    let second = adopt(&all, &new, &value).expect("adopted");
    second.event_select(Some(Event::from_raw(4)), EventMask::ACCEPT).expect("selects");
    first.close().expect("closes");
    let late = peer.connecting("10.9.0.1:52013", name, 3);
    let mut seen = Vec::new();
    wait_for(&all, "requests", || {
        if let Ok((_, caller)) = second.accept(|_, _| Condition::Accept) {
            seen.push(caller);
        }
        seen.len() == 2
    });
    seen.sort();
    assert_eq!(seen, ["10.9.0.1:52012", "10.9.0.1:52013"].map(address));
    for event in [2, 3] {
        wait_event(&all, &peer, event);
    }
    drop((waiting, late));
}

/// A connection whose one end has been given away, and a receive that is posted at the other.
struct HalfMoved {
    value: WSAPROTOCOL_INFOW,
    posted: Operation,
    _registered: Registration,
    _theirs: Socket,
}

impl HalfMoved {
    fn new(old: &Side, peer: &Side, name: &str) -> Self {
        let (mine, theirs) = connect(old, peer, name);
        let inbox = memory(&[0; 20]);
        let registered = theirs.register_memory(&inbox, MemoryAccess::Write).expect("registers");
        let posted = theirs.recv(from_ref(&inbox)).expect("a receive");
        let value = duplicate(&[old, peer], &mine, own_process());
        Self { value, posted, _registered: registered, _theirs: theirs }
    }

    /// How the receive ends.
    fn end(&mut self, all: &[&Side]) -> Option<WsaError> {
        result(all, &mut self.posted).err()
    }
}

/// SP-156: the process that gives ends before anybody has come.
#[test]
#[ignore = "needs an RDMA device"]
fn giver_ends() {
    let [old, new, peer] = sides();
    let mut moved = HalfMoved::new(&old, &peer, "10.9.0.1:52021");
    drop(old);
    assert_eq!(moved.end(&[&new, &peer]), Some(WsaError::WSAECONNRESET));
    assert_eq!(adopt(&[&new, &peer], &new, &moved.value).map(drop), Err(WsaError::WSAENETDOWN));
}

/// SP-156: the next process ends after it was told everything, and before it has come to the peer.
#[test]
#[ignore = "needs an RDMA device"]
fn taker_ends() {
    let [old, peer] = sides();
    let mut moved = HalfMoved::new(&old, &peer, "10.9.0.1:52031");
    let value = core::num::NonZeroU32::new(moved.value.dwProviderReserved).expect("SP-151");
    let link = handover::claim("wsd-verbs", value).expect("it is ours");
    wait_for(&[&old, &peer], "the parcel", || {
        link.recv(&mut [0; 200], 1).is_ok_and(|parcel| parcel.is_some())
    });
    assert_eq!(
        handover::claim("wsd-verbs", value).map(drop),
        Err(WsaError::WSAENETDOWN),
        "SP-151: usable once"
    );
    drop(link);
    assert_eq!(moved.end(&[&old, &peer]), Some(WsaError::WSAECONNRESET));
}

/// The peer ends while nobody has the connection.
#[test]
#[ignore = "needs an RDMA device"]
fn peer_ends() {
    let [old, new, peer] = sides();
    let moved = HalfMoved::new(&old, &peer, "10.9.0.1:52041");
    let value = moved.value;
    drop(moved);
    drop(peer);
    assert_eq!(adopt(&[&old, &new], &new, &value).map(drop), Err(WsaError::WSAENETDOWN));
}

/// SP-156: the next process ends before it has claimed the connection: the peer learns of it then, not when time is up.
#[test]
#[ignore = "needs an RDMA device"]
fn taker_never_comes() {
    let [old, peer] = sides();
    let inbox = memory(&[0; 20]);
    let mut next = child("taker");
    // Whose process lives has less time left.
    let [living, dead] = [(1, "10.9.0.1:52071"), (next.id(), "10.9.0.1:52072")].map(|(process, name)| {
        let (mine, theirs) = connect(&old, &peer, name);
        let registered = theirs.register_memory(&inbox, MemoryAccess::Write).expect("registers");
        let posted = theirs.recv(from_ref(&inbox)).expect("a receive");
        duplicate(&[&old, &peer], &mine, process);
        (posted, registered, theirs)
    });
    next.kill().expect("our child");
    next.wait().expect("our child");
    let (mut living, mut dead) = (living, dead);
    assert_eq!(result(&[&old, &peer], &mut dead.0).map(drop), Err(WsaError::WSAECONNRESET));
    assert!(living.0.poll().is_pending());
}

/// SP-151: another process than the named one gets nothing, and takes nothing away.
#[test]
#[ignore = "needs an RDMA device"]
fn value_is_stolen() {
    let [old, new, peer] = sides();
    let all = [&old, &new, &peer];
    let (mine, theirs) = connect(&old, &peer, "10.9.0.1:52051");
    let mut child = child("taker");
    let value = duplicate(&all, &mine, child.id());
    assert_eq!(adopt(&all, &new, &value).map(drop), Err(WsaError::WSAENETDOWN), "we are not the child");
    mine.close().expect("closes");
    tell(&mut child, value.dwProviderReserved);
    assert_eq!(receive(&all, &theirs), b"from the child");
    assert!(child.wait().expect("ends").success());
}

/// SP-156: the process that gives is killed while nobody has the connection.
#[test]
#[ignore = "needs an RDMA device"]
fn giver_is_killed() {
    let [peer] = sides();
    let listener = peer.listener("10.9.0.1:52061", 1);
    let mut child = child("giver");
    wait_event(&[&peer], &peer, 1);
    let (theirs, _) = listener.accept(|_, _| Condition::Accept).expect("a connection");
    assert_eq!(receive(&[&peer], &theirs), b"I go");
    let inbox = memory(&[0; 20]);
    let _registered = theirs.register_memory(&inbox, MemoryAccess::Write).expect("registers");
    let mut posted = theirs.recv(from_ref(&inbox)).expect("a receive");
    await_words(&mut child, "given away");
    child.kill().expect("our child");
    child.wait().expect("our child");
    assert_eq!(result(&[&peer], &mut posted).map(drop), Err(WsaError::WSAECONNRESET));
}

fn child(role: &str) -> Child {
    Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", "other_process", "--nocapture", "--ignored"])
        .env("WSD_VERBS_TEST_CHILD", role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child")
}

/// Reads what the child prints until it has said that.
fn await_words(child: &mut Child, words: &str) {
    let mut told = String::new();
    let output = child.stdout.as_mut().expect("a pipe");
    while !told.contains(words) {
        let mut byte = [0];
        std::io::Read::read_exact(output, &mut byte).expect("the child's words");
        told.push(byte[0].into());
    }
}

/// SP-213: a forked child has no part of the connection: that ends with the process that made it, and not with the child.
#[test]
#[ignore = "needs an RDMA device"]
fn forked_child_keeps_nothing() {
    let [peer] = sides();
    let listener = peer.listener("10.9.0.1:52061", 1);
    let mut child = child("parent");
    wait_event(&[&peer], &peer, 1);
    let (theirs, _) = listener.accept(|_, _| Condition::Accept).expect("a connection");
    assert_eq!(receive(&[&peer], &theirs), b"from the parent");
    let inbox = memory(&[0; 20]);
    let _registered = theirs.register_memory(&inbox, MemoryAccess::Write).expect("registers");
    let mut posted = theirs.recv(from_ref(&inbox)).expect("a receive");
    await_words(&mut child, "forked");
    // The grandchild lives as long as its standard input is open, which is ours.
    let input = child.stdin.take();
    child.kill().expect("our child");
    child.wait().expect("our child");
    assert_eq!(result(&[&peer], &mut posted).map(drop), Err(WsaError::WSAECONNRESET));
    drop(input);
}

fn tell(child: &mut Child, value: u32) {
    let stdin = child.stdin.as_mut().expect("a pipe");
    std::io::Write::write_all(stdin, format!("{value}\n").as_bytes()).expect("writes");
}

#[test]
#[ignore = "part of other tests"]
fn other_process() {
    let Some(role) = std::env::var_os("WSD_VERBS_TEST_CHILD") else { return };
    let [side] = sides();
    let mut line = String::new();
    if role == "taker" {
        std::io::stdin().read_line(&mut line).expect("reads");
        let mut value = WSAPROTOCOL_INFOW::tcp_ip(AF_INET);
        value.dwProviderReserved = line.trim().parse().expect("a number");
        send(&[&side], &side.san.adopt(&value).expect("adopted"), b"from the child");
        return;
    }
    let socket = side.connecting("10.9.0.1:52062", "10.9.0.1:52061", 1);
    wait_event(&[&side], &side, 1);
    if role == "parent" {
        send(&[&side], &socket, b"from the parent");
        // SAFETY: the child makes a system call, and ends by _exit.
        if unsafe { libc::fork() } == 0 {
            let mut byte = 0_u8;
            // SAFETY: there is room for the byte; nothing else of this process is used.
            unsafe {
                libc::read(0, (&raw mut byte).cast(), 1);
                libc::_exit(0);
            }
        }
        println!("forked");
        std::io::stdin().read_line(&mut line).expect("waits for its end");
    } else {
        send(&[&side], &socket, b"I go");
        duplicate(&[&side], &socket, 1);
        println!("given away");
        std::io::stdin().read_line(&mut line).expect("waits for its end");
    }
}
