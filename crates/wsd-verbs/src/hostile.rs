//! Strangers at a meeting point, on an RDMA device whose address is 10.9.0.1: `cargo xtask rdma`.

use core::num::NonZeroU32;
use core::slice::from_ref;
use core::task::Poll;
use std::net::SocketAddr;

use wsd_engine::handover::claim;
use wsd_spi::ffi::AF_INET;
use wsd_spi::{MemoryAccess, WsaError};

use crate::greeting::{Greeting, LENGTH, Meeting, Refusal};
use crate::parcel::{self, Parcel};
use crate::rdma::{Channel, Event, EventKind, Identifier, Parameters};
use crate::support::{connect, memory, result, sides, wait_for};
use crate::swap::PROVIDER;

/// The next event.
pub(crate) fn event(channel: &Channel) -> Event {
    let mut found = None;
    wait_for(&[], "event", || {
        found = channel.next_event();
        found.is_some() || {
            std::thread::sleep(std::time::Duration::from_micros(200));
            false
        }
    });
    found.expect("there is one")
}

/// What is answered to that greeting, from a queue pair with that number: each needs another one.
fn answer(port: u16, pair: u32, data: [u8; LENGTH]) -> Event {
    let channel = Channel::new().expect("rdma_cm");
    let id = Identifier::new(&channel, 1).expect("an identifier");
    id.resolve(SocketAddr::from(([10, 9, 0, 1], port))).expect("begins");
    assert_eq!(event(&channel).kind, EventKind::AddressResolved);
    id.resolve_route().expect("begins");
    assert_eq!(event(&channel).kind, EventKind::RouteResolved);
    id.connect(&Parameters { pair, reads: 1, data }).expect("begins");
    event(&channel)
}

/// SP-151, SP-154: who does not know the secret of a connection gets nothing, and changes nothing; and who knows it, and lies
/// about what has arrived, ends it.
#[test]
#[ignore = "needs an RDMA device"]
fn only_the_peer_comes_back() {
    let [old, peer] = sides();
    let (mine, theirs) = connect(&old, &peer, "10.9.0.1:54001");
    let inbox = memory(&[0; 20]);
    let _registered = theirs.register_memory(&inbox, MemoryAccess::Write).expect("registers");
    let mut posted = theirs.recv(from_ref(&inbox)).expect("a receive");
    let value = mine.duplicate(std::process::id(), AF_INET).expect("a value");
    let value = NonZeroU32::new(value.dwProviderReserved).expect("SP-151");
    let link = claim(PROVIDER, value).expect("it is ours");
    let mut buffer = [0; parcel::LENGTH];
    wait_for(&[&old, &peer], "the parcel", || link.recv(&mut buffer, 1).is_ok());
    let to = Parcel::decode(&buffer).expect("a parcel").meeting;
    let (from, arrived) = (Meeting { port: 1, socket: 2, secret: 3 }, 0);
    let greetings = [
        Greeting::Rejoin { from, to: Meeting { secret: to.secret ^ 1, ..to }, arrived },
        Greeting::Rejoin { from, to: Meeting { socket: to.socket + 1000, ..to }, arrived },
        Greeting::Connect { port: 1, from },
        Greeting::Answer { from },
    ];
    for (pair, greeting) in (0x1230..).zip(greetings) {
        let answer = answer(to.port, pair, greeting.encode());
        assert_eq!((answer.kind, Refusal::said(&answer.data)), (EventKind::Rejected, Refusal::Failed));
    }
    assert_eq!(answer(to.port, 0x1238, [0xa5; LENGTH]).kind, EventKind::Rejected);
    assert!(matches!(posted.poll(), Poll::Pending));
    let lie = Greeting::Rejoin { from, to, arrived: 500 }.encode();
    assert_eq!(answer(to.port, 0x1239, lie).kind, EventKind::Rejected);
    assert_eq!(result(&[&old, &peer], &mut posted).map(drop), Err(WsaError::WSAECONNABORTED));
}
