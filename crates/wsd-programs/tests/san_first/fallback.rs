//! A provider that fails while a connection is made: when TCP is tried, and what the program is told.

use wsd_programs::{Scene, until};

use crate::support::{End, SOON, connect, exchange, scene};

/// Connects with a provider that has these faults to a listener of TCP; what connect tells.
fn connects_with(scene: &Scene, faults: &str) -> (String, End) {
    let mut client = End::faulty(scene, faults);
    let mut server = End::plain(scene);
    let port = server.listen("127.0.0.1");
    client.run("c = socket.socket(*TCP)");
    let told = client.ask(&format!("c.connect(('127.0.0.1', {port}))"));
    if told == "None" {
        server.run("c, _ = l.accept()");
        exchange([&mut server, &mut client], "both", 500_000, "");
        assert_eq!(client.listed()[0].path, "tcp");
    } else {
        server.run("l.setblocking(False)");
        assert_eq!(server.ask("l.accept()"), "EAGAIN", "TCP was tried");
    }
    // SW-063: always, and before TCP.
    let trace = client.trace();
    let last = |text: &str| trace.rfind(text);
    if let Some(failed) = last("WSPConnect(") {
        let closed = last("WSPCloseSocket(").expect("closed");
        assert!(closed > failed && last("TCP connects").is_none_or(|tcp| tcp > closed), "{trace}");
    }
    (told, client)
}

/// SW-063, SW-064: three codes forbid TCP, at once or with the event.
#[test]
fn codes_that_forbid_tcp() {
    for (code, told) in [(10061, "ECONNREFUSED"), (10054, "ECONNREFUSED"), (10065, "EHOSTUNREACH")] {
        for way in ["connect-fails", "connect-told"] {
            let scene = scene();
            let (answer, client) = connects_with(&scene, &format!("{way}={code}"));
            assert_eq!(answer, told, "{way}={code}\n{}", client.trace());
        }
    }
}

/// SW-063: all others do not.
#[test]
fn codes_after_which_tcp_connects() {
    // Unreachable network, timed out, no buffers, aborted, access, and a number without a name.
    for code in [10051, 10060, 10055, 10053, 10013, 4711] {
        for way in ["connect-fails", "connect-told"] {
            let scene = scene();
            let (answer, client) = connects_with(&scene, &format!("{way}={code}"));
            assert_eq!(answer, "None", "{way}={code}\n{}", client.trace());
        }
    }
}

/// SW-047: what fails before the connect leads to TCP, and the program sees nothing of it.
#[test]
fn set_up_fails() {
    for (faults, reason) in
        [("fail-startup", "NoProvider"), ("fail-socket", "ProviderFailed"), ("fail-bind", "ProviderFailed")]
    {
        let scene = scene();
        let (answer, client) = connects_with(&scene, faults);
        assert_eq!(answer, "None", "{faults}\n{}", client.trace());
        assert_eq!(client.listed()[0].reason.as_deref(), Some(reason));
    }
}

/// The same program without blocking: TCP's connect goes on in the kernel, and readiness tells of it.
#[test]
fn set_up_fails_without_blocking() {
    let scene = scene();
    let (mut server, mut client) = (End::plain(&scene), End::faulty(&scene, "fail-bind"));
    let port = server.listen("127.0.0.1");
    client.run(&format!("c = socket.socket(*TCP); begin(c, {port})"));
    assert_eq!(client.ask("[e for _, e in waiting(c, select.EPOLLOUT)] == [select.EPOLLOUT]"), "True");
    assert_eq!(client.ask("c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)"), "0");
    server.run("c, _ = l.accept()");
    client.run("c.setblocking(True)");
    exchange([&mut server, &mut client], "both", 500_000, "");
}

/// SW-082: a provider that cannot listen is left out; the listener works by TCP.
#[test]
fn provider_that_does_not_listen() {
    let scene = scene();
    let server = End::faulty(&scene, "fail-listen");
    let [mut server, mut client] = connect(server, End::faulty(&scene, ""));
    exchange([&mut server, &mut client], "both", 500_000, "");
    assert_eq!(client.listed()[0].path, "tcp");
    // Its socket is closed.
    server.await_call("WSPCloseSocket", "WSPListen");
}

/// SW-106, SW-065: a companion that says nothing: the program is not told that it is connected, and the connect times out.
#[test]
fn no_answer_to_the_negotiation() {
    let scene = scene();
    let (mut server, mut client) = (End::faulty(&scene, "mute"), End::faulty(&scene, ""));
    let port = server.listen("127.0.0.1");
    client.run("c = socket.socket(*TCP)");
    assert_eq!(client.ask(&format!("c.connect(('127.0.0.1', {port}))")), "ETIMEDOUT");
    client.await_call("WSPCloseSocket", "WSPConnect");
    server.run("l.setblocking(False)");
    assert_eq!(server.ask("l.accept()"), "EAGAIN");
}

/// SW-105: the connecting end says nothing; the accepting one waits for it, in vain, and nobody is told.
#[test]
fn no_negotiation() {
    let scene = scene();
    let (mut server, mut client) = (End::faulty(&scene, ""), End::faulty(&scene, "mute"));
    let port = server.listen("127.0.0.1");
    client.run(&format!("c = socket.socket(*TCP); begin(c, {port})"));
    server.run("l.settimeout(0.5)");
    assert_eq!(server.ask("late(l.accept)"), "late");
    assert!(!server.calls().iter().any(|call| call.function == "WSPSend"), "{}", server.trace());
}

/// The provider loses the connection at any message: TCP carries it, or both ends learn of the end.
#[test]
fn send_fails_while_negotiating() {
    for count in 0..4 {
        for silent in ["plain", ""] {
            let scene = scene();
            let faults = format!("{silent},fail-send-after={count}");
            let (mut server, mut client) = (End::faulty(&scene, silent), End::faulty(&scene, &faults));
            let port = server.listen("127.0.0.1");
            client.run(&format!("c = socket.create_connection(('127.0.0.1', {port}))"));
            server.run("l.setblocking(False)");
            let is_accepted = until(SOON, &format!("either end to be told: {faults}"), || {
                if server.ask("globals().update(c=l.accept()[0])") == "None" {
                    return Some(true);
                }
                // The last word of the negotiation was the one that failed.
                (client.ask("c.recv(1, socket.MSG_DONTWAIT)") == "ECONNRESET").then_some(false)
            });
            if !is_accepted {
                continue;
            }
            let sent = client.ask("c.sendall(b'x' * 100)");
            let read = server.ask("late(lambda: c.recv(100, socket.MSG_WAITALL))");
            if read != format!("b'{}'", "x".repeat(100)) {
                assert_eq!(read, "ECONNRESET", "{faults}\n{}", client.trace());
                let told = if sent == "None" { client.ask("c.recv(1)") } else { sent };
                assert_eq!(told, "ECONNRESET", "{faults}\n{}", client.trace());
            }
        }
    }
}

/// A peer whose messages are rubbish: its connection fails or is reset, at both ends, and others are served.
#[test]
fn rubbish() {
    let scene = scene();
    for mapping in ["plain", ""] {
        let mut server = End::faulty(&scene, mapping);
        let port = server.listen("127.0.0.1");
        server.begin("answer_all(l)");
        for number in 0..5 {
            let mut client = End::faulty(&scene, &format!("{mapping},garble={number}"));
            let told = client.ask(&format!("ask_all({port}, 1, 1)"));
            let orderly = ["0", "1", "ECONNRESET", "EPIPE", "ECONNREFUSED"].contains(&told.as_str());
            assert!(orderly, "{mapping},garble={number}: {told}\n{}", client.trace());
        }
        assert!(server.trace().contains("NegotiationFailed"), "{}", server.trace());
        let mut client = End::faulty(&scene, mapping);
        assert_eq!(client.ask(&format!("ask_all({port}, 4, 5)")), "20", "{}", server.trace());
        assert_eq!(client.calls().iter().filter(|call| call.function == "WSPConnect").count(), 20);
        assert!(!client.trace().contains("TCP connects"), "{}", client.trace());
    }
}
