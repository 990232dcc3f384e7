//! Peers that break the rules: they lose their own link, and nobody else notices.

mod support;

use std::slice::from_ref;

use proptest::prelude::*;
use support::{Side, armed_sides, bytes, connect, memory, result, wait_event, wait_for};
use wsd_os::Errno;
use wsd_os::fd::{AsFd, OwnedFd};
use wsd_os::link::{Link, Listener};
use wsd_os::memory::{RegionOptions, SharedRegion};
use wsd_spi::client::Socket;
use wsd_spi::{Condition, MemoryAccess, SockAddr, WsaError};

const HELLO: u8 = 1;
const CONNECT: u8 = 2;
const ACCEPT: u8 = 3;
const REFUSE: u8 = 4;
const WITHDRAW: u8 = 5;
const CLOSE: u8 = 6;
const MESSAGE: u8 = 7;
const WRITE: u8 = 8;
const WRITTEN: u8 = 9;
const READ: u8 = 10;
const DATA: u8 = 11;
const FAILED: u8 = 12;
const CHUNK: u8 = 13;
const FREED: u8 = 14;
const RELEASED: u8 = 15;

/// Why a connection is refused: nobody listens there in this process.
const NOT_HERE: u32 = 2;

/// A packet as `wire` defines it.
fn packet(kind: u8, to: u32, from: u32, arg: u32, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind, 0, 0, 0];
    for word in [to, from, arg] {
        packet.extend(word.to_ne_bytes());
    }
    packet.extend(body);
    packet
}

fn hello() -> Vec<u8> {
    packet(HELLO, 0, 0, 0, b"wsd-shm2")
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn names(from: &str, to: &str) -> Vec<u8> {
    let encode = |name: &str| SockAddr::encode(&support::address(name)).0;
    [encode(from), encode(to)].concat()
}

/// The abstract name of a listener at 127.0.0.1.
fn call(port: u16) -> Link {
    Link::connect(format!("wsd-shm-4-7f000001-{port:x}").as_bytes()).expect("a listener")
}

/// What has been said to us, or that the link has ended.
fn hear(side: &Side, link: &Link) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 70_000];
    let mut heard = None;
    wait_for(&[side], "an answer", || match link.recv(&mut buffer, 1) {
        Ok(Some(packet)) => {
            heard = Some(Some(buffer[..packet.len].to_vec()));
            true
        }
        Ok(None) => {
            heard = Some(None);
            true
        }
        Err(Errno::AGAIN | Errno::CONNRESET) => false,
        Err(error) => panic!("{error}"),
    });
    heard.expect("something")
}

fn word(packet: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(packet[at..at + 4].try_into().expect("four bytes"))
}

/// A connection of two honest sides that has to go on.
struct Honest<'a> {
    sides: [&'a Side; 2],
    accepted: Socket,
    connected: Socket,
}

impl<'a> Honest<'a> {
    fn new(server: &'a Side, client: &'a Side, name: &str) -> Self {
        let (accepted, connected) = connect(server, client, name);
        Self { sides: [server, client], accepted, connected }
    }

    fn goes_on(&self) {
        for (to, from) in [(&self.accepted, &self.connected), (&self.connected, &self.accepted)] {
            let (inbox, data) = (memory(&[0; 5]), memory(b"still"));
            let _inbox = to.register_memory(&inbox, MemoryAccess::Write).expect("registers");
            let _data = from.register_memory(&data, MemoryAccess::Read).expect("registers");
            let mut receive = to.recv(from_ref(&inbox)).expect("a receive");
            let mut sent = from.send(from_ref(&data)).expect("sends");
            assert!(result(&self.sides, &mut sent).is_ok() && result(&self.sides, &mut receive).is_ok());
            assert_eq!(bytes(&inbox), b"still");
        }
    }
}

/// Strangers that say nothing or rubbish do not keep anybody out, and cost few descriptors.
#[test]
fn strangers() {
    let [server, client] = armed_sides();
    let honest = Honest::new(&server, &client, "127.0.0.1:2001");
    let listener = server.listener("127.0.0.1:2002", 1);
    let silent: Vec<_> = (0..200).map(|_| call(2002)).collect();
    let rubbish = [
        vec![0],
        vec![0xff; 70_000],
        packet(HELLO, 0, 0, 0, b"wsd-shm0"),
        packet(HELLO, 0, 0, 0, b""),
        packet(CONNECT, 0, 1, 0, &names("127.0.0.1:1", "127.0.0.1:2002")),
        packet(MESSAGE, 1, 0, 0, b"x"),
        packet(200, 0, 0, 0, b""),
    ];
    for bad in &rubbish {
        let link = call(2002);
        link.send(bad, &[]).expect("sends");
        assert_eq!(hear(&server, &link), None, "cut off");
    }
    // Only the last 64 of those that say nothing are kept.
    let cut = silent.iter().filter(|link| matches!(link.recv(&mut [0; 10], 0), Ok(None))).count();
    assert!(cut >= 200 - 64, "{cut}");
    let connecting = client.connecting("127.0.0.1:2003", "127.0.0.1:2002", 2);
    wait_event(&[&server, &client], &server, 1);
    listener.accept(|_, _| Condition::Accept).expect("a request");
    wait_event(&[&server, &client], &client, 2);
    drop(connecting);
    honest.goes_on();
}

/// Links that say hello and then serve nothing are limited, too.
#[test]
fn idle_links() {
    let [server, client] = armed_sides();
    let honest = Honest::new(&server, &client, "127.0.0.1:2011");
    let _listener = server.listener("127.0.0.1:2012", 1);
    let idle: Vec<_> = (0..600)
        .map(|_| {
            let link = call(2012);
            link.send(&hello(), &[]).expect("sends");
            server.step();
            link
        })
        .collect();
    let cut = |link: &&Link| matches!(link.recv(&mut [0; 10], 0), Ok(None));
    wait_for(&[&server], "cut off", || idle.iter().filter(cut).count() >= 600 - 256);
    assert_eq!(idle.iter().filter(cut).count(), 600 - 256);
    honest.goes_on();
}

/// A hostile process with a connection of its own: our socket and its, the link, and its number of our socket.
fn hostile(server: &Side, port: u16) -> (Socket, Link, u32) {
    let name = format!("127.0.0.1:{port}");
    let listener = server.listener(&name, 77);
    let link = call(port);
    link.send(&hello(), &[]).expect("sends");
    link.send(&packet(CONNECT, 0, 5, 0, &names("127.0.0.1:1", &name)), &[]).expect("sends");
    wait_event(&[server], server, 77);
    let (socket, _) = listener.accept(|_, _| Condition::Accept).expect("a request");
    let answer = hear(server, &link).expect("an answer");
    assert_eq!((answer[0], word(&answer, 4)), (ACCEPT, 5));
    (socket, link, word(&answer, 8))
}

/// What ends the link, with all its connections.
#[test]
fn violations_end_the_link() {
    let [server, client] = armed_sides();
    let honest = Honest::new(&server, &client, "127.0.0.1:2021");
    let at = |socket| -> Vec<(&'static str, Vec<u8>)> {
        vec![
            ("hello again", hello()),
            ("no header", vec![7; 15]),
            ("no such kind", packet(16, 0, 0, 0, b"")),
            ("short addresses", packet(CONNECT, 0, 9, 0, b"short")),
            ("mixed addresses", packet(CONNECT, 0, 9, 0, &names("127.0.0.1:1", "[::1]:2022"))),
            ("message too long", packet(MESSAGE, socket, 0, 0, &[0; 65_537])),
            ("short write", packet(WRITE, socket, 1, 0, &[0; 23])),
            ("short read", packet(READ, socket, 1, 0, &[0; 23])),
            ("long read", packet(READ, socket, 1, 0, &words(&[1, 1, 1 << 32]))),
            ("confirmation of nothing", packet(WRITTEN, socket, 1, 0, b"")),
            ("data for nothing", packet(DATA, socket, 1, 0, b"data")),
            ("chunk without memory", packet(CHUNK, 0, 1, 1, &words(&[4096]))),
            ("unknown chunk freed", packet(FREED, 0, 1, 1, &words(&[1]))),
            ("unknown chunk released", packet(RELEASED, 0, 1, 1, &words(&[1]))),
        ]
    };
    for n in 0..at(0).len() {
        let (socket, link, number) = hostile(&server, 2022);
        let inbox = memory(&[0; 10]);
        let _inbox = socket.register_memory(&inbox, MemoryAccess::Write).expect("registers");
        let mut receive = socket.recv(from_ref(&inbox)).expect("a receive");
        let (what, bad) = at(number).swap_remove(n);
        link.send(&bad, &[]).expect("sends");
        assert_eq!(hear(&server, &link), None, "{what}");
        let reset = result(&[&server], &mut receive).map(drop);
        assert_eq!(reset, Err(WsaError::WSAECONNRESET), "{what}");
        honest.goes_on();
    }
}

/// What is for somebody else, or for nobody, or too late, is not heard.
#[test]
fn impostors() {
    let [server, client] = armed_sides();
    let honest = Honest::new(&server, &client, "127.0.0.1:2031");
    let (socket, link, number) = hostile(&server, 2032);
    for target in 0..20 {
        if target == number {
            continue;
        }
        for kind in [ACCEPT, REFUSE, WITHDRAW, CLOSE, MESSAGE, WRITE, WRITTEN, READ, DATA, FAILED] {
            link.send(&packet(kind, target, 3, 1, b""), &[]).expect("sends");
            server.step();
        }
    }
    honest.goes_on();
    let inbox = memory(&[0; 10]);
    let _inbox = socket.register_memory(&inbox, MemoryAccess::Write).expect("registers");
    let mut receive = socket.recv(from_ref(&inbox)).expect("a receive");
    link.send(&packet(MESSAGE, number, 0, 0, b"hello"), &[]).expect("sends");
    assert_eq!(result(&[&server], &mut receive).map(|got| got.bytes), Ok(5), "its own still works");
}

/// SP-153: a listener that goes to another process between the meeting and the wish to connect is looked for again; one that has
/// been closed since is not found.
#[test]
fn listener_that_has_gone() {
    let [one, other] = armed_sides();
    let door = Listener::bind(b"wsd-shm-4-7f000001-7f7", 16).expect("a name");
    let wish = |side: &Side| {
        let mut link = None;
        wait_for(&[side], "a visitor", || {
            link = door.accept().ok();
            link.is_some()
        });
        let link = link.expect("waited for");
        assert_eq!(hear(side, &link).expect("a greeting")[0], HELLO);
        let wish = hear(side, &link).expect("a wish");
        assert_eq!(wish[0], CONNECT);
        (link, word(&wish, 8))
    };
    let not_here = |(link, number): &(Link, u32)| {
        link.send(&packet(REFUSE, *number, 0, NOT_HERE, b""), &[]).expect("sends");
    };
    let answer = |side: &Side, socket: &Socket| {
        wait_event(&[side], side, 2);
        socket.enum_network_events(None).expect("a record").connect
    };
    let found = one.connecting("127.0.0.1:2037", "127.0.0.1:2039", 2);
    not_here(&wish(&one));
    let (link, number) = wish(&one);
    link.send(&packet(ACCEPT, number, 1, 0, b""), &[]).expect("sends");
    assert_eq!(answer(&one, &found), Some(Ok(())));

    let lost = other.connecting("127.0.0.1:2038", "127.0.0.1:2039", 2);
    let wish = wish(&other);
    drop(door);
    not_here(&wish);
    assert_eq!(answer(&other, &lost), Some(Err(WsaError::WSAETIMEDOUT)));
}

/// Memory that is not what it is said to be is not mapped: touching it could kill the program.
#[test]
fn bad_memory() {
    let [server, client] = armed_sides();
    let honest = Honest::new(&server, &client, "127.0.0.1:2041");
    let region = |sealed| {
        let options = RegionOptions { fixed_size: sealed, ..RegionOptions::default() };
        let mut region = SharedRegion::create(c"hostile", 8192, options).expect("memory");
        region.take_fd().expect("a descriptor")
    };
    let mut cases: Vec<(&str, u32, u64, OwnedFd)> = vec![
        ("too short", 4, 4096, region(true)),
        ("too long", 1, 4096, region(true)),
        ("no slots", 0, 4096, region(true)),
        ("too many slots", 17, 4096, region(true)),
        ("no length", 2, 0, region(true)),
        ("odd length", 2, 4095, region(true)),
        ("huge", 16, u64::MAX, region(true)),
    ];
    // Elsewhere there is no other memory.
    cases.extend(cfg!(target_os = "linux").then(|| ("not sealed for good", 2, 4096, region(false))));
    for (what, slots, length, memory) in cases {
        let (_socket, link, _) = hostile(&server, 2042);
        link.send(&packet(CHUNK, 0, 1, slots, &words(&[length])), &[memory.as_fd()]).expect("sends");
        assert_eq!(hear(&server, &link), None, "{what}");
    }
    // A descriptor with anything else, and two of them.
    for kind in [MESSAGE, HELLO] {
        let (_socket, link, number) = hostile(&server, 2042);
        link.send(&packet(kind, number, 0, 0, b"x"), &[region(true).as_fd()]).expect("sends");
        assert_eq!(hear(&server, &link), None);
    }
    let (_socket, link, _) = hostile(&server, 2042);
    let memory = region(true);
    let two = [memory.as_fd(), memory.as_fd()];
    link.send(&packet(CHUNK, 0, 1, 2, &words(&[4096])), &two).expect("sends");
    assert_eq!(hear(&server, &link), None);
    honest.goes_on();
}

/// A peer that makes us answer and does not listen: its link ends, and memory does not grow without limit.
#[test]
fn deaf_peer() {
    let [server, client] = armed_sides();
    let honest = Honest::new(&server, &client, "127.0.0.1:2051");
    let (_socket, link, _) = hostile(&server, 2052);
    let mut asked = 0;
    wait_for(&[&server], "cut off", || {
        let wish = packet(CONNECT, 0, 9, 0, &names("127.0.0.1:1", "127.0.0.1:2059"));
        // Many at a time: between two looks at the server everybody sleeps.
        for _ in 0..64 {
            match link.send(&wish, &[]) {
                Ok(()) => asked += 1,
                Err(Errno::AGAIN) => break,
                Err(_) => return true,
            }
        }
        server.san.progress().expect("WsdProgress");
        assert!(asked < 20_000, "it is still heard");
        false
    });
    honest.goes_on();
}

/// A packet with a header that is nearly right.
#[derive(Clone, Debug)]
struct Random {
    kind: u8,
    /// The socket that it is for, if not the sender's own.
    to: Option<u32>,
    from: u32,
    arg: u32,
    /// None: a descriptor of memory that is exposed.
    body: Option<Vec<u64>>,
    /// Bytes that are missing at the end.
    cut: usize,
    /// It comes with memory.
    memory: bool,
}

fn random() -> impl Strategy<Value = Random> {
    let word = prop_oneof![4 => 0..5_u64, 1 => Just(4096), 1 => any::<u64>()];
    let number = || prop_oneof![8 => 0..200_u32, 1 => any::<u32>()];
    let body = prop::option::of(prop::collection::vec(word, 0..6));
    let to = prop::option::weighted(0.25, 0..20_u32);
    let memory = prop::bool::weighted(0.2);
    (2..21_u8, to, 0..10_u32, number(), body, 0..3_usize, memory).prop_map(
        |(kind, to, from, arg, body, cut, memory)| Random { kind, to, from, arg, body, cut, memory },
    )
}

/// A process that has a connection and says these things.
fn misbehave(server: &Side, packets: &[Random]) {
    let (socket, link, number) = hostile(server, 2062);
    let inbox = memory(&[0; 100]);
    let _inbox = socket.register_memory(&inbox, MemoryAccess::ReadWrite).expect("registers");
    let exposed = socket.register_rdma_memory(&inbox, MemoryAccess::ReadWrite).expect("exposes");
    for _ in 0..8 {
        // One way or another it is posted, or the connection is over.
        drop(socket.recv(from_ref(&inbox)));
        drop(socket.send(from_ref(&inbox)));
        drop(socket.allocate(5000));
    }
    let options = RegionOptions { fixed_size: true, ..RegionOptions::default() };
    let region = SharedRegion::create(c"hostile", 8192, options).expect("memory");
    for said in packets {
        let mut body = said.body.as_deref().map_or_else(|| exposed.descriptor().to_vec(), words);
        body.truncate(body.len().saturating_sub(said.cut));
        let bad = packet(said.kind, said.to.unwrap_or(number), said.from, said.arg, &body);
        let fds: Vec<_> = region.fd().into_iter().filter(|_| said.memory).collect();
        if link.send(&bad, &fds).is_err() {
            break;
        }
        server.step();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(20), failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a process says on its link, others do not notice.
    #[test]
    fn random_packets(peers in prop::collection::vec(prop::collection::vec(random(), 1..40), 1..4)) {
        let [server, client] = armed_sides();
        let honest = Honest::new(&server, &client, "127.0.0.1:2061");
        for packets in &peers {
            misbehave(&server, packets);
        }
        honest.goes_on();
    }
}
