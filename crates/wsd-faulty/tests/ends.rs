//! How pumped connections end: nothing that was written before a close is lost, and a death is told.

mod support;

use serde_json::{Value, json};
use support::Pair;

const RESET: &str = "Connection reset by peer";

fn play(faults: &str, scene: &Value) -> Pair {
    let mut pair = Pair::start(faults);
    pair.await_promotion();
    pair.play(scene);
    pair
}

/// SW-160.
#[test]
fn half_close() {
    for faults in ["plain", "plain,no-read,late"] {
        play(faults, &json!({ "scene": "half", "total": 3_000_000, "largest": 300_000 })).compare();
    }
}

/// SW-161, SW-164: the writer has closed and its process has ended before the reader begins to read.
#[test]
fn written_before_close_is_read() {
    for faults in ["plain", "plain,no-read", "plain,late,small-messages"] {
        let scene = json!({ "scene": "burst", "total": 2_000_000, "largest": 300_000, "sleep": 2.5 });
        let pair = play(faults, &scene);
        let (client, server) = (pair.client.told(), pair.server.told());
        assert_eq!(
            (&server["received"], &server["error"]),
            (&client["sent"], &Value::Null),
            "{}",
            pair.traces()
        );
    }
}

/// As above, by `_exit`, with the connection open.
#[test]
fn written_before_exit_is_read() {
    let scene = json!({ "scene": "burst", "total": 2_000_000, "largest": 300_000, "exit": true });
    let pair = play("plain", &scene);
    let (client, server) = (pair.client.told(), pair.server.told());
    assert_eq!((&server["received"], &server["error"]), (&client["sent"], &Value::Null), "{}", pair.traces());
}

/// What the dead process had not handed over is lost, so the stream must not end as if it were whole.
#[test]
fn killed_peer() {
    let mut pair = play("plain", &json!({ "scene": "die" }));
    assert_eq!(pair.server.told()["count"], 1000);
    pair.client.child.kill().expect("our child");
    let server = pair.server.told();
    assert_eq!((&server["count"], &server["error"]), (&json!(0), &json!(RESET)));
}

/// The provider refuses to send on a connection that lives, and on every later one.
#[test]
fn failed_messages_go_by_tcp() {
    let pair = play(
        "plain,no-memory,fail-send-after=500",
        &json!({ "scene": "both", "total": 6_000_000, "largest": 300_000 }),
    );
    pair.compare();
}

#[test]
fn reset_by_linger() {
    let pair = play("plain", &json!({ "scene": "linger" }));
    assert_eq!(pair.server.told()["count"], 1000);
    let server = pair.server.told();
    assert_eq!((&server["count"], &server["error"]), (&json!(0), &json!(RESET)));
}

/// Section 10: both directions go back to TCP in the middle of their streams, whoever asks.
#[test]
fn back_to_tcp() {
    for faults in ["plain", "plain,no-read,early-rdma", "plain,late,early-rdma"] {
        for (leaver, pause) in [(0, 0.0), (1, 0.01)] {
            let scene = json!({
                "scene": "leave", "total": 6_000_000, "largest": 300_000, "leaver": leaver, "pause": pause, "hold": true
            });
            let mut pair = play(faults, &scene);
            pair.compare();
            pair.await_listed(|end| {
                let moved = |field: &str| end[field].as_u64().unwrap_or(0) > 0;
                let reason = end["reason"] == "PassedOn" || end["reason"] == "PeerWentToTcp";
                end["path"] == "tcp" && reason && moved("san_bytes_sent") && moved("tcp_bytes_sent")
            });
            pair.release();
        }
    }
}

/// RDMA operations fail on a connection that lives: the bytes are kept, so TCP carries on.
#[test]
fn failed_transfers_go_by_tcp() {
    for faults in ["plain,fail-rdma", "plain,fail-rdma,no-read"] {
        let pair = play(faults, &json!({ "scene": "both", "total": 6_000_000, "largest": 300_000 }));
        pair.compare();
        assert!(pair.traced("the streams go on by TCP"), "{}", pair.traces());
    }
}
