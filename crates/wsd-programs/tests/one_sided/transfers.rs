//! Reading and writing, over memory that is mapped and over a pump, by providers with and without what is optional.

use std::time::Duration;

use wsd_programs::{Connection, Program, Scene, connections, until};

use super::support::{By, FIRST, Pair, accessor, failed, scene};

/// More than the pieces that run at a time, in providers that take little at once.
const LENGTH: usize = 300_000;

fn writes_and_reads(scene: &Scene, by: By, length: usize) -> Pair {
    let mut pair = Pair::ready(scene, by);
    let window = pair.expose(FIRST, length, "rw");
    assert_eq!(pair.write(FIRST, &window, 0, length, 1), format!("done {length} from 1"));
    assert_eq!(pair.server.ask("look 0"), format!("{length} from 1"));
    assert_eq!(pair.read(FIRST, &window, 997, length - 997), format!("done {} from 2", length - 997));
    pair.talk(FIRST);
    assert_eq!(pair.server.ask("withdraw 0"), format!("{length} from 1"));
    pair
}

/// SP-131: all bytes, at the right places.
#[test]
fn over_the_provider_of_the_bed() {
    let scene = scene();
    let mut pair = writes_and_reads(&scene, By::Bed, scene.amount(30_000_000, LENGTH));
    let Some(provider) = scene.provider() else { return };
    // The stream tells which one it is.
    let promoted = until(Duration::from_secs(60), "the promotion", || {
        pair.talk(FIRST);
        connections(&[pair.client.pid()]).pop().filter(Connection::is_promoted)
    });
    assert_eq!(promoted.path, provider);
}

#[test]
fn over_a_pump() {
    writes_and_reads(&scene(), By::Faulty("plain"), LENGTH);
}

/// SW-113: nothing above SO_MAX_RDMA_SIZE, which is 1,000 bytes here; the provider refuses what is larger. Completions come
/// later, on a thread of the provider's.
#[test]
fn in_pieces() {
    writes_and_reads(&scene(), By::Faulty("small-rdma"), LENGTH);
    writes_and_reads(&scene(), By::Faulty("plain,small-rdma,late"), LENGTH);
}

#[test]
fn connected_by_the_san() {
    let scene = scene();
    let accessor = accessor().under(["--connect", "san-first"]);
    let mut pair = Pair::connected(&scene, &accessor);
    pair.make_ready(FIRST);
    let window = pair.expose(FIRST, LENGTH, "rw");
    assert_eq!(pair.write(FIRST, &window, 0, LENGTH, 1), format!("done {LENGTH} from 1"));
    assert_eq!(pair.server.ask("look 0"), format!("{LENGTH} from 1"));
    pair.talk(FIRST);
    let listed = connections(&[pair.client.pid()]);
    let by_tcp: u64 = listed.iter().map(|end| end.tcp_bytes_sent + end.tcp_bytes_received).sum();
    assert!(listed.len() == 1 && listed[0].is_promoted() && by_tcp == 0, "{listed:#?}");
}

/// A provider without WSPRdmaRead: WSAEOPNOTSUPP for reads, and writes work, also afterwards.
#[test]
fn without_reads() {
    let scene = scene();
    for faults in ["no-read", "plain,no-read"] {
        let mut pair = Pair::ready(&scene, By::Faulty(faults));
        let window = pair.expose(FIRST, 100, "rw");
        assert_eq!(pair.read(FIRST, &window, 0, 100), failed(libc::EOPNOTSUPP));
        assert_eq!(pair.write(FIRST, &window, 0, 100, 9), "done 100 of 9");
        assert_eq!(pair.server.ask("look 0"), "100 of 9");
        pair.talk(FIRST);
    }
}

/// The order of the calls: the last write counts, and a read after writes that were waited for sees them.
#[test]
fn many_at_once() {
    let scene = scene();
    let mut pair = Pair::ready(&scene, By::Faulty("small-rdma"));
    let window = pair.expose(FIRST, 20_000, "rw");
    let begun: Vec<String> =
        (1..=60).map(|first| pair.client.ask(&format!("write 0 {window} 0 20000 {first}"))).collect();
    for (first, operation) in (1..=60).zip(begun) {
        assert_eq!(pair.finish(operation), format!("done 20000 from {first}"));
    }
    assert_eq!(pair.read(FIRST, &window, 0, 20_000), "done 20000 from 60");
}

/// One process exposes to two peers' connections; each window leads to its own memory.
#[test]
fn two_connections() {
    let scene = scene();
    let mut pair = Pair::ready(&scene, By::Bed);
    pair.connect();
    pair.make_ready(1);
    let windows = [pair.expose(FIRST, 100, "rw"), pair.expose(1, 100, "rw")];
    for (connection, first) in [(0, 5), (1, 6)] {
        let wrote = pair.write(connection, &windows[connection], 0, 100, first);
        assert_eq!(wrote, format!("done 100 of {first}"));
    }
    assert_eq!(pair.server.ask("look 0"), "100 of 5");
    assert_eq!(pair.server.ask("look 1"), "100 of 6");
}

#[test]
fn each_right_is_enough_for_itself() {
    let scene = scene();
    let mut pair = Pair::ready(&scene, By::Bed);
    let readable = pair.expose(FIRST, 100, "r");
    let writable = pair.expose(FIRST, 100, "w");
    assert_eq!(pair.read(FIRST, &readable, 10, 90), "done 90 of 0");
    assert_eq!(pair.write(FIRST, &writable, 0, 100, 7), "done 100 of 7");
    assert_eq!(pair.server.ask("look 1"), "100 of 7");
}

/// A program that exposes memory to itself has both ends in one process: TCP.
#[test]
fn one_process_stays_on_tcp() {
    let scene = scene();
    let mut alone = scene.server(&accessor());
    let name = alone.ask(&format!("listen {}", scene.address()));
    assert_eq!(alone.ask(&format!("connect {name}")), "connected");
    assert_eq!(alone.ask("accept"), "accepted");
    let answer = alone.ask("ready 0 1000");
    assert!(answer.starts_with(&format!("{} the connection is on TCP: ", libc::EOPNOTSUPP)), "{answer}");
}

/// Nothing is linked: without the switch the program runs, and says what is missing.
#[test]
fn without_the_switch() {
    let scene = scene();
    let mut alone: wsd_programs::Process = scene.plain(&Program::piped(accessor()));
    let name = alone.ask(&format!("listen {}", scene.address()));
    assert_eq!(alone.ask(&format!("connect {name}")), "connected");
    let expected = format!("{} the program does not run under wsdirect", libc::EOPNOTSUPP);
    assert_eq!(alone.ask("ready 0 1000"), expected);
    assert_eq!(alone.ask("expose 0 100 rw"), format!("refused {}", libc::EOPNOTSUPP));
}
