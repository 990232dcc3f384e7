//! The calls that a provider gets, and their order, as a provider that has the documented functions only sees them.

use crate::support::{Call, End, SOON, connect, scene};
use wsd_programs::until;

/// The calls on one socket, without the up-calls about its completions.
fn on_socket(calls: &[Call], socket: &str) -> Vec<Call> {
    let of = |call: &&Call| {
        let first = call.arguments.split(',').next() == Some(socket) && call.function.starts_with("WSP");
        first || call.function == "WSPSocket" && call.result == socket
    };
    calls.iter().filter(of).cloned().collect()
}

/// Names of functions, repetitions once.
fn names(calls: &[Call]) -> Vec<&str> {
    let mut names: Vec<&str> = calls.iter().map(|call| call.function.as_str()).collect();
    names.dedup();
    names
}

/// The socket with which a function was called.
fn socket_of<'a>(calls: &'a [Call], function: &str) -> &'a str {
    let call = calls.iter().find(|call| call.function == function);
    let call = call.unwrap_or_else(|| panic!("no {function} in {calls:#?}"));
    call.arguments.split(',').next().unwrap_or_default()
}

/// SW-043, SW-044, SW-045, SW-061, SW-100, SW-101, SW-102: the connecting end, from the socket to the first message.
#[test]
fn connecting() {
    let scene = scene();
    let [_server, mut client] = connect(End::faulty(&scene, "plain"), End::faulty(&scene, "plain"));
    let calls = client.calls();
    let calls = on_socket(&calls, socket_of(&calls, "WSPConnect"));
    let first_send = calls.iter().position(|call| call.function == "WSPSend").expect("a message");
    let before = &calls[..=first_send];
    let order: Vec<&str> = names(before).into_iter().filter(|name| *name != "WSPGetSockOpt").collect();
    assert_eq!(
        order,
        [
            "WSPSocket",
            "WSPBind",
            "WSPEventSelect",
            "WSPConnect",
            "WSPEnumNetworkEvents",
            "WSPRegisterRdmaMemory",
            "WSPRegisterMemory",
            "WSPRecv",
            "WSPSend"
        ]
    );
    let of = |function: &str| before.iter().filter(|call| call.function == function).collect::<Vec<_>>();
    assert_eq!(of("WSPSocket")[0].arguments, "af=2, type=1, protocol=6, flags=0x1, reserved=0x0");
    let port = client.port("c");
    assert!(of("WSPBind")[0].arguments.ends_with(&format!(" 127.0.0.1:{port}")), "{before:#?}");
    assert!(of("WSPEventSelect")[0].arguments.ends_with("0x10"), "FD_CONNECT: {before:#?}");
    assert_eq!(of("WSPConnect")[0].result, "WSAEWOULDBLOCK");
    assert!(of("WSPEnumNetworkEvents").last().is_some_and(|call| call.result.contains("connect: Some(Ok")));
    // SW-024: asked for with length 0, on the connected socket.
    assert!(of("WSPRegisterRdmaMemory")[0].arguments.contains("length probe"));
    let rights: Vec<&str> =
        of("WSPRegisterMemory").iter().filter_map(|call| call.arguments.rsplit(' ').next()).collect();
    assert_eq!(rights, ["Write", "Read"], "one region for receives, one for sends");
    // One buffer: `[address+length]`.
    let buffer = of("WSPSend")[0].arguments.split(['[', ']']).nth(1);
    let bytes: u32 = buffer.and_then(|it| it.split('+').nth(1)).and_then(|n| n.parse().ok()).expect("a size");
    assert!(bytes <= 256, "{bytes}");
}

/// SW-093: requests that wait together are all taken before anything else is done.
#[test]
fn requests_at_once() {
    let scene = scene();
    let (mut server, mut client) = (End::faulty(&scene, "plain"), End::faulty(&scene, "plain"));
    let port = server.listen("127.0.0.1");
    server.stop();
    client.run("s = [socket.socket(*TCP) for _ in range(3)]");
    client.run(&format!("for c in s: begin(c, {port})"));
    until(SOON, "three requests", || {
        (client.calls().iter().filter(|call| call.function == "WSPConnect").count() == 3).then_some(())
    });
    server.process().signal(18);
    server.run("a = [l.accept() for _ in range(3)]");
    let calls = server.calls();
    let accepts = |call: &Call| call.function == "WSPAccept" && call.result.starts_with("0x");
    let [first, last] =
        [calls.iter().position(accepts), calls.iter().rposition(accepts)].map(Option::unwrap_or_default);
    let between = names(&calls[first..=last]);
    assert!(last > first && !between.contains(&"WSPRegisterMemory"), "{between:?}");
}

/// SW-091, SW-103, SW-105: the accepting end, from the event to the answer.
#[test]
fn accepting() {
    let scene = scene();
    let [server, _client] = connect(End::faulty(&scene, "plain"), End::faulty(&scene, "plain"));
    let calls = server.calls();
    let listener = socket_of(&calls, "WSPListen").to_owned();
    let set = calls.iter().position(|call| call.function == "WPUSetEvent").expect("an event");
    let of_listener: Vec<(&str, bool)> = on_socket(&calls[set..], &listener)
        .iter()
        .map(|call| {
            if call.function == "WSPAccept" {
                ("WSPAccept", call.result.starts_with("0x"))
            } else {
                ("WSPEnumNetworkEvents", call.result.contains("accept: Some"))
            }
        })
        .take(4)
        .collect();
    let expected = [
        ("WSPEnumNetworkEvents", true),
        ("WSPAccept", true),
        ("WSPEnumNetworkEvents", false),
        ("WSPAccept", false),
    ];
    assert_eq!(of_listener, expected);

    let accepted = calls.iter().find(|call| call.function == "WSPAccept" && call.result.starts_with("0x"));
    let accepted = accepted.expect("a connection").result.clone();
    // Completions name the switch's handle; there is no other connection.
    let of = |call: &&Call| {
        call.arguments.split(',').next() == Some(&accepted) || call.function == "WPUCompleteOverlappedRequest"
    };
    let of_accepted: Vec<Call> = calls.iter().filter(of).cloned().collect();
    // The peer's message may be there already when the first receive is posted.
    let first = |function: &str| of_accepted.iter().position(|call| call.function == function);
    let order = ["WSPRegisterMemory", "WPUCompleteOverlappedRequest", "WSPSend"].map(first);
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{order:?} {of_accepted:#?}");
    let posted = of_accepted.iter().take(order[2].unwrap_or(0)).filter(|call| call.function == "WSPRecv");
    assert!(posted.count() >= 12, "all receives are posted before the answer: {of_accepted:#?}");
}

/// SW-043, SW-045, SW-081, SW-085: a listener's companion, at the very address or the wildcard, with the program's backlog.
#[test]
fn listening() {
    for (address, backlog) in [("127.0.0.1", 3), ("0.0.0.0", 77)] {
        let scene = scene();
        let mut server = End::faulty(&scene, "plain");
        server.run(&format!("l = socket.socket(*TCP); l.bind(('{address}', 0)); l.listen({backlog})"));
        let port = server.port("l");
        let calls = server.calls();
        let calls = on_socket(&calls, socket_of(&calls, "WSPListen"));
        assert_eq!(names(&calls)[..4], ["WSPSocket", "WSPBind", "WSPListen", "WSPEventSelect"]);
        assert!(calls[1].arguments.ends_with(&format!(" {address}:{port}")), "{calls:#?}");
        assert!(calls[2].arguments.ends_with(&format!("backlog={backlog}")), "{calls:#?}");
        assert!(calls[3].arguments.ends_with("0x8"), "FD_ACCEPT: {calls:#?}");
        let kernels = "struct.unpack_from('I', l.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 64), 28)[0]";
        assert_eq!(server.ask(kernels), backlog.to_string());
    }
}

/// SW-046, SW-170: an option that a SAN may get goes to the companion between its name and its use. (To set it takes a privilege.)
#[test]
fn options() {
    let scene = scene();
    let (mut server, mut client) = (End::faulty(&scene, "plain"), End::faulty(&scene, "plain"));
    let debug = "setsockopt(socket.SOL_SOCKET, socket.SO_DEBUG, 1)";
    server.run(&format!("l = socket.socket(*TCP); l.{debug}; l.bind(('127.0.0.1', 0)); l.listen()"));
    let port = server.port("l");
    client.run(&format!("c = socket.socket(*TCP); c.{debug}; c.connect(('127.0.0.1', {port}))"));
    for (end, function) in [(&server, "WSPListen"), (&client, "WSPEventSelect")] {
        let calls = end.calls();
        let calls = on_socket(&calls, socket_of(&calls, function));
        assert_eq!(names(&calls)[..4], ["WSPSocket", "WSPBind", "WSPSetSockOpt", function], "{calls:#?}");
    }
}

/// SW-040, SW-041, SW-042: until connect or listen no provider is called, not even started. SW-048, SW-220: for datagrams and raw
/// sockets never.
#[test]
fn nothing_before_connect_or_listen() {
    let scene = scene();
    let mut end = End::new(&scene);
    end.run("c = socket.socket(*TCP); c.bind(('127.0.0.1', 0))");
    end.run("u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('127.0.0.1', 0)); u.connect(u.getsockname())");
    assert_eq!(end.ask("u.send(b'datagram'), u.recv(100)"), "(8, b'datagram')");
    end.run("x = socket.socketpair(); y = socket.socket(socket.AF_UNIX)");
    assert_eq!(
        end.ask("seen(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).connect(('127.0.0.1', 0)))"),
        "None"
    );
    assert_eq!(end.calls(), []);
    end.run("c.listen()");
    assert!(end.calls().iter().any(|call| call.function == "WSPListen"));
}

/// SW-102, SP-021: a message that is there before a receive is posted, and before WSPAccept has returned, is not lost.
#[test]
fn early_message() {
    for faults in ["slow-accept", "slow-accept,plain"] {
        let scene = scene();
        let (mut server, mut client) = (End::faulty(&scene, faults), End::faulty(&scene, faults));
        let port = server.listen("127.0.0.1");
        client.run(&format!("c = socket.create_connection(('127.0.0.1', {port}))"));
        server.run("c, _ = l.accept(); c.sendall(b'answer')");
        assert_eq!(client.ask("c.recv(6, socket.MSG_WAITALL)"), "b'answer'");
        assert_eq!(client.listed()[0].path, "wsd_faulty");
    }
}

/// SW-097: a request that is withdrawn before it is accepted, and the next one is accepted all the same.
#[test]
fn withdrawn_request() {
    let scene = scene();
    let (mut server, mut client) = (End::new(&scene), End::new(&scene));
    let port = server.listen("127.0.0.1");
    client.run(&format!("c = socket.create_connection(('127.0.0.1', {port})); b = c"));
    server.run("c, _ = l.accept()");
    server.stop();
    client.run(&format!("c = socket.socket(*TCP); begin(c, {port})"));
    let count = |end: &End, name: &str| end.calls().iter().filter(|call| call.function == name).count();
    until(SOON, "a second connect", || (count(&client, "WSPConnect") == 2).then_some(()));
    client.run("c.close()");
    client.await_call("WSPCloseSocket", "WSPConnect");
    let before = count(&server, "WSPAccept");
    server.process().signal(18);
    until(SOON, "a look at the request", || (count(&server, "WSPAccept") > before).then_some(()));
    let last = server.calls().into_iter().rfind(|call| call.function == "WSPAccept");
    assert_eq!(last.map(|call| call.result).as_deref(), Some("WSAEWOULDBLOCK"));
    client.run(&format!("c = socket.create_connection(('127.0.0.1', {port})); c.sendall(b'next')"));
    server.run("c, _ = l.accept()");
    assert_eq!(server.ask("c.recv(10)"), "b'next'");
    assert_eq!(client.listed().iter().filter(|end| end.path == "shm").count(), 2);
}

/// SW-161, SW-163: the connection breaks: receives fail, the program is told, and after its close the provider's socket is
/// closed; nothing is sent or received on it in between.
#[test]
fn loss() {
    let scene = scene();
    let [mut server, mut client] = connect(End::faulty(&scene, "plain"), End::faulty(&scene, "plain"));
    client.run("c.sendall(b'last')");
    assert_eq!(server.ask("c.recv(10)"), "b'last'");
    client.process().signal(9);
    assert_eq!(server.ask("c.recv(10)"), "ECONNRESET");
    server.run("c.close()");
    server.await_call("WSPCloseSocket", "WSPAccept");
    let calls = server.calls();
    let failed =
        calls.iter().position(|call| call.arguments.contains("WSAECONNRESET")).expect("a failed receive");
    let callback = "WSPMemoryRegistrationCacheCallback";
    let of_socket = |name: &&str| name.starts_with("WSP") && *name != callback;
    let after: Vec<&str> = names(&calls[failed..]).into_iter().filter(of_socket).collect();
    let data = ["WSPSend", "WSPRecv", "WSPRdmaRead", "WSPRdmaWrite"];
    assert!(after.iter().all(|name| !data.contains(name)), "{after:?}");
    assert_eq!(after.last(), Some(&"WSPCloseSocket"));
}
