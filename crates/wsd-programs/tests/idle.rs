//! Open connections without traffic cost nothing.

use std::time::Duration;
use wsd_programs::{Effort, Expected, Process, Program, Scene, three_ways, until, wait_listening};

const CONNECTIONS: usize = 100;

fn hundred_connections_at_rest(scene: &Scene) {
    let port = scene.port();
    let server = scene.server(&Program::python(include_str!("../scripts/idle_server.py")).arg(port));
    wait_listening(port);
    let client = Program::python(concat!(
        include_str!("../scripts/idle_client.py"),
        include_str!("../scripts/exchange_for_lines.py")
    ))
    .arg(port)
    .arg(CONNECTIONS)
    .piped();
    let mut client = scene.client(&client);
    assert_eq!(client.ask("5"), "exchanged");
    scene.await_promotion(port, 2 * CONNECTIONS, || assert_eq!(client.ask("2"), "exchanged"));
    come_to_rest(&server, &client);
    rests(&server, &client);

    // And they still work.
    let watch = scene.watch(&[port]);
    let rounds = 400;
    assert_eq!(client.ask(&rounds.to_string()), "exchanged");
    watch.settle();
    let payload = 2 * 4096 * rounds * CONNECTIONS as u64;
    scene.judge(&watch.stop(), &Expected { connections: CONNECTIONS, busy: 4096, payload });
}

/// Waits until what the exchange has left to do is done: nothing happens in them for two seconds.
fn come_to_rest(server: &Process, client: &Process) {
    let look = || [server.pid(), client.pid()].map(Effort::of);
    let mut before = look();
    until(Duration::from_secs(30), "rest", || {
        std::thread::sleep(Duration::from_secs(2));
        let now = look();
        (std::mem::replace(&mut before, now.clone()) == now).then_some(())
    });
}

/// For ten seconds no thread of them wakes, and no processor time passes in them.
fn rests(server: &Process, client: &Process) {
    let pids = [server.pid(), client.pid()];
    let before = pids.map(Effort::of);
    std::thread::sleep(Duration::from_secs(10));
    let after = pids.map(Effort::of);
    for (what, before, after) in [("server", &before[0], &after[0]), ("client", &before[1], &after[1])] {
        assert_eq!(before, after, "the {what} worked at rest");
    }
}

three_ways!(hundred_connections_at_rest);
