//! Connections that end, go back to TCP, are inherited, or have only one end that knows of all this.

use std::time::Duration;

use libc::{ECONNABORTED, EOPNOTSUPP};
use wsd_programs::{Scene, Sides, until};

use super::support::{By, FIRST, Pair, accessor, failed, refused, scene};

const KILL: i32 = 9;
const STOP: i32 = 19;

/// The other end runs without wsdirect: EOPNOTSUPP, and the reason in words.
#[test]
fn peer_without_the_switch() {
    for sides in [Sides::Server, Sides::Client] {
        let scene = Scene::new(sides);
        let mut pair = Pair::connected(&scene, &accessor());
        let (switched, other) = match sides {
            Sides::Server => (&mut pair.server, &mut pair.client),
            _ => (&mut pair.client, &mut pair.server),
        };
        let expected = format!("{EOPNOTSUPP} the connection is on TCP: PeerWithoutCompanion ");
        // An attempt of the end that connected takes five seconds, and says nothing before.
        until(Duration::from_secs(30), "the reason", || {
            let answer = switched.ask("ready 0 2000");
            assert!(answer.starts_with(&format!("{EOPNOTSUPP} the connection is on TCP: ")), "{answer}");
            answer.starts_with(&expected).then_some(())
        });
        assert!(switched.ask("why 0").contains("on TCP"));
        assert_eq!(switched.ask("expose 0 100 rw"), refused(EOPNOTSUPP));
        assert!(other.ask("ready 0 0").contains("does not run under wsdirect"));
        pair.talk(FIRST);
    }
}

/// One end is ready seconds before the other one: its attempts are not counted against the limit of an attach.
#[test]
fn one_end_comes_late() {
    let scene = scene();
    for early_is_server in [true, false] {
        let mut pair = Pair::connected(&scene, &accessor());
        let ends = match early_is_server {
            true => [&mut pair.server, &mut pair.client],
            false => [&mut pair.client, &mut pair.server],
        };
        let [early, late] = ends;
        early.tell("ready 0 20000");
        // More than an acceptor's attempts take that are counted, 6 of 31 ms each.
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(late.ask("ready 0 10000"), "ready");
        assert_eq!(early.hear(), "ready");
    }
}

/// The connection goes back to TCP: exposures end, the reason is told, and the stream goes on.
#[test]
fn back_to_tcp() {
    let scene = scene();
    for by in [By::Bed, By::Faulty("plain")] {
        let mut pair = Pair::ready(&scene, by);
        let window = pair.expose(FIRST, 100, "rw");
        assert_eq!(pair.write(FIRST, &window, 0, 100, 3), "done 100 of 3");
        pair.talk(FIRST);
        assert_eq!(pair.server.ask("ended 0"), "false");
        assert_eq!(pair.server.ask("leave 0"), "0");
        pair.await_end_of(FIRST);
        assert_eq!(pair.server.ask("withdraw 0"), "100 of 3");
        assert_eq!(pair.server.ask("expose 0 100 rw"), refused(EOPNOTSUPP));
        let why = pair.server.ask("why 0");
        assert!(why.starts_with("the connection is on TCP: KernelOption "), "{why}");
        pair.talk(FIRST);
        // The peer's last word may still be on its way.
        let answer = until(Duration::from_secs(10), "the peer's way back", || {
            Some(pair.client.ask("ready 0 10000")).filter(|answer| answer != "ready")
        });
        assert!(answer.starts_with(&format!("{EOPNOTSUPP} the connection is on TCP: ")), "{answer}");
        assert_eq!(pair.read(FIRST, &window, 0, 100), refused(EOPNOTSUPP));
    }
}

/// The end that writes closes meanwhile: the operation has an end, so that its memory comes back, and so does the exposed one.
#[test]
fn closed_with_operations_under_way() {
    let scene = scene();
    let mut pair = Pair::ready(&scene, By::Bed);
    let window = pair.expose(FIRST, 50_000_000, "rw");
    let begun = pair.client.ask(&format!("write 0 {window} 0 50000000 1"));
    assert_eq!(pair.client.ask("close 0"), "closed");
    let end = pair.finish(begun);
    assert!(end == failed(ECONNABORTED) || end.starts_with("done"), "{end}");
    pair.await_end_of(FIRST);
}

/// The peer is killed in the middle.
#[test]
fn peer_killed_in_the_middle() {
    let scene = scene();
    for by in [By::Bed, By::Faulty("plain")] {
        let mut pair = Pair::ready(&scene, by);
        let window = pair.expose(FIRST, 50_000_000, "rw");
        pair.server.signal(STOP);
        let begun: Vec<String> = ["write 0 W 0 50000000 1", "read 0 W 0 50000000"]
            .map(|command| pair.client.ask(&command.replace('W', &window)))
            .to_vec();
        assert_eq!(pair.client.ask("poll 0"), "pending");
        pair.server.signal(KILL);
        for operation in begun {
            assert_eq!(pair.finish(operation), failed(ECONNABORTED));
        }
    }
}

/// The owner closes its socket: the exposure ends, the peer's next access fails, nothing is touched.
#[test]
fn closed_while_exposed() {
    let scene = scene();
    let mut pair = Pair::ready(&scene, By::Bed);
    let window = pair.expose(FIRST, 100, "rw");
    assert_eq!(pair.write(FIRST, &window, 0, 100, 2), "done 100 of 2");
    assert_eq!(pair.server.ask("close 0"), "closed");
    pair.await_end_of(FIRST);
    let end = pair.write(FIRST, &window, 0, 100, 3);
    let ends = [failed(ECONNABORTED), refused(EOPNOTSUPP)];
    assert!(ends.contains(&end), "{end}");
    assert_eq!(pair.server.ask("withdraw 0"), "100 of 2");
}

/// A forked child has neither companion nor exposure; its parent's go on.
#[test]
fn fork() {
    let scene = scene();
    let mut pair = Pair::ready(&scene, By::Bed);
    let window = pair.expose(FIRST, 100, "rw");
    assert_eq!(pair.server.ask("fork 0"), format!("{EOPNOTSUPP} {EOPNOTSUPP} 1"));
    assert_eq!(pair.write(FIRST, &window, 0, 100, 6), "done 100 of 6");
    assert_eq!(pair.server.ask("look 0"), "100 of 6");
    pair.talk(FIRST);
}
