//! What the system knows of TCP sockets beside their names.

use std::net::SocketAddr;

use super::afd;
use super::fd::{AsRawFd, BorrowedFd};
use super::link::PeerCredentials;

/// Whether the socket is the one that the system has under its names now: a connection that lives. There is one of these names
/// at a time, so an earlier one was ended or reset.
pub fn is_current(socket: BorrowedFd<'_>, _local: SocketAddr, _peer: SocketAddr) -> bool {
    afd::is_ready(socket.as_raw_fd(), afd::ENDED) == Ok(false)
}

/// Whether the partner at a link may be shown our end of a connection before it has shown the other one: whoever has a link to us
/// can get at it anyway (docs/windows.md).
pub fn may_be_shown(partner: PeerCredentials, _local: SocketAddr, _peer: SocketAddr) -> bool {
    partner.is_trusted()
}
