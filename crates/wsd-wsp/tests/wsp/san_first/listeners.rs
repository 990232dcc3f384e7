//! WSPDuplicateSocket of a listener: the processes that have it accept in turn what a SAN brings.

use std::net::SocketAddr;
use std::path::Path;

use rustix::process::{Pid, Signal};
use wsd_spi::ffi::*;

use super::peer::bounded;
use super::{Other, tell, told};
use crate::duplicate::{adopt, offer};
use crate::support::{Event, Socket, eventually, listener, loopback};

/// A process that does as it is told, with one listener and several connections.
#[test]
#[ignore = "needs a process of its own: the others run it"]
fn actor_itself() {
    let (mut listens, mut connections) = (None, Vec::new());
    loop {
        let line = told();
        let (order, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let waiting = || listens.as_ref().expect("a listener");
        let last = || connections.last().expect("a connection");
        match order {
            "listen" => {
                let (made, address) = if rest == "anywhere" { at_the_wildcard() } else { listener() };
                listens = Some(made);
                tell(address);
            }
            "offer" => tell(offer(waiting(), rest.parse().expect("a process")).expect("a listener")),
            "adopt" => {
                listens = Some(adopt(rest.parse().expect("a value")).expect("offered to this process"));
                tell("done");
            }
            "accept" => {
                let (socket, from) = waiting().accept().expect("a connection");
                bounded(&socket);
                connections.push(socket);
                tell(from);
            }
            "select" => {
                let event = Event::new();
                waiting().event_select(&event, FD_ACCEPT).expect("a listener");
                tell("selected");
                waiting().await_events(&event, FD_ACCEPT);
                let (socket, from) = waiting().accept().expect("a connection");
                waiting().event_select(&event, 0).expect("a listener");
                waiting().set_nonblocking(false);
                socket.event_select(&event, 0).expect("a connection");
                socket.set_nonblocking(false);
                bounded(&socket);
                connections.push(socket);
                tell(from);
            }
            "connect" => {
                let made = Socket::stream();
                made.connect(rest.parse().expect("an address")).expect("somebody listens");
                bounded(&made);
                tell(made.local_name().expect("connected"));
                connections.push(made);
            }
            "serve" => serve(waiting(), rest.parse().expect("a number")),
            "ask" => {
                let (address, count) = rest.split_once(' ').expect("an address and a number");
                ask(address.parse().expect("an address"), count.parse().expect("a number"));
            }
            "send" => {
                last().send(rest.as_bytes()).expect("connected");
                tell("done");
            }
            "receive" => {
                let bytes = last().recv_all(rest.parse().expect("a number"));
                tell(String::from_utf8(bytes).expect("text"));
            }
            "hang-up" => {
                connections.pop().expect("a connection").close().expect("a socket");
                tell("done");
            }
            "end" => {
                assert_eq!(last().recv(1), Ok(Vec::new()));
                tell("done");
            }
            "close" => {
                listens.take().expect("a listener").close().expect("a socket");
                tell("done");
            }
            _ => return,
        }
    }
}

/// A listener at the wildcard address, and where it is found.
fn at_the_wildcard() -> (Socket, SocketAddr) {
    let socket = Socket::stream();
    socket.bind(SocketAddr::from(([0, 0, 0, 0], 0))).expect("a free port");
    socket.listen(SOMAXCONN).expect("bound");
    let port = socket.local_name().expect("bound").port();
    (socket, loopback(port))
}

/// Accepts so often; what a client says goes back to it.
fn serve(waiting: &Socket, count: usize) {
    tell("serving");
    for _ in 0..count {
        let (socket, _) = waiting.accept().expect("a connection");
        bounded(&socket);
        let asked = socket.recv_all(4);
        socket.send(&asked).expect("connected");
        socket.recv(1).expect("the end");
    }
    tell("served");
}

/// Connects so often, one connection after the other, each of which is served.
fn ask(address: SocketAddr, count: u32) {
    for number in 0..count {
        let socket = Socket::stream();
        socket.connect(address).expect("somebody listens");
        bounded(&socket);
        socket.send(&number.to_le_bytes()).expect("connected");
        assert_eq!(socket.recv_all(4), number.to_le_bytes());
    }
    tell("done");
}

/// A folder with traces, and the processes.
pub(super) struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    pub(super) fn actor(&self, name: &str, faults: &str) -> Other {
        let faults = format!("plain,{faults}");
        Other::start("san_first::listeners::actor_itself", &faults, &self.trace(name))
    }

    fn trace(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn traced(&self, name: &str) -> String {
        std::fs::read_to_string(self.trace(name)).expect("a trace")
    }

    fn await_traced(&self, name: &str, text: &str) {
        await_text(&self.trace(name), text);
    }

    /// Waits until the process's provider has listened so often.
    fn await_listening(&self, name: &str, times: usize) {
        let listens = |line: &&str| line.contains("WSPListen(") && line.ends_with(" = 0");
        let look = || (self.traced(name).lines().filter(listens).count() == times).then_some(());
        eventually("a listener", look);
    }

    /// One, which listens, and two, which has got the listener from it; and the address.
    fn shared(&self, faults: [&str; 2]) -> ([Other; 2], String) {
        let [mut one, mut two] = [self.actor("one", faults[0]), self.actor("two", faults[1])];
        let address = one.does("listen");
        duplicate(&mut one, &mut two);
        ([one, two], address)
    }

    fn client(&self) -> Other {
        self.actor("client", "")
    }
}

fn await_text(trace: &Path, text: &str) {
    eventually(text, || std::fs::read_to_string(trace).is_ok_and(|trace| trace.contains(text)).then_some(()));
}

fn duplicate(one: &mut Other, other: &mut Other) {
    let value = one.does(format!("offer {}", other.child.id()));
    assert_eq!(other.does(format!("adopt {value}")), "done");
}

/// The last connections of both belong together, and a SAN carries them.
fn talk(client: &mut Other, server: &mut Other) {
    assert_eq!(client.does("send there"), "done");
    assert_eq!(server.does("receive 5"), "there");
    assert_eq!(server.does("send back"), "done");
    assert_eq!(client.does("receive 4"), "back");
}

/// No connection of a process is TCP's.
fn all_by_san(client: &Other) {
    let all = wsd_switch::inspect::connections().expect("this host's");
    let own: Vec<_> = all.into_iter().filter(|connection| connection.pid == client.child.id()).collect();
    assert!(!own.is_empty() && own.iter().all(|connection| connection.path == "wsd_faulty"), "{own:?}");
}

fn kill(mut other: Other) {
    other.child.kill().expect("a child");
    other.child.wait().expect("a child");
}

/// SW-189, SW-182, SP-155: whoever accepts has what the SAN brings, in turn. Control goes to a process that starts an accept, when no
/// WSPAccept is under way; from then on the one before calls nothing for that socket but WSPCloseSocket (SW-186).
#[test]
fn both_accept_in_turn() {
    let scene = Scene::new();
    let ([mut one, mut two], address) = scene.shared([""; 2]);
    let mut client = scene.client();
    for turn in 0..6 {
        let server = if turn % 2 == 0 { &mut two } else { &mut one };
        server.say("accept");
        let name = client.does(format!("connect {address}"));
        assert_eq!(server.hear(), name);
        talk(&mut client, server);
    }
    all_by_san(&client);
    for name in ["one", "two"] {
        let trace = scene.traced(name);
        let moves = trace.matches("WSPDuplicateSocket(").count();
        assert!(moves >= 2 && trace.contains("WSPAccept("), "{trace}");
        let socket = trace.split("WSPDuplicateSocket(").nth(1).and_then(|rest| rest.split(',').next());
        let socket = socket.expect("a socket");
        let given = trace.lines().skip_while(|line| !line.contains("WSPDuplicateSocket(")).skip(1);
        let of_it =
            |line: &&str| line.contains(&format!("({socket},")) || line.contains(&format!("({socket})"));
        let calls: Vec<&str> =
            given.filter(of_it).filter_map(|line| line.split_whitespace().nth(3)).collect();
        assert!(calls.iter().all(|call| call.starts_with("WSPCloseSocket")), "{calls:?}\n{trace}");
        assert!(!calls.is_empty(), "{trace}");
    }
    [one, two, client].into_iter().for_each(Other::end);
}

/// SW-181: both wait; who has the first connection waits behind the other one for the next.
#[test]
fn both_wait() {
    let scene = Scene::new();
    let [mut one, mut two, mut client] = ["one", "two", "client"].map(|name| scene.actor(name, ""));
    let address = one.does("listen anywhere");
    duplicate(&mut one, &mut two);
    one.say("accept");
    two.say("accept");
    scene.await_traced("two", "control is asked for");
    let names = [(); 2].map(|()| client.does(format!("connect {address}")));
    let mut accepted = [one.hear(), two.hear()];
    accepted.sort();
    let mut expected = names;
    expected.sort();
    assert_eq!(accepted, expected);
    all_by_san(&client);
    [one, two, client].into_iter().for_each(Other::end);
}

/// Both serve, and neither waits for the other; each connection is accepted once.
#[test]
fn both_serve() {
    let scene = Scene::new();
    let ([mut one, mut two], address) = scene.shared([""; 2]);
    let mut clients = ["first", "second"].map(|name| scene.actor(name, ""));
    for server in [&mut one, &mut two] {
        server.say("serve 50");
        assert_eq!(server.hear(), "serving");
    }
    clients.iter_mut().for_each(|client| client.say(format!("ask {address} 50")));
    for client in &mut clients {
        assert_eq!(client.hear(), "done");
    }
    assert_eq!([one.hear(), two.hear()], ["served", "served"]);
    [one, two].into_iter().chain(clients).for_each(Other::end);
}

/// SW-189: a process that selects FD_ACCEPT waits for a connection, too.
#[test]
fn a_selected_event_is_a_wait() {
    let scene = Scene::new();
    let ([mut one, mut two], address) = scene.shared([""; 2]);
    let mut client = scene.client();
    for server in [&mut two, &mut one] {
        assert_eq!(server.does("select"), "selected");
        let name = client.does(format!("connect {address}"));
        assert_eq!(server.hear(), name);
        talk(&mut client, server);
    }
    all_by_san(&client);
    [one, two, client].into_iter().for_each(Other::end);
}

/// What the first process's switch has accepted, before the second one had the listener and after, and its program has not: the
/// second one's program gets it, by the SAN, when it accepts.
#[test]
fn what_waits_goes_along() {
    let scene = Scene::new();
    let [mut one, mut two, mut client] = ["one", "two", "client"].map(|name| scene.actor(name, ""));
    let address = one.does("listen");
    let early = client.does(format!("connect {address}"));
    duplicate(&mut one, &mut two);
    let late = client.does(format!("connect {address}"));
    assert_eq!([two.does("accept"), two.does("accept")], [early, late]);
    talk(&mut client, &mut two);
    all_by_san(&client);
    [one, two, client].into_iter().for_each(Other::end);
}

/// Also a connection whose peer has closed it meanwhile, with what that had sent.
#[test]
fn what_has_ended_goes_along() {
    let scene = Scene::new();
    let ([one, mut two], address) = scene.shared([""; 2]);
    let mut client = scene.client();
    let name = client.does(format!("connect {address}"));
    assert_eq!(client.does("send last"), "done");
    assert_eq!(client.does("hang-up"), "done");
    assert_eq!(two.does("accept"), name);
    assert_eq!(two.does("receive 4"), "last");
    assert_eq!(two.does("end"), "done");
    [one, two, client].into_iter().for_each(Other::end);
}

/// The process that controls the listener closes it, with a connection that waits there: that is the other one's, and so is the
/// listener. Back to the first, and the second closes.
#[test]
fn one_closes_and_the_other_goes_on() {
    let scene = Scene::new();
    let ([mut one, mut two], address) = scene.shared([""; 2]);
    let mut client = scene.client();
    let waits = client.does(format!("connect {address}"));
    assert_eq!(one.does("close"), "done");
    assert_eq!(two.does("accept"), waits);
    talk(&mut client, &mut two);
    duplicate(&mut two, &mut one);
    one.say("accept");
    let name = client.does(format!("connect {address}"));
    assert_eq!(one.hear(), name);
    assert_eq!(two.does("close"), "done");
    one.say("accept");
    let name = client.does(format!("connect {address}"));
    assert_eq!(one.hear(), name);
    talk(&mut client, &mut one);
    all_by_san(&client);
    assert_eq!(one.does("close"), "done");
    [one, two, client].into_iter().for_each(Other::end);
}

/// The process that controls the listener ends, as a program does that returns from main: what waits there is the other one's.
#[test]
fn one_ends_and_the_other_goes_on() {
    let scene = Scene::new();
    let ([one, mut two], address) = scene.shared([""; 2]);
    let mut client = scene.client();
    let waits = [(); 3].map(|()| client.does(format!("connect {address}")));
    one.end();
    assert_eq!([(); 3].map(|()| two.does("accept")), waits);
    talk(&mut client, &mut two);
    two.say("accept");
    let name = client.does(format!("connect {address}"));
    assert_eq!(two.hear(), name);
    all_by_san(&client);
    [two, client].into_iter().for_each(Other::end);
}

/// A process that got the listener by duplication gives it further; the one in the middle dies.
#[test]
fn a_third_process() {
    let scene = Scene::new();
    let ([one, mut two], address) = scene.shared([""; 2]);
    let [mut three, mut client] = [scene.actor("three", ""), scene.client()];
    duplicate(&mut two, &mut three);
    for server in [&mut three, &mut two] {
        server.say("accept");
        let name = client.does(format!("connect {address}"));
        assert_eq!(server.hear(), name);
        talk(&mut client, server);
    }
    kill(two);
    three.say("accept");
    scene.await_traced("three", "its process is gone; this one listens");
    let name = client.does(format!("connect {address}"));
    assert_eq!(three.hear(), name);
    talk(&mut client, &mut three);
    kill(one);
    three.say("accept");
    let name = client.does(format!("connect {address}"));
    assert_eq!(three.hear(), name);
    [three, client].into_iter().for_each(Other::end);
}

/// The process that controls the listener dies at some moment of a move: the other one listens anew, and the SAN brings it connections.
#[test]
fn a_controller_that_dies() {
    for moment in ["", "die-at=duplicate", "die-at=duplicated"] {
        let scene = Scene::new();
        let ([mut one, mut two], address) = scene.shared([moment, ""]);
        let mut client = scene.client();
        two.say("accept");
        if moment.is_empty() {
            scene.await_traced("two", "this process has control");
            one.say("accept");
            scene.await_traced("one", "control is asked for");
            one.child.kill().expect("a child");
            one.child.wait().expect("a child");
            let name = client.does(format!("connect {address}"));
            assert_eq!(two.hear(), name);
            [two, client].into_iter().for_each(Other::end);
            continue;
        }
        one.child.wait().expect("a child");
        scene.await_listening("two", 1);
        let name = client.does(format!("connect {address}"));
        assert_eq!(two.hear(), name, "{moment}");
        talk(&mut client, &mut two);
        all_by_san(&client);
        [two, client].into_iter().for_each(Other::end);
    }
}

/// The process that is to have control dies: the one that gave it away listens anew.
#[test]
fn a_next_one_that_dies() {
    for moment in ["die-at=adopt", "die-at=adopted"] {
        let scene = Scene::new();
        let ([mut one, mut two], address) = scene.shared(["", moment]);
        let mut client = scene.client();
        two.say("accept");
        two.child.wait().expect("a child");
        scene.await_traced("one", "its process is gone; this one listens");
        scene.await_listening("one", 2);
        one.say("accept");
        let name = client.does(format!("connect {address}"));
        assert_eq!(one.hear(), name, "{moment}");
        talk(&mut client, &mut one);
        all_by_san(&client);
        [one, client].into_iter().for_each(Other::end);
    }
}

/// A connection that arrives while control moves is the next process's.
#[test]
fn a_connection_while_control_moves() {
    let scene = Scene::new();
    let ([one, mut two], address) = scene.shared(["", "stop-at=adopt"]);
    let mut client = scene.client();
    two.say("accept");
    scene.await_traced("one", "WSPDuplicateSocket(");
    client.say(format!("connect {address}"));
    scene.await_traced("client", "WSPConnect(");
    rustix::process::kill_process(Pid::from_child(&two.child), Signal::CONT).expect("a child");
    let name = client.hear();
    assert_eq!(two.hear(), name);
    talk(&mut client, &mut two);
    all_by_san(&client);
    [one, two, client].into_iter().for_each(Other::end);
}
