//! The companion breaks while both programs live: both streams go on by TCP, nothing lost, nothing doubled, and are promoted again
//! (session protocol, section 10).

mod support;

use serde_json::{Value, json};
use support::{Pair, Way};

/// A conversation that begins before the promotion and lasts beyond the break.
fn conversation() -> Value {
    json!({ "scene": "paced", "total": 2_000_000, "largest": 100_000, "rest": 0.004 })
}

/// Every message that an end sends in turn is the first one that is lost, before, during and after the promotion, while both
/// directions flow.
fn at_messages(numbers: impl Iterator<Item = u64>, faults: &str, of_server: bool) {
    for number in numbers {
        let broken = format!("{faults},break-at={number}");
        let (server, client, end) =
            if of_server { (&*broken, faults, "server") } else { (faults, &*broken, "client") };
        let mut pair = Pair::start_with(server, client);
        pair.play(&json!({ "scene": "unended", "largest": 100_000, "rest": 0.004 }));
        pair.await_traced(end, " = WSAECONNABORTED", 1);
        pair.say("end");
        pair.compare();
    }
}

#[test]
fn every_message_of_the_server() {
    at_messages(0..28, "plain", true);
}

#[test]
fn every_message_of_the_client() {
    at_messages(0..28, "plain", false);
}

/// With RDMA writes.
#[test]
fn messages_about_writes() {
    at_messages((7..40).step_by(3), "plain,no-read,early-rdma", true);
    at_messages((8..40).step_by(3), "plain,no-read,early-rdma", false);
}

/// What has arrived is told some time after it has.
#[test]
fn messages_told_late() {
    at_messages((4..28).step_by(3), "plain,late,early-rdma", true);
    at_messages((5..28).step_by(3), "plain,late,early-rdma", false);
}

fn has_moved(end: &Value) -> bool {
    ["san_bytes_sent", "san_bytes_received", "tcp_bytes_sent", "tcp_bytes_received"]
        .iter()
        .all(|field| end[*field].as_u64().unwrap_or(0) > 1_000_000)
}

/// 100 MB each way, five breaks, and in the end both directions are on the SAN again.
#[test]
fn five_breaks() {
    for faults in ["plain", "plain,no-read"] {
        let mut pair = Pair::start_with(&format!("{faults},break-at=100,break-times=5"), faults);
        pair.await_promotion();
        let scene = json!({ "scene": "paced", "total": 100_000_000, "largest": 300_000, "rest": 0.004, "hold": true });
        pair.play(&scene);
        pair.compare();
        let broken = pair.traced_by("server").matches("the streams go on by TCP").count();
        assert_eq!(broken, 5, "{}", pair.traces());
        pair.await_listed(|end| end["path"] == "wsd_faulty" && end["reason"].is_null() && has_moved(end));
        pair.release();
    }
}

/// Section 10: the listening end waits for longer than the connecting one pauses between its attempts, so that both meet however
/// many of these fail.
#[test]
fn listening_end_waits_out_the_pauses() {
    // Each attempt connects eight times; the first six, with the pauses between them, take more than five seconds together.
    let mut pair = Pair::start_with("plain,break-at=100,vain-connects=52", "plain");
    let scene =
        json!({ "scene": "paced", "total": 100_000_000, "largest": 300_000, "rest": 0.02, "hold": true });
    pair.play(&scene);
    pair.compare();
    pair.await_listed(|end| end["path"] == "wsd_faulty" && end["reason"].is_null() && has_moved(end));
    let listens = pair.traced_by("client").matches(" WSPListen(").count();
    assert_eq!(listens, 2, "{}", pair.traces());
    pair.release();
}

/// While there is no companion the reason is listed.
#[test]
fn reason_is_listed() {
    let mut pair = Pair::start_with("plain,fail-send-after=100", "plain");
    pair.await_listed(|end| end["path"] == "tcp" && end["reason"] == "CompanionLost");
    pair.play(&json!({ "scene": "both", "total": 1_000_000, "largest": 300_000 }));
    pair.compare();
}

/// SW-160: an end shuts down while the companion breaks.
#[test]
fn half_close_around_the_break() {
    for number in (8..40).step_by(4) {
        let broken = format!("plain,break-at={number}");
        for (server, client) in [(&*broken, "plain"), ("plain", &*broken)] {
            let mut pair = Pair::start_with(server, client);
            pair.play(&json!({ "scene": "half", "total": 300_000, "largest": 100_000 }));
            pair.compare();
        }
    }
}

/// SW-161: the writer closes, or its process ends, while its last bytes are on their way by the companion that breaks.
#[test]
fn close_around_the_break() {
    for number in (8..40).step_by(4) {
        let broken = format!("plain,break-at={number}");
        for (server, client, exit) in
            [(&*broken, "plain", true), ("plain", &*broken, false), ("plain", &*broken, true)]
        {
            let mut pair = Pair::start_with(server, client);
            let scene =
                json!({ "scene": "burst", "total": 300_000, "largest": 100_000, "sleep": 0.2, "exit": exit });
            pair.play(&scene);
            let (client, server) = (pair.client.told(), pair.server.told());
            let fits = server["received"] == client["sent"] && server["error"].is_null();
            assert!(fits, "{number}: {server}\n{}", pair.traces());
        }
    }
}

/// Moments of the promotion: kind 9 is `Promoted`, 29 `Settled`. The server's companion is the connecting one.
const OF_SERVER: [&str; 5] = ["send:9", "sent:9", "received:9", "send:29", "sent:29"];
const OF_CLIENT: [&str; 4] = ["received:9", "send:9", "sent:9", "received:29"];

/// An end is stopped in the middle of the promotion for longer than the other one waits, and goes on.
#[test]
fn stopped_during_the_promotion() {
    let stops =
        OF_SERVER.iter().map(|moment| (true, moment)).chain(OF_CLIENT.iter().map(|moment| (false, moment)));
    for (of_server, moment) in stops {
        let stops = format!("plain,stop-at={moment}");
        let (server, client) = if of_server { (&*stops, "plain") } else { ("plain", &*stops) };
        let mut pair = Pair::start_with(server, client);
        let stopped = if of_server { &pair.server } else { &pair.client };
        stopped.await_stop();
        std::thread::sleep(std::time::Duration::from_millis(2500));
        stopped.go_on();
        pair.play(&conversation());
        pair.compare();
    }
}

/// Megabytes are on their way by TCP when both directions are to be promoted again, and the program reads them slowly: its end says
/// so (`Reading`, kind 30), and is waited for.
#[test]
fn slow_reader_is_waited_for() {
    for writer in [0, 1] {
        let faults = "plain,break-at=150,stop-at=sent:30";
        let (server, client) = if writer == 1 { (faults, "plain") } else { ("plain", faults) };
        let mut pair = Pair::start_with(server, client);
        pair.await_promotion();
        pair.say(
            &json!({ "scene": "backlog", "total": 32_000_000, "largest": 300_000, "writer": writer })
                .to_string(),
        );
        let stopped = if writer == 1 { &pair.server } else { &pair.client };
        stopped.await_stop();
        stopped.go_on();
        pair.compare();
    }
}

/// As above, and the writer ends before its last bytes are read: they arrive.
#[test]
fn writer_ends_before_a_slow_reader() {
    for writer in [0, 1] {
        let mut pair = Pair::start_with("plain,break-at=150", "plain");
        pair.await_promotion();
        let scene = json!({ "scene": "backlog", "total": 16_000_000, "largest": 300_000, "writer": writer, "exit": true });
        pair.say(&scene.to_string());
        let (client, server) = (pair.client.told(), pair.server.told());
        let (wrote, read) = if writer == 1 { (client, server) } else { (server, client) };
        assert!(read["received"] == wrote["sent"] && read["error"].is_null(), "{read}\n{}", pair.traces());
    }
}

/// The client's word that it has fixed its offset, kind 9, is lost, some time after the program could write last: the client does not
/// know what the server knows. A client that waits for an answer meanwhile does not have to wait to write: so it happens again.
fn unsure_client() -> Pair {
    let faults = ["plain", "plain,break-before=9,slow-break,break-times=8"];
    Pair::start_play(Way::TcpFirst, faults, "asker.py").expect("it listens")
}

/// Who waits, by epoll or poll, until he may write learns that he may, though the peer has nothing to say.
#[test]
fn writer_goes_on_when_the_peer_waits_for_it() {
    for waits in ["epoll", "poll"] {
        let mut pair = unsure_client();
        pair.say(waits);
        pair.await_traced("client", "the streams go on by TCP", 1);
        pair.say("end");
        let (client, server) = (pair.client.told(), pair.server.told());
        assert!(
            client["held"] == false && server["error"].is_null(),
            "{client}, {server}\n{}",
            pair.traces()
        );
    }
}

/// A poll without a limit ends with an event (poll(2)), however often the path changes meanwhile.
#[test]
fn polls_without_limit_end_with_an_event() {
    let faults = ["plain", "plain,break-before=9,break-times=6"];
    let mut pair = Pair::start_play(Way::TcpFirst, faults, "asker.py").expect("it listens");
    pair.say("crowd");
    pair.await_traced("client", "the streams go on by TCP", 6);
    pair.say("end");
    let client = pair.client.told();
    assert_eq!(client["empty"], 0, "{client}");
}

/// Who closes then ends the stream, though the peer has nothing to say.
#[test]
fn close_is_heard_by_a_peer_that_waits() {
    let mut pair = unsure_client();
    pair.say("close");
    let (client, server) = (pair.client.told(), pair.server.told());
    assert!(client["held"] == true && server["error"].is_null(), "{client}, {server}\n{}", pair.traces());
}

/// An end is killed in the middle of the promotion: the other one learns of it, and does not wait for ever.
#[test]
fn killed_during_the_promotion() {
    let deaths =
        OF_SERVER.iter().map(|moment| (true, moment)).chain(OF_CLIENT.iter().map(|moment| (false, moment)));
    for (of_server, moment) in deaths {
        let dies = format!("plain,die-at={moment}");
        let (server, client) = if of_server { (&*dies, "plain") } else { ("plain", &*dies) };
        let mut pair = Pair::start_with(server, client);
        pair.server.ends();
        pair.client.ends();
    }
}
