//! A program that has used up its descriptors. The only test of its file, since it uses up those of the process.
#![cfg(target_os = "linux")]

mod support;

use support::{armed_sides, wait_event, wait_for};
use wsd_os::link::Link;
use wsd_spi::{Condition, WsaError};

/// A visitor that cannot be let in is turned away; the engine does not spin, and goes on when there are descriptors.
#[test]
fn visitors_are_turned_away() {
    let [server, client] = armed_sides();
    let listener = server.listener("127.0.0.1:2301", 1);
    let arm = server.san.arm().expect("WsdArm");
    let visitor = Link::connect(b"wsd-shm-4-7f000001-8fd").expect("a listener");
    let mut used = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        used.push(file);
    }
    server.san.progress().expect("WsdProgress");
    let mut poll = [wsd_os::poll::PollFd { fd: arm, events: wsd_os::poll::POLLIN, revents: 0 }];
    assert_eq!(
        wsd_os::poll::ppoll(&mut poll, Some(std::time::Duration::ZERO), None),
        Ok(0),
        "it does not spin"
    );
    assert!(matches!(visitor.recv(&mut [0; 10], 0), Ok(None)), "turned away");
    let connecting = client.bound("127.0.0.1:2302");
    let name = support::address("127.0.0.1:2301");
    assert_eq!(connecting.connect(&name), Err(WsaError::WSAENOBUFS), "SP-067: TCP may work");
    drop(used);
    let connecting = client.connecting("127.0.0.1:2303", "127.0.0.1:2301", 2);
    wait_event(&[&server, &client], &server, 1);
    listener.accept(|_, _| Condition::Accept).expect("a request");
    wait_for(&[&server, &client], "connected", || client.upcalls.is_set(2));
    drop(connecting);
}
