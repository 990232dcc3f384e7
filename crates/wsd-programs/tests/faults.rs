//! Peers that die, stop, or write before they read.

use std::time::{Duration, Instant};
use wsd_programs::{Expected, Process, Program, Scene, three_ways};

const KILL: i32 = 9;
const CONT: i32 = 18;
const STOP: i32 = 19;
const MEGABYTE: u64 = 1 << 20;

/// Nobody may wait longer for a dead peer.
const SOON: Duration = Duration::from_secs(10);

/// Two puppets and the port between them. The server accepted, the client connected.
struct Pair {
    server: Process,
    client: Process,
    port: u16,
}

fn puppets(scene: &Scene) -> Pair {
    let port = scene.port();
    let puppet =
        Program::at(env!("CARGO_BIN_EXE_wsd-puppet").as_ref()).arg(scene.address()).arg(port).piped();
    let mut server = scene.server(&puppet);
    let client = scene.client(&puppet);
    assert_eq!(server.ask("listen"), "listening");
    Pair { server, client, port }
}

fn connected(scene: &Scene) -> Pair {
    let mut pair = puppets(scene);
    assert!(pair.client.ask("connect").starts_with("connected"));
    assert_eq!(pair.server.ask("accept"), "accepted");
    pair
}

/// Connected, and promoted if both are switched.
fn warm(scene: &Scene) -> Pair {
    let mut pair = connected(scene);
    exchange(&mut pair);
    settle(scene, &mut pair);
    pair
}

fn exchange(pair: &mut Pair) {
    pair.server.tell("echo 20");
    assert_eq!(pair.client.ask("ping 20"), "exchanged 20 ok");
    assert_eq!(pair.server.hear(), "exchanged 20 ok");
}

/// Exchange until both ends are on shared memory.
fn settle(scene: &Scene, pair: &mut Pair) {
    scene.await_promotion(pair.port, 2, || exchange(pair));
}

/// The survivor's last answer is an end of stream or a reset, and came soon.
fn ended(answer: &str, since: Instant) {
    assert!(answer.ends_with("eof") || answer.ends_with("ConnectionReset"), "{answer}");
    assert!(since.elapsed() < SOON, "{answer} came after {:?}", since.elapsed());
}

/// The survivor's write failed as to a dead peer, and soon.
fn refused(answer: &str, since: Instant) {
    assert!(answer.ends_with("BrokenPipe") || answer.ends_with("ConnectionReset"), "{answer}");
    assert!(since.elapsed() < SOON, "{answer} came after {:?}", since.elapsed());
}

fn count(answer: &str) -> u64 {
    answer.split(' ').nth(1).and_then(|number| number.parse().ok()).expect("a count")
}

fn what_a_killed_peer_sent_is_read(scene: &Scene) {
    let Pair { mut server, mut client, .. } = warm(scene);
    assert_eq!(client.ask(&format!("write {MEGABYTE}")), format!("wrote {MEGABYTE} ok"));
    client.signal(KILL);
    client.wait(SOON);
    let begin = Instant::now();
    let answer = server.ask("drain");
    ended(&answer, begin);
    assert_eq!(count(&answer), MEGABYTE);
}

fn reader_ends_when_sender_is_killed(scene: &Scene) {
    let Pair { mut server, mut client, .. } = warm(scene);
    server.tell("flood");
    client.tell("drain");
    std::thread::sleep(Duration::from_millis(500));
    server.signal(KILL);
    let begin = Instant::now();
    let answer = client.hear();
    ended(&answer, begin);
    assert!(count(&answer) > MEGABYTE, "{answer}");
}

fn writer_ends_when_reader_is_killed(scene: &Scene) {
    let Pair { mut server, mut client, .. } = warm(scene);
    server.tell("flood");
    client.tell("drain");
    std::thread::sleep(Duration::from_millis(500));
    client.signal(KILL);
    let begin = Instant::now();
    let answer = server.hear();
    refused(&answer, begin);
    assert!(count(&answer) > MEGABYTE, "{answer}");
}

fn blocked_writer_ends_when_peer_is_killed(scene: &Scene) {
    let Pair { mut server, mut client, .. } = warm(scene);
    client.tell("flood");
    std::thread::sleep(Duration::from_millis(500));
    server.signal(KILL);
    let begin = Instant::now();
    server.wait(SOON);
    refused(&client.hear(), begin);
}

fn blocked_reader_ends_when_peer_is_killed(scene: &Scene) {
    let Pair { mut server, client, .. } = warm(scene);
    server.tell("drain");
    std::thread::sleep(Duration::from_millis(300));
    client.signal(KILL);
    let begin = Instant::now();
    let answer = server.hear();
    ended(&answer, begin);
    assert_eq!(count(&answer), 0);
}

fn poll_ends_when_peer_is_killed(scene: &Scene) {
    let Pair { mut server, mut client, .. } = warm(scene);
    client.tell("poll");
    std::thread::sleep(Duration::from_millis(300));
    server.signal(KILL);
    let begin = Instant::now();
    server.wait(SOON);
    assert_eq!(client.hear(), "readable");
    ended(&client.ask("drain"), begin);
}

fn both_write_before_either_reads(scene: &Scene) {
    let Pair { mut server, mut client, .. } = warm(scene);
    let length = 3 * MEGABYTE;
    for end in [&mut server, &mut client] {
        end.tell(&format!("write {length}"));
    }
    for end in [&mut server, &mut client] {
        assert_eq!(end.hear(), format!("wrote {length} ok"));
    }
    for end in [&mut server, &mut client] {
        assert_eq!(end.ask(&format!("read {length}")), format!("read {length} ok"));
    }
}

fn sent_and_closed_is_read_late(scene: &Scene) {
    let Pair { mut server, mut client, .. } = warm(scene);
    let length = 2 * MEGABYTE;
    assert_eq!(server.ask(&format!("write {length}")), format!("wrote {length} ok"));
    assert_eq!(server.ask("close"), "closed");
    drop(server.take_input());
    server.wait(SOON);
    assert_eq!(client.ask("drain"), format!("read {length} eof"));
}

/// The server is stopped when the client connects; it accepts only when it goes on.
fn server_stopped_while_client_connects(scene: &Scene) {
    let mut pair = puppets(scene);
    pair.server.signal(STOP);
    assert!(count(&pair.client.ask("connect")) < 3000, "connecting waits for a stopped peer");
    pair.client.tell("ping 20");
    std::thread::sleep(Duration::from_secs(2));
    pair.server.signal(CONT);
    assert_eq!(pair.server.ask("accept"), "accepted");
    assert_eq!(pair.server.ask("echo 20"), "exchanged 20 ok");
    assert_eq!(pair.client.hear(), "exchanged 20 ok");
    carry_on(scene, pair);
}

/// The server stops itself right after it accepted, in the middle of what the switch does then.
fn server_stops_when_it_has_accepted(scene: &Scene) {
    let mut pair = puppets(scene);
    pair.server.tell("accept-stop");
    assert!(count(&pair.client.ask("connect")) < 3000, "connecting waits for a stopped peer");
    pair.client.tell("ping 20");
    std::thread::sleep(Duration::from_secs(2));
    pair.server.signal(CONT);
    assert_eq!(pair.server.hear(), "accepted");
    assert_eq!(pair.server.ask("echo 20"), "exchanged 20 ok");
    assert_eq!(pair.client.hear(), "exchanged 20 ok");
    carry_on(scene, pair);
}

/// The client stops itself right after it connected.
fn client_stops_when_it_has_connected(scene: &Scene) {
    let mut pair = puppets(scene);
    pair.client.tell("connect-stop");
    assert_eq!(pair.server.ask("accept"), "accepted");
    pair.server.tell("echo 20");
    std::thread::sleep(Duration::from_secs(2));
    pair.client.signal(CONT);
    assert!(pair.client.hear().starts_with("connected"));
    assert_eq!(pair.client.ask("ping 20"), "exchanged 20 ok");
    assert_eq!(pair.server.hear(), "exchanged 20 ok");
    carry_on(scene, pair);
}

/// Both exchange so much that the switch attaches, and one is stopped in the midst of it.
fn peer_stopped_during_attach(scene: &Scene) {
    let mut pair = connected(scene);
    pair.server.tell("echo 5000");
    pair.client.tell("ping 5000");
    for pause in [1, 3, 10] {
        std::thread::sleep(Duration::from_millis(pause));
        pair.server.signal(STOP);
        std::thread::sleep(Duration::from_millis(700));
        pair.server.signal(CONT);
    }
    assert_eq!(pair.client.hear(), "exchanged 5000 ok");
    assert_eq!(pair.server.hear(), "exchanged 5000 ok");
    // Each end tries a limited number of times, so that the connection may have stayed on TCP.
    transfer(&mut pair);
}

/// After all that, the connection works and goes where it should.
fn carry_on(scene: &Scene, mut pair: Pair) {
    settle(scene, &mut pair);
    let watch = scene.watch(&[pair.port]);
    let payload = transfer(&mut pair);
    watch.settle();
    scene.judge(&watch.stop(), &Expected { connections: 1, busy: MEGABYTE, payload });
}

/// Much data from the client to the server.
fn transfer(pair: &mut Pair) -> u64 {
    let length = 64 * MEGABYTE;
    pair.server.tell(&format!("read {length}"));
    assert_eq!(pair.client.ask(&format!("write {length}")), format!("wrote {length} ok"));
    assert_eq!(pair.server.hear(), format!("read {length} ok"));
    length
}

three_ways!(
    what_a_killed_peer_sent_is_read,
    reader_ends_when_sender_is_killed,
    writer_ends_when_reader_is_killed,
    blocked_writer_ends_when_peer_is_killed,
    blocked_reader_ends_when_peer_is_killed,
    poll_ends_when_peer_is_killed,
    both_write_before_either_reads,
    sent_and_closed_is_read_late,
    server_stopped_while_client_connects,
    server_stops_when_it_has_accepted,
    client_stops_when_it_has_connected,
    peer_stopped_during_attach,
);
