//! Ten thousand connections leave nothing behind in the processes that had them.

use std::time::Duration;
use wsd_programs::{Expected, Holdings, Process, Program, Scene, three_ways, wait_listening};

/// Each of eight threads does so many cycles first, and then so many.
const FIRST: &str = "13";
const THEN: &str = "1250";

/// Mappings that an allocator may add or join.
const SLACK: usize = 4;

fn ten_thousand_connections(scene: &Scene) {
    let port = scene.port();
    let churn = Program::at(env!("CARGO_BIN_EXE_wsd-churn").as_ref());
    let server = scene.server(&churn.clone().arg("serve").arg(port));
    wait_listening(port);
    let mut client = scene.client(&churn.arg("drive").arg(port).piped());
    // Eight connections at a time, so that what is kept for as many is there from the beginning.
    let watch = scene.watch(&[port]);
    assert_eq!(client.ask("hold"), "done");
    watch.settle();
    let seen = watch.stop();
    assert_eq!(client.ask("release"), "done");
    assert_eq!(client.ask(FIRST), "done");
    std::thread::sleep(Duration::from_secs(2));
    let before = [Holdings::of(server.pid()), Holdings::of(client.pid())];
    assert_eq!(client.ask(THEN), "done");
    back_to("client", &client, &before[1]);
    back_to("server", &server, &before[0]);
    scene.judge(&seen, &Expected { connections: 8, busy: 100_000, payload: 2 * 2048 * 1000 * 8 });
}

/// The process holds what it held, at the latest after a while.
fn back_to(what: &str, process: &Process, before: &Holdings) {
    let mut now = Holdings::of(process.pid());
    let same = |now: &Holdings| {
        now.descriptors == before.descriptors
            && now.threads == before.threads
            && now.mappings.abs_diff(before.mappings) <= SLACK
    };
    for _ in 0..50 {
        if same(&now) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
        now = Holdings::of(process.pid());
    }
    panic!("the {what} held {before:#?} and now holds {now:#?}");
}

three_ways!(ten_thousand_connections);
