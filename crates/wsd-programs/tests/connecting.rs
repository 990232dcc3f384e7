//! What the switch adds to connecting and to the first round trip: no system call, whatever the RDMA peer does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wsd_programs::{Process, Program, Scene, Sides, wait_listening};

/// Calls that wait for something else than the connection's bytes.
const WAITS: &[&str] =
    &["poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "nanosleep", "clock_nanosleep"];

/// How often each system call was made.
type Counts = BTreeMap<String, usize>;

/// One of two puppets; its main thread's system calls are written to a file.
struct Traced {
    process: Process,
    calls: PathBuf,
}

impl Traced {
    fn start(scene: &Scene, name: &str, port: u16, switched: bool) -> Self {
        let calls = scene.folder().join(name);
        let strace = Program::named("strace").arg("-o").arg(calls.display());
        let strace =
            if switched { strace.arg(scene.wsdirect().display()).args(["run", "--"]) } else { strace };
        let puppet = strace.arg(env!("CARGO_BIN_EXE_wsd-puppet")).arg(scene.address()).arg(port);
        Self { process: scene.plain(&puppet.piped()), calls }
    }
}

/// Two puppets that are connected; the one that accepted is told to answer, the other to ask.
struct Pair {
    server: Traced,
    client: Traced,
    /// The client's port.
    from: u16,
}

impl Pair {
    fn connect(scene: &Scene, server: bool, client: bool) -> Self {
        let port = scene.port();
        let mut server = Traced::start(scene, &format!("server-{server}"), port, server);
        assert_eq!(server.process.ask("listen"), "listening");
        wait_listening(port);
        let mut client = Traced::start(scene, &format!("client-{client}"), port, client);
        let told = client.process.ask("connect");
        let from = told.rsplit(' ').next().and_then(|port| port.parse().ok());
        assert_eq!(server.process.ask("accept"), "accepted");
        Self { server, client, from: from.unwrap_or_else(|| panic!("no port in {told}")) }
    }

    fn exchange(&mut self, rounds: usize) {
        self.server.process.tell(&format!("echo {rounds}"));
        assert_eq!(self.client.process.ask(&format!("ping {rounds}")), format!("exchanged {rounds} ok"));
        assert_eq!(self.server.process.hear(), format!("exchanged {rounds} ok"));
    }

    /// Both traces, complete.
    fn finish(self) -> [PathBuf; 2] {
        let Self { server, client, .. } = self;
        [client, server].map(|end| {
            let _ = end.process.finish();
            end.calls
        })
    }
}

/// The calls of a trace from the line with `first` on, up to the line with `last`.
fn calls(trace: &Path, first: &str, last: &str) -> Counts {
    let text = std::fs::read_to_string(trace).expect("a trace");
    let mut lines = text.lines().skip_while(|line| !line.contains(first)).peekable();
    assert!(lines.peek().is_some(), "no {first} in {text}");
    let mut counts = Counts::new();
    for line in lines.take_while(|line| !line.contains(last)) {
        let name = line.split('(').next().unwrap_or(line);
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    counts
}

/// The client's calls from `connect` to the end of the first round trip.
fn of_client(trace: &Path) -> Counts {
    calls(trace, "connect(", "exchanged 1 ok")
}

/// The server's calls in the first round trip.
fn of_server(trace: &Path) -> Counts {
    calls(trace, "\"echo 1\\n", "exchanged 1 ok")
}

/// What plain programs do.
fn plain(scene: &Scene) -> [Counts; 2] {
    let mut pair = Pair::connect(scene, false, false);
    pair.exchange(1);
    let [client, server] = pair.finish();
    let counts = [of_client(&client), of_server(&server)];
    assert!(counts[0]["connect"] == 1 && counts.iter().all(|counts| counts["sendto"] >= 1), "{counts:?}");
    counts
}

/// The peer's end is plain TCP: nobody will ever connect to the companion, or listen for it.
#[test]
fn absent_peer_costs_no_call() {
    let scene = Scene::new(Sides::Both);
    let plain = plain(&scene);
    let mut pair = Pair::connect(&scene, false, true);
    pair.exchange(1);
    assert_eq!(of_client(&pair.finish()[0]), plain[0]);
    let mut pair = Pair::connect(&scene, true, false);
    pair.exchange(1);
    assert_eq!(of_server(&pair.finish()[1]), plain[1]);
}

/// Somebody listens where the companion connects to, but does not let it in.
fn costs_no_call(manner: &str) {
    let rounds = 500;
    let scene = Scene::new(Sides::Both);
    let plain = plain(&scene);
    let mut pair = Pair::connect(&scene, true, false);
    let listener = Program::python(include_str!("../scripts/rdma_listener.py"));
    let listener = listener.arg(scene.address()).arg(pair.from).arg(manner).piped();
    let mut listener = scene.plain(&listener);
    assert_eq!(listener.hear(), "listening");
    pair.exchange(1);
    // Enough that a companion is wanted. It is refused, or waits, while this goes on.
    pair.exchange(rounds);
    assert_eq!(listener.hear(), "asked");
    pair.exchange(rounds);
    let [_, server] = pair.finish();
    assert_eq!(of_server(&server), plain[1]);
    let later = calls(&server, "exchanged 1 ok", "no such line");
    let waits: Vec<_> = later.keys().filter(|name| WAITS.contains(&name.as_str())).collect();
    assert!(waits.is_empty(), "the program waited: {later:?}");
    let least = 2 * rounds;
    assert!(later["recvfrom"] >= least && later["sendto"] >= least, "not all by TCP: {later:?}");
}

#[test]
#[ignore = "needs an RDMA device: `cargo xtask test --only rdma` has one"]
fn refusing_rdma_peer_costs_no_call() {
    costs_no_call("refusing");
}

#[test]
#[ignore = "needs an RDMA device: `cargo xtask test --only rdma` has one"]
fn silent_rdma_peer_costs_no_call() {
    costs_no_call("silent");
}
