//! Which addresses rdma_cm serves.

use std::net::SocketAddr;

use wsd_engine::Tracked;
use wsd_os::net::{AddressMonitor, interface_addresses};
use wsd_spi::{SockAddr, WsaError};

use crate::rdma::{Channel, Identifier};

/// Where the kernel lists RDMA devices.
const DEVICES: &str = "/sys/class/infiniband";

/// The addresses of this host's RDMA devices, kept up to date by the kernel's news.
#[derive(Default)]
pub(crate) struct OwnAddresses {
    monitor: Option<Tracked<AddressMonitor>>,
    /// Names of the devices that were there.
    devices: Vec<std::ffi::OsString>,
    /// Without ports.
    known: Vec<SockAddr>,
}

impl OwnAddresses {
    /// Whether a socket can have this address (SP-045): the wildcard, or one that is served.
    pub(crate) fn contains(&mut self, address: &SockAddr, channel: &Channel) -> Result<bool, WsaError> {
        if address.is_wildcard() {
            return Ok(true);
        }
        let ip = address.socket_addr().ip();
        Ok(self.list(channel)?.iter().any(|known| known.socket_addr().ip() == ip))
    }

    /// All of them (SP-103).
    pub(crate) fn list(&mut self, channel: &Channel) -> Result<&[SockAddr], WsaError> {
        let devices = devices();
        let changed = match &self.monitor {
            // News that cannot be read count as news.
            Some(monitor) => monitor.drain().unwrap_or(true),
            None => {
                // Without a monitor everything is read anew each time.
                self.monitor = AddressMonitor::new().ok().map(Tracked::new);
                true
            }
        };
        if changed || self.monitor.is_none() || devices != self.devices {
            let all = interface_addresses().map_err(|_| WsaError::WSAENETDOWN)?;
            self.known.clear();
            for entry in all.into_iter().filter(|entry| !entry.loopback && !devices.is_empty()) {
                let mut address = SocketAddr::new(entry.address, 0);
                if let SocketAddr::V6(v6) = &mut address
                    && v6.ip().is_unicast_link_local()
                {
                    v6.set_scope_id(entry.interface);
                }
                if !self.known.contains(&address.into()) && is_served(address, channel) {
                    self.known.push(address.into());
                }
            }
            self.devices = devices;
        }
        Ok(&self.known)
    }
}

/// Whether rdma_cm has a device for it: what a connect from there would ask.
fn is_served(address: SocketAddr, channel: &Channel) -> bool {
    Identifier::new(channel, 0).is_ok_and(|id| id.bind(address).is_ok() && id.device().is_some())
}

fn devices() -> Vec<std::ffi::OsString> {
    let entries = std::fs::read_dir(DEVICES).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.sort();
    names
}
