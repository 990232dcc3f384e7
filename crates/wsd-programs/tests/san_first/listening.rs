//! listen(2) and accept(2): what comes by TCP and what comes by the SAN, out of one listener.

use wsd_programs::until;

use crate::support::{Call, End, SOON, connected, exchange, scene};

/// SW-090, SW-084: clients of both kinds at one listener; each gets its own, in turn where both wait.
#[test]
fn clients_of_both_kinds() {
    let scene = scene();
    let (mut server, mut san, mut tcp) = (End::new(&scene), End::new(&scene), End::plain(&scene));
    let port = server.listen("127.0.0.1");
    // A connect may return a moment before the connection waits at the listener. Of each kind one more is made than is
    // accepted: when it has been answered, those before it wait.
    for client in [&mut san, &mut tcp] {
        client.run(&format!("s = [socket.create_connection(('127.0.0.1', {port})) for _ in range(11)]"));
        client.run("for c in s: c.sendall(b'%d' % c.getsockname()[1])");
    }
    server.run("a = [l.accept() for _ in range(20)]");
    assert_eq!(server.ask("sum(int(c.recv(10)) == name[1] for c, name in a)"), "20");
    let paths: Vec<String> = in_order_of_descriptors(&server).map(|end| end.path).collect();
    for pair in paths.chunks(2) {
        assert_ne!(pair[0], pair[1], "in turn: {paths:?}");
    }
    let by_tcp = server.listed().into_iter().filter(|end| end.path == "tcp");
    assert!(by_tcp.map(|end| end.reason).all(|reason| reason.as_deref() == Some("ConnectedByTcp")));
}

fn in_order_of_descriptors(end: &End) -> impl Iterator<Item = wsd_programs::Connection> {
    let mut listed = end.listed();
    listed.sort_by_key(|end| end.fd);
    listed.into_iter()
}

/// Each way of learning that a connection waits.
#[test]
fn waiting_for_a_connection() {
    for wait in [
        "select.select([l], [], [], 30)[0] == [l]",
        "[e for _, e in poll_once(l, select.POLLIN)] == [select.POLLIN]",
        "[e for _, e in waiting(l)] == [select.EPOLLIN]",
        "[e for _, e in waiting(l, select.EPOLLIN | select.EPOLLET)] == [select.EPOLLIN]",
    ] {
        for by_san in [true, false] {
            let scene = scene();
            let mut server = End::new(&scene);
            let mut client = if by_san { End::new(&scene) } else { End::plain(&scene) };
            let port = server.listen("127.0.0.1");
            server.run("l.setblocking(False)");
            assert_eq!(server.ask("l.accept()"), "EAGAIN");
            server.begin(wait);
            std::thread::sleep(std::time::Duration::from_millis(100));
            client.run(&format!("c = socket.create_connection(('127.0.0.1', {port}))"));
            assert_eq!(server.hear(), "True", "{wait}");
            server.run("c, _ = l.accept()");
            assert_eq!(server.ask("l.accept()"), "EAGAIN");
            assert_eq!(server.listed()[0].path, if by_san { "shm" } else { "tcp" });
        }
    }
}

/// A blocking accept that sleeps when the connection comes, of either kind; and its time limit.
#[test]
fn blocking_accept() {
    for by_san in [true, false] {
        let scene = scene();
        let mut server = End::new(&scene);
        let mut client = if by_san { End::new(&scene) } else { End::plain(&scene) };
        let port = server.listen("127.0.0.1");
        server.begin("len(l.accept())");
        std::thread::sleep(std::time::Duration::from_millis(100));
        client.run(&format!("c = socket.create_connection(('127.0.0.1', {port}))"));
        assert_eq!(server.hear(), "2");
        server.run("l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', 0, 100_000))");
        assert_eq!(server.ask("l.accept()"), "EAGAIN");
    }
}

/// SW-094: the listener's options, and the flags of accept4.
#[test]
fn options_of_accepted_sockets() {
    let scene = scene();
    let (mut server, mut client) = (End::new(&scene), End::new(&scene));
    server.run("l = socket.socket(*TCP); l.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)");
    server.run("l.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)");
    server.run("l.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)");
    server.run("l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', 7, 0))");
    server.run("l.bind(('127.0.0.1', 0)); l.listen()");
    let port = server.port("l");
    client.run(&format!("s = [socket.create_connection(('127.0.0.1', {port})) for _ in range(2)]"));
    for (flags, inherited, nonblocking) in [("0", "True", "False"), ("0o2004000", "False", "True")] {
        server.run(&format!("c = accept4(l, {flags})"));
        let mut option =
            |level: &str, name: &str| server.ask(&format!("c.getsockopt(socket.{level}, socket.{name})"));
        assert_eq!(option("IPPROTO_TCP", "TCP_NODELAY"), "1");
        assert_eq!(option("SOL_SOCKET", "SO_KEEPALIVE"), "1");
        assert_eq!(option("SOL_SOCKET", "SO_SNDBUF"), "200000");
        assert_eq!(
            server.ask("struct.unpack('ll', c.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16))"),
            "(7, 0)"
        );
        assert_eq!(server.ask("os.get_inheritable(c.fileno())"), inherited);
        assert_eq!(server.ask("not os.get_blocking(c.fileno())"), nonblocking);
        if nonblocking == "True" {
            assert_eq!(server.ask("c.recv(1)"), "EAGAIN");
        }
    }
    assert_eq!(server.listed()[0].path, "shm");
}

/// SW-083: while the program is in no call, connections are accepted. SW-092: the backlog counts; what does not fit is refused, as SW-063 has it, without TCP.
#[test]
fn backlog() {
    let scene = scene();
    let (mut server, mut client) = (End::new(&scene), End::new(&scene));
    server.run("l = socket.socket(*TCP); l.bind(('127.0.0.1', 0)); l.listen(3)");
    let port = server.port("l");
    client.run(&format!("s = [socket.create_connection(('127.0.0.1', {port})) for _ in range(3)]"));
    client.run("c = socket.socket(*TCP)");
    assert_eq!(client.ask(&format!("c.connect(('127.0.0.1', {port}))")), "ECONNREFUSED");
    server.run("a = l.accept()");
    client.run(&format!("c.connect(('127.0.0.1', {port}))"));
    // A second listen makes room.
    client.run("d = socket.socket(*TCP)");
    assert_eq!(client.ask(&format!("d.connect(('127.0.0.1', {port}))")), "ECONNREFUSED");
    server.run("l.listen(4)");
    client.run(&format!("d.connect(('127.0.0.1', {port}))"));
    assert!(client.listed().iter().all(|end| end.path == "shm"));
}

/// SW-080: TCP's listen fails: no provider is asked.
#[test]
fn tcp_does_not_listen() {
    let scene = scene();
    let mut server = End::new(&scene);
    server.run("s = [socket.socket(*TCP) for _ in range(2)]");
    server.run("for x in s: x.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)");
    server.run("s[0].bind(('127.0.0.1', 0)); s[1].bind(s[0].getsockname()); s[0].listen()");
    assert_eq!(server.ask("s[1].listen()"), "EADDRINUSE");
    let listens = server.calls().into_iter().filter(|call| call.function == "WSPListen");
    assert_eq!(listens.count(), 1);
}

/// SW-081: a listener at the wildcard gets all, also over IPv6, whose wildcard means IPv4 too.
#[test]
fn wildcards_and_ipv6() {
    for (family, own, peers) in [
        ("AF_INET", "0.0.0.0", &["127.0.0.1", "127.0.0.9"][..]),
        ("AF_INET6", "::", &["127.0.0.1", "::1", "::ffff:127.0.0.1"]),
        ("AF_INET6", "::1", &["::1"]),
    ] {
        let scene = scene();
        let mut server = End::new(&scene);
        server.run(&format!(
            "l = socket.socket(socket.{family}, socket.SOCK_STREAM); l.bind(('{own}', 0)); l.listen()"
        ));
        let port = server.port("l");
        for peer in peers {
            let mut client = End::new(&scene);
            client.run(&format!("c = socket.create_connection(('{peer}', {port}))"));
            server.run("c, name = l.accept()");
            exchange([&mut server, &mut client], "both", 500_000, "");
            assert_eq!(client.listed()[0].path, "shm", "{own} {peer}\n{}", client.trace());
            assert_eq!(server.ask("name == c.getpeername()"), "True");
            let same = format!("(ip(c.getpeername()), ip(c.getsockname())) == (ip('{peer}'), ip('{peer}'))");
            assert!(*peer == "127.0.0.9" || server.ask(&same) == "True", "{}", server.ask("c"));
            assert_eq!(server.ask("len(c.getsockname())"), if family == "AF_INET" { "2" } else { "4" });
        }
    }
}

/// IPV6_V6ONLY keeps IPv4 away.
#[test]
fn ipv6_only() {
    let scene = scene();
    let (mut server, mut client) = (End::new(&scene), End::new(&scene));
    server.run("l = socket.create_server(('::', 0), family=socket.AF_INET6)");
    let port = server.port("l");
    client.run("c = socket.socket(*TCP)");
    assert_eq!(client.ask(&format!("c.connect(('127.0.0.1', {port}))")), "ECONNREFUSED");
    client.run(&format!("c = socket.create_connection(('::1', {port}))"));
    assert_eq!(client.listed()[0].path, "shm");
    // Somebody else's listener is at the same port, and has no SAN.
    let mut other = End::plain(&scene);
    other.run(&format!("l = socket.create_server(('0.0.0.0', {port}))"));
    client.run(&format!("d = socket.create_connection(('127.0.0.1', {port}))"));
    other.run("a = l.accept()");
}

/// A listener that is closed with connections in its queue resets them; the port is free at once.
#[test]
fn closed_with_connections_in_the_queue() {
    for end in ["l.close()", "l.shutdown(socket.SHUT_RDWR); l.close()", "os._exit(0)"] {
        let scene = scene();
        let (mut server, mut client) = (End::new(&scene), End::new(&scene));
        let port = server.listen("127.0.0.1");
        client.run(&format!("c = socket.create_connection(('127.0.0.1', {port}))"));
        assert_eq!(client.listed()[0].path, "shm");
        server.begin(end);
        assert_eq!(client.ask("c.recv(1)"), "ECONNRESET", "{end}");
        if end.contains("exit") {
            server.process().wait(SOON);
        } else {
            assert_eq!(server.hear(), "None");
        }
        client.run("d = socket.socket(*TCP)");
        assert_eq!(client.ask(&format!("d.connect(('127.0.0.1', {port}))")), "ECONNREFUSED", "{end}");
    }
}

/// A connection whose peer has gone before it was accepted comes out of accept, with what was sent, as TCP's do.
#[test]
fn accepted_after_its_end() {
    let scene = scene();
    let (mut server, mut client) = (End::new(&scene), End::new(&scene));
    let port = server.listen("127.0.0.1");
    client
        .run(&format!("c = socket.create_connection(('127.0.0.1', {port})); c.sendall(b'last'); c.close()"));
    server.run("c, name = l.accept()");
    assert_eq!(server.ask("c.recv(10), c.recv(10)"), "(b'last', b'')");
    assert_eq!(server.ask("name == c.getpeername()"), "True");
}

/// Several threads in accept at a time: each connection comes out once.
#[test]
fn threads_in_accept() {
    let scene = scene();
    let (mut server, mut client) = (End::new(&scene), End::new(&scene));
    let port = server.listen("127.0.0.1");
    server.run("for _ in range(4): threading.Thread(target=answer_all, args=[l], daemon=True).start()");
    assert_eq!(client.ask(&format!("ask_all({port}, 4, 50)")), "200");
}

/// SAN listeners of two processes at one port (SO_REUSEPORT): the second has TCP alone, and works.
#[test]
fn port_of_two_listeners() {
    let scene = scene();
    let mut servers = [End::new(&scene), End::new(&scene)];
    let mut client = End::new(&scene);
    let port = scene.port();
    for server in &mut servers {
        server.run(&format!(
            "l = socket.create_server(('127.0.0.1', {port}), reuse_port=True); l.setblocking(False)"
        ));
    }
    client.run(&format!("s = [socket.create_connection(('127.0.0.1', {port})) for _ in range(5)]"));
    let accepted = servers.each_mut().map(|server| server.ask("accept_now(l)"));
    assert_eq!(accepted, ["5", "0"]);
    drop(connected(&scene));
}

/// SW-034: of two providers that serve an address the first in the list gets it. SW-081, SW-082: at the wildcard each is asked, and
/// one that cannot is left out.
#[test]
fn two_providers() {
    let scene = scene();
    let config = scene.folder().join("config.toml");
    let library = wsd_programs::wsdirect().with_file_name("libwsd_faulty.so");
    let text = format!("providers = [{{ name = \"one\", library = {library:?} }}, {{ name = \"shm\" }}]");
    std::fs::write(&config, text).expect("a file in the test's folder");
    let options = ["--config".into(), config.into()];
    for (address, asked) in [("127.0.0.1", &["one"][..]), ("0.0.0.0", &["one", "shm"])] {
        let [mut server, mut client] = [(); 2].map(|()| End::with(&scene, &options, &[]));
        let port = server.listen(address);
        let listens = server.calls().into_iter().filter(|call| call.function == "WSPListen");
        let (providers, results): (Vec<_>, Vec<_>) = listens.map(|call| (call.provider, call.result)).unzip();
        assert_eq!(
            (&providers[..], results[0].as_str()),
            (&asked.iter().map(ToString::to_string).collect::<Vec<_>>()[..], "0")
        );
        client.run(&format!("c = socket.create_connection(('127.0.0.1', {port}))"));
        server.run("c, _ = l.accept()");
        exchange([&mut server, &mut client], "both", 200_000, "");
        assert_eq!(client.listed()[0].path, "one");
    }
}

/// SW-033: an address that a provider gets later is listened at as soon as it is there, also for the wildcard if the provider was
/// asked for single addresses; one that was asked for all is not asked again.
#[test]
fn address_that_appears() {
    let scene = scene();
    let mut server = End::new(&scene);
    if server.ask("alone()") == "EPERM" {
        eprintln!("skipped: a network of its own takes a privilege");
        return;
    }
    server.run("import subprocess; subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)");
    // Not later: a listener of several processes is TCP's.
    server.run("shell = subprocess.Popen(['sh'], stdin=subprocess.PIPE, text=True)");
    server.run("four = socket.socket(*TCP); four.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)");
    server.run("four.bind(('10.11.12.13', 0)); four.listen()");
    server.run(
        "six = socket.socket(socket.AF_INET6); six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)",
    );
    server.run("six.bind(('::', 0)); six.listen()");
    server.run("all = socket.create_server(('', 0))");
    let names = [("10.11.12.13", "four"), ("[fd00::1]", "six")]
        .map(|(address, name)| format!(" {address}:{}", server.port(name)));
    let listens = |server: &End| -> Vec<String> {
        let calls = server.calls();
        let bound = |socket: &str| {
            let of =
                |call: &&Call| call.function == "WSPBind" && call.arguments.split(',').next() == Some(socket);
            calls.iter().find(of).map_or_else(String::new, |call| call.arguments.clone())
        };
        let made = calls.iter().filter(|call| call.function == "WSPListen" && call.result == "0");
        made.map(|call| bound(call.arguments.split(',').next().unwrap_or_default())).collect()
    };
    let before = listens(&server);
    assert!(!names.iter().any(|name| before.iter().any(|bound| bound.ends_with(name))), "{before:?}");
    let add = "ip addr add 10.11.12.13/32 dev lo; ip addr add fd00::1/128 nodad dev lo";
    server.run(&format!("print({add:?}, file=shell.stdin, flush=True)"));
    until(SOON, "companions at the new addresses", || {
        let now = listens(&server);
        names.iter().all(|name| now.iter().any(|bound| bound.ends_with(name))).then_some(())
    });
    assert_eq!(listens(&server).len(), before.len() + 2);
}
