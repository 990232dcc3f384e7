//! Between the SPI's values and Linux's.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use rustix::io::Errno;
use wsd_spi::ffi::{AF_INET, AF_INET6};
use wsd_spi::{SockAddr, WsaError};

/// The SPI's code for a kernel error.
pub(crate) fn error(errno: Errno) -> WsaError {
    match errno {
        Errno::NFILE => WsaError::WSAEMFILE,
        Errno::NOMEM | Errno::NOSPC => WsaError::WSAENOBUFS,
        // A receive with MSG_OOB that the kernel refuses, or a descriptor that is no socket, cannot reach this.
        Errno::NODEV | Errno::NXIO => WsaError::WSAEADDRNOTAVAIL,
        errno => WsaError::from_errno(errno.raw_os_error()),
    }
}

/// An address as text: `1.2.3.4:80`, `[fe80::1%2]:80`; without the port if that is 0.
pub(crate) fn to_text(address: SockAddr) -> String {
    match address.socket_addr() {
        SocketAddr::V4(v4) if v4.port() == 0 => v4.ip().to_string(),
        SocketAddr::V4(v4) => v4.to_string(),
        SocketAddr::V6(v6) => {
            let scope = if v6.scope_id() == 0 { String::new() } else { format!("%{}", v6.scope_id()) };
            match v6.port() {
                0 => format!("{}{scope}", v6.ip()),
                port => format!("[{}{scope}]:{port}", v6.ip()),
            }
        }
    }
}

/// The address that a text stands for, with port 0 if it names none.
///
/// # Errors
/// `WSAEINVAL`: not an address of that family, or a family that is neither `AF_INET` nor `AF_INET6`.
pub(crate) fn from_text(text: &str, family: i32) -> Result<SockAddr, WsaError> {
    let address = match family {
        AF_INET => v4(text).map(SocketAddr::from),
        AF_INET6 => v6(text).map(SocketAddr::from),
        _ => None,
    };
    address.map(SockAddr::from).ok_or(WsaError::WSAEINVAL)
}

fn v4(text: &str) -> Option<SocketAddrV4> {
    let alone = || text.parse().ok().map(|ip| SocketAddrV4::new(ip, 0));
    text.parse().ok().or_else(alone)
}

fn v6(text: &str) -> Option<SocketAddrV6> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, 0),
        Some((host, rest)) => (host, rest.strip_prefix(':')?.parse().ok()?),
        None => (text, 0),
    };
    let (ip, scope) = match host.split_once('%') {
        Some((ip, scope)) => (ip, scope.parse().ok()?),
        None => (host, 0),
    };
    Some(SocketAddrV6::new(ip.parse::<Ipv6Addr>().ok()?, port, 0, scope))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_there_and_back() {
        for text in ["10.1.2.3:80", "10.1.2.3", "0.0.0.0:1"] {
            let address = from_text(text, AF_INET).expect("an address");
            assert_eq!(to_text(address), text);
        }
        for text in ["[::1]:80", "fe80::1%2", "[fe80::1%2]:65535", "::"] {
            let address = from_text(text, AF_INET6).expect("an address");
            assert_eq!(to_text(address), text);
        }
    }

    #[test]
    fn what_is_no_address() {
        for text in ["", "1.2.3", "1.2.3.4:", "1.2.3.4:65536", "::1", "host"] {
            assert_eq!(from_text(text, AF_INET), Err(WsaError::WSAEINVAL), "{text}");
        }
        for text in ["", "[::1", "[::1]80", "::1%lo", "1.2.3.4"] {
            assert_eq!(from_text(text, AF_INET6), Err(WsaError::WSAEINVAL), "{text}");
        }
        assert_eq!(from_text("1.2.3.4", 99), Err(WsaError::WSAEINVAL));
    }
}
