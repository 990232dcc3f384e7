//! What checks work with: a started provider, two ends of a connection in one process or two, and bounded waits.

mod pair;
mod party;
mod peer;
mod rig;
mod side;
mod transfers;
mod wait;

pub(crate) use pair::Pair;
pub(crate) use party::{Party, Told, adopt};
pub(crate) use peer::Peer;
pub(crate) use rig::{Ends, Rig};
pub(crate) use side::{Listener, Side, new_event};
pub(crate) use transfers::{Posted, memory_of};
pub(crate) use wait::{quiet, wait};

use wsd_spi::SockAddr;

/// An address as `WSPBind` and `WSPConnect` take it.
pub(crate) fn encoded(name: &SockAddr) -> Vec<u8> {
    let (bytes, length) = name.encode();
    bytes[..length].to_vec()
}
