//! WSPDuplicateSocket of a connection that a SAN carries: two processes at one end, a third at the other.

use std::path::Path;

use rustix::process::{Pid, Signal};

use super::{Other, tell, told};
use crate::duplicate::{adopt, offer};
use crate::support::{Socket, await_state, eventually, listener};

/// A process that does as it is told, with one socket.
#[test]
#[ignore = "needs a process of its own: the others run it"]
fn actor_itself() {
    let (mut waiting, mut socket) = (None, None);
    loop {
        let line = told();
        let (order, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let connected = || socket.as_ref().expect("a connection");
        match order {
            "listen" => {
                let (listener, address) = listener();
                waiting = Some(listener);
                tell(address);
            }
            "accept" => {
                let listener = waiting.take().expect("it listens");
                socket = Some(listener.accept().expect("a connection").0);
                tell("done");
            }
            "connect" => {
                let made = Socket::stream();
                made.connect(rest.parse().expect("an address")).expect("somebody listens");
                socket = Some(made);
                tell("done");
            }
            "offer" => tell(offer(connected(), rest.parse().expect("a process")).expect("a connection")),
            "adopt" => {
                let adopted = adopt(rest.parse().expect("a value"));
                tell(adopted.as_ref().map_or_else(ToString::to_string, |_| "done".to_owned()));
                socket = adopted.ok().or(socket);
            }
            "twin" => {
                let first = socket.take().expect("a connection");
                let value = offer(&first, std::process::id()).expect("a connection");
                let second = adopt(value).expect("offered to this process");
                assert_eq!(second.peer_name(), first.peer_name());
                first.send(b"one").expect("connected");
                second.send(b"two").expect("connected");
                let mut heard = first.recv_all(1);
                heard.extend(second.recv_all(1));
                first.close().expect("a socket");
                tell(String::from_utf8(heard).expect("text"));
                socket = Some(second);
            }
            "send" => {
                connected().send(rest.as_bytes()).expect("connected");
                tell("done");
            }
            "receive" => {
                let bytes = connected().recv_all(rest.parse().expect("a number"));
                tell(String::from_utf8(bytes).expect("text"));
            }
            "end" => {
                assert_eq!(connected().recv(1), Ok(Vec::new()));
                tell("done");
            }
            "break" => tell(connected().recv(1).expect_err("the connection is over")),
            "close" => {
                socket.take().expect("a connection").close().expect("a socket");
                tell("done");
            }
            _ => return,
        }
    }
}

pub(super) fn actors(folder: &Path) -> [Other; 3] {
    ["one", "two", "peer"].map(|name| actor(folder, name))
}

fn actor(folder: &Path, name: &str) -> Other {
    Other::start("san_first::duplicate::actor_itself", "", &folder.join(name))
}

/// The connection of `one` is `other`'s, too.
pub(super) fn duplicate(one: &mut Other, other: &mut Other) {
    let value = one.does(format!("offer {}", other.child.id()));
    assert_eq!(other.does(format!("adopt {value}")), "done");
}

/// Waits until a process's trace has this text.
fn traces(trace: &Path, text: &str) {
    let found = || std::fs::read_to_string(trace).is_ok_and(|trace| trace.contains(text));
    eventually(text, || found().then_some(()));
}

/// Stops a process: it gives control to nobody.
fn stop(other: &Other) {
    rustix::process::kill_process(Pid::from_child(&other.child), Signal::STOP).expect("a child");
    await_state(Path::new(&other.child.id().to_string()), 'T');
}

/// One, two, three and peer: one has connected to peer, has given the connection to two, and two to three, which has used it.
fn passed_on(folder: &Path) -> [Other; 4] {
    let [mut one, mut two, mut peer] = actors(folder);
    let mut three = actor(folder, "three");
    let address = peer.does("listen");
    assert_eq!(one.does(format!("connect {address}")), "done");
    assert_eq!(peer.does("accept"), "done");
    duplicate(&mut one, &mut two);
    duplicate(&mut two, &mut three);
    assert_eq!(three.does("send three"), "done");
    assert_eq!(peer.does("receive 5"), "three");
    [one, two, three, peer]
}

/// SP-041, SP-151: who got the connection by duplication gives it further, also back to the process that made it, which has closed it
/// meanwhile. The end of the stream comes with the last close.
#[test]
fn a_duplicate_is_duplicated() {
    let folder = tempfile::tempdir().expect("a folder");
    let [mut one, mut two, mut three, mut peer] = passed_on(folder.path());
    assert_eq!(one.does("close"), "done");
    assert_eq!(two.does("send two"), "done");
    assert_eq!(peer.does("receive 3"), "two");
    duplicate(&mut three, &mut one);
    assert_eq!(two.does("close"), "done");
    assert_eq!(three.does("close"), "done");
    assert_eq!(peer.does("send back"), "done");
    assert_eq!(one.does("receive 4"), "back");
    assert_eq!(one.does("send one"), "done");
    assert_eq!(one.does("close"), "done");
    assert_eq!(peer.does("receive 3"), "one");
    assert_eq!(peer.does("end"), "done");
    [one, two, three, peer].into_iter().for_each(Other::end);
}

/// Back and forth without any use of the connection in between: whoever closes it has perhaps not left when it comes again.
#[test]
fn it_comes_back_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let [mut one, mut two, mut three, mut peer] = passed_on(folder.path());
    assert_eq!(two.does("close"), "done");
    for _ in 0..5 {
        assert_eq!(one.does("close"), "done");
        duplicate(&mut three, &mut one);
        assert_eq!(three.does("close"), "done");
        duplicate(&mut one, &mut three);
    }
    assert_eq!(three.does("send end"), "done");
    assert_eq!(peer.does("receive 3"), "end");
    [one, two, three, peer].into_iter().for_each(Other::end);
}

/// SW-188: the process in the middle dies. While another one has control nobody notices.
#[test]
fn the_middle_dies_without_control() {
    let folder = tempfile::tempdir().expect("a folder");
    let [mut one, mut two, mut three, mut peer] = passed_on(folder.path());
    two.child.kill().expect("a child");
    two.child.wait().expect("a child");
    assert_eq!(one.does("send one"), "done");
    assert_eq!(three.does("send three"), "done");
    assert_eq!(peer.does("receive 8"), "onethree");
    duplicate(&mut three, &mut one);
    assert_eq!(one.does("close"), "done");
    assert_eq!(three.does("close"), "done");
    assert_eq!(peer.does("end"), "done");
    [one, three, peer].into_iter().for_each(Other::end);
}

/// SW-188: the process in the middle dies, and has control: the connection is over for all, in the process that it got it from, in
/// the one that it gave it to, and at the peer, also where a call waits for control already.
#[test]
fn the_middle_dies_with_control() {
    let folder = tempfile::tempdir().expect("a folder");
    let [mut one, mut two, mut three, mut peer] = passed_on(folder.path());
    assert_eq!(two.does("send two"), "done");
    assert_eq!(peer.does("receive 3"), "two");
    stop(&two);
    one.say("break");
    traces(&folder.path().join("one"), "control is asked for");
    two.child.kill().expect("a child");
    two.child.wait().expect("a child");
    assert_eq!(one.hear(), "WSAECONNRESET");
    for other in [&mut three, &mut peer] {
        assert_eq!(other.does("break"), "WSAECONNRESET");
    }
    [one, three, peer].into_iter().for_each(Other::end);
}

/// SP-041, SP-151: both processes use the connection in turns, over a provider that could map memory; the value works once;
/// the end comes with the last close, and the provider of each has given the socket away and adopted it.
#[test]
fn two_processes_take_turns() {
    let folder = tempfile::tempdir().expect("a folder");
    let [mut one, mut two, mut peer] = actors(folder.path());
    let address = peer.does("listen");
    assert_eq!(one.does(format!("connect {address}")), "done");
    assert_eq!(peer.does("accept"), "done");
    assert_eq!(one.does("send first"), "done");
    let value = one.does(format!("offer {}", two.child.id()));
    assert_eq!(two.does(format!("adopt {value}")), "done");
    assert_eq!(two.does(format!("adopt {value}")), "WSAEINVAL");
    for turn in 0..10 {
        let user = if turn % 2 == 0 { &mut two } else { &mut one };
        assert_eq!(user.does(format!("send {turn}")), "done");
        assert_eq!(peer.does(format!("send {}", 9 - turn)), "done");
        assert_eq!(user.does("receive 1"), (9 - turn).to_string());
    }
    assert_eq!(peer.does("receive 15"), "first0123456789");
    assert_eq!(one.does("close"), "done");
    assert_eq!(two.does("send last"), "done");
    assert_eq!(two.does("close"), "done");
    assert_eq!(peer.does("receive 4"), "last");
    assert_eq!(peer.does("end"), "done");
    for (name, actor) in [("one", one), ("two", two)] {
        actor.end();
        let trace = std::fs::read_to_string(folder.path().join(name)).expect("a trace");
        assert!(
            trace.contains("WSPDuplicateSocket(0x") && trace.contains("this process has control"),
            "{trace}"
        );
    }
    peer.end();
}

/// SP-153: the process that has the connection adopts it: two sockets of one process, of which either can be closed. Another process can
/// have it after that.
#[test]
fn the_own_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let [mut one, mut two, mut peer] = actors(folder.path());
    let address = peer.does("listen");
    assert_eq!(one.does(format!("connect {address}")), "done");
    assert_eq!(peer.does("accept"), "done");
    assert_eq!(peer.does("send ab"), "done");
    assert_eq!(one.does("twin"), "ab");
    assert_eq!(one.does("send three"), "done");
    assert_eq!(peer.does("receive 11"), "onetwothree");
    let value = one.does(format!("offer {}", two.child.id()));
    assert_eq!(two.does(format!("adopt {value}")), "done");
    assert_eq!(two.does("send four"), "done");
    assert_eq!(peer.does("receive 4"), "four");
    assert_eq!(one.does("close"), "done");
    assert_eq!(two.does("close"), "done");
    assert_eq!(peer.does("end"), "done");
    one.end();
    two.end();
    peer.end();
}

/// SP-153: the first process closes before the second has adopted the socket, and while a receive of the second waits.
#[test]
fn the_first_closes_before_the_second_has_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let [mut one, mut two, mut peer] = actors(folder.path());
    let address = peer.does("listen");
    assert_eq!(one.does(format!("connect {address}")), "done");
    assert_eq!(peer.does("accept"), "done");
    let value = one.does(format!("offer {}", two.child.id()));
    assert_eq!(one.does("close"), "done");
    assert_eq!(two.does(format!("adopt {value}")), "done");
    two.say("receive 5");
    assert_eq!(peer.does("send hello"), "done");
    assert_eq!(two.hear(), "hello");
    one.end();
    two.end();
    assert_eq!(peer.does("end"), "done");
    peer.end();
}
