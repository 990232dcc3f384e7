//! connect(2): every form of it, and what its caller is told.

use std::time::Duration;

use crate::support::{End, SOON, connected, exchange, scene};

const NONBLOCKING: &str = "c = socket.socket(*TCP); c.setblocking(False)";

/// SW-062: a non-blocking connect goes on alone; what the program asks meanwhile and afterwards is answered as by TCP.
#[test]
fn nonblocking() {
    for wait in [
        "select.select([], [c], [], 30)[1] == [c]",
        "[e for _, e in poll_once(c, select.POLLOUT)] == [select.POLLOUT]",
        "[e for _, e in waiting(c, select.EPOLLOUT)] == [select.EPOLLOUT]",
        "[e for _, e in waiting(c, select.EPOLLOUT | select.EPOLLET)] == [select.EPOLLOUT]",
    ] {
        let scene = scene();
        let (mut server, mut client) = (End::new(&scene), End::new(&scene));
        let port = server.listen("127.0.0.1");
        client.run(NONBLOCKING);
        let told = client.ask(&format!("errno.errorcode[c.connect_ex(('127.0.0.1', {port}))]"));
        assert_eq!(told, "EINPROGRESS");
        assert_eq!(client.ask(wait), "True", "{wait}");
        assert_eq!(client.ask("c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)"), "0");
        let again: Vec<String> =
            (0..2).map(|_| client.ask(&format!("c.connect_ex(('127.0.0.1', {port}))"))).collect();
        assert_eq!(again, ["0", "106"], "the result once, then EISCONN");
        server.run("c, _ = l.accept(); c.send(b'hello')");
        client.run("c.setblocking(True)");
        assert_eq!(client.ask("c.recv(10)"), "b'hello'");
        assert_eq!(client.listed()[0].path, "shm");
    }
}

/// SW-061, SW-062: while the provider has not answered, the program is told EALREADY, and waits for reading and writing.
#[test]
fn pending() {
    let scene = scene();
    let mut client = End::faulty(&scene, "connect-silent");
    let mut server = End::plain(&scene);
    let port = server.listen("127.0.0.1");
    client.run(NONBLOCKING);
    let connect = format!("errno.errorcode.get(c.connect_ex(('127.0.0.1', {port})))");
    assert_eq!(client.ask(&connect), "EINPROGRESS");
    assert_eq!(client.ask(&connect), "EALREADY");
    assert_eq!(client.ask("poll_once(c, select.POLLOUT | select.POLLIN, 0)"), "[]");
    assert_eq!(client.ask("c.send(b'x')"), "EAGAIN");
    assert_eq!(client.ask("c.recv(1)"), "EAGAIN");
    assert_eq!(client.ask("c.getpeername()"), "ENOTCONN");
    // SW-068: the provider had its time, now TCP connects.
    assert_eq!(client.ask("select.select([], [c], [], 30)[1] == [c]"), "True");
    assert_eq!(client.ask("c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)"), "0");
    server.run("c, _ = l.accept(); c.send(b'by TCP')");
    client.run("c.setblocking(True)");
    assert_eq!(client.ask("c.recv(10)"), "b'by TCP'");
    assert_eq!(client.listed()[0].path, "tcp");
}

/// A blocking caller waits for the provider's time-out and for TCP, in one call (SW-068).
#[test]
fn provider_that_does_not_answer() {
    let scene = scene();
    let mut client = End::faulty(&scene, "connect-silent");
    let mut server = End::plain(&scene);
    let port = server.listen("127.0.0.1");
    client.begin(&format!("c = socket.create_connection(('127.0.0.1', {port}))"));
    server.run("c, _ = l.accept(); c.send(b'by TCP')");
    assert_eq!(client.hear(), "None");
    assert_eq!(client.ask("c.recv(10)"), "b'by TCP'");
    let functions: Vec<String> = client.calls().into_iter().map(|call| call.function).collect();
    assert_eq!(functions.last().map(String::as_str), Some("WSPCloseSocket"), "SW-063: {functions:?}");
}

/// A port where nobody listens.
#[test]
fn nobody_listens() {
    let scene = scene();
    let mut client = End::new(&scene);
    let port = scene.port();
    client.run("c = socket.socket(*TCP)");
    assert_eq!(client.ask(&format!("c.connect(('127.0.0.1', {port}))")), "ECONNREFUSED");
    // The same socket, once somebody listens.
    let mut server = End::new(&scene);
    server.run(&format!("l = socket.create_server(('127.0.0.1', {port}))"));
    client.run(&format!("c.connect(('127.0.0.1', {port}))"));
    server.run("c, _ = l.accept()");
    assert_eq!(client.listed()[0].path, "shm", "{}", client.trace());
}

/// The same without blocking: readiness tells of the failure, SO_ERROR tells it once.
#[test]
fn nobody_listens_nonblocking() {
    for wait in ["poll_once(c, select.POLLOUT)", "waiting(c, select.EPOLLOUT)"] {
        let scene = scene();
        let mut client = End::new(&scene);
        let port = scene.port();
        client.run(NONBLOCKING);
        let told = client.ask(&format!("errno.errorcode[c.connect_ex(('127.0.0.1', {port}))]"));
        assert_eq!(told, "EINPROGRESS");
        assert_eq!(client.ask(&format!("[e & 0x1C for _, e in {wait}]")), "[28]", "OUT, ERR and HUP");
        assert_eq!(
            client.ask("errno.errorcode[c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)]"),
            "ECONNREFUSED"
        );
        assert_eq!(client.ask("c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)"), "0");
    }
}

/// A listener without the switch: TCP connects, and the reason is told.
#[test]
fn listener_without_switch() {
    let scene = scene();
    let (mut server, mut client) = (End::plain(&scene), End::new(&scene));
    let port = server.listen("127.0.0.1");
    client.run(&format!("c = socket.create_connection(('127.0.0.1', {port}))"));
    server.run("c, _ = l.accept()");
    exchange([&mut server, &mut client], "both", 2_000_000, "");
    let listed = client.listed();
    assert_eq!((listed[0].path.as_str(), listed[0].reason.as_deref()), ("tcp", Some("PeerWithoutCompanion")));
    assert_eq!(listed[0].tcp_bytes_sent, 2_000_000);
}

/// SW-045, SW-066: the names of both ends are those that TCP would give, with and without bind.
#[test]
fn names() {
    let scene = scene();
    for bind in [None, Some("127.0.0.5"), Some("0.0.0.0")] {
        let (mut server, mut client) = (End::new(&scene), End::new(&scene));
        let port = server.listen("127.0.0.1");
        client.run("c = socket.socket(*TCP)");
        if let Some(address) = bind {
            client.run(&format!("c.bind(('{address}', 0))"));
        }
        client.run(&format!("c.connect(('127.0.0.1', {port}))"));
        server.run("c, name = l.accept()");
        let own = if bind == Some("127.0.0.5") { "127.0.0.5" } else { "127.0.0.1" };
        let local = format!("('{own}', {})", client.port("c"));
        assert_ne!(client.port("c"), 0);
        let peer = format!("('127.0.0.1', {port})");
        assert_eq!(client.ask("c.getsockname()"), local);
        assert_eq!(client.ask("c.getpeername()"), peer);
        assert_eq!(server.ask("c.getsockname()"), peer);
        assert_eq!([server.ask("c.getpeername()"), server.ask("name")], [local.clone(), local]);
        assert_eq!(client.listed()[0].path, "shm", "{bind:?} {}", client.trace());
    }
}

/// SW-041: TCP says what is wrong with a name.
#[test]
fn taken_port() {
    let scene = scene();
    let [_server, mut client] = connected(&scene);
    client.run("d = socket.socket(*TCP)");
    assert_eq!(client.ask("d.bind(c.getsockname())"), "EADDRINUSE");
}

/// SW-060: what no SAN reaches is TCP's at once: no call of the provider.
#[test]
fn addresses_without_san() {
    let scene = scene();
    let mut client = End::new(&scene);
    client.run(NONBLOCKING);
    let mut ask = |address: &str| client.ask(&format!("errno.errorcode[c.connect_ex(('{address}', 9))]"));
    assert_eq!(ask("255.255.255.255"), "ENETUNREACH");
    assert_eq!(ask("224.0.0.1"), "ENETUNREACH");
    // A NIC of the SAN, and another network.
    client.run("c.bind(('127.0.0.1', 0))");
    client.run("c.connect_ex(('203.0.113.1', 9)) and None");
    client.await_traced("TCP connects to 203.0.113.1:9");
    let calls = client.calls();
    assert!(!calls.iter().any(|call| call.function == "WSPConnect"), "{calls:?}");
}

/// SW-067: a close while the provider connects closes the provider's socket.
#[test]
fn closed_while_connecting() {
    let scene = scene();
    let mut client = End::faulty(&scene, "connect-silent");
    let port = End::plain(&scene).listen("127.0.0.1");
    client.run(NONBLOCKING);
    client.run(&format!("begin(c, {port})"));
    client.await_traced("WSPConnect(");
    client.run("c.close()");
    client.await_call("WSPCloseSocket", "WSPConnect");
    assert!(!client.trace().contains("TCP connects"), "{}", client.trace());
}

/// The same by shutdown(2), and by the end of the process.
#[test]
fn given_up_while_connecting() {
    let scene = scene();
    let mut client = End::faulty(&scene, "connect-silent");
    let port = End::plain(&scene).listen("127.0.0.1");
    client.run(NONBLOCKING);
    client.run(&format!("begin(c, {port})"));
    client.await_traced("WSPConnect(");
    client.run("c.shutdown(socket.SHUT_RDWR)");
    client.await_call("WSPCloseSocket", "WSPConnect");
    assert_eq!(client.ask("[e & 0x1C for _, e in poll_once(c, select.POLLOUT)]"), "[28]");
    client.run(&format!("c = socket.socket(*TCP); begin(c, {port})"));
    client.begin("os._exit(0)");
    client.process().wait(SOON);
}

/// SW-150: by another thread, while one waits in connect.
#[test]
fn closed_under_a_blocking_connect() {
    let scene = scene();
    let mut client = End::faulty(&scene, "connect-silent");
    let port = End::plain(&scene).listen("127.0.0.1");
    client.run("c = socket.socket(*TCP); told = []; fd = c.fileno()");
    client.run(&format!(
        "t = threading.Thread(target=lambda: told.append(seen(lambda: c.connect(('127.0.0.1', {port}))))); t.start()"
    ));
    client.await_traced("WSPConnect(");
    client.run("os.close(fd)");
    client.run("t.join()");
    assert_eq!(client.ask("told"), "[\"OSError(9, 'Bad file descriptor')\"]");
    client.await_call("WSPCloseSocket", "WSPConnect");
}

/// SO_SNDTIMEO ends the wait of a blocking connect; the connection goes on being made.
#[test]
fn limited_wait() {
    let scene = scene();
    let mut client = End::faulty(&scene, "connect-silent");
    let mut server = End::plain(&scene);
    let port = server.listen("127.0.0.1");
    client.run("c = socket.socket(*TCP)");
    client.run("c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack('ll', 0, 100_000))");
    assert_eq!(client.ask(&format!("c.connect(('127.0.0.1', {port}))")), "EINPROGRESS");
    assert_eq!(client.ask("select.select([], [c], [], 30)[1] == [c]"), "True");
    server.run("c, _ = l.accept()");
}

/// A signal ends it likewise.
#[test]
fn interrupted_wait() {
    let scene = scene();
    let mut client = End::faulty(&scene, "connect-silent");
    let port = End::plain(&scene).listen("127.0.0.1");
    client.run("raise_at(signal.SIGUSR1)");
    client.run("c = socket.socket(*TCP)");
    client.begin(&format!("seen(lambda: c.connect(('127.0.0.1', {port})))"));
    client.await_traced("WSPConnect(");
    std::thread::sleep(Duration::from_millis(50));
    client.process().signal(10);
    assert_eq!(client.hear(), "EOFError()");
    assert_eq!(client.ask("select.select([], [c], [], 30)[1] == [c]"), "True");
}

/// Threads that connect, use and close at the same time, many times.
#[test]
fn many_at_a_time() {
    let scene = scene();
    let (mut server, mut client) = (End::new(&scene), End::new(&scene));
    let port = server.listen("127.0.0.1");
    server.run("threading.Thread(target=answer_all, args=[l], daemon=True).start()");
    assert_eq!(client.ask(&format!("ask_all({port}, 8, 100)")), "800");
    let trace = client.trace();
    assert_eq!(trace.lines().find(|line| line.contains("TCP connects")), None);
}
