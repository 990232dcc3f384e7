//! The names of other processes' TCP connections.

use std::net::SocketAddr;

use wsd_os::process::socket_names;

/// All processes of a host, whose sockets are asked one by one.
#[derive(Default)]
pub(super) struct Namespaces(Sockets);

impl Namespaces {
    /// The sockets of a process.
    pub(super) fn sockets(&mut self, _pid: u32) -> &Sockets {
        &self.0
    }
}

/// Sockets, each of which knows its names.
#[derive(Default)]
pub(super) struct Sockets;

impl Sockets {
    /// This end's and the other end's.
    pub(super) fn names(&self, pid: u32, fd: i32) -> Option<(SocketAddr, SocketAddr)> {
        socket_names(pid, fd).ok()
    }
}
