//! The addresses of this host, in the network namespace of the caller (rtnetlink(7)).

mod addresses;
mod monitor;
mod route;
mod same_network;

pub use addresses::{InterfaceAddress, interface_addresses};
pub use monitor::AddressMonitor;
pub use route::source_address;
pub use same_network::same_network;
