//! Which way packets would go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, socket_with};

/// The local address that the kernel would choose for a connection to `destination`. Sends nothing.
///
/// # Errors
///
/// `ENETUNREACH` and the like if there is no way; `EMFILE`, `ENFILE`.
pub fn source_address(destination: SocketAddr) -> Result<IpAddr, Errno> {
    let (family, any) = match destination {
        SocketAddr::V4(_) => (AddressFamily::INET, IpAddr::from(Ipv4Addr::UNSPECIFIED)),
        SocketAddr::V6(_) => (AddressFamily::INET6, IpAddr::from(Ipv6Addr::UNSPECIFIED)),
    };
    // Connecting a datagram socket only looks up the route.
    let probe = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    bind(&probe, &SocketAddr::new(any, 0))?;
    connect(&probe, &destination)?;
    Ok(SocketAddr::try_from(getsockname(&probe)?)?.ip())
}

/// Whether the first `prefix_len` bits of both addresses are the same.
pub fn same_network(one: IpAddr, other: IpAddr, prefix_len: u8) -> bool {
    let shared = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (u32::from(one) ^ u32::from(other)).leading_zeros(),
        (IpAddr::V6(one), IpAddr::V6(other)) => (u128::from(one) ^ u128::from(other)).leading_zeros(),
        _ => return false,
    };
    shared >= u32::from(prefix_len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn loopback_is_reached_from_loopback() {
        for host in ["127.0.0.1", "::1"] {
            let source = source_address(SocketAddr::new(ip(host), 80)).expect("a way");
            assert_eq!(source, ip(host));
        }
    }

    #[test]
    fn networks_are_told_by_their_leading_bits() {
        assert!(same_network(ip("127.0.0.1"), ip("127.9.8.7"), 8));
        assert!(!same_network(ip("10.0.0.1"), ip("10.0.1.1"), 24));
        assert!(same_network(ip("10.0.0.1"), ip("10.0.1.1"), 0));
        assert!(same_network(ip("fe80::1"), ip("fe80::2"), 64));
        assert!(!same_network(ip("::1"), ip("::2"), 128));
        assert!(!same_network(ip("::1"), ip("127.0.0.1"), 0));
    }
}
