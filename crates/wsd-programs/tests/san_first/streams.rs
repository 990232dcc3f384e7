//! What goes over a connection of the SAN.

use crate::support::{End, SOON, connect, connected, exchange, scene};

fn listed_as_san(ends: &[End; 2], bytes: u64) {
    for end in ends {
        let listed = end.listed();
        let [connection] = &listed[..] else { panic!("{listed:#?}\n{}", end.trace()) };
        assert_eq!((connection.path.as_str(), &connection.reason), ("shm", &None));
        assert_eq!(connection.tcp_bytes_sent + connection.tcp_bytes_received, 0);
        assert!(
            connection.san_bytes_sent >= bytes && connection.san_bytes_received >= bytes,
            "{connection:?}"
        );
    }
}

/// Both directions at a time; not a byte goes by TCP, and `wsdirect list` tells it.
#[test]
fn both_directions() {
    let scene = scene();
    let mut ends = connected(&scene);
    let total = 30_000_000;
    exchange(ends.each_mut(), "both", total, "");
    listed_as_san(&ends, total);
}

/// One thread, non-blocking, in each way of waiting for many sockets.
#[test]
fn readiness() {
    for set in ["Poll", "Epoll", "EdgeEpoll", "Select"] {
        let scene = scene();
        let mut ends = connected(&scene);
        exchange(ends.each_mut(), "juggle", 5_000_000, &format!(", {set}"));
        listed_as_san(&ends, 5_000_000);
    }
}

/// SW-160: each direction ends by itself.
#[test]
fn half_close() {
    let scene = scene();
    let [mut server, mut client] = connected(&scene);
    server.begin("drain(c)");
    let sent = client.ask("pour(c, 5, 3_000_000)");
    client.run("c.shutdown(socket.SHUT_WR)");
    assert_eq!(server.hear(), format!("3000000 {sent}"));
    assert_eq!(client.ask("c.send(b'x')"), "EPIPE");
    client.begin("drain(c)");
    let sent = server.ask("pour(c, 6, 3_000_000)");
    server.run("c.close()");
    assert_eq!(client.hear(), format!("3000000 {sent}"));
    assert_eq!(client.ask("c.recv(1)"), "b''");
}

/// SW-161: what was written before a close is read after it.
#[test]
fn written_before_close_is_read() {
    let scene = scene();
    let [mut server, mut client] = connected(&scene);
    let sent = client.ask("pour(c, 7, 400_000)");
    client.run("c.close()");
    assert_eq!(server.ask("drain(c)"), format!("400000 {sent}"));
}

/// The process has ended before anything is read.
#[test]
fn written_before_exit_is_read() {
    for end in ["sys.exit(0)", "os._exit(0)"] {
        let scene = scene();
        let [mut server, mut client] = connected(&scene);
        let sent = client.ask("pour(c, 7, 400_000)");
        client.begin(end);
        client.process().wait(SOON);
        assert_eq!(server.ask("drain(c)"), format!("400000 {sent}"), "{end}");
    }
}

/// SW-161: an abortive close is told as TCP tells it.
#[test]
fn reset() {
    let scene = scene();
    let [mut server, mut client] = connected(&scene);
    client.run("c.sendall(b'lost')");
    client.run("c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); c.close()");
    assert_eq!(server.ask("c.recv(100) and c.recv(1)"), "ECONNRESET");
    assert_eq!(server.ask("c.send(b'x')"), "EPIPE");
}

/// A close with unread data is a reset, too.
#[test]
fn close_with_unread_data() {
    let scene = scene();
    let [mut server, mut client] = connected(&scene);
    client.run("c.sendall(b'unread')");
    assert_eq!(server.ask("c.recv(1)"), "b'u'");
    server.run("c.close()");
    assert_eq!(client.ask("c.recv(1)"), "ECONNRESET");
}

/// The peer dies; what it had written is read first.
#[test]
fn killed_peer() {
    let scene = scene();
    let [mut server, mut client] = connected(&scene);
    client.run("c.sendall(b'last')");
    client.process().signal(libc_kill());
    assert_eq!(server.ask("c.recv(100)"), "b'last'");
    assert_eq!(server.ask("c.recv(1)"), "ECONNRESET");
    assert_eq!(server.ask("c.send(b'x')"), "EPIPE");
}

/// The peer dies while this end sleeps in a wait for it.
#[test]
fn killed_peer_ends_waits() {
    for (wait, told) in [
        ("c.recv(1)", "ECONNRESET"),
        ("select.select([c], [], [], 30)[0] == [c]", "True"),
        ("[e & 0x1F for _, e in waiting(c)]", "[25]"),
        ("drowned(c)", "EPIPE"),
    ] {
        let scene = scene();
        let [mut server, mut client] = connected(&scene);
        server.begin(wait);
        std::thread::sleep(std::time::Duration::from_millis(300));
        client.process().signal(libc_kill());
        assert_eq!(server.hear(), told, "{wait}");
    }
}

/// Options and time limits of the data path.
#[test]
fn time_limits() {
    let scene = scene();
    let [mut server, _client] = connected(&scene);
    server.run("c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', 0, 100_000))");
    assert_eq!(server.ask("c.recv(1)"), "EAGAIN");
    server.run("c.settimeout(0.1)");
    assert_eq!(server.ask("late(lambda: c.recv(1))"), "late");
}

fn libc_kill() -> i32 {
    9
}

/// SW-110, SW-117: with the documented functions only, whatever the provider lacks or does: messages and RDMA, both ways.
#[test]
fn without_mapping() {
    for faults in
        ["plain", "plain,no-read", "plain,late,split-rdma", "plain,small-messages,small-rdma,early-rdma"]
    {
        let scene = scene();
        let [server, client] = [(); 2].map(|()| End::faulty(&scene, faults));
        let mut ends = connect(server, client);
        exchange(ends.each_mut(), "both", 3_000_000, "");
        exchange(ends.each_mut(), "juggle", 1_000_000, ", EdgeEpoll");
        for end in &ends {
            let listed = end.listed();
            assert_eq!((listed[0].path.as_str(), &listed[0].reason), ("wsd_faulty", &None), "{faults}");
            assert_eq!(listed[0].san_bytes_sent, 4_000_000);
        }
        let [mut server, mut client] = ends;
        let sent = client.ask("pour(c, 5, 300_000)");
        client.begin("os._exit(0)");
        assert_eq!(server.ask("drain(c)"), format!("300000 {sent}"), "{faults}");
        client.process().wait(SOON);
    }
}

/// SW-141: one wait for connections of the SAN and of TCP, and a listener.
#[test]
fn mixed_sets() {
    let scene = scene();
    let [mut server, mut san] = connected(&scene);
    let mut tcp = End::plain(&scene);
    let port = server.port("l");
    tcp.run(&format!("c = socket.create_connection(('127.0.0.1', {port}))"));
    server.run("d, _ = l.accept(); names = {l.fileno(): 'l', c.fileno(): 'c', d.fileno(): 'd'}");
    server.run("p = select.poll(); e = select.epoll()");
    server.run("for s in (l, c, d): p.register(s, select.POLLIN); e.register(s, select.EPOLLIN)");
    for wait in [
        "''.join(sorted(names[fd] for fd, _ in p.poll(30_000)))",
        "''.join(sorted(names[fd] for fd, _ in e.poll(30)))",
        "''.join(sorted(names[s.fileno()] for s in select.select([l, c, d], [], [], 30)[0]))",
    ] {
        for (end, act, ready, calm) in
            [(&mut san, "c.send(b'x')", "c", "c.recv(1)"), (&mut tcp, "c.send(b'x')", "d", "d.recv(1)")]
        {
            server.begin(wait);
            std::thread::sleep(std::time::Duration::from_millis(50));
            end.ask(act);
            assert_eq!(server.hear(), ready, "{wait}");
            server.ask(calm);
        }
        for client in [&mut san, &mut tcp] {
            server.begin(wait);
            std::thread::sleep(std::time::Duration::from_millis(50));
            client.run(&format!("x = socket.create_connection(('127.0.0.1', {port}))"));
            assert_eq!(server.hear(), "l", "{wait}");
            server.run("y = l.accept()");
        }
    }
}
