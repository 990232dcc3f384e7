//! Processes that die while control of a shared connection moves (SW-183): nobody waits for ever, and nobody gets a stream with a hole.

mod sharers;

use sharers::{Scene, Sharer};

/// Kinds of messages of the session.
const RDMA_OFFER: u8 = 14;
const SUSPEND: u8 = 24;
const SUSPENDED: u8 = 25;
const RESUME: u8 = 26;

/// Who dies. One has control, two asks for it, three only has the connection, and peer is at the other end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Victim {
    One,
    Two,
    Peer,
}

/// One, two, three and peer with the faults that are named; the first three share a connection, and one has used it.
fn shared(faults: &[(&str, &str)]) -> (Scene, [Sharer; 4]) {
    let mut scene = Scene::new("plain");
    let [mut one, mut two, mut three, mut peer] = ["one", "two", "three", "peer"].map(|name| {
        let own = faults.iter().find(|(whose, _)| *whose == name).map_or("", |(_, faults)| faults);
        scene.sharer_with(name, own)
    });
    scene.connect(&mut one, &mut peer);
    scene.share(&mut one, &mut two);
    scene.share(&mut one, &mut three);
    let sent = one.ask("send 0 1000");
    assert_eq!(peer.ask("receive 0 1000"), sent);
    (scene, [one, two, three, peer])
}

/// The victim dies at that moment of the move from one to two: everybody else learns that the connection is over.
fn dies(victim: Victim, moment: &str) {
    let word = format!("die-at={moment}");
    let name = match victim {
        Victim::One => "one",
        Victim::Two => "two",
        Victim::Peer => "peer",
    };
    let (_scene, [mut one, mut two, mut three, mut peer]) = shared(&[(name, &word)]);
    two.tell("send 1000 1000");
    let (dead, mut living) = match victim {
        Victim::One => (&mut one, vec![&mut two, &mut three, &mut peer]),
        Victim::Two => (&mut two, vec![&mut one, &mut three, &mut peer]),
        Victim::Peer => (&mut peer, vec![&mut one, &mut two, &mut three]),
    };
    dead.await_end();
    for (number, sharer) in living.iter_mut().enumerate() {
        let asked = victim != Victim::Two && number == usize::from(victim == Victim::Peer);
        // What fits into the ring is taken as soon as control is there; otherwise this is where two learns of it.
        let sent = asked.then(|| sharer.answer());
        learns(sharer, sent, moment);
    }
}

/// A process learns that the connection is over: once, as by TCP, and no byte comes any more. `sent` is what it was told already.
fn learns(sharer: &mut Sharer, sent: Option<String>, when: &str) {
    let received = sharer.ask("receive 0 1");
    let told = sent.iter().chain([&received]).any(|answer| *answer == error(libc::ECONNRESET));
    assert!(told, "{when}: {sent:?}, {received}\n{}", sharer.traced());
    assert!(received.starts_with("error "), "{when}: {received}");
    assert!(sharer.ask("send 0 1").starts_with("error "), "{when}");
}

fn error(number: i32) -> String {
    format!("error {number}")
}

/// SW-188 (SAN first), step 1: it is asked, and has not stopped its own requests yet.
#[test]
fn a_controller_that_dies_when_it_is_asked() {
    let (_scene, [mut one, mut two, mut three, mut peer]) = shared(&[]);
    one.stop();
    two.tell("send 1000 1000");
    two.await_traced("control is asked for");
    one.kill();
    let sent = Some(two.answer());
    learns(&mut two, sent, "step 1");
    learns(&mut three, None, "step 1");
    learns(&mut peer, None, "step 1");
}

/// SW-188 (SAN first), step 2: it has stopped its requests, and a transfer of its own is not finished.
#[test]
fn a_controller_that_dies_while_it_finishes_its_transfers() {
    let (_scene, [mut one, mut two, mut three, mut peer]) =
        shared(&[("peer", &format!("stop-at=received:{RDMA_OFFER}"))]);
    one.tell("send 1000 3000000");
    peer.await_stop();
    two.tell("send 3001000 1000");
    one.await_traced("is next");
    assert!(!one.traced().contains("WSPDuplicateSocket"));
    one.kill();
    let sent = Some(two.answer());
    peer.go_on();
    learns(&mut two, sent, "step 2");
    learns(&mut three, None, "step 2");
    // After what had come.
    assert_eq!(peer.ask("receive 1000 3000000"), error(libc::ECONNRESET));
}

/// What differs from SW-188: a process that has only asked for control and dies takes nothing with it. The controller resumes the
/// session, and all others go on.
#[test]
fn a_process_that_dies_when_it_has_only_asked() {
    let (_scene, [mut one, mut two, mut three, mut peer]) =
        shared(&[("peer", &format!("stop-at=received:{SUSPEND}"))]);
    two.tell("send 1000 1000");
    peer.await_stop();
    two.kill();
    peer.go_on();
    for number in 0..3 {
        let from = 1000 + 500 * number;
        let sharer = if number == 1 { &mut three } else { &mut one };
        assert_eq!(sharer.ask(&format!("send {from} 500")), peer.ask(&format!("receive {from} 500")));
        assert_eq!(peer.ask(&format!("send {from} 500")), sharer.ask(&format!("receive {from} 500")));
    }
    for sharer in [&mut one, &mut three] {
        assert_eq!(sharer.ask("close"), "ok");
    }
    assert_eq!(peer.ask("end"), "ok");
}

/// SW-188 (SAN first), step 3.
#[test]
fn a_controller_that_dies_before_it_suspends() {
    dies(Victim::One, &format!("send:{SUSPEND}"));
}

/// SW-188 (SAN first), step 3.
#[test]
fn a_controller_that_dies_when_it_has_suspended() {
    dies(Victim::One, &format!("sent:{SUSPEND}"));
}

/// SW-188 (SAN first), step 4.
#[test]
fn a_peer_that_dies_before_it_answers() {
    dies(Victim::Peer, &format!("received:{SUSPEND}"));
}

/// SW-188 (SAN first), step 4.
#[test]
fn a_peer_that_dies_when_it_has_answered() {
    dies(Victim::Peer, &format!("sent:{SUSPENDED}"));
}

/// SW-188 (SAN first), step 5.
#[test]
fn a_controller_that_dies_when_the_peer_has_answered() {
    dies(Victim::One, &format!("received:{SUSPENDED}"));
}

/// SW-188 (SAN first), step 6.
#[test]
fn a_controller_that_dies_before_it_duplicates_the_socket() {
    dies(Victim::One, "duplicate");
}

/// SW-188 (SAN first), step 7: the value is with nobody.
#[test]
fn a_controller_that_dies_when_it_has_duplicated_the_socket() {
    dies(Victim::One, "duplicated");
}

/// SW-188 (SAN first), step 8.
#[test]
fn a_next_one_that_dies_before_it_adopts_the_socket() {
    dies(Victim::Two, "adopt");
}

/// SW-188 (SAN first), step 8.
#[test]
fn a_next_one_that_dies_when_it_has_adopted_the_socket() {
    dies(Victim::Two, "adopted");
}

/// Control comes back to one, which dies at that moment: everybody else learns that the connection is over.
fn dies_when_control_is_back(moment: &str) {
    let (_scene, [mut one, mut two, mut three, mut peer]) = shared(&[("one", &format!("die-at={moment}"))]);
    let sent = two.ask("send 1000 1000");
    assert_eq!(peer.ask("receive 1000 1000"), sent);
    one.tell("send 2000 1000");
    one.await_end();
    for sharer in [&mut two, &mut three, &mut peer] {
        learns(sharer, None, moment);
    }
}

/// SW-188 (SAN first), step 9.
#[test]
fn a_next_one_that_dies_before_it_closes_its_old_socket() {
    dies_when_control_is_back("close");
}

/// SW-188 (SAN first), step 9.
#[test]
fn a_next_one_that_dies_when_it_has_closed_its_old_socket() {
    dies_when_control_is_back("closed");
}

/// SW-188 (SAN first), step 10.
#[test]
fn a_next_one_that_dies_before_it_resumes() {
    dies(Victim::Two, &format!("send:{RESUME}"));
}

/// SW-188 (SAN first), step 10.
#[test]
fn a_next_one_that_dies_when_it_has_resumed() {
    dies(Victim::Two, &format!("sent:{RESUME}"));
}

/// SW-188 (SAN first), step 10.
#[test]
fn a_peer_that_dies_when_it_is_told_to_resume() {
    dies(Victim::Peer, &format!("received:{RESUME}"));
}
