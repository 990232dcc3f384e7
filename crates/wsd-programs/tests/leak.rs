//! Ten thousand connections leave nothing behind in the processes that had them.

use std::time::Duration;
use wsd_programs::{Expected, Holdings, Process, Program, Scene, three_ways, wait_listening};

/// Each of eight threads does so many cycles first, and then so many.
const FIRST: &str = "13";
const THEN: &str = "1250";

/// Mappings that an allocator may add or join.
const MAPPINGS: usize = 4;

/// KiB that an allocator may keep: less than 2 KiB for each connection.
const MEMORY: u64 = 16 << 10;

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
    let first = both(&server, &client);
    assert_eq!(client.ask(THEN), "done");
    let second = back_to(&first, &server, &client);
    if !back(&first, &second) {
        // A thread may get, when it first has to, something that it then keeps. That happens once, a leak goes on.
        assert_eq!(client.ask(THEN), "done");
        let third = back_to(&second, &server, &client);
        assert!(back(&second, &third), "first {first:#?}, then {second:#?}, now {third:#?}");
    }
    scene.judge(&seen, &Expected { connections: 8, busy: 100_000, payload: 2 * 2048 * 1000 * 8 });
}

fn both(server: &Process, client: &Process) -> [Holdings; 2] {
    [Holdings::of(server.pid()), Holdings::of(client.pid())]
}

/// Both hold what they held.
fn back(before: &[Holdings; 2], now: &[Holdings; 2]) -> bool {
    before.iter().zip(now).all(|(before, now)| {
        now.descriptors == before.descriptors
            && now.threads == before.threads
            && now.mappings.abs_diff(before.mappings) <= MAPPINGS
            && now.memory <= before.memory + MEMORY
    })
}

/// What both hold when it is what they held, or after a while.
fn back_to(before: &[Holdings; 2], server: &Process, client: &Process) -> [Holdings; 2] {
    let mut now = both(server, client);
    for _ in 0..50 {
        if back(before, &now) {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
        now = both(server, client);
    }
    now
}

three_ways!(ten_thousand_connections);
