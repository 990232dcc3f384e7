//! A provider that fails before a connection is promoted leaves it on TCP, with a reason.

mod support;

use serde_json::json;
use support::Pair;

fn stays_on_tcp(server: &str, client: &str, reasons: [&str; 2]) {
    let mut pair = Pair::start_with(server, client);
    let [of_server, of_client] = reasons;
    pair.await_listed(|end| {
        let wanted = if end["pid"] == json!(pair.server.child.id()) { of_server } else { of_client };
        end["path"] == "tcp" && end["reason"] == wanted
    });
    pair.play(&json!({ "scene": "both", "total": 2_000_000, "largest": 300_000 }));
    pair.compare();
}

/// SW-023.
#[test]
fn startup() {
    stays_on_tcp("fail-startup", "fail-startup", ["NoProvider"; 2]);
}

/// SW-047.
#[test]
fn socket() {
    stays_on_tcp("fail-socket", "fail-socket", ["ProviderFailed"; 2]);
}

/// SW-047.
#[test]
fn bind() {
    stays_on_tcp("fail-bind", "fail-bind", ["ProviderFailed"; 2]);
}

/// The end that accepted connects its companion.
#[test]
fn connect() {
    stays_on_tcp("fail-connect", "fail-connect", ["ProviderFailed", "PeerWithoutCompanion"]);
}

/// Every message before the promotion in turn is the first one that fails.
#[test]
fn send() {
    for faults in ["plain", ""] {
        for count in 0..3 {
            let faults = format!("{faults},fail-send-after={count}");
            let mut pair = Pair::start_with(&faults, &faults);
            let told = ["CompanionLost", "NegotiationFailed", "NoProof", "PeerWithoutCompanion"];
            pair.await_listed(|end| {
                end["path"] == "tcp" && told.iter().any(|reason| end["reason"] == *reason)
            });
            pair.play(&json!({ "scene": "both", "total": 2_000_000, "largest": 300_000 }));
            pair.compare();
        }
    }
}
