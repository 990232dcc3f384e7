//! The addresses of this host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use windows_sys::Win32::Foundation::{ERROR_BUFFER_OVERFLOW, ERROR_NO_DATA, NO_ERROR};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    GAA_FLAG_SKIP_ANYCAST, GAA_FLAG_SKIP_DNS_SERVER, GAA_FLAG_SKIP_MULTICAST, GetAdaptersAddresses,
    IF_TYPE_SOFTWARE_LOOPBACK, IP_ADAPTER_ADDRESSES_LH,
};
use windows_sys::Win32::Networking::WinSock::{
    AF_INET, AF_INET6, AF_UNSPEC, SOCKADDR_IN, SOCKADDR_IN6, SOCKET_ADDRESS,
};

use super::Errno;
use super::fd::{AsFd, BorrowedFd};

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

/// All IPv4 and IPv6 addresses of this host. Allocates.
///
/// # Errors
///
/// `NOBUFS` if they change faster than they can be listed; the system's number if it does not list them.
pub fn interface_addresses() -> Result<Vec<InterfaceAddress>, Errno> {
    let flags = GAA_FLAG_SKIP_ANYCAST | GAA_FLAG_SKIP_MULTICAST | GAA_FLAG_SKIP_DNS_SERVER;
    let mut bytes = 16 * 1024_u32;
    for _ in 0..8 {
        // As aligned as the list has to be.
        let mut list = vec![0_u64; bytes.div_ceil(8) as usize];
        let first = list.as_mut_ptr().cast::<IP_ADAPTER_ADDRESSES_LH>();
        // SAFETY: the list has room for `bytes` bytes, which are rewritten if that is too little.
        let result = unsafe {
            GetAdaptersAddresses(AF_UNSPEC.into(), flags, core::ptr::null(), first, &raw mut bytes)
        };
        match result {
            // SAFETY: it has been filled in, and lives until `of` has returned.
            NO_ERROR => return Ok(unsafe { of(first) }),
            ERROR_NO_DATA => return Ok(Vec::new()),
            ERROR_BUFFER_OVERFLOW => {}
            other => return Err(Errno::Winsock(other as i32)),
        }
    }
    Err(Errno::NOBUFS)
}

/// The addresses of a list.
///
/// # Safety
///
/// `adapter` is null, or the first of a list that GetAdaptersAddresses has filled in.
unsafe fn of(mut adapter: *const IP_ADAPTER_ADDRESSES_LH) -> Vec<InterfaceAddress> {
    let mut all = Vec::new();
    // SAFETY: null, or an entry of the list, by the contract.
    while let Some(entry) = unsafe { adapter.as_ref() } {
        let mut unicast = entry.FirstUnicastAddress.cast_const();
        // SAFETY: as above.
        while let Some(one) = unsafe { unicast.as_ref() } {
            // SAFETY: the address is part of the list.
            if let Some(address) = unsafe { ip(&one.Address) } {
                // SAFETY: integers in any case.
                let v4_interface = unsafe { entry.Anonymous1.Anonymous.IfIndex };
                let interface = if address.is_ipv4() { v4_interface } else { entry.Ipv6IfIndex };
                let loopback = entry.IfType == IF_TYPE_SOFTWARE_LOOPBACK;
                all.push(InterfaceAddress {
                    address,
                    prefix_len: one.OnLinkPrefixLength,
                    interface,
                    loopback,
                });
            }
            unicast = one.Next;
        }
        adapter = entry.Next;
    }
    all
}

/// An address of the list.
///
/// # Safety
///
/// It points to `iSockaddrLength` bytes.
unsafe fn ip(address: &SOCKET_ADDRESS) -> Option<IpAddr> {
    let place = address.lpSockaddr;
    // SAFETY: every address begins with its family.
    let family = unsafe { place.as_ref()? }.sa_family;
    let length = address.iSockaddrLength as usize;
    match family {
        AF_INET if length >= size_of::<SOCKADDR_IN>() => {
            // SAFETY: long enough; integers in any case.
            let bits = unsafe { place.cast::<SOCKADDR_IN>().read_unaligned().sin_addr.S_un.S_addr };
            Some(Ipv4Addr::from(bits.to_ne_bytes()).into())
        }
        AF_INET6 if length >= size_of::<SOCKADDR_IN6>() => {
            // SAFETY: long enough; bytes in any case.
            let bytes = unsafe { place.cast::<SOCKADDR_IN6>().read_unaligned().sin6_addr.u.Byte };
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

#[path = "../net/same_network.rs"]
mod same_network;
pub use same_network::same_network;

/// The local address that the system would choose for a connection to `destination`. Sends nothing.
///
/// # Errors
///
/// `NETUNREACH` and the like if there is no way.
pub fn source_address(destination: SocketAddr) -> Result<IpAddr, Errno> {
    let failed =
        |error: std::io::Error| error.raw_os_error().map_or(Errno::NETUNREACH, Errno::from_raw_os_error);
    let any: IpAddr =
        if destination.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Connecting a datagram socket only looks up the route.
    let probe = UdpSocket::bind((any, 0)).map_err(failed)?;
    probe.connect(destination).map_err(failed)?;
    probe.local_addr().map(|name| name.ip()).map_err(failed)
}

/// Would tell when an address is added or removed; there is none here, so that addresses are listed each time.
#[derive(Debug)]
pub enum AddressMonitor {}

impl AddressMonitor {
    /// Starts to watch.
    ///
    /// # Errors
    ///
    /// Always `OPNOTSUPP`.
    pub fn new() -> Result<Self, Errno> {
        Err(Errno::OPNOTSUPP)
    }

    /// Takes all news so far.
    ///
    /// # Errors
    ///
    /// None: there are no monitors.
    pub fn drain(&self) -> Result<bool, Errno> {
        match *self {}
    }
}

impl AsFd for AddressMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match *self {}
    }
}
