//! Connections that several processes share (section 17 of the switch's specification): control moves to whoever uses them, and the peer sees one stream.

mod sharers;

use sharers::{Digest, Scene, Sharer};

/// A second process sends on the connection that the first has made; the peer sees one stream.
#[test]
fn control_moves_to_who_uses_the_connection() {
    let mut scene = Scene::new("plain");
    let [mut one, mut two, mut peer] = [scene.sharer("one"), scene.sharer("two"), scene.sharer("peer")];
    scene.connect(&mut one, &mut peer);
    let first = one.ask("send 0 100000");
    assert_eq!(peer.ask("receive 0 100000"), first);
    scene.share(&mut one, &mut two);
    let second = two.ask("send 100000 50000");
    assert_eq!(peer.ask("receive 100000 50000"), second);
    let answer = peer.ask("send 0 70000");
    assert_eq!(two.ask("receive 0 70000"), answer);
    let third = one.ask("send 150000 10");
    assert_eq!(peer.ask("receive 150000 10"), third);
}

/// SW-184 (SAN first): three processes take turns, and nothing is lost, repeated or out of order in either direction.
#[test]
fn a_thousand_moves_while_a_gigabyte_goes_each_way() {
    take_turns("plain", 1000, 1 << 20);
}

/// The same, whatever the provider does with its messages and transfers.
#[test]
fn turns_over_providers_of_all_kinds() {
    let kinds = [
        "plain,no-read",
        "plain,late,early-rdma",
        "plain,no-read,late,early-rdma",
        "plain,small-messages,small-rdma",
        "plain,split-rdma,early-rdma",
        "plain,no-memory",
    ];
    for faults in kinds {
        take_turns(faults, 30, 100_000);
    }
}

/// Three processes exchange bytes with a peer in turns: each turn moves control.
fn take_turns(faults: &str, moves: u64, chunk: u64) {
    let mut scene = Scene::new(faults);
    let mut holders = ["one", "two", "three"].map(|name| scene.sharer(name));
    let mut peer = scene.sharer("peer");
    let [one, two, three] = &mut holders;
    scene.connect(one, &mut peer);
    scene.share(one, two);
    scene.share(one, three);
    peer.tell(&format!("stream {} {chunk}", moves * chunk));
    let mut digests = [Digest::default(), Digest::default()];
    for turn in 0..moves {
        // The first turn is a move too: the creator has control.
        let holder = &mut holders[(turn as usize + 1) % 3];
        let answer = holder.ask(&format!("exchange {} {chunk}", turn * chunk));
        for (digest, text) in digests.iter_mut().zip(answer.split(' ')) {
            digest.add(text);
        }
    }
    let [sent, received] = digests.map(Digest::text);
    assert_eq!(peer.answer(), format!("{received} {sent}"), "{faults}");
    let moved: usize =
        holders.iter().map(|holder| holder.traced().matches("this process has control").count()).sum();
    assert!(moved as u64 >= moves, "{moved} moves: {faults}");
}

/// The same with next to nothing to do between two moves.
#[test]
fn turns_of_one_byte() {
    take_turns("plain", 500, 1);
}

/// Calls of one socket in a trace, from the first line with `from` on.
fn calls_after(trace: &str, socket: &str, from: &str) -> Vec<String> {
    let own = |line: &&str| line.contains(&format!("({socket},")) || line.contains(&format!("({socket})"));
    let calls = trace.lines().skip_while(|line| !line.contains(from)).skip(1).filter(own);
    let name = |line: &str| {
        line.split_whitespace().nth(3).and_then(|call| call.split('(').next().map(str::to_owned))
    };
    calls.filter_map(name).collect()
}

/// SW-181 (SAN first), SW-183 (SAN first), SW-185 (SAN first), SW-186 (SAN first): control does not move to who only has the
/// connection, whose provider knows nothing of it. Once a provider has given a socket away, the one call on it is WSPCloseSocket,
/// when control has come back. The peer has one socket throughout, and all of its receives are posted whatever happens.
#[test]
fn what_the_providers_are_asked_for() {
    let mut scene = Scene::new("plain");
    let [mut one, mut two, mut three] = ["one", "two", "three"].map(|name| scene.sharer(name));
    let mut peer = scene.sharer("peer");
    scene.connect(&mut one, &mut peer);
    scene.share(&mut one, &mut two);
    scene.share(&mut one, &mut three);
    let sent = one.ask("send 0 5000");
    assert_eq!(peer.ask("receive 0 5000"), sent);
    assert!(!one.traced().contains("WSPDuplicateSocket"), "nobody else uses it");
    for (turn, sharer) in [&mut two, &mut one].into_iter().enumerate() {
        let at = 5000 * (turn + 1);
        let sent = sharer.ask(&format!("send {at} 5000"));
        assert_eq!(peer.ask(&format!("receive {at} 5000")), sent);
    }
    let [first, second] = [&one, &two].map(Sharer::traced);
    assert_eq!(calls_after(&first, "0x2", "WSPDuplicateSocket(0x2, "), ["WSPCloseSocket"], "{first}");
    assert!(calls_after(&second, "0x2", "WSPDuplicateSocket(0x2, ").is_empty(), "{second}");
    assert!(!three.traced().contains("reserved=0x0) = 0x2") && !three.traced().contains("has control"));
    let trace = peer.traced();
    let count = |what: &str| trace.matches(what).count();
    // The listener is 0x2.
    assert_eq!(count("WSPSocket("), 2, "{trace}");
    // Each that is completed is posted anew a moment later.
    peer.await_trace("12 posted receives", |trace| {
        let completed = trace.lines().filter(|line| line.contains("WPUCompleteOverlappedRequest(0x10002,"));
        let (good, bad): (Vec<&str>, Vec<&str>) = completed.partition(|line| line.contains(", 0, "));
        (trace.matches("WSPRecv(0x3,").count(), bad.len()) == (good.len() + 12, 0)
    });
}

/// While the other end moves, receives that must not wait say EAGAIN; sends that must not wait are buffered up to a bound and
/// say EAGAIN then; what waits goes on when the next process is there.
#[test]
fn a_suspended_peer_goes_on_working() {
    let mut scene = Scene::new("plain");
    let [mut one, mut peer] = ["one", "peer"].map(|name| scene.sharer(name));
    let mut two = scene.sharer_with("two", "stop-at=adopt");
    scene.connect(&mut one, &mut peer);
    scene.share(&mut one, &mut two);
    two.tell("send 0 1000");
    two.await_stop();
    assert_eq!(peer.ask("try-receive"), format!("error {}", libc::EAGAIN));
    let buffered: u64 = peer.ask("fill 0").parse().expect("a number");
    assert!(buffered > 0);
    assert_eq!(peer.ask(&format!("fill {buffered}")), "0");
    peer.tell(&format!("send {buffered} 1000"));
    two.go_on();
    assert_eq!(two.answer(), sharers::digest_of(0, 1000));
    assert_eq!(two.ask(&format!("receive 0 {buffered}")), sharers::digest_of(0, buffered));
    assert_eq!(two.ask(&format!("receive {buffered} 1000")), sharers::digest_of(buffered, 1000));
    assert_eq!(peer.answer(), sharers::digest_of(buffered, 1000));
    assert_eq!(peer.ask("receive 0 1000"), sharers::digest_of(0, 1000));
}
