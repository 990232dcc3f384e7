//! Processes that fork while they have a connection whose provider serves one process at a time: control goes to who uses it, and
//! stays with who is left (section 17 of the switch's specification).

use wsd_programs::Scene;

use crate::support::{End, connect, exchange, scene};

/// Two ends over a provider with the documented functions only.
fn pumped(scene: &Scene) -> [End; 2] {
    let [mut server, mut client] = connect(End::faulty(scene, "plain"), End::faulty(scene, "plain"));
    exchange([&mut server, &mut client], "both", 300_000, "");
    [server, client]
}

/// What is left when the server's process has ended: its child, which obeys from now on.
fn parent_ends(server: &mut End, how: &str) {
    server.run(&format!("if os.fork(): {how}"));
}

/// How often control has come to a process of that end.
fn moves(end: &End) -> usize {
    end.trace().matches("this process has control").count()
}

/// SW-181: the process that has accepted forks and ends in any way; its child goes on, and nothing is
/// lost in either direction.
#[test]
fn the_parent_ends() {
    let scene = scene();
    for how in ["os._exit(0)", "sys.exit(0)", "os.execv('/bin/true', ['true'])"] {
        let [mut server, mut client] = pumped(&scene);
        client.run("c.sendall(b'early')");
        parent_ends(&mut server, how);
        assert_eq!(server.ask("c.recv(5)"), "b'early'", "{how}");
        exchange([&mut server, &mut client], "both", 3_000_000, "");
        exchange([&mut server, &mut client], "juggle", 1_000_000, ", Poll");
        assert_eq!(moves(&server), 1, "{how}: {}", server.trace());
        assert_eq!(client.listed()[0].path, "wsd_faulty", "{how}");
        server.run("c.close()");
        assert_eq!(client.ask("c.recv(1)"), "b''", "{how}");
    }
}

/// The parent closes its descriptor, as a server does that forks for each connection, and lives on.
#[test]
fn the_parent_closes() {
    let scene = scene();
    let [mut server, mut client] = pumped(&scene);
    server.run("r, w = os.pipe()");
    server.run("if os.fork() == 0: os.read(r, 1); c.sendall(both(c, 1, 1_000_000).encode()); os._exit(0)");
    server.run("c.close()");
    server.run("x = os.write(w, b'x')");
    client.run("told = both(c, 2, 1_000_000)");
    assert_eq!(client.ask("drain(c, 146).split()[0]"), "146");
    assert_eq!(client.ask("c.recv(1)"), "b''");
    assert_eq!(server.ask("os.waitstatus_to_exitcode(os.wait()[1])"), "0");
}

/// SW-181: a child that waits for the connection in a set uses it, in whatever way it waits, and whoever made the set; it
/// ends, and the parent goes on.
#[test]
fn the_child_waits_in_a_set_and_ends_first() {
    let scene = scene();
    let [mut server, mut client] = pumped(&scene);
    server.run("e = Epoll(c)");
    let inherited =
        "type('Inherited', (Epoll,), {'__init__': lambda self, _: self.__dict__.update(e.__dict__)})";
    for kind in ["Poll", "Select", "Epoll", "EdgeEpoll", inherited] {
        let before = moves(&server);
        client.begin("juggle(c, 2, 1_000_000, Poll)");
        let child = format!("open('child', 'w').write(juggle(c, 1, 1_000_000, {kind}))");
        server.run(&format!("if os.fork() == 0: os.chdir({:?}); {child}; os._exit(0)", scene.folder()));
        assert_eq!(server.ask("os.waitstatus_to_exitcode(os.wait()[1])"), "0", "{kind}");
        let told = std::fs::read_to_string(scene.folder().join("child")).expect("the child's word");
        let heard = client.hear();
        let halves =
            |told: &str| told.split_once(", ").map(|(sent, read)| (sent.to_owned(), read.to_owned()));
        let (sent, read) = halves(&told).unwrap_or_else(|| panic!("{kind}: {told}"));
        assert_eq!(halves(&heard), Some((read, sent)), "{kind}");
        exchange([&mut server, &mut client], "both", 300_000, "");
        assert!(moves(&server) >= before + 2, "{kind}: there and back");
    }
}

/// A hundred children, one after the other; each takes a block and answers it.
#[test]
fn a_hundred_forks() {
    let scene = scene();
    let [mut server, mut client] = pumped(&scene);
    server.begin(
        "for n in range(100): os.fork() or (c.sendall(drain(c, 5000).encode()), os._exit(0)); os.wait()",
    );
    client.run(
        "def ask(): block = random.randbytes(5000); c.sendall(block); return drain_text(c) == hashlib.sha256(block).hexdigest()",
    );
    client.run("def drain_text(c): return c.recv(69, socket.MSG_WAITALL).decode().split()[1]");
    assert_eq!(client.ask("sum(ask() for n in range(100))"), "100");
    assert_eq!(server.hear(), "None");
    exchange([&mut server, &mut client], "both", 300_000, "");
}

/// A daemon's two forks: neither parent has used the connection since.
#[test]
fn grandchildren() {
    let scene = scene();
    let [mut server, mut client] = pumped(&scene);
    parent_ends(&mut server, "os._exit(0)");
    parent_ends(&mut server, "os._exit(0)");
    exchange([&mut server, &mut client], "both", 1_000_000, "");
    client.run("c.close()");
    assert_eq!(server.ask("c.recv(1)"), "b''");
}

/// daemon(3) ends the parent inside of the C library.
#[test]
fn a_daemon() {
    let scene = scene();
    let [mut server, mut client] = pumped(&scene);
    assert_eq!(server.ask("ctypes.CDLL(None).daemon(1, 1)"), "0");
    exchange([&mut server, &mut client], "both", 1_000_000, "");
}

/// Children that become other programs at once, or end at once, disturb nobody.
#[test]
fn children_that_use_nothing() {
    let scene = scene();
    let [mut server, mut client] = pumped(&scene);
    server.run("c.set_inheritable(True)");
    for _ in 0..5 {
        server.run("x = os.fork() or os.execv('/bin/true', ['true'])");
        server.run("x = os.fork() or os._exit(0)");
        assert_eq!(server.ask("[os.wait()[1] for n in range(2)]"), "[0, 0]");
        exchange([&mut server, &mut client], "both", 300_000, "");
    }
    assert_eq!(moves(&server), 0, "{}", server.trace());
}

/// Threads exchange bytes while children come, take control, and go.
#[test]
fn forks_in_the_middle() {
    let scene = scene();
    let [mut server, mut client] = pumped(&scene);
    let children = "[os.fork() or (poll_once(c, select.POLLOUT), os._exit(0)) for n in range(20)]";
    server.run(&format!("def spread(*_): {children}; return [os.wait()[1] for n in range(20)]"));
    server.run(
        "def forking(c, *how): t = threading.Thread(target=spread); t.start(); told = both(c, *how); t.join(); return told",
    );
    client.run("forking = both");
    exchange([&mut server, &mut client], "forking", 3_000_000, "");
    assert!(moves(&server) >= 20, "{}", server.trace());
}

/// Parent and child end at the same moment: the peer has all that was written, and the end.
#[test]
fn both_end_at_once() {
    let scene = scene();
    for _ in 0..10 {
        let [mut server, mut client] = pumped(&scene);
        let sent = server.ask("pour(c, 3, 200_000)");
        server.begin("os.fork(); os._exit(0)");
        assert_eq!(
            client.ask("drain(c)"),
            format!("200000 {sent}"),
            "{}\n{}",
            server.trace(),
            client.trace()
        );
    }
}

/// SW-188: the process that has control is killed; its child and the peer learn of it.
#[test]
fn the_controller_is_killed() {
    let scene = scene();
    let [mut server, mut client] = pumped(&scene);
    parent_ends(&mut server, "time.sleep(1000)");
    server.process().signal(9);
    assert_eq!(client.ask("c.recv(1)"), "ECONNRESET");
    assert_eq!(server.ask("c.recv(1)"), "ECONNRESET");
}
