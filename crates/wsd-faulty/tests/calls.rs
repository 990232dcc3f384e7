//! Every call that a provider gets from the switch, with its arguments, read from the traces of a conversation: in both ways to
//! connect, over the documented functions.

mod support;

use std::collections::HashMap;

use serde_json::{Value, json};
use support::trace::{Call, Trace, range};
use support::{Pair, Way};

/// Lets two processes play a scene, and gives what the providers of the server and of the client were asked for.
fn record(way: Way, faults: &str, mut scene: Value) -> [Trace; 2] {
    let mut pair = Pair::start_by(way, faults, faults);
    pair.await_promotion();
    scene["stay"] = json!(true);
    pair.play(&scene);
    pair.await_close();
    pair.release();
    pair.recorded()
}

/// Both streams at once, from one byte to more than any message.
fn talk(way: Way, faults: &str) -> [Trace; 2] {
    record(way, faults, json!({ "scene": "both", "total": 2_000_000, "largest": 300_000 }))
}

/// The local names of both connected sockets: server, client.
fn names(pair: &Pair) -> [String; 2] {
    let ends = pair.listed().expect("both are listed");
    ends.map(|end| end["local"].as_str().expect("an address").to_owned())
}

/// SW-044, SW-044 (SAN first), SW-045, SW-045 (SAN first): the arguments of WSPSocket and WSPBind.
#[test]
fn companions_are_tcp_sockets_with_tcp_names() {
    for way in Way::BOTH {
        let mut pair = Pair::start_by(way, "plain", "plain");
        pair.await_promotion();
        let names = names(&pair);
        pair.play(&json!({ "scene": "both", "total": 10_000, "largest": 1000 }));
        for (trace, name) in pair.recorded().iter().zip(names) {
            for (_, call) in trace.of("WSPSocket") {
                let asked = ["af", "type", "protocol", "flags", "reserved"].map(|name| call.value(name));
                // AF_INET, SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_OVERLAPPED.
                assert_eq!(asked, ["2", "1", "6", "0x1", "0x0"]);
            }
            let mut bound = trace.of("WSPBind").map(|(_, call)| &call.arguments[1]).peekable();
            assert!(bound.peek().is_some() && bound.all(|it| *it == name), "{way:?}: {name}");
        }
    }
}

/// SW-021, SW-021 (SAN first): WSPStartupEx gets TCP's protocol information.
#[test]
fn providers_know_the_switch() {
    for way in Way::BOTH {
        for trace in talk(way, "plain") {
            let started: Vec<&Call> = trace.of("WSPStartupEx").map(|(_, call)| call).collect();
            let [call] = started[..] else { panic!("{way:?}: {started:?}") };
            let asked = ["version", "af", "type", "protocol"].map(|name| call.value(name));
            assert_eq!((asked, call.succeeded()), (["0x0202", "2", "1", "6"], true));
        }
    }
}

/// SW-049, SW-049 (SAN first): calls name what WSPSocket and WSPAccept returned, up-calls what
/// WPUCreateSocketHandle did, each until it is given back, once.
#[test]
fn descriptors_go_down_and_handles_up() {
    for way in Way::BOTH {
        for trace in talk(way, "plain") {
            let returned = |functions: &[&str]| -> Vec<String> {
                let made = |call: &&Call| functions.contains(&call.function.as_str()) && call.succeeded();
                trace.0.iter().filter(made).map(|call| call.result.clone()).collect()
            };
            let descriptors = returned(&["WSPSocket", "WSPAccept"]);
            let handles = returned(&["WPUCreateSocketHandle"]);
            assert_eq!(descriptors.len(), handles.len());
            assert!(descriptors.iter().all(|descriptor| !handles.contains(descriptor)), "no telling apart");
            for (_, call) in trace.transfers() {
                assert!(descriptors.iter().any(|descriptor| descriptor == call.socket()), "{call:?}");
            }
            for (_, call) in trace.of("WPUCompleteOverlappedRequest") {
                let of_ours = handles.iter().any(|handle| handle == call.socket());
                assert!(of_ours && call.succeeded(), "{call:?}");
            }
            let mut ended: Vec<&str> =
                trace.of("WPUCloseSocketHandle").map(|(_, call)| call.socket()).collect();
            let mut all: Vec<&str> = handles.iter().map(String::as_str).collect();
            ended.sort_unstable();
            all.sort_unstable();
            assert_eq!(ended, all, "{way:?}");
        }
    }
}

/// SW-024, SW-024 (SAN first): the length is asked for before memory is exposed, on a socket that is connected.
#[test]
fn descriptor_length_is_learnt_when_connected() {
    for way in Way::BOTH {
        for trace in talk(way, "plain") {
            let asked: Vec<(usize, &Call)> = trace.of("WSPRegisterRdmaMemory").collect();
            let ((place, probe), others) = asked.split_first().expect("RDMA was used");
            assert!(probe.arguments[1].starts_with("length probe"), "{probe:?}");
            assert!(others.iter().any(|(_, call)| call.succeeded()), "{way:?}: nothing was exposed");
            assert!(connected(&trace, probe.socket()) < *place, "{way:?}");
        }
    }
}

/// Where a socket became connected.
fn connected(trace: &Trace, socket: &str) -> usize {
    let is = |call: &Call| match call.function.as_str() {
        "WSPAccept" => call.result == socket,
        "WSPEnumNetworkEvents" => call.socket() == socket && call.result.contains("connect: Some(Ok(()))"),
        _ => false,
    };
    trace.0.iter().position(is).unwrap_or_else(|| panic!("{socket} was never connected"))
}

/// SW-097, SW-097 (SAN first), SW-140, SW-140 (SAN first): the provider's events are those of meeting, and one that brings no
/// request ends nothing; the program waits with epoll.
#[test]
fn providers_tell_of_meeting_only() {
    let (mut vain, mut accepted) = (HashMap::new(), HashMap::new());
    for way in Way::BOTH {
        let scene = json!({ "scene": "sets", "total": 1_000_000, "largest": 100_000 });
        for trace in record(way, "plain,vain-event", scene) {
            for (_, call) in trace.of("WSPEventSelect") {
                // FD_ACCEPT, FD_CONNECT.
                assert!(["0x8", "0x10"].contains(&call.arguments[2].as_str()), "{call:?}");
            }
            for (_, call) in trace.of("WSPAccept") {
                let found = if call.succeeded() { &mut accepted } else { &mut vain };
                *found.entry(way.name()).or_insert(0) += 1;
                assert!(call.succeeded() || call.result == "WSAEWOULDBLOCK", "{call:?}");
            }
        }
        assert!(vain.contains_key(way.name()) && accepted.contains_key(way.name()), "{vain:?} {accepted:?}");
    }
}

/// SW-114, SW-114 (SAN first), SW-151, SW-151 (SAN first): a program that blocks, and the provider does not.
#[test]
fn transfers_are_overlapped() {
    for way in Way::BOTH {
        for faults in ["plain", "plain,no-read"] {
            for trace in talk(way, faults) {
                for (_, call) in trace.transfers() {
                    let (_, request) = call.request();
                    assert!(request != "0x0" && call.value("routine") == "None", "{call:?}");
                }
                let kinds =
                    ["WSPSend", "WSPRecv", if faults == "plain" { "WSPRdmaRead" } else { "WSPRdmaWrite" }];
                assert!(kinds.iter().all(|kind| trace.of(kind).count() > 0), "{way:?} {faults}");
            }
        }
    }
}

/// SW-126, SW-126 (SAN first): urgent data reach the peer's program.
#[test]
fn providers_see_no_flags() {
    for way in Way::BOTH {
        let mut pair = Pair::start_by(way, "plain", "plain");
        pair.await_promotion();
        pair.play(&json!({ "scene": "urgent" }));
        assert_eq!(pair.server.told()["urgent"], "!");
        for trace in pair.recorded() {
            assert!(trace.transfers().count() > 0);
            assert!(trace.transfers().all(|(_, call)| call.value("flags") == "0x0"), "{way:?}");
        }
    }
}

/// SW-130, SW-130 (SAN first): a notified request is reported once, a polled one never.
#[test]
fn requests_are_reported_as_they_ask() {
    for way in Way::BOTH {
        for faults in ["plain", "plain,no-read"] {
            for trace in talk(way, faults) {
                let mut told = HashMap::<&str, i32>::new();
                for (_, call) in trace.transfers().filter(|(_, call)| call.succeeded()) {
                    let (polled, request) = call.request();
                    *told.entry(request).or_default() += i32::from(!polled);
                }
                for (_, call) in trace.of("WPUCompleteOverlappedRequest") {
                    *told.entry(&call.arguments[1]).or_default() -= 1;
                }
                told.retain(|_, difference| *difference != 0);
                assert_eq!(told, HashMap::new(), "{way:?} {faults}");
            }
        }
    }
}

/// SW-131, SW-131 (SAN first), SW-134, SW-134 (SAN first): sends are polled as long as somebody will poll, and what
/// WSPGetOverlappedResult says is all that was sent.
#[test]
fn sends_are_polled() {
    for way in Way::BOTH {
        for trace in talk(way, "plain") {
            let (mut polled, mut notified, mut told) = (0, 0, 0);
            for (place, call) in trace.of("WSPSend") {
                let (is_polled, request) = call.request();
                *(if is_polled { &mut polled } else { &mut notified }) += 1;
                let later = trace.0[place + 1..].iter();
                let same = |call: &&Call| call.is_transfer() && call.request().1 == request;
                // Up to the next use of the request.
                let mut before_next = later.take_while(|call| !same(call));
                let result = before_next.find(|result| {
                    result.function == "WSPGetOverlappedResult" && result.arguments[1] == request
                });
                assert!(is_polled || result.is_none(), "{call:?}");
                if let Some(result) = result {
                    assert!(result.result.contains(&format!("bytes: {},", call.length())), "{result:?}");
                    told += 1;
                }
            }
            assert!(polled > notified, "{way:?}: {polled} polled, {notified} notified");
            // The last ones end with the socket.
            assert!(told > 0 && told + 8 >= polled, "{way:?}: {polled} polled, {told} results");
        }
    }
}

/// SW-163, SW-163 (SAN first): the peer's process is killed.
#[test]
fn lost_connection_is_only_closed() {
    for way in Way::BOTH {
        let mut pair = Pair::start_by(way, "plain", "plain");
        pair.await_promotion();
        pair.play(&json!({ "scene": "die" }));
        assert_eq!(pair.server.told()["count"], 1000);
        pair.client.child.kill().expect("our child");
        assert_eq!(pair.server.told()["count"], 0);
        let [server, _] = pair.recorded();
        let lost = |(_, call): &(usize, &Call)| call.arguments[2].starts_with("WSAECONN");
        let (place, _) = server.of("WPUCompleteOverlappedRequest").find(lost).expect("a receive fails");
        let socket =
            server.0[..place].iter().rev().find(|call| call.is_transfer()).expect("data moved").socket();
        let later = server.0[place..].iter().filter(|call| {
            call.function.starts_with("WSP") && call.arguments.first().is_some_and(|s| s == socket)
        });
        for call in later {
            let harmless =
                call.function.starts_with("WSPDeregister") || call.function == "WSPGetOverlappedResult";
            assert!(harmless || call.function == "WSPCloseSocket", "{way:?}: {call:?}");
        }
        assert!(server.closed(socket) > place);
    }
}

/// Scenes in which both variants of RDMA are used.
fn of_memory(way: Way) -> impl Iterator<Item = Trace> {
    ["plain", "plain,no-read", "plain,late,early-rdma"].into_iter().flat_map(move |faults| talk(way, faults))
}

/// A registration: where it was made and ended, and what was granted.
struct Granted<'a> {
    socket: &'a str,
    memory: std::ops::Range<usize>,
    access: &'a str,
    is_exposed: bool,
    made: usize,
    ended: Option<usize>,
}

/// All registrations of a process, in order.
fn granted(trace: &Trace) -> Vec<Granted<'_>> {
    let mut found: Vec<Granted<'_>> = Vec::new();
    for (place, call) in trace.0.iter().enumerate() {
        let is_probe = || call.arguments[1].starts_with("length probe");
        match call.function.as_str() {
            "WSPRegisterMemory" | "WSPRegisterRdmaMemory" if !is_probe() && call.succeeded() => {
                found.push(Granted {
                    socket: call.socket(),
                    memory: range(&call.arguments[1]),
                    access: &call.arguments[2],
                    is_exposed: call.function == "WSPRegisterRdmaMemory",
                    made: place,
                    ended: None,
                });
            }
            "WSPDeregisterMemory" | "WSPDeregisterRdmaMemory" => {
                let is_exposed = call.function == "WSPDeregisterRdmaMemory";
                let memory = range(&call.arguments[1]);
                let of = |it: &&mut Granted<'_>| {
                    it.ended.is_none() && (&it.memory, it.is_exposed) == (&memory, is_exposed)
                };
                let registration = found.iter_mut().find(of).expect("what ends was registered");
                // The peer's access ends with the connection (SP-123), whose last words may be heard later.
                let exposes = |call: &Call| call.function == "WSPRegisterRdmaMemory" && call.succeeded();
                let fits = call.succeeded() || (is_exposed && !trace.0[place..].iter().any(exposes));
                assert!(fits, "{call:?}: it is in use, or unknown");
                assert_eq!(call.socket(), registration.socket, "the socket that registered it");
                registration.ended = Some(place);
            }
            _ => {}
        }
    }
    found
}

/// SW-200, SW-200 (SAN first), SW-204, SW-204 (SAN first): what a transfer reads is registered for reading, what it writes for
/// writing, on its socket, at that moment. What the peer uses it may read or write, as the variant says.
#[test]
fn buffers_are_registered_for_what_is_done() {
    for way in Way::BOTH {
        for trace in of_memory(way) {
            let granted = granted(&trace);
            for (place, call) in trace.transfers().filter(|(_, call)| call.succeeded()) {
                let access = if ["WSPSend", "WSPRdmaWrite"].contains(&call.function.as_str()) {
                    "Read"
                } else {
                    "Write"
                };
                for buffer in call.buffers() {
                    let covers = |it: &&Granted<'_>| {
                        let alive = it.made < place && it.ended.is_none_or(|ended| place < ended);
                        let inside = it.memory.start <= buffer.start && buffer.end <= it.memory.end;
                        alive && inside && !it.is_exposed && it.socket == call.socket()
                    };
                    let found = granted.iter().find(covers);
                    assert_eq!(found.map(|it| it.access), Some(access), "{way:?}: {call:?}");
                }
            }
            let reads = trace.of("WSPRdmaRead").count() > 0;
            for exposed in granted.iter().filter(|it| it.is_exposed) {
                assert_eq!(exposed.access, if reads { "Read" } else { "Write" }, "{way:?}");
            }
            assert!(granted.iter().any(|it| it.is_exposed), "{way:?}: nothing was exposed");
        }
    }
}

/// SW-100, SW-100 (SAN first): one region for the messages that are sent, one for those that are received, each registered once,
/// for the whole connection.
#[test]
fn messages_have_two_regions() {
    for way in Way::BOTH {
        for trace in talk(way, "plain") {
            let granted = granted(&trace);
            for (function, access) in [("WSPSend", "Read"), ("WSPRecv", "Write")] {
                let regions = granted.iter().filter(|it| it.access == access && !it.is_exposed);
                let used = regions.filter(|it| {
                    let inside = |buffer: &std::ops::Range<usize>| it.memory.contains(&buffer.start);
                    trace.of(function).any(|(_, call)| call.buffers().iter().any(inside))
                });
                let used: Vec<&Granted<'_>> = used.collect();
                let [region] = used[..] else { panic!("{way:?}: {} regions of {function}", used.len()) };
                let first = trace.transfers().next().expect("messages").0;
                let last = trace.transfers().last().expect("messages").0;
                assert!(region.made < first && region.ended.is_none_or(|ended| last < ended), "{way:?}");
            }
        }
    }
}

/// SW-202, SW-202 (SAN first): registering and deregistering are calls on one socket, between its connecting and its close.
#[test]
fn registering_takes_a_connected_socket() {
    for way in Way::BOTH {
        for trace in of_memory(way) {
            let mut asked = trace.0.iter().filter(|call| call.function.starts_with("WSPRegister"));
            let is_probe = |call: &Call| call.arguments[1].starts_with("length probe");
            assert!(asked.all(|call| call.succeeded() || is_probe(call)), "{way:?}: refused");
            for it in granted(&trace) {
                let closed = trace.closed(it.socket);
                assert!(connected(&trace, it.socket) < it.made && it.made < closed, "{way:?}");
                assert!(it.ended.is_none_or(|ended| ended < closed), "{way:?}");
            }
        }
    }
}

/// SW-203, SW-203 (SAN first): at the close nothing is registered but what a transfer uses that has not ended.
#[test]
fn memory_is_given_back_before_the_close() {
    for way in Way::BOTH {
        for trace in of_memory(way) {
            let left: Vec<Granted<'_>> =
                granted(&trace).into_iter().filter(|it| it.ended.is_none()).collect();
            assert!(left.len() <= 2, "{way:?}: more than the regions of messages");
            for it in left {
                let is_its = |call: &Call| it.memory.contains(&call.buffers()[0].start);
                let used = trace.pending_at_close(it.socket).any(is_its);
                assert!(used && !it.is_exposed, "{way:?}: {:x?}", it.memory);
            }
        }
    }
}

/// SW-119, SW-119 (SAN first): memory with the program's data is registered for one operation, not before and not after it.
#[test]
fn data_is_registered_for_one_operation() {
    for way in Way::BOTH {
        for trace in of_memory(way) {
            let granted = granted(&trace);
            let targets: Vec<&Granted<'_>> = granted
                .iter()
                .filter(|it| trace.of("WSPRdmaRead").any(|(_, call)| it.memory == call.buffers()[0]))
                .collect();
            assert_eq!(targets.len(), trace.of("WSPRdmaRead").count(), "{way:?}: one each");
            for it in targets {
                let ended = it.ended.expect("it ends");
                let of_it = |(place, call): &(usize, &Call)| {
                    (it.made..ended).contains(place) && call.buffers()[0] == it.memory
                };
                assert_eq!(trace.of("WSPRdmaRead").filter(of_it).count(), 1, "{way:?}");
            }
            for it in granted.iter().filter(|it| it.is_exposed) {
                assert!(it.ended.is_some(), "{way:?}: the peer keeps access");
            }
        }
    }
}

/// SW-211, SW-211 (SAN first), SW-213, SW-213 (SAN first): what is registered is memory of the switch, never the program's, and the
/// provider is told before it goes; what messages use goes with the socket.
#[test]
fn only_own_memory_is_registered() {
    for way in Way::BOTH {
        for trace in of_memory(way) {
            let told: Vec<_> = trace
                .of("WSPMemoryRegistrationCacheCallback")
                .map(|(place, call)| (place, range(&call.arguments[0])))
                .collect();
            assert_eq!(told.len(), 2, "{way:?}: the rings of both directions");
            let mut data = 0;
            for it in granted(&trace) {
                let is_message = |(_, call): (usize, &Call)| it.memory.contains(&call.buffers()[0].start);
                if ["WSPSend", "WSPRecv"].iter().any(|function| trace.of(function).any(is_message)) {
                    continue;
                }
                let ring =
                    told.iter().find(|(_, ring)| ring.start <= it.memory.start && it.memory.end <= ring.end);
                let (place, _) =
                    ring.unwrap_or_else(|| panic!("{way:?}: {:x?} is not the switch's", it.memory));
                assert!(it.ended.is_some_and(|ended| ended < *place), "{way:?}");
                data += 1;
            }
            assert!(data > 0, "{way:?}");
        }
    }
}
