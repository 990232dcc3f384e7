//! Networks in which a connection's peer may be another host that a provider reaches: those that the configuration names, and
//! those of the NICs of providers that are started.
//!
//! `connect` and `accept` ask, from any thread and in signal handlers; the service thread tells.

use std::net::{IpAddr, Ipv6Addr};

use serde::Deserialize;
use wsd_os::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use wsd_os::net::same_network;

use crate::registry;
use crate::stream::hashing;

/// A network as `10.9.0.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    address: IpAddr,
    prefix_len: u8,
}

impl Network {
    /// Whether the address is one of its.
    pub fn contains(&self, address: IpAddr) -> bool {
        same_network(self.address, address.to_canonical(), self.prefix_len)
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(address, prefix_len)| {
            let address: IpAddr = address.parse().ok()?;
            let prefix_len = prefix_len.parse().ok()?;
            let longest = if address.is_ipv4() { 32 } else { 128 };
            (prefix_len <= longest).then_some(Self { address: address.to_canonical(), prefix_len })
        });
        parsed.ok_or_else(|| format!("`{text}` is not a network: write it as `10.9.0.0/24` or `fd00:9::/64`"))
    }
}

/// A provider's NIC.
struct Nic {
    /// Length of the network's prefix + 1; 0: none.
    prefix: AtomicU32,
    /// Its address as IPv6, IPv4 mapped.
    address: [AtomicU64; 2],
}

/// NICs that are known; further ones have to be named by the configuration. One that is read while it is written costs a
/// connection its hash, or gives it one that it does not need.
static NICS: [Nic; 64] =
    [const { Nic { prefix: AtomicU32::new(0), address: [const { AtomicU64::new(0) }; 2] } }; 64];

/// Whether there is any such network.
static ANY: AtomicBool = AtomicBool::new(false);

/// The configuration has been read.
pub(crate) fn start() {
    if registry::names_networks() && hashing::start() {
        ANY.store(true, Ordering::Relaxed);
    }
}

/// NICs, with their prefixes, of providers that reach other hosts.
pub(crate) fn served(nics: impl Iterator<Item = (IpAddr, u8)>) {
    let mut nics = nics.take(NICS.len()).peekable();
    if nics.peek().is_some() && hashing::start() {
        ANY.store(true, Ordering::Relaxed);
    }
    for place in &NICS {
        let prefix = nics.next().map_or(0, |(address, prefix_len)| {
            let bits = match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                IpAddr::V6(v6) => v6,
            };
            let (high, low) = ((u128::from(bits) >> 64) as u64, u128::from(bits) as u64);
            place.address[0].store(high, Ordering::Relaxed);
            place.address[1].store(low, Ordering::Relaxed);
            u32::from(prefix_len) + 1
        });
        place.prefix.store(prefix, Ordering::Relaxed);
    }
}

/// Whether it is worth while to ask [`may_reach`] at all.
pub(crate) fn any() -> bool {
    ANY.load(Ordering::Relaxed)
}

/// Whether the peer with this address may be on another host that a provider reaches.
pub(crate) fn may_reach(peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    any() && (registry::names_network_of(peer) || NICS.iter().any(|nic| nic.reaches(peer)))
}

impl Nic {
    fn reaches(&self, peer: IpAddr) -> bool {
        let Some(prefix_len) = self.prefix.load(Ordering::Relaxed).checked_sub(1) else { return false };
        let [high, low] = [&self.address[0], &self.address[1]].map(|half| half.load(Ordering::Relaxed));
        let own = Ipv6Addr::from((u128::from(high) << 64) | u128::from(low)).to_canonical();
        own != peer && same_network(own, peer, prefix_len as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Result<Network, String> {
        Network::try_from(text.to_owned())
    }

    #[test]
    fn networks_are_read() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let some = network("10.9.0.0/24").expect("a network");
        assert!(some.contains(ip("10.9.0.77")) && some.contains(ip("::ffff:10.9.0.1")));
        assert!(!some.contains(ip("10.9.1.1")) && !some.contains(ip("fd00::1")));
        assert!(network("fd00:9::/64").expect("a network").contains(ip("fd00:9::5")));
        for wrong in ["10.9.0.0", "10.9.0.0/33", "10.9.0/24", "/8", "fd00::/129", "fd00::/x", ""] {
            assert!(network(wrong).expect_err("not a network").contains("10.9.0.0/24"), "{wrong}");
        }
    }

    #[test]
    fn neighbours_of_a_nic_are_reached_itself_is_not() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let reached = |text: &str| NICS.iter().any(|nic| nic.reaches(ip(text)));
        served([(ip("10.9.0.1"), 24), (ip("fd00:9::1"), 64)].into_iter());
        assert!(reached("10.9.0.2") && reached("fd00:9::2"));
        assert!(
            !reached("10.9.0.1") && !reached("fd00:9::1") && !reached("10.9.1.2") && !reached("127.0.0.1")
        );
        served([(ip("fd00:9::1"), 64)].into_iter());
        assert!(!reached("10.9.0.2") && reached("fd00:9::2"));
    }
}
