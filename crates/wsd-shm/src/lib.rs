//! The shared-memory SAN provider: Windows Sockets Direct between the processes of one host.
//!
//! Linked into a switch ([`SAN_PROVIDER_ENTRY`]), or loaded as `libwsd_shm.so` or `wsd_shm.dll`, which exports `WSPStartupEx`. It has all
//! extension functions: the 7 of the SPI, and those of `wsd_spi::extension` for shared memory and for progress without
//! threads.
//!
//! # How it works
//!
//! * A process has an *engine* (`wsd_engine`, `state`): all state behind one lock, and an epoll set with everything that
//!   may happen. Up-calls are made without the lock, in order, by one thread at a time. A hidden thread drives the
//!   engine from the first `WSPConnect` or `WSPListen` on, until `WsdArm` hands the epoll set to the caller.
//! * Two engines have a *link* (`link`, `links`): an AF_UNIX sequenced-packet connection that all their connections
//!   share. What is said there is in `wire`; who reacts, in `dispatch`. The kernel tells when a process ends, and
//!   nothing is left of it.
//! * A listener is found by a *name* (`address`, `door`, `connect`): `127.0.0.1:8080` listens at the abstract address
//!   `wsd-shm-4-7f000001-1f90` of its network namespace.
//! * *Messages* (`messages`) are packets. *RDMA* (`rdma`) is done by the engine that owns the memory, at the request of the
//!   other, so that access ends exactly when the registration ends, and no right to another process's memory is needed.
//! * *Shared memory* (`pool`, `share`) is where speed is: sealed memfds, cut into slots that are used again while warm.
//! * Sockets *move* between processes (`swap`, `adopt`).
//!
//! # Fork
//!
//! State belongs to the process that made it. A child of `fork` begins with a new engine at its first call and knows none
//! of its parent's sockets; memory that was mapped stays mapped. It calls [`after_fork_in_child`] first, so that peers
//! notice the end of the parent although the child has inherited its descriptors.
//!
//! # Trust
//!
//! A packet is believed when it has been checked: lengths, numbers, the state, and that the socket it is for is connected
//! by that very link. A peer that breaks the rules loses its link, and with it its own connections. Strangers that connect
//! and say nothing, links that serve nothing, early messages, queues: everything that others can fill has a limit.
//!
//! # Declared differences from the SPI
//!
//! * IPv6, and addresses of the own host, are served and listed (declared extensions, section 0.3). A listener at the IPv6
//!   wildcard is found by IPv4 peers too, and sees mapped addresses; whether it wants them, its condition function decides.
//! * Up to eight sockets of the host may listen at exactly one address, since TCP may let connections share it (SP-045); who
//!   connects asks one after the other until one accepts. `WSPListen` of the ninth answers `WSAEADDRINUSE`.
//! * Nobody listens, or nobody answers within 20 seconds: `WSAETIMEDOUT`, since TCP may still work (SP-067).
//! * A violation of the rules of RDMA, or a message longer than its buffer, ends the connection (SP-092, SP-132) with
//!   `WSAECONNABORTED` at both ends; the operation itself ends with `WSAEFAULT` or `WSAEMSGSIZE`.
//! * Nothing is cached, as registering costs nothing. `WSPMemoryRegistrationCacheCallback` ends the use of every
//!   registration that overlaps; its handle then only has to be given back (SP-133).
//! * Exposed memory that is in use by the peer can be deregistered: the transfer fails, not the deregistration.
//! * Processes that see each other's process numbers share one link; others (containers that share a network but not
//!   process numbers) have one link per connection.
//!
//! # On Windows
//!
//! The same, with what `wsd_os` has in the place of descriptors, abstract names and memfds (docs/windows.md):
//!
//! * Only processes of one user and session meet.
//! * The descriptor of `WsdArm` is the number of an event's handle, which is set while there is something to do, and
//!   sometimes when there is not.
//! * Memory of `WsdAllocate` never shrinks, and chunks stay mapped when their link has ended.
#![cfg(any(target_os = "linux", windows))]

mod address;
mod adopt;
mod connect;
mod deadlines;
mod dispatch;
mod flow;
mod link;
mod links;
mod messages;
mod pool;
mod provider;
mod rdma;
mod registrations;
mod share;
mod socket;
mod state;
mod swap;
mod wire;

#[cfg(test)]
extern crate self as wsd_shm;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

pub use provider::Shm;

wsd_spi::export_san_provider!(Shm);

/// To be called by the child of a fork, before anything else: closes its copies of the parent's links and listeners,
/// without a word to the peers. The first call of the provider in the child begins with a new engine in any case; but
/// it comes later, and until then peers do not notice if the parent ends.
///
/// Makes system calls only, takes no lock and allocates nothing. Not for a child of `vfork`.
pub fn after_fork_in_child() {
    wsd_engine::close_inherited(true);
}
