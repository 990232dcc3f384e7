//! SAN first, as the program's threads see it: connect, listen and accept by the SAN, with TCP as the fallback (SW-060..105).
//!
//! The service thread does the work (`service::first`); here a call is begun, waited for, and answered.

pub(crate) mod connecting;
pub(crate) mod listening;

use std::net::SocketAddr;

use crate::family::First;
use crate::stream::state::Stream;

/// getsockname(2) of a connection that the SAN made.
pub(crate) fn local_name(stream: &Stream) -> Option<SocketAddr> {
    (stream.record.first() == First::Connected).then(|| stream.record.first.local.get()).flatten()
}

/// getpeername(2) of a connection that the SAN made.
pub(crate) fn peer_name(stream: &Stream) -> Option<SocketAddr> {
    (stream.record.first() == First::Connected).then(|| stream.record.first.peer.get()).flatten()
}
