//! Several processes and programs: servers as they are, forks, exec, deaths at each step.

use std::time::Duration;

use wsd_programs::{Program, Scene, until};

use crate::support::{End, SOON, connected, exchange, scene};

/// redis, with the clients of its benchmark: everything goes by the SAN.
#[test]
fn redis() {
    let scene = scene();
    let port = scene.port();
    let (trace, provider) = (scene.folder().join("redis-trace"), "shm");
    let server = Program::named("redis-server")
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(scene.folder().display())
        .arg("--port")
        .arg(port)
        .under(["--connect", "san-first", "--provider", provider, "--trace"])
        .under([&trace]);
    let _server = scene.server(&server);
    let listens = || std::fs::read_to_string(&trace).is_ok_and(|text| text.contains("WSPEventSelect("));
    until(SOON, "the SAN's listener", || listens().then_some(()));
    let watch = scene.watch(&[port]);
    let client = Program::named("redis-benchmark")
        .args(["--csv", "-t", "get,set,lrange_100", "-c", "50", "-n", "20000", "-d", "1000", "-p"])
        .arg(port)
        .under(["--connect", "san-first"]);
    let printed = scene.client(&client).finish_text();
    assert_eq!(printed.lines().count(), 5, "{printed}");
    let seen = watch.stop();
    let ends: Vec<_> = seen.connections.values().map(|observed| &observed.connection).collect();
    assert!(ends.iter().filter(|end| end.path == provider).count() >= 100, "{ends:#?}");
    let by_tcp: u64 = ends.iter().map(|end| end.tcp_bytes_sent + end.tcp_bytes_received).sum();
    assert_eq!(by_tcp, 0);
}

/// A server that forks for each connection: parent and child both have it, and the child uses it while the parent lives.
#[test]
fn fork_after_accept() {
    let scene = scene();
    let [mut server, mut client] = connected(&scene);
    server.run("if os.fork() == 0: c.sendall(both(c, 1, 1_000_000).encode()); os._exit(0)");
    server.run("c.close()");
    client.run("told = both(c, 2, 1_000_000)");
    assert_eq!(client.ask("drain(c, 146).split()[0]"), "146");
    assert_eq!(server.ask("os.waitstatus_to_exitcode(os.wait()[1])"), "0");
    assert_eq!(client.ask("c.recv(1)"), "b''");
}

/// After a fork two processes have the listener: TCP alone listens, and both can accept.
#[test]
fn fork_before_accept() {
    let scene = scene();
    let (mut server, mut client) = (End::new(&scene), End::new(&scene));
    let port = server.listen("127.0.0.1");
    server.run("x = os.fork() or (l.accept()[0].sendall(b'child'), os._exit(0))");
    server.await_call("WSPCloseSocket", "WSPListen");
    client.run(&format!("c = socket.create_connection(('127.0.0.1', {port}))"));
    assert_eq!(client.ask("c.recv(10)"), "b'child'");
    let listed = client.listed();
    assert_eq!((listed[0].path.as_str(), listed[0].reason.as_deref()), ("tcp", Some("PeerWithoutCompanion")));
}

/// Another program cannot go on with a connection of the SAN: it ends as by a close, with all that was written.
#[test]
fn exec() {
    let scene = scene();
    let [mut server, mut client] = connected(&scene);
    client.run("c.set_inheritable(True)");
    let sent = client.ask("pour(c, 3, 200_000)");
    client.begin("os.execv('/bin/true', ['true'])");
    assert_eq!(server.ask("drain(c)"), format!("200000 {sent}"));
}

/// A program that is started while a connection is open does not disturb it.
#[test]
fn spawn() {
    let scene = scene();
    let [mut server, mut client] = connected(&scene);
    for _ in 0..5 {
        assert_eq!(client.ask("os.system('true')"), "0");
        exchange([&mut server, &mut client], "both", 500_000, "");
    }
}

/// Either end is killed at any moment while connections are made and used: the other one learns of it, is never stuck, and works
/// with the next peer.
#[test]
fn deaths_at_any_moment() {
    let scene = scene();
    let mut server = End::new(&scene);
    let port = server.listen("127.0.0.1");
    server.run("threading.Thread(target=answer_all, args=[l], daemon=True).start()");
    for turn in 0..12 {
        let mut client = killable(&scene, port);
        std::thread::sleep(Duration::from_millis(3 * turn));
        client.process().signal(9);
    }
    let mut client = End::new(&scene);
    assert_eq!(client.ask(&format!("ask_all({port}, 4, 10)")), "40");
    for turn in 0..8 {
        let mut server = End::new(&scene);
        let port = server.listen("127.0.0.1");
        server.begin("answer_all(l)");
        client.begin(&format!("ask_until_error({port})"));
        std::thread::sleep(Duration::from_millis(3 * turn));
        server.process().signal(9);
        let told = client.hear();
        assert!(["ECONNRESET", "ECONNREFUSED", "EPIPE", "end"].contains(&told.as_str()), "{told}");
    }
    assert_eq!(client.ask(&format!("ask_all({port}, 4, 10)")), "40");
}

/// One that connects, asks and closes for ever.
fn killable(scene: &Scene, port: u16) -> End {
    let mut end = End::new(scene);
    assert_eq!(end.ask(&format!("ask_all({port}, 1, 1)")), "1");
    end.begin(&format!("ask_all({port}, 4, 100_000)"));
    end
}

/// Both ends in one process stay on TCP.
#[test]
fn one_process() {
    let scene = scene();
    let mut end = End::new(&scene);
    let port = end.listen("127.0.0.1");
    end.run(&format!("c = socket.create_connection(('127.0.0.1', {port})); d, _ = l.accept()"));
    end.run("c.sendall(b'myself')");
    assert_eq!(end.ask("d.recv(10)"), "b'myself'");
    let reasons: Vec<_> = end.listed().into_iter().map(|end| (end.path, end.reason)).collect();
    let tcp = |reason: &str| ("tcp".to_owned(), Some(reason.to_owned()));
    assert_eq!(reasons, [tcp("SameProcess"), tcp("ConnectedByTcp")]);
}
