//! Addresses that cross the boundary.

use core::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::ffi::{AF_INET, AF_INET6};

/// Length of a `sockaddr_in` in bytes.
pub const SOCKADDR_IN_LEN: usize = 16;
/// Length of a `sockaddr_in6` in bytes.
pub const SOCKADDR_IN6_LEN: usize = 28;

/// An IP address with a port: `sockaddr_in` (SP-010), or, for providers that declare it, `sockaddr_in6`
/// (section 0.3; family 23, 28 bytes).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SockAddr(SocketAddr);

/// Why bytes are not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// Shorter than an address of its family.
    TooShort,
    /// Neither `AF_INET` nor `AF_INET6`.
    Family(u16),
}

impl SockAddr {
    /// The address as the SPI writes it: buffer and used length (16 or 28).
    pub fn encode(&self) -> ([u8; SOCKADDR_IN6_LEN], usize) {
        let mut bytes = [0; SOCKADDR_IN6_LEN];
        bytes[0..2].copy_from_slice(&(self.family() as u16).to_ne_bytes());
        bytes[2..4].copy_from_slice(&self.0.port().to_be_bytes());
        match self.0 {
            SocketAddr::V4(v4) => bytes[4..8].copy_from_slice(&v4.ip().octets()),
            SocketAddr::V6(v6) => {
                bytes[4..8].copy_from_slice(&v6.flowinfo().to_be_bytes());
                bytes[8..24].copy_from_slice(&v6.ip().octets());
                bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
            }
        }
        (bytes, self.encoded_len())
    }

    /// Reads an address from the front of `bytes`; what follows is ignored.
    ///
    /// # Errors
    /// [`AddressError::TooShort`] and [`AddressError::Family`].
    pub fn decode(bytes: &[u8]) -> Result<Self, AddressError> {
        let family = u16::from_ne_bytes(field(bytes, 0)?);
        if i32::from(family) != AF_INET && i32::from(family) != AF_INET6 {
            return Err(AddressError::Family(family));
        }
        let port = u16::from_be_bytes(field(bytes, 2)?);
        if i32::from(family) == AF_INET {
            let ip = Ipv4Addr::from(field::<4>(bytes, 4)?);
            field::<8>(bytes, 8)?;
            return Ok(Self(SocketAddrV4::new(ip, port).into()));
        }
        let flow = u32::from_be_bytes(field(bytes, 4)?);
        let ip = Ipv6Addr::from(field::<16>(bytes, 8)?);
        let scope = u32::from_ne_bytes(field(bytes, 24)?);
        Ok(Self(SocketAddrV6::new(ip, port, flow, scope).into()))
    }

    /// The same address in the standard library's type.
    pub fn socket_addr(&self) -> SocketAddr {
        self.0
    }

    /// `AF_INET` or `AF_INET6`.
    pub fn family(&self) -> i32 {
        if self.0.is_ipv4() { AF_INET } else { AF_INET6 }
    }

    /// Length in bytes as the SPI writes it.
    pub fn encoded_len(&self) -> usize {
        if self.0.is_ipv4() { SOCKADDR_IN_LEN } else { SOCKADDR_IN6_LEN }
    }

    /// Port in host byte order.
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// The same address with another port.
    pub fn with_port(mut self, port: u16) -> Self {
        self.0.set_port(port);
        self
    }

    /// Whether it is the wildcard of its family (`INADDR_ANY`).
    pub fn is_wildcard(&self) -> bool {
        self.0.ip().is_unspecified()
    }
}

fn field<const N: usize>(bytes: &[u8], offset: usize) -> Result<[u8; N], AddressError> {
    bytes.get(offset..offset + N).and_then(|part| part.try_into().ok()).ok_or(AddressError::TooShort)
}

impl From<SocketAddr> for SockAddr {
    fn from(address: SocketAddr) -> Self {
        Self(address)
    }
}

impl From<SocketAddrV4> for SockAddr {
    fn from(address: SocketAddrV4) -> Self {
        Self(address.into())
    }
}

impl From<SocketAddrV6> for SockAddr {
    fn from(address: SocketAddrV6) -> Self {
        Self(address.into())
    }
}

impl From<SockAddr> for SocketAddr {
    fn from(address: SockAddr) -> Self {
        address.0
    }
}

impl fmt::Display for SockAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SockAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_as_the_spi_writes_it() {
        let address = SockAddr::from(SocketAddrV4::new(Ipv4Addr::new(10, 1, 2, 3), 0x1234));
        let (bytes, length) = address.encode();
        assert_eq!(bytes[..length], [2, 0, 0x12, 0x34, 10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(SockAddr::decode(&bytes), Ok(address));
        assert_eq!(SockAddr::decode(&bytes[..15]), Err(AddressError::TooShort));
    }

    #[test]
    fn ipv6_as_the_spi_writes_it() {
        let address = SockAddr::from(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0x1234, 7, 9));
        let (bytes, length) = address.encode();
        assert_eq!((length, bytes[0], bytes[24]), (28, 23, 9));
        assert_eq!(bytes[4..8], [0, 0, 0, 7]);
        assert_eq!(SockAddr::decode(&bytes), Ok(address));
        assert_eq!(SockAddr::decode(&bytes[..27]), Err(AddressError::TooShort));
    }

    #[test]
    fn other_families() {
        assert_eq!(SockAddr::decode(&[10, 0, 0, 0]), Err(AddressError::Family(10)));
        assert_eq!(SockAddr::decode(&[2]), Err(AddressError::TooShort));
    }
}
