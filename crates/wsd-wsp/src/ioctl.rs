//! Control codes of `WSPIoctl`.

use std::net::{IpAddr, SocketAddr};

use rustix::net::sockopt;
use wsd_spi::ffi::*;
use wsd_spi::{SockAddr, WsaError};

use crate::convert;
use crate::socket::{Life, Socket};
use crate::tcpip::{Kernel, Kind};

/// What a control code answers.
pub(crate) enum Answer {
    Nothing,
    Number(u32),
    Address(SockAddr),
    /// `SOCKET_ADDRESS_LIST`.
    Addresses(Vec<SockAddr>),
}

impl Socket {
    /// Does what `code` asks, with `input` as the program gave it.
    ///
    /// # Errors
    /// `WSAEINVAL`: unknown (SP-104). `WSAEOPNOTSUPP`: known, and not for TCP/IP here. `WSAEFAULT`: `input` is too short.
    pub(crate) fn control(&self, code: u32, input: &[u8]) -> Result<Answer, WsaError> {
        match code {
            FIONBIO => self.set_nonblocking(number(input)? != 0),
            FIONREAD => self.unread().map(Answer::Number),
            SIOCATMARK => self.at_mark().map(|at_mark| Answer::Number(at_mark.into())),
            SIO_ADDRESS_LIST_QUERY => addresses(self.kind.family).map(Answer::Addresses),
            SIO_ROUTING_INTERFACE_QUERY => route(input).map(Answer::Address),
            SIO_GET_BROADCAST_ADDRESS if self.kind.family == AF_INET => {
                Ok(Answer::Address(SocketAddr::from(([255; 4], 0)).into()))
            }
            SIO_MULTIPOINT_LOOPBACK => self.set_multicast(u32::from(number(input)? != 0), true),
            SIO_MULTICAST_SCOPE => self.set_multicast(number(input)?, false),
            SIO_GET_BROADCAST_ADDRESS
            | SIO_ASSOCIATE_HANDLE
            | SIO_ENABLE_CIRCULAR_QUEUEING
            | SIO_FIND_ROUTE
            | SIO_FLUSH
            | SIO_TRANSLATE_HANDLE
            | SIO_ROUTING_INTERFACE_CHANGE
            | SIO_ADDRESS_LIST_CHANGE
            | SIO_ADDRESS_LIST_SORT
            | SIO_QUERY_TARGET_PNP_HANDLE
            | SIO_GET_QOS
            | SIO_GET_GROUP_QOS
            | SIO_SET_QOS
            | SIO_SET_GROUP_QOS => Err(WsaError::WSAEOPNOTSUPP),
            _ => Err(WsaError::WSAEINVAL),
        }
    }

    fn set_nonblocking(&self, on: bool) -> Result<Answer, WsaError> {
        let mut state = self.open()?;
        if !on && state.selection.is_active() {
            return Err(WsaError::WSAEINVAL);
        }
        state.settings.nonblocking = on;
        Ok(Answer::Nothing)
    }

    fn unread(&self) -> Result<u32, WsaError> {
        let state = self.open()?;
        if state.life == Life::Listening { Err(WsaError::WSAEINVAL) } else { state.kernel.unread() }
    }

    /// True unless urgent data waits behind other data: as `SIOCATMARK` answers in Winsock.
    fn at_mark(&self) -> Result<bool, WsaError> {
        let state = self.open()?;
        if !self.kind.is_stream() {
            return Err(WsaError::WSAEINVAL);
        }
        let none_waits = state.kernel.ready(libc::POLLPRI) & libc::POLLPRI == 0;
        Ok(none_waits || state.kernel.at_mark()?)
    }

    fn set_multicast(&self, value: u32, loopback: bool) -> Result<Answer, WsaError> {
        let state = self.open()?;
        if self.kind.is_stream() {
            return Err(WsaError::WSAEOPNOTSUPP);
        }
        let fd = state.kernel.fd();
        let done = match (self.kind.family, loopback) {
            (AF_INET6, true) => sockopt::set_ipv6_multicast_loop(fd, value != 0),
            (AF_INET6, false) => sockopt::set_ipv6_multicast_hops(fd, value),
            (_, true) => sockopt::set_ip_multicast_loop(fd, value != 0),
            (_, false) => sockopt::set_ip_multicast_ttl(fd, value),
        };
        done.map(|()| Answer::Nothing).map_err(convert::error)
    }

    /// `WSPJoinLeaf`: the socket receives what is sent to `group`, unless it only wants to send.
    ///
    /// # Errors
    /// `WSAEOPNOTSUPP`: a stream. `WSAEADDRNOTAVAIL`: not a group. `WSAEINVAL`: not one of the three flags.
    pub(crate) fn join(&self, group: SockAddr, flags: u32) -> Result<(), WsaError> {
        let state = self.open()?;
        if self.kind.is_stream() {
            return Err(WsaError::WSAEOPNOTSUPP);
        }
        if group.family() != self.kind.family {
            return Err(WsaError::WSAEAFNOSUPPORT);
        }
        let receives = match flags {
            JL_SENDER_ONLY => false,
            JL_RECEIVER_ONLY | JL_BOTH => true,
            _ => return Err(WsaError::WSAEINVAL),
        };
        let address = group.socket_addr();
        if !address.ip().is_multicast() {
            return Err(WsaError::WSAEADDRNOTAVAIL);
        }
        let fd = state.kernel.fd();
        let done = match address {
            _ if !receives => Ok(()),
            SocketAddr::V4(v4) => {
                sockopt::set_ip_add_membership(fd, v4.ip(), &std::net::Ipv4Addr::UNSPECIFIED)
            }
            SocketAddr::V6(v6) => sockopt::set_ipv6_add_membership(fd, v6.ip(), v6.scope_id()),
        };
        done.map_err(convert::error)
    }
}

fn number(input: &[u8]) -> Result<u32, WsaError> {
    input.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)).ok_or(WsaError::WSAEFAULT)
}

/// Addresses to which a socket of `family` can be bound (SW-032: TCP/IP's answer, not a SAN provider's).
fn addresses(family: i32) -> Result<Vec<SockAddr>, WsaError> {
    let all = wsd_os::net::interface_addresses().map_err(convert::error)?;
    let named = all.into_iter().map(|found| match found.address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            SockAddr::from(std::net::SocketAddrV6::new(v6, 0, 0, found.interface))
        }
        address => SockAddr::from(SocketAddr::new(address, 0)),
    });
    Ok(named.filter(|address| address.family() == family).collect())
}

/// The local address from which a destination is reached.
fn route(input: &[u8]) -> Result<SockAddr, WsaError> {
    let destination = SockAddr::decode(input).map_err(|_| WsaError::WSAEFAULT)?;
    let family = destination.family();
    let probe = Kernel::open(Kind { family, socket_type: SOCK_DGRAM, protocol: IPPROTO_UDP })?;
    // Connecting a datagram socket sends nothing; the port does not matter to routing.
    let port = destination.port().max(1);
    probe.connect(destination.with_port(port))?;
    probe.local_name().map(|name| name.with_port(0))
}
