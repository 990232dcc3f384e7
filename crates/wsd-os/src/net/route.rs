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
}
