//! The shared-memory SAN provider: Windows Sockets Direct between the processes of one Linux host.
//!
//! Linked into the switch ([`SAN_PROVIDER_ENTRY`]), or loaded as `libwsd_shm.so`, which exports `WSPStartupEx`.
#![cfg(target_os = "linux")]

mod action;
mod address;
mod adopt;
mod connect;
mod deadlines;
mod descriptors;
mod dispatch;
mod door;
mod engine;
mod flow;
mod link;
mod links;
mod messages;
mod options;
mod pool;
mod provider;
mod ranges;
mod rdma;
mod registrations;
mod share;
mod socket;
mod state;
mod swap;
mod wire;

pub use provider::Shm;

wsd_spi::export_san_provider!(Shm);

/// To be called by the child of a fork, before anything else: closes its copies of the parent's links and listeners,
/// without a word to the peers. The first call of the provider in the child begins with a new engine in any case; but
/// it comes later, and until then peers do not notice if the parent ends.
pub fn after_fork_in_child() {
    descriptors::close_inherited(true);
}
