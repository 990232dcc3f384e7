//! Listing the addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::io::Errno;

use crate::netlink::{self, Message, ROUTE, attributes, u32_at};

/// An address of an interface of this host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// How many leading bits name the network.
    pub prefix_len: u8,
    /// The number of the interface.
    pub interface: u32,
    /// Whether the interface is a loopback one, whatever the address.
    pub loopback: bool,
}

/// The length of `struct ifinfomsg`.
const LINK: usize = 16;
/// The length of `struct ifaddrmsg`.
const ADDRESS: usize = 8;

/// All IPv4 and IPv6 addresses of this host. Allocates.
///
/// # Errors
///
/// `EAGAIN` if they change faster than they can be listed; `EMFILE`; `EACCES` or the like in a sandbox.
pub fn interface_addresses() -> Result<Vec<InterfaceAddress>, Errno> {
    let mut loopbacks = Vec::new();
    netlink::dump(ROUTE, libc::RTM_GETLINK, &[0; LINK], |message| {
        let (Some(index), Some(flags)) = (u32_at(message.body, 4), u32_at(message.body, 8)) else { return };
        if flags & libc::IFF_LOOPBACK as u32 != 0 {
            loopbacks.push(index);
        }
    })?;
    for _ in 0..8 {
        let mut found = Vec::new();
        let complete = netlink::dump(ROUTE, libc::RTM_GETADDR, &[0; ADDRESS], |message| {
            found.extend(read(message, &loopbacks));
        })?;
        if complete {
            return Ok(found);
        }
    }
    Err(Errno::AGAIN)
}

/// Reads an RTM_NEWADDR message: `struct ifaddrmsg` and attributes.
fn read(message: Message<'_>, loopbacks: &[u32]) -> Option<InterfaceAddress> {
    let (&family, &prefix_len) = (message.body.first()?, message.body.get(1)?);
    let interface = u32_at(message.body, 4)?;
    let attribute = |wanted| {
        let value = attributes(message.body, ADDRESS).find(|(kind, _)| *kind == wanted)?.1;
        match i32::from(family) {
            libc::AF_INET => Some(IpAddr::from(Ipv4Addr::from(netlink::number::<4>(value, 0)?))),
            libc::AF_INET6 => Some(IpAddr::from(Ipv6Addr::from(netlink::number::<16>(value, 0)?))),
            _ => None,
        }
    };
    // On a point-to-point interface IFA_ADDRESS is the other side; IFA_LOCAL is missing where the two are the same.
    let address = attribute(libc::IFA_LOCAL).or_else(|| attribute(libc::IFA_ADDRESS))?;
    Some(InterfaceAddress { address, prefix_len, interface, loopback: loopbacks.contains(&interface) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::netlink::fuzz::attribute_body;

    #[test]
    fn loopback_is_listed() {
        let addresses = interface_addresses().expect("rtnetlink");
        let home = addresses.iter().find(|entry| entry.address == IpAddr::from(Ipv4Addr::LOCALHOST));
        let home = home.expect("127.0.0.1 is an address of this host");
        assert_eq!((home.prefix_len, home.loopback), (8, true));
        assert_ne!(home.interface, 0);
        assert!(
            addresses.iter().all(|entry| entry.prefix_len <= if entry.address.is_ipv4() { 32 } else { 128 })
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever a message says, what is read from it was in it.
        #[test]
        fn any_message_is_read(body in attribute_body(ADDRESS)) {
            let message = Message { kind: libc::RTM_NEWADDR, flags: 0, body: &body };
            if let Some(found) = read(message, &[7]) {
                let octets = match found.address {
                    IpAddr::V4(address) => address.octets().to_vec(),
                    IpAddr::V6(address) => address.octets().to_vec(),
                };
                prop_assert!(body.windows(octets.len()).any(|part| part == octets));
                prop_assert_eq!(found.loopback, found.interface == 7);
            }
        }
    }

    #[test]
    fn short_message_is_skipped() {
        let message = Message { kind: libc::RTM_NEWADDR, flags: 0, body: &[2, 8, 0, 0] };
        assert_eq!(read(message, &[]), None);
    }
}
