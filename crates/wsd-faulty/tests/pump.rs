//! Connections over a provider with the documented functions only (SW-110..119): the bytes are right, whatever the
//! provider does with its messages and transfers.

mod support;

use serde_json::json;
use support::Pair;

/// Bytes in each direction.
const TOTAL: u64 = 12_000_000;

fn both_directions(server: &str, client: &str, total: u64) -> Pair {
    let mut pair = Pair::start_with(server, client);
    pair.await_promotion();
    pair.play(&json!({ "scene": "both", "total": total, "largest": 400_000 }));
    pair.compare();
    pair.client.ends();
    pair.server.ends();
    pair
}

#[test]
fn rdma_read() {
    let pair = both_directions("plain", "plain", TOTAL);
    assert!(pair.traced("WSPRdmaRead("), "nothing went by RDMA");
    assert!(!pair.traced("WSPRdmaWrite("), "the read variant is used by both");
}

/// SW 10.3: the receiver's provider has no WSPRdmaRead.
#[test]
fn rdma_write() {
    let pair = both_directions("plain,no-read", "plain,no-read", TOTAL);
    assert!(pair.traced("WSPRdmaWrite("), "nothing went by RDMA");
    assert!(!pair.traced("WSPRdmaRead("), "a function that is not there was called");
}

/// SW-107: the ends differ, so each direction has a variant of its own.
#[test]
fn one_end_cannot_read() {
    let pair = both_directions("plain,no-read", "plain", TOTAL);
    assert!(pair.traced("WSPRdmaWrite(") && pair.traced("WSPRdmaRead("));
}

/// Only one end's provider could map memory.
#[test]
fn one_end_could_map() {
    let pair = both_directions("", "plain", TOTAL);
    assert!(pair.traced("WSPRdmaRead("));
}

/// SW-113: nothing above SO_MAX_MSG_SIZE or SO_MAX_RDMA_SIZE; the provider refuses what is larger.
#[test]
fn tiny_messages() {
    both_directions("plain,small-messages", "plain,small-messages", 1_000_000);
}

#[test]
fn tiny_rdma_reads() {
    let faults = "plain,small-rdma,early-rdma";
    assert!(both_directions(faults, faults, 1_000_000).traced("WSPRdmaRead("));
}

#[test]
fn tiny_rdma_writes() {
    let faults = "plain,small-rdma,early-rdma,no-read,small-messages";
    assert!(both_directions(faults, faults, 1_000_000).traced("WSPRdmaWrite("));
}

/// SW-132, SW-133: completions come on a thread of the provider's, each for its own request.
#[test]
fn late_completions() {
    both_directions("plain,late,early-rdma", "plain,late,early-rdma", 1_000_000);
    both_directions("plain,late,early-rdma,no-read", "plain,late,early-rdma,no-read", 1_000_000);
}

#[test]
fn split_transfers() {
    both_directions("plain,split-rdma,late", "plain,split-rdma", TOTAL);
}

/// SW-115: without memory for RDMA everything goes in messages.
#[test]
fn no_memory_to_expose() {
    let pair = both_directions("plain,no-memory", "plain,no-memory", 2_000_000);
    assert!(!pair.traced("WSPRdmaRead("));
}

/// One thread, non-blocking, epoll.
#[test]
fn readiness() {
    for faults in ["plain", "plain,no-read,late"] {
        let mut pair = Pair::start(faults);
        pair.await_promotion();
        pair.play(&json!({ "scene": "sets", "total": 3_000_000, "largest": 100_000 }));
        pair.compare();
    }
}

/// SW-125: the byte is told of, taken out of line, and missing in the stream.
#[test]
fn urgent_data() {
    let mut pair = Pair::start("plain");
    pair.await_promotion();
    pair.play(&json!({ "scene": "urgent" }));
    let server = pair.server.told();
    assert_eq!((&server["urgent"], &server["text"]), (&json!("!"), &json!("beforeafter")));
}
