//! What holds for programs whoever makes their connections: the SAN, or TCP.

use std::ffi::OsString;

use wsd_programs::{Scene, until};

use crate::support::{End, SOON, connect, exchange, scene};

/// As `--connect` takes them.
const ORDERS: [&str; 2] = ["san-first", "tcp-first"];

/// The options and the environment of a provider with faults.
fn faulty(faults: &'static str) -> (Vec<OsString>, Vec<(&'static str, &'static str)>) {
    let library = wsd_programs::wsdirect().with_file_name("libwsd_faulty.so");
    (vec!["--provider".into(), library.into()], vec![("WSD_FAULTY", faults)])
}

/// Two ends with a connection `c` that goes by a provider: by one with these faults, or the built-in one.
fn carried(order: &str, scene: &Scene, faults: Option<&'static str>) -> [End; 2] {
    let (options, environment) = faults.map(faulty).unwrap_or_default();
    let end = || End::by(order, scene, &options, &environment);
    let [mut server, mut client] = connect(end(), end());
    await_carried([&mut server, &mut client]);
    [server, client]
}

/// Lets both ends talk until their connection goes by a provider.
fn await_carried([server, client]: [&mut End; 2]) {
    until(SOON, "a provider that carries the connection", || {
        exchange([server, client], "both", 50_000, "");
        let goes = |end: &End| end.listed().iter().all(|it| it.is_promoted() && it.reason.is_none());
        (goes(server) && goes(client)).then_some(())
    });
}

/// SW-004, SW-004 (TCP first): before, while and after the connection comes to a SAN.
#[test]
fn descriptor_is_of_a_tcp_socket() {
    for order in ORDERS {
        let scene = scene();
        let [mut server, mut client] = [(); 2].map(|()| End::by(order, &scene, &[], &[]));
        let port = server.listen("127.0.0.1");
        let which = "os.readlink(f'/proc/self/fd/{c.fileno()}')";
        client.run(&format!("c = socket.socket(*TCP); fd = c.fileno(); which = {which}"));
        client.run(&format!("c.connect(('127.0.0.1', {port}))"));
        server.run(&format!("c, _ = l.accept(); fd = c.fileno(); which = {which}"));
        await_carried([&mut server, &mut client]);
        for end in [&mut server, &mut client] {
            assert_eq!(end.ask(&format!("c.fileno() == fd and {which} == which")), "True", "{order}");
            let protocol = end.ask("os.getxattr(f'/proc/self/fd/{c.fileno()}', 'system.sockprotoname')");
            assert_eq!(protocol, r"b'TCP\x00'", "{order}");
        }
    }
}

/// SW-005, SW-005 (TCP first): the kernel would end a thread that makes another call than those to talk to this test.
#[test]
fn data_take_no_system_call() {
    for order in ORDERS {
        let scene = scene();
        let [mut server, mut client] = carried(order, &scene, None);
        for (from, to) in [(0, 1), (1, 0)] {
            let ends = [&mut server, &mut client];
            ends[from].run("c.send(b'first') and None");
            assert_eq!(ends[to].ask("c.recv(5, socket.MSG_WAITALL)"), "b'first'");
        }
        for end in [&mut server, &mut client] {
            end.run("hush()");
        }
        let send = "sum(c.send(b'x' * 100) for _ in range(300))";
        let recv = "sum(len(c.recv(100)) for _ in range(300))";
        assert_eq!([client.ask(send), server.ask(recv)], ["30000"; 2], "{order}");
        assert_eq!([server.ask(send), client.ask(recv)], ["30000"; 2], "{order}");
    }
}

/// SW-040 (TCP first): nor do bind and listen.
#[test]
fn socket_calls_no_provider() {
    let scene = scene();
    let mut end = End::by("tcp-first", &scene, &[], &[]);
    end.run("c = socket.socket(*TCP); c.bind(('127.0.0.1', 0)); c.listen()");
    assert_eq!(end.calls(), []);
}

/// SW-048 (TCP first), SW-220 (TCP first): datagrams and raw packets, however many, and a connection whose peer has no switch.
#[test]
fn tcp_keeps_what_is_its_own() {
    let scene = scene();
    let mut end = End::by("tcp-first", &scene, &[], &[]);
    for kind in ["SOCK_DGRAM", "SOCK_RAW, 253"] {
        let made = end.ask(&format!("u = socket.socket(socket.AF_INET, socket.{kind})"));
        if made == "EPERM" {
            eprintln!("skipped: {kind} takes a privilege");
            continue;
        }
        end.run("u.bind(('127.0.0.1', 0)); u.connect(u.getsockname())");
        let talk = "sum(u.send(b'x' * 1000) == 1000 and b'x' * 1000 in u.recv(2000) for _ in range(2000))";
        assert_eq!(end.ask(talk), "2000", "{kind}");
    }
    assert_eq!((end.calls(), end.listed()), (vec![], vec![]));
    let [mut end, mut plain] = connect(end, End::plain(&scene));
    exchange([&mut end, &mut plain], "both", 2_000_000, "");
    let listed = end.listed();
    assert_eq!((listed[0].san_bytes_sent, listed[0].tcp_bytes_sent), (0, 2_000_000), "{listed:?}");
}

/// SW-002, SW-002 (TCP first), SW-003, SW-003 (TCP first), SW-143 (TCP first), SW-221, SW-221 (TCP first): connections
/// of two providers and of TCP, their listeners and datagrams, in one set; names are those of TCP.
#[test]
fn one_set_for_everything() {
    for order in ORDERS {
        let scene = scene();
        let config = scene.folder().join("config.toml");
        let library = wsd_programs::wsdirect().with_file_name("libwsd_faulty.so");
        let text = format!("providers = [{{ name = \"one\", library = {library:?} }}, {{ name = \"shm\" }}]");
        std::fs::write(&config, text).expect("a file in the test's folder");
        let options = ["--config".into(), config.into()];
        let [mut server, mut client] =
            [(); 2].map(|()| End::by(order, &scene, &options, &[("WSD_FAULTY", "plain,ipv4")]));
        let mut plain = End::plain(&scene);
        server.run("four = socket.create_server(('127.0.0.1', 0))");
        server.run("six = socket.create_server(('::1', 0), family=socket.AF_INET6)");
        server.run("u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('127.0.0.1', 0))");
        let names = ["four", "six", "u"].map(|name| server.ask(&format!("{name}.getsockname()[:2]")));
        server.begin("echo_all([four, six, u])");
        let [four, six, datagrams] = &names;
        client.run(&format!("four, six = map(socket.create_connection, [{four}, {six}])"));
        client.run(&format!("u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.connect({datagrams})"));
        plain.run(&format!("four, six = map(socket.create_connection, [{four}, {six}])"));
        let mut paths = Vec::new();
        until(SOON, "both providers to carry a connection", || {
            assert_eq!(client.ask("echoed([four, six, u], 100)"), "True", "{order}");
            paths = client.listed().into_iter().map(|it| (it.peer, it.path)).collect();
            paths.iter().all(|(_, path)| path != "tcp").then_some(())
        });
        assert_eq!([&mut client, &mut plain].map(|end| end.ask("echoed([four, six], 100)")), ["True"; 2]);
        paths.sort();
        let went: Vec<&str> = paths.iter().map(|(_, path)| path.as_str()).collect();
        assert_eq!(went, ["one", "shm"], "{order}: {paths:?}");
        let mut own = Vec::new();
        for end in [&mut client, &mut plain] {
            assert_eq!(end.ask("four.getpeername()[:2], six.getpeername()[:2]"), format!("({four}, {six})"));
            own.extend(["four", "six"].map(|name| end.ask(&format!("{name}.getsockname()[:2]"))));
            end.run("four.close(); six.close()");
        }
        own.sort();
        assert_eq!(server.hear(), format!("[{}]", own.join(", ")), "{order}");
    }
}

/// What poll tells of `c` within so many milliseconds.
fn events(end: &mut End, limit: u32, asked: &str) -> String {
    end.ask(&format!("[e for _, e in poll_once(c, {asked}, {limit})]"))
}

/// SW-142, SW-142 (TCP first): readable is data or an end, writable is room.
#[test]
fn readable_and_writable() {
    for order in ORDERS {
        let scene = scene();
        let [mut server, mut client] = carried(order, &scene, None);
        assert_eq!(events(&mut client, 0, "select.POLLIN | select.POLLOUT"), "[4]", "{order}: room");
        server.run("c.sendall(b'data')");
        assert_eq!(events(&mut client, 20_000, "select.POLLIN"), "[1]", "{order}: data");
        client.run("c.recv(4) and None");
        client.run("c.setblocking(False); data = b'x' * 65536; count = 0");
        assert_eq!(client.ask("while True: count += c.send(data)"), "EAGAIN");
        assert_eq!(events(&mut client, 0, "select.POLLIN | select.POLLOUT"), "[]", "{order}: neither");
        let count = client.ask("count");
        server.begin(&format!("drain(c, {count})"));
        assert_eq!(
            events(&mut client, 20_000, "select.POLLIN | select.POLLOUT"),
            "[4]",
            "{order}: room again"
        );
        server.hear();
        server.run("c.shutdown(socket.SHUT_WR)");
        assert_eq!(events(&mut client, 20_000, "select.POLLIN"), "[1]", "{order}: the end");
        assert_eq!(client.ask("c.recv(1)"), "b''");
    }
}

/// SW-120, SW-120 (TCP first): small and large sends by turns, out of several buffers, non-blocking.
#[test]
fn sizes_and_buffers_mixed() {
    for order in ORDERS {
        for faults in [None, Some("plain"), Some("plain,no-read,late")] {
            let scene = scene();
            let [mut server, mut client] = carried(order, &scene, faults);
            let before = client.listed()[0].tcp_bytes_sent;
            exchange([&mut server, &mut client], "medley", 3_000_000, "");
            assert_eq!(client.listed()[0].tcp_bytes_sent, before, "{order} {faults:?}");
        }
    }
}

/// SW-152 (TCP first): a receive that is given up leaves its memory alone and loses nothing; a send that is given up has said how
/// much went.
#[test]
fn calls_that_are_given_up() {
    for faults in [None, Some("plain,late,early-rdma")] {
        let scene = scene();
        let [mut server, mut client] = carried("tcp-first", &scene, faults);
        let limit = "struct.pack('ll', 0, 50_000)";
        server.run(&format!("c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, {limit})"));
        client.run(&format!("c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, {limit})"));
        server.run("given = bytearray(300_000)");
        assert_eq!(server.ask("c.recv_into(given)"), "EAGAIN");
        client.run("data = random.randbytes(1 << 26); count = c.send(data)");
        assert_eq!(client.ask("0 < count < len(data)"), "True", "the peer does not read: {faults:?}");
        assert_eq!(server.ask("any(given)"), "False", "{faults:?}");
        client.run("c.shutdown(socket.SHUT_WR)");
        let went = client.ask("f'{count} {hashlib.sha256(data[:count]).hexdigest()}'");
        server.run("c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bytes(16))");
        assert_eq!(server.ask("drain(c)"), went, "{faults:?}");
    }
}

/// SW-171 (TCP first): sendfile is POSIX's TransmitFile. The file goes by the provider, not by TCP.
#[test]
fn files() {
    for faults in [None, Some("plain")] {
        let scene = scene();
        let [mut server, mut client] = carried("tcp-first", &scene, faults);
        let file = scene.folder().join("file");
        let text: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
        std::fs::write(&file, text).expect("a file in the test's folder");
        let before = client.listed()[0].clone();
        client.run(&format!("f = open({file:?}, 'rb')"));
        server.begin("drain(c)");
        client.run("left = 1_000_000");
        client.run("while left: left -= os.sendfile(c.fileno(), f.fileno(), 1_000_000 - left, left)");
        client.run("c.shutdown(socket.SHUT_WR)");
        let went = client.ask("f'1000000 {hashlib.sha256(f.read()).hexdigest()}'");
        assert_eq!(server.hear(), went, "{faults:?}");
        let after = client.listed()[0].clone();
        assert_eq!(after.tcp_bytes_sent, before.tcp_bytes_sent);
        assert_eq!(after.san_bytes_sent, before.san_bytes_sent + 1_000_000);
    }
}
