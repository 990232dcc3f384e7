//! Names, connecting, accepting, refusing; states of section 13.

mod support;

use support::{address, armed_sides, connect_from, memory, result, sides, wait_event, wait_for};
use wsd_spi::client::SocketArguments;
use wsd_spi::ffi::{
    AF_INET, AF_INET6, AF_UNSPEC, IPPROTO_TCP, IPPROTO_UDP, SO_ACCEPTCONN, SO_DEBUG, SO_GROUP_ID,
    SO_MAX_MSG_SIZE, SO_MAX_RDMA_SIZE, SO_RDMA_THRESHOLD_SIZE, SOCK_DGRAM, SOL_SOCKET, TCP_NODELAY,
};
use wsd_spi::{Condition, Event, EventMask, MemoryAccess, NetworkEvents, WsaError};

/// Section 6.3: the codes and the order of the checks.
#[test]
fn socket_arguments() {
    let [side] = sides();
    let good = SocketArguments::tcp(AF_INET);
    let code = |arguments: SocketArguments| side.san.socket(&arguments).map(drop);
    assert_eq!(code(good.clone()), Ok(()));
    assert_eq!(code(SocketArguments::tcp(AF_INET6)), Ok(()), "declared extension");
    let bad = SocketArguments { family: AF_UNSPEC, kind: SOCK_DGRAM, ..good.clone() };
    assert_eq!(code(bad), Err(WsaError::WSAEAFNOSUPPORT));
    let bad = SocketArguments { kind: SOCK_DGRAM, protocol: IPPROTO_UDP, ..good.clone() };
    assert_eq!(code(bad), Err(WsaError::WSAESOCKTNOSUPPORT));
    let bad = SocketArguments { protocol: IPPROTO_UDP, flags: 0, ..good.clone() };
    assert_eq!(code(bad), Err(WsaError::WSAEPROTONOSUPPORT));
    assert_eq!(code(SocketArguments { flags: 0, ..good }), Err(WsaError::WSAEINVAL));
    assert_eq!(side.upcalls.open_handles(), 0, "every handle was closed");
}

/// SP-045: own addresses and the wildcard; no conflict of names is noticed.
#[test]
fn names() {
    let [side] = sides();
    let bind = |name| {
        let name = address(name);
        let socket = if name.socket_addr().is_ipv4() { side.socket() } else { side.socket6() };
        socket.bind(&name)
    };
    for own in ["127.0.0.1:80", "127.0.0.1:80", "127.1.2.3:80", "0.0.0.0:80", "[::1]:80", "[::]:80"] {
        assert_eq!(bind(own), Ok(()), "{own}");
    }
    assert_eq!(bind("192.0.2.1:80"), Err(WsaError::WSAEADDRNOTAVAIL));
    assert_eq!(side.socket().bind(&address("[::1]:80")), Err(WsaError::WSAEFAULT));
    let socket = side.bound("127.0.0.1:80");
    assert_eq!(socket.bind(&address("127.0.0.1:81")), Err(WsaError::WSAEINVAL));
    let list = side.socket().address_list().expect("a list");
    assert!(list.contains(&address("127.0.0.1:0")), "{list:?}");
}

/// SP-042: the sizes are there at once. SP-051, SP-052: short buffers, and what cannot be set.
#[test]
fn options() {
    let [side] = sides();
    let socket = side.socket();
    assert_eq!(socket.get_option_u32(SO_MAX_MSG_SIZE), Ok(65_536));
    assert_eq!(socket.get_option_u32(SO_MAX_RDMA_SIZE), Ok(1 << 30));
    assert_eq!(socket.get_option_u32(SO_RDMA_THRESHOLD_SIZE), Ok(65_536));
    assert_eq!(socket.get_option(SOL_SOCKET, SO_MAX_MSG_SIZE, 3), Err(WsaError::WSAEFAULT));
    for name in [SO_GROUP_ID, SO_ACCEPTCONN] {
        assert_eq!(socket.get_option_u32(name), Err(WsaError::WSAENOPROTOOPT));
    }
    assert_eq!(socket.get_option(77, SO_DEBUG, 4), Err(WsaError::WSAEINVAL));
    assert_eq!(socket.set_option(77, SO_DEBUG, &[0; 4]), Err(WsaError::WSAEINVAL));
    assert_eq!(socket.set_option(SOL_SOCKET, SO_MAX_MSG_SIZE, &[0; 4]), Err(WsaError::WSAENOPROTOOPT));
    assert_eq!(socket.set_option(IPPROTO_TCP, TCP_NODELAY, &[0; 4]), Err(WsaError::WSAENOPROTOOPT));
    assert_eq!(socket.set_option(SOL_SOCKET, SO_DEBUG, &[0; 2]), Err(WsaError::WSAEFAULT));
    assert_eq!(socket.set_option(SOL_SOCKET, SO_DEBUG, &1u32.to_ne_bytes()), Ok(()));
    assert_eq!(socket.get_option_u32(SO_DEBUG), Ok(1));
    assert_eq!(socket.get_qos_by_name("x").map(drop), Err(WsaError::WSAEOPNOTSUPP), "SP-191");
}

/// SP-067: nobody listening by SAN proves nothing about TCP; the socket is as before (section 13).
#[test]
fn nobody_listens() {
    let [side] = sides();
    let socket = side.bound("127.0.0.1:6001");
    for _ in 0..2 {
        assert_eq!(socket.connect(&address("127.0.0.1:6002")), Err(WsaError::WSAETIMEDOUT));
    }
    assert_eq!(socket.connect(&address("127.0.0.1:0")), Err(WsaError::WSAEADDRNOTAVAIL));
    assert_eq!(socket.connect(&address("0.0.0.0:5")), Err(WsaError::WSAEADDRNOTAVAIL));
    assert_eq!(socket.connect(&address("[::1]:5")), Err(WsaError::WSAEAFNOSUPPORT));
    assert_eq!(side.socket().connect(&address("127.0.0.1:6002")), Err(WsaError::WSAEINVAL));
}

/// SP-192: WSPListen in every state of a socket.
#[test]
fn listening_is_supported_always() {
    let [server, client] = armed_sides();
    assert_eq!(server.socket().listen(1), Err(WsaError::WSAEINVAL), "no name");
    let listener = server.listener("127.0.0.1:6601", 1);
    assert_eq!(listener.listen(5), Ok(()), "again");
    let connecting = client.connecting("127.0.0.1:6602", "127.0.0.1:6601", 2);
    assert_eq!(connecting.listen(1), Err(WsaError::WSAEINVAL), "connecting");
    wait_event(&[&server, &client], &server, 1);
    let (accepted, _) = listener.accept(|_, _| Condition::Accept).expect("a request");
    wait_event(&[&server, &client], &client, 2);
    assert_eq!(accepted.listen(1), Err(WsaError::WSAEISCONN), "connected");
    drop(connecting);
    let broken = || accepted.recv(&[memory(b"x")]).is_err();
    wait_for(&[&server, &client], "the end", broken);
    assert_eq!(accepted.listen(1), Err(WsaError::WSAEISCONN), "broken");
}

/// SP-056, SP-057, SP-065, SP-075, SP-076, SP-077, SP-080, SP-201: two requests, one event each; addresses; inheritance of
/// options.
#[test]
fn accepting() {
    let [server, one, two] = armed_sides();
    let all = [&server, &one, &two];
    let listener = server.bound("127.0.0.1:6011");
    listener.listen(8).expect("listens");
    listener.set_option(SOL_SOCKET, SO_DEBUG, &1u32.to_ne_bytes()).expect("an option");
    assert_eq!(listener.accept(|_, _| panic!("nobody")).map(drop), Err(WsaError::WSAEWOULDBLOCK));
    let first = one.connecting("127.0.0.1:6012", "127.0.0.1:6011", 1);
    assert_eq!(first.connect(&address("127.0.0.1:6011")), Err(WsaError::WSAEALREADY));
    // What happened before WSPEventSelect is not lost (SP-057).
    (0..100).for_each(|_| server.step());
    listener.event_select(Some(Event::from_raw(9)), EventMask::ACCEPT | EventMask::CONNECT).expect("selects");
    wait_event(&all, &server, 9);
    let second = two.connecting("127.0.0.1:6013", "127.0.0.1:6011", 1);
    let events = listener.enum_network_events(Some(Event::from_raw(9))).expect("a record");
    assert_eq!(events, NetworkEvents { accept: Some(Ok(())), connect: None });
    wait_event(&all, &server, 9);
    let accept = |from: &str| {
        let (socket, peer) = listener
            .accept(|caller, callee| {
                assert_eq!((*caller, *callee), (address(from), address("127.0.0.1:6011")));
                Condition::Accept
            })
            .expect("a request");
        assert_eq!(peer, address(from));
        assert_eq!(server.upcalls.query(&socket), socket.descriptor().raw(), "SP-011");
        socket
    };
    let accepted = accept("127.0.0.1:6012");
    assert!(server.upcalls.is_set(9), "SP-080: another request waits");
    assert_eq!(accepted.get_option_u32(SO_DEBUG), Ok(1), "SP-077");
    let _other = accept("127.0.0.1:6013");
    assert!(!server.upcalls.is_set(9), "SP-080: no request waits");
    for (side, socket) in [(&one, &first), (&two, &second)] {
        wait_event(&all, side, 1);
        let events = socket.enum_network_events(Some(Event::from_raw(1))).expect("a record");
        assert_eq!(events, NetworkEvents { accept: None, connect: Some(Ok(())) });
        assert!(!side.upcalls.is_set(1), "SP-060: reset");
        let events = socket.enum_network_events(None).expect("a record");
        assert_eq!(events, NetworkEvents::default(), "SP-060: cleared");
        assert_eq!(socket.connect(&address("127.0.0.1:6011")), Err(WsaError::WSAEISCONN));
        assert_eq!(socket.listen(1), Err(WsaError::WSAEISCONN));
    }
    for state in [WsaError::WSAEINVAL; 1] {
        assert_eq!(listener.connect(&address("127.0.0.1:6011")), Err(state));
        assert_eq!(accepted.accept(|_, _| Condition::Accept).map(drop), Err(state));
        assert_eq!(accepted.bind(&address("127.0.0.1:1")), Err(state));
        assert_eq!(server.bound("127.0.0.1:1").accept(|_, _| Condition::Accept).map(drop), Err(state));
        assert_eq!(server.socket().listen(1), Err(state));
    }
}

/// SP-078, SP-079, SP-071, SP-072.
#[test]
fn refusing() {
    let [server, client] = armed_sides();
    let all = [&server, &client];
    let name = "127.0.0.1:6021";
    let listener = server.listener(name, 1);
    let outcome = |socket: &wsd_spi::client::Socket, event| {
        wait_event(&all, &client, event);
        socket.enum_network_events(Some(Event::from_raw(event))).expect("a record").connect
    };
    let first = client.connecting("127.0.0.1:6022", name, 2);
    wait_event(&all, &server, 1);
    let deferred = listener.accept(|_, _| Condition::Defer).map(drop);
    assert_eq!(deferred, Err(WsaError::WSATRY_AGAIN));
    let rejected = listener.accept(|_, _| Condition::Reject).map(drop);
    assert_eq!(rejected, Err(WsaError::WSAECONNREFUSED));
    assert_eq!(outcome(&first, 2), Some(Err(WsaError::WSAECONNREFUSED)));
    assert_eq!(first.listen(1), Ok(()), "it is bound, as before the connect");

    // A full queue refuses at once; so does a shorter one afterwards.
    listener.listen(2).expect("another backlog");
    let waiting: Vec<_> = (3..6).map(|event| client.connecting("127.0.0.1:6022", name, event)).collect();
    assert_eq!(outcome(&waiting[2], 5), Some(Err(WsaError::WSAECONNREFUSED)));
    listener.listen(1).expect("another backlog");
    assert_eq!(outcome(&waiting[1], 4), Some(Err(WsaError::WSAECONNREFUSED)));
    // SP-172: closing refuses the rest.
    listener.close().expect("closes");
    assert_eq!(outcome(&waiting[0], 3), Some(Err(WsaError::WSAECONNREFUSED)));
    assert_eq!(waiting[0].connect(&address(name)), Err(WsaError::WSAETIMEDOUT), "the name is gone");
}

/// SP-066: a connect that is closed is withdrawn.
#[test]
fn withdrawing() {
    let [server, client] = armed_sides();
    let all = [&server, &client];
    let listener = server.listener("127.0.0.1:6031", 1);
    let gone = client.connecting("127.0.0.1:6032", "127.0.0.1:6031", 2);
    let late = client.connecting("127.0.0.1:6033", "127.0.0.1:6031", 3);
    wait_event(&all, &server, 1);
    gone.close().expect("closes");
    (0..50).for_each(|_| server.step());
    let (accepted, peer) = listener
        .accept(|_, _| {
            // Withdrawn while the switch thinks.
            late.close().expect("closes");
            Condition::Accept
        })
        .expect("a request");
    assert_eq!(peer, address("127.0.0.1:6033"));
    let inbox = memory(&[0; 16]);
    wait_for(&all, "reset", || {
        accepted.register_memory(&inbox, MemoryAccess::Write).map(drop) == Err(WsaError::WSAENOTCONN)
    });
    assert!(!client.upcalls.is_set(2) && !client.upcalls.is_set(3), "nothing more is said");
}

/// SP-211: the listener is closed while its condition function runs.
#[test]
fn listener_is_closed_while_asked() {
    let [server, client] = armed_sides();
    let all = [&server, &client];
    let listener = server.listener("127.0.0.1:6041", 1);
    let socket = client.connecting("127.0.0.1:6042", "127.0.0.1:6041", 2);
    wait_event(&all, &server, 1);
    let answer = listener.accept(|_, _| {
        listener.close().expect("closes");
        Condition::Accept
    });
    assert_eq!(answer.map(drop), Err(WsaError::WSAENOTSOCK));
    wait_event(&all, &client, 2);
    let events = socket.enum_network_events(None).expect("a record");
    assert_eq!(events.connect, Some(Err(WsaError::WSAECONNREFUSED)));
    wait_for(&all, "the handle is given back", || server.upcalls.open_handles() == 0);
}

/// SP-070: a wildcard listener, of either family.
#[test]
fn wildcards() {
    let [server, client] = armed_sides();
    let all = [&server, &client];
    for (name, peer, from, seen, callee) in [
        ("0.0.0.0:6051", "127.0.0.9:6051", "127.0.0.1:5", "127.0.0.1:5", "127.0.0.9:6051"),
        ("[::]:6052", "[::1]:6052", "[::1]:5", "[::1]:5", "[::1]:6052"),
        ("0.0.0.0:6054", "[::ffff:127.0.0.9]:6054", "[::ffff:127.0.0.1]:5", "127.0.0.1:5", "127.0.0.9:6054"),
        ("[::]:6053", "127.0.0.1:6053", "127.0.0.1:5", "[::ffff:127.0.0.1]:5", "[::ffff:127.0.0.1]:6053"),
    ] {
        let listener = server.listener(name, 1);
        let other = client.listener(&format!("127.0.0.8:{}", address(name).port()), 7);
        let connecting = client.connecting(from, peer, 2);
        wait_event(&all, &server, 1);
        let (_socket, caller) = listener
            .accept(|caller, called| {
                assert_eq!((*caller, *called), (address(seen), address(callee)));
                Condition::Accept
            })
            .expect("a request");
        assert_eq!(caller, address(seen));
        wait_event(&all, &client, 2);
        assert!(!client.upcalls.is_set(7), "the exact name was not meant");
        drop((other, connecting));
        server.upcalls.events.lock().expect("a lock").clear();
        client.upcalls.events.lock().expect("a lock").clear();
    }
}

/// SP-045: several may listen at one address, of one process and of others; declared difference: eight. Whoever connects gets to
/// the one that wants it, by a link that exists or not, and is refused if none does.
#[test]
fn shared_name() {
    let name = "127.0.0.1:6061";
    let [one, other] = armed_sides();
    let all = [&one, &other];
    let mut listeners: Vec<_> = (0..8).map(|number| all[number % 2].listener(name, 10 + number)).collect();
    assert_eq!(one.bound(name).listen(1), Err(WsaError::WSAEADDRINUSE));
    drop(listeners.remove(0));
    one.bound(name).listen(1).expect("free again");

    for wanted in [3, 6] {
        let from = format!("127.0.0.1:{}", 46_062 + wanted);
        let connecting = one.connecting(&from, name, 2);
        let mut asked = 0;
        let mut accepted = None;
        wait_for(&all, "the one that wants it", || {
            for (number, listener) in listeners.iter().enumerate() {
                let answer = if number == wanted { Condition::Accept } else { Condition::Reject };
                let request = listener.accept(|caller, _| {
                    assert_eq!(*caller, address(&from));
                    asked += 1;
                    answer
                });
                accepted = request.ok().or(accepted.take());
            }
            accepted.is_some()
        });
        assert_eq!(asked, wanted + 1);
        wait_event(&all, &one, 2);
        drop(connecting);
        one.upcalls.events.lock().expect("a lock").clear();
    }

    let refused = one.connecting("127.0.0.1:6070", name, 2);
    wait_for(&all, "the refusal", || {
        listeners.iter().for_each(|listener| drop(listener.accept(|_, _| Condition::Reject)));
        one.upcalls.is_set(2)
    });
    assert_eq!(
        refused.enum_network_events(None).expect("events").connect,
        Some(Err(WsaError::WSAECONNREFUSED))
    );
}

/// Two processes connect to each other at the same time.
#[test]
fn both_at_once() {
    let [one, two] = armed_sides();
    let all = [&one, &two];
    let listeners = [one.listener("127.0.0.1:6071", 1), two.listener("127.0.0.1:6072", 1)];
    let connecting = [
        one.connecting("127.0.0.1:6073", "127.0.0.1:6072", 2),
        two.connecting("127.0.0.1:6074", "127.0.0.1:6071", 2),
    ];
    all.iter().for_each(|side| wait_event(&all, side, 1));
    let accepted = listeners.each_ref().map(|it| it.accept(|_, _| Condition::Accept).expect("a request").0);
    all.iter().for_each(|side| wait_event(&all, side, 2));
    for (to, from) in [(&accepted[1], &connecting[0]), (&accepted[0], &connecting[1])] {
        let (inbox, data) = (memory(&[0; 3]), memory(b"abc"));
        let _registered = to.register_memory(&inbox, MemoryAccess::Write).expect("registers");
        let _sends = from.register_memory(&data, MemoryAccess::Read).expect("registers");
        let mut receive = to.recv(std::slice::from_ref(&inbox)).expect("a receive");
        let mut sent = from.send(std::slice::from_ref(&data)).expect("sends");
        assert_eq!(result(&all, &mut sent).map(|sent| sent.bytes), Ok(3));
        assert_eq!(result(&all, &mut receive).map(|got| got.bytes), Ok(3));
        assert_eq!(support::bytes(&inbox), b"abc");
    }
}

/// IPv6 from end to end.
#[test]
fn ipv6() {
    let [server, client] = armed_sides();
    connect_from(&server, &client, "[::1]:6091", "[::1]:6092");
}
