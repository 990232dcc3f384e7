//! Ports that no other test takes.

use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the ports that the kernel gives to connecting sockets, so that none of those takes it first.
const FIRST: u32 = 10_240;
const COUNT: u32 = 32_768 - FIRST;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A port that is reserved among all tests of the machine until this is dropped. The reservation is an abstract
/// address, which leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    _reservation: UnixListener,
}

impl Port {
    pub(crate) fn reserve() -> Self {
        let start = std::process::id().wrapping_mul(7919);
        for _ in 0..COUNT {
            let turn = NEXT.fetch_add(1, Ordering::Relaxed);
            let number = u16::try_from(FIRST + start.wrapping_add(turn) % COUNT).expect("below 32768");
            let name = format!("wsd-programs-port-{number}");
            let name = SocketAddr::from_abstract_name(name).expect("a short name");
            let Ok(reservation) = UnixListener::bind_addr(&name) else { continue };
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Self { number, _reservation: reservation };
            }
        }
        panic!("no free port from {FIRST} on");
    }
}
