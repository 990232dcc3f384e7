//! The addresses of this host, in the network namespace of the caller (rtnetlink(7)).

mod addresses;
mod monitor;
mod route;

pub use addresses::{InterfaceAddress, interface_addresses};
pub use monitor::AddressMonitor;
pub use route::{same_network, source_address};
