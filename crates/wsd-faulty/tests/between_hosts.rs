//! Ends that cannot make a link, as on two hosts, prove by a hash of the stream that they have the same connection (session
//! protocol, section 9).

mod support;

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{End, Pair};

/// Where the peers of these tests are.
const NETWORK: &[&str] = &["127.0.0.0/8"];

fn pair(faults: &str) -> Pair {
    Pair::start_named(NETWORK, [faults, faults], "talk.py")
}

/// Both ends are on TCP for this reason, and their bytes are right all the same.
fn stays_on_tcp(mut pair: Pair, reasons: &[&str]) {
    pair.await_listed(|end| end["path"] == "tcp" && reasons.iter().any(|reason| end["reason"] == *reason));
    pair.play(&json!({ "scene": "both", "total": 2_000_000, "largest": 300_000 }));
    pair.compare();
}

fn told(end: &mut End, line: &str) {
    writeln!(end.child.stdin.as_mut().expect("piped"), "{line}").expect("the process listens");
}

/// Section 9: promoted by the hash, over a provider that maps memory and over one that does not; the pump carries the bytes.
#[test]
fn the_stream_proves_the_connection() {
    for faults in ["plain,no-link", "no-link"] {
        let mut pair = pair(faults);
        pair.await_promotion();
        pair.play(&json!({ "scene": "both", "total": 6_000_000, "largest": 400_000 }));
        pair.compare();
        assert!(pair.traced("WSPRdmaRead("), "{faults}: nothing went by the pump");
    }
}

/// Section 9, 1: a link that can be made is preferred, and rings with it.
#[test]
fn a_link_is_preferred() {
    let mut pair = pair("");
    pair.await_promotion();
    pair.play(&json!({ "scene": "both", "total": 2_000_000, "largest": 300_000 }));
    pair.compare();
    assert!(!pair.traced("WSPRdmaRead("), "mapped rings carry the bytes");
}

/// Section 9, 4: an end that cannot show the right hash is left, by both, for good and with the reason.
#[test]
fn a_wrong_hash_proves_nothing() {
    for faults in [["plain,no-link,forge", "plain,no-link"], ["plain,no-link", "plain,no-link,forge"]] {
        let pair = Pair::start_named(NETWORK, faults, "talk.py");
        // Whoever sent the right proof may have been promoted in the other's eyes until that closed the companion.
        stays_on_tcp(pair, &["NoProof", "CompanionLost", "PeerWithoutCompanion"]);
    }
    stays_on_tcp(pair("plain,no-link,forge"), &["NoProof"]);
}

/// Nobody hashes towards a network that nobody named: without a link there is no proof.
#[test]
fn other_networks_are_not_hashed() {
    let faults = ["plain,no-link"; 2];
    stays_on_tcp(
        Pair::start_named(&["10.0.0.0/8"], faults, "talk.py"),
        &["NoProof", "CompanionLost", "PeerWithoutCompanion"],
    );
}

/// One end has written far more than the other has read: too little in common at first, and the proof comes with the bytes.
#[test]
fn an_end_far_ahead_waits() {
    let mut pair = Pair::start_named(NETWORK, ["plain,no-link"; 2], "ahead.py");
    // StreamMarks has 48 bytes, and nothing else that is said before the proof.
    let is_said = |line: &&str| line.contains(" WSPSend(") && line.contains("+48]");
    let asked = |pair: &Pair| pair.traced_by("server").lines().filter(is_said).count();
    let end = Instant::now() + Duration::from_secs(20);
    while asked(&pair) < 2 {
        assert!(Instant::now() < end, "not asked again:\n{}", pair.traces());
        thread::sleep(Duration::from_millis(10));
    }
    // Only what is proven waits for consent. A promotion has to wait until the server has read what TCP holds (section 10).
    let proven = |end: &Value| end["reason"].is_null() || end["reason"] == "AwaitingConsent";
    pair.await_listed(|end| !proven(end));
    told(&mut pair.server, "read some");
    pair.await_listed(proven);
    told(&mut pair.server, "read the rest");
    let results: [Value; 2] = [pair.server.told(), pair.client.told()];
    assert_eq!(results[0]["received"], results[1]["sent"], "{}", pair.traces());
}

/// Bytes of a file go through the hash too; bytes that nobody sees end it.
#[test]
fn bytes_that_are_not_seen() {
    let mut pair = Pair::start_named(NETWORK, ["plain,no-link"; 2], "unseen.py");
    told(&mut pair.client, "sendfile");
    pair.await_promotion();
    told(&mut pair.client, "end");
    let mut pair = Pair::start_named(NETWORK, ["plain,no-link"; 2], "unseen.py");
    told(&mut pair.client, "discard");
    let server = json!(pair.server.child.id());
    pair.await_listed(|end| {
        end["path"] == "tcp" && (end["pid"] != server || end["reason"] == "StreamUnseen")
    });
    told(&mut pair.client, "end");
}
