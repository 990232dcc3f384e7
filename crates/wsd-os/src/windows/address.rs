//! Addresses as Winsock has them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use windows_sys::Win32::Networking::WinSock as ws;

use super::Errno;
use super::winsock::done;

/// Room for an address of any family.
#[repr(C)]
pub(super) union Address {
    family: u16,
    v4: ws::SOCKADDR_IN,
    v6: ws::SOCKADDR_IN6,
    any: ws::SOCKADDR_STORAGE,
}

impl Address {
    /// The address that `fill` writes.
    pub(super) fn read(fill: impl FnOnce(*mut ws::SOCKADDR, *mut i32) -> i32) -> Result<SocketAddr, Errno> {
        // SAFETY: integers, for which zero is valid.
        let mut room: Self = unsafe { core::mem::zeroed() };
        let mut length = size_of::<Self>() as i32;
        done(fill((&raw mut room).cast(), &raw mut length))?;
        room.get().ok_or(Errno::AFNOSUPPORT)
    }

    /// The address, if it is one of the internet.
    fn get(&self) -> Option<SocketAddr> {
        // SAFETY: all variants are integers, valid with any bytes, and all bytes were written at least by zeros.
        unsafe {
            match self.family {
                ws::AF_INET => {
                    let ip = Ipv4Addr::from(self.v4.sin_addr.S_un.S_addr.to_ne_bytes());
                    Some(SocketAddrV4::new(ip, u16::from_be(self.v4.sin_port)).into())
                }
                ws::AF_INET6 => {
                    let (ip, port) =
                        (Ipv6Addr::from(self.v6.sin6_addr.u.Byte), u16::from_be(self.v6.sin6_port));
                    let scope = self.v6.Anonymous.sin6_scope_id;
                    Some(SocketAddrV6::new(ip, port, u32::from_be(self.v6.sin6_flowinfo), scope).into())
                }
                _ => None,
            }
        }
    }

    /// As Winsock takes it, and its length.
    pub(super) fn of(address: SocketAddr) -> (Self, i32) {
        match address {
            SocketAddr::V4(v4) => {
                let bits = ws::IN_ADDR_0 { S_addr: u32::from_ne_bytes(v4.ip().octets()) };
                let v4 = ws::SOCKADDR_IN {
                    sin_family: ws::AF_INET,
                    sin_port: address.port().to_be(),
                    sin_addr: ws::IN_ADDR { S_un: bits },
                    sin_zero: [0; 8],
                };
                (Self { v4 }, size_of::<ws::SOCKADDR_IN>() as i32)
            }
            SocketAddr::V6(full) => {
                let v6 = ws::SOCKADDR_IN6 {
                    sin6_family: ws::AF_INET6,
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: full.flowinfo().to_be(),
                    sin6_addr: ws::IN6_ADDR { u: ws::IN6_ADDR_0 { Byte: full.ip().octets() } },
                    Anonymous: ws::SOCKADDR_IN6_0 { sin6_scope_id: full.scope_id() },
                };
                (Self { v6 }, size_of::<ws::SOCKADDR_IN6>() as i32)
            }
        }
    }

    /// Where it is.
    pub(super) fn place(&self) -> *const ws::SOCKADDR {
        core::ptr::from_ref(self).cast()
    }
}
