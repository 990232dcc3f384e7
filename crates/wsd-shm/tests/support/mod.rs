//! The switch for tests of the shared-memory provider.

#![allow(dead_code, unreachable_pub, reason = "every test file uses a part")]

mod switch;

use wsd_spi::client::Socket;
use wsd_spi::provider::Entry;
use wsd_spi::{Condition, Event};

pub use switch::*;

/// Several providers in the process of the tests, each with an engine of its own.
macro_rules! providers {
    ($($name:ident)*) => {
        $(mod $name {
            wsd_spi::san_provider!(wsd_shm::Shm);
        })*

        const ENTRIES: &[Entry] = &[$($name::SAN_PROVIDER_ENTRY),*];
    };
}

providers!(p0 p1 p2 p3 p4 p5 p6 p7 p8 p9 p10 p11);

/// Connects two sides: the accepted and the connecting socket.
pub fn connect(server: &Side, client: &Side, name: &str) -> (Socket, Socket) {
    connect_from(server, client, name, "127.0.0.1:1234")
}

/// As [`connect`], from a given address.
pub fn connect_from(server: &Side, client: &Side, name: &str, from: &str) -> (Socket, Socket) {
    let sides = [server, client];
    let (accepts, connects) = (901, 902);
    for side in sides {
        side.upcalls.events.lock().expect("a lock").clear();
    }
    let listener = server.listener(name, accepts);
    let connecting = client.connecting(from, name, connects);
    wait_event(&sides, server, accepts);
    let (accepted, peer) = listener.accept(|_, _| Condition::Accept).expect("a request");
    assert_eq!(peer, address(from));
    wait_event(&sides, client, connects);
    let events = connecting.enum_network_events(Some(Event::from_raw(connects))).expect("a record");
    assert_eq!(events.connect, Some(Ok(())));
    (accepted, connecting)
}
