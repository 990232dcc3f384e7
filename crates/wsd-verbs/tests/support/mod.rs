//! The switch for tests on an RDMA device.

#![allow(dead_code, unreachable_pub, reason = "every test file uses a part")]

#[path = "../../../wsd-shm/tests/support/switch.rs"]
mod switch;

use wsd_spi::client::Socket;
use wsd_spi::provider::Entry;
use wsd_spi::{Condition, MemoryAccess};

pub use switch::*;

/// Several providers in the process of the tests, each with an engine of its own.
macro_rules! providers {
    ($($name:ident)*) => {
        $(mod $name {
            wsd_spi::san_provider!(wsd_verbs::Verbs);
        })*

        const ENTRIES: &[Entry] = &[$($name::SAN_PROVIDER_ENTRY),*];
    };
}

providers!(p0 p1 p2 p3 p4 p5);

/// Connects two sides: the accepted and the connecting socket.
pub fn connect(server: &Side, client: &Side, name: &str) -> (Socket, Socket) {
    let sides = [server, client];
    let (accepts, connects) = (901, 902);
    let listener = server.listener(name, accepts);
    let connecting = client.connecting("10.9.0.1:1234", name, connects);
    wait_event(&sides, server, accepts);
    let (accepted, _) = listener.accept(|_, _| Condition::Accept).expect("a connection");
    wait_event(&sides, client, connects);
    assert_eq!(connecting.enum_network_events(None).expect("a record").connect, Some(Ok(())));
    for side in sides {
        side.upcalls.events.lock().expect("a lock").clear();
    }
    (accepted, connecting)
}

/// Sends a message, and waits until it has arrived.
pub fn send(all: &[&Side], socket: &Socket, data: &[u8]) {
    let data = memory(data);
    let _registered = socket.register_memory(&data, MemoryAccess::Read).expect("registers");
    let mut sent = socket.send(std::slice::from_ref(&data)).expect("sends");
    assert!(result(all, &mut sent).is_ok());
}

/// Receives a message.
pub fn receive(all: &[&Side], socket: &Socket) -> Vec<u8> {
    let inbox = memory(&[0; 100]);
    let _registered = socket.register_memory(&inbox, MemoryAccess::Write).expect("registers");
    let mut receive = socket.recv(std::slice::from_ref(&inbox)).expect("a receive");
    let got = result(all, &mut receive).expect("a message");
    bytes(&inbox)[..got.bytes as usize].to_vec()
}
