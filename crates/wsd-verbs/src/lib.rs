//! The SAN provider over RDMA devices: reliable connections of InfiniBand, RoCE and iWARP.
//!
//! How it works, and why so, is in `docs/verbs.md`. Linked into a switch ([`SAN_PROVIDER_ENTRY`]), or loaded as
//! `libwsd_verbs.so`, which exports `WSPStartupEx`. libibverbs and librdmacm are loaded at start-up; without them it answers
//! `WSASYSNOTREADY`.
//!
//! # Declared differences from the SPI
//!
//! * IPv6, and addresses of the own host, are served and listed (declared extensions, section 0.3).
//! * `WSPListen` answers `WSAEADDRINUSE` if another process of the host listens there.
//! * `WSPDuplicateSocket` answers `WSAENETDOWN` for a connection over iWARP: it stays in its process.
//! * Nothing is cached. `WSPMemoryRegistrationCacheCallback` ends the use of every registration that overlaps (SP-160).
//! * A violation of the rules of RDMA, or a message longer than its buffer, ends the connection (SP-092, SP-132).
#![cfg(target_os = "linux")]

mod address;
mod adopt;
mod connect;
mod flow;
mod fork;
mod greeting;
#[cfg(test)]
mod hostile;
mod meeting;
mod memory;
mod parcel;
mod ports;
mod probe;
mod provider;
mod rdma;
mod released;
mod socket;
mod state;
mod swap;
mod transfer;

#[cfg(test)]
extern crate self as wsd_verbs;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

pub use provider::Verbs;

wsd_spi::export_san_provider!(Verbs);
