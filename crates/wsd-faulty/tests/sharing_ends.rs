//! Connections that several processes share, when some of them close, shut down, or end (section 17 of the switch's specification).

mod sharers;

use sharers::{Scene, Sharer};

/// A scene where one and two have a connection to peer.
fn shared(faults: &str) -> (Scene, [Sharer; 3]) {
    let mut scene = Scene::new(faults);
    let [mut one, mut two, mut peer] = ["one", "two", "peer"].map(|name| scene.sharer(name));
    scene.connect(&mut one, &mut peer);
    scene.share(&mut one, &mut two);
    (scene, [one, two, peer])
}

/// The controller closes, with bytes of its own on the way: the other one goes on, and the peer sees the end when that has closed too.
#[test]
fn the_stream_ends_with_the_last_close() {
    let (_scene, [mut one, mut two, mut peer]) = shared("plain");
    peer.tell("receive 0 3000000");
    let first = one.ask("send 0 3000000");
    assert_eq!(one.ask("close"), "ok");
    assert_eq!(peer.answer(), first);
    let second = two.ask("send 3000000 5000");
    assert_eq!(peer.ask("receive 3000000 5000"), second);
    assert_eq!(two.ask("close"), "ok");
    assert_eq!(peer.ask("end"), "ok");
}

/// The same with a controller that ends.
#[test]
fn a_controller_that_ends_leaves_the_connection_to_the_others() {
    let (_scene, [mut one, mut two, mut peer]) = shared("plain");
    peer.tell("receive 0 3000000");
    let first = one.ask("send 0 3000000");
    one.exit();
    assert_eq!(peer.answer(), first);
    let answer = peer.ask("send 0 5000");
    assert_eq!(two.ask("receive 0 5000"), answer);
    let second = two.ask("send 3000000 5000");
    assert_eq!(peer.ask("receive 3000000 5000"), second);
    two.exit();
    assert_eq!(peer.ask("end"), "ok");
}

/// Who does not control the connection closes it, or ends: nobody else notices. Bytes that it has not read are no reason for a reset.
#[test]
fn who_has_no_control_leaves_unnoticed() {
    let (mut scene, [mut one, mut two, mut peer]) = shared("plain");
    let mut three = scene.sharer("three");
    scene.share(&mut one, &mut three);
    peer.ask("send 0 5000");
    assert_eq!(two.ask("close"), "ok");
    three.exit();
    one.ask("receive 0 5000");
    let sent = one.ask("send 0 100000");
    assert_eq!(peer.ask("receive 0 100000"), sent);
    assert_eq!(one.ask("close"), "ok");
    assert_eq!(peer.ask("end"), "ok");
}

/// All close at about the same moment, again and again: the end comes, and no reset.
#[test]
fn all_close_at_once() {
    for _ in 0..10 {
        let (mut scene, [mut one, mut two, mut peer]) = shared("plain");
        let mut three = scene.sharer("three");
        scene.share(&mut one, &mut three);
        let sent = two.ask("send 0 1000");
        for sharer in [&mut one, &mut three, &mut two] {
            sharer.tell("close");
        }
        for sharer in [&one, &two, &three] {
            assert_eq!(sharer.answer(), "ok");
        }
        assert_eq!(peer.ask("receive 0 1000"), sent);
        assert_eq!(peer.ask("end"), "ok");
    }
}

/// The peer closes: what it had sent can be read by any of the processes, in turns, and then the end.
#[test]
fn what_a_peer_left_behind_can_be_read_in_turns() {
    let (_scene, [mut one, mut two, mut peer]) = shared("plain");
    let sent = peer.ask("send 0 60000");
    assert_eq!(peer.ask("close"), "ok");
    let mut parts = Vec::new();
    for turn in 0..6u64 {
        let sharer = if turn % 2 == 0 { &mut two } else { &mut one };
        parts.push(sharer.ask(&format!("receive {} 10000", turn * 10000)));
    }
    // The digest of every part is that of the stream's bytes there.
    let expected: Vec<String> = (0..6u64).map(|turn| sharers::digest_of(turn * 10000, 10000)).collect();
    assert_eq!((parts, sent), (expected, sharers::digest_of(0, 60000)));
    assert_eq!(two.ask("end"), "ok");
    assert_eq!(one.ask("end"), "ok");
    assert_eq!(one.ask("close"), "ok");
    assert_eq!(two.ask("end"), "ok");
    assert_eq!(two.ask("close"), "ok");
}

/// SW-181 (SAN first): to shut the connection down is a use of it. The end of the stream holds for all that share it, and the peer can go on
/// sending.
#[test]
fn a_shutdown_moves_control() {
    let (_scene, [mut one, mut two, mut peer]) = shared("plain");
    let sent = one.ask("send 0 5000");
    assert_eq!(two.ask("shut"), "ok");
    assert_eq!(peer.ask("receive 0 5000"), sent);
    assert_eq!(peer.ask("end"), "ok");
    let answer = peer.ask("send 0 5000");
    assert_eq!(one.ask("receive 0 5000"), answer);
    assert_eq!(one.ask("send 5000 1"), format!("error {}", libc::EPIPE));
}

/// A connection that the SAN made has no TCP to go back to: when its provider fails a transfer, both ends learn that it is over.
#[test]
fn a_failed_transfer_resets() {
    for faults in ["fail-rdma", "fail-rdma,no-read"] {
        let scene = Scene::new("plain");
        let [mut one, mut peer] = ["one", "peer"].map(|name| scene.sharer_with(name, faults));
        scene.connect(&mut one, &mut peer);
        // More than fits on the way: the writer has to be told.
        one.tell("send 0 16000000");
        assert_eq!(
            peer.ask("receive 0 16000000"),
            format!("error {}", libc::ECONNRESET),
            "{faults}\n{}",
            peer.traced()
        );
        let sent = one.answer();
        assert!(sent.starts_with("error "), "{faults}: {sent}");
    }
}
