//! Ten thousand connections leave nothing behind in the processes that had them.

use std::time::Duration;
use wsd_programs::{
    Expected, Holdings, Process, Program, Scene, assert_promoted, assert_reasons, three_ways, wait_listening,
};

/// Each of eight threads does so many cycles first, and then so many.
const FIRST: usize = 13;
const THEN: usize = 1250;

/// Mappings that an allocator may add or join.
const SLACK: usize = 4;

fn ten_thousand_connections(scene: &Scene) {
    let port = scene.port();
    let churn = Program::at(env!("CARGO_BIN_EXE_wsd-churn").as_ref());
    let server = scene.server(&churn.clone().arg("serve").arg(port));
    wait_listening(port);
    let watch = scene.watch(&[port]);
    let mut client = scene.client(&churn.arg("drive").arg(port).piped());
    assert_eq!(client.ask(&FIRST.to_string()), "done");
    std::thread::sleep(Duration::from_secs(2));
    let before = [Holdings::of(server.pid()), Holdings::of(client.pid())];
    assert_eq!(client.ask(&THEN.to_string()), "done");
    back_to("client", &client, &before[1]);
    back_to("server", &server, &before[0]);
    // Some of them are open long enough to be watched: each thread's first two of each turn.
    let (seen, expected) = (watch.stop(), Expected { connections: 16, busy: 200_000, payload: 0 });
    if scene.promotes() {
        assert_promoted(&seen, &expected);
    } else {
        assert_reasons(&seen, &expected);
    }
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
