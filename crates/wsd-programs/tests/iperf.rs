//! iperf3: four streams, either way.

use wsd_programs::{Expected, Program, Scene, three_ways, wait_listening};

fn four_streams(scene: &Scene, direction: &[&str]) {
    let port = scene.port();
    let (iperf, address) = (Program::named("iperf3"), scene.address().to_string());
    let server = scene.server(&iperf.clone().args(["-s", "-1", "-B", &address, "-p"]).arg(port));
    wait_listening(port);
    let watch = scene.watch(&[port]);
    let client = iperf
        .args(["-c", &address, "-P", "4", "-t", scene.amount("3", "12"), "-J", "-p"])
        .arg(port)
        .args(direction);
    let printed = scene.client(&client).finish_text();
    let seen = watch.stop();
    server.finish();
    let report: serde_json::Value = serde_json::from_str(&printed).expect("a report");
    let bytes =
        |sum: &str| report["end"][sum]["bytes"].as_u64().unwrap_or_else(|| panic!("no {sum} in {printed}"));
    let (sent, received) = (bytes("sum_sent"), bytes("sum_received"));
    assert!(received > scene.amount(50_000_000, 5_000_000) && received <= sent, "{received} of {sent} bytes");
    scene.judge(&seen, &Expected { connections: 4, busy: received / 100, payload: received });
}

fn client_sends(scene: &Scene) {
    four_streams(scene, &[]);
}

fn server_sends(scene: &Scene) {
    four_streams(scene, &["-R"]);
}

fn both_send(scene: &Scene) {
    four_streams(scene, &["--bidir"]);
}

three_ways!(client_sends, server_sends, both_send);
