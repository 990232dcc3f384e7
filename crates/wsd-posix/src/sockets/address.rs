//! Socket addresses in the program's memory.

use std::ffi::c_int;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use libc::{AF_INET, AF_INET6, sa_family_t, sockaddr, sockaddr_in, sockaddr_in6, socklen_t};
use rustix::io::Errno;
use wsd_switch::front;

use crate::notice;

/// The address of an internet socket; `None` for any other, and for a length that does not hold it.
///
/// # Safety
/// Null, or `length` bytes that can be read.
pub(super) unsafe fn read(name: *const sockaddr, length: socklen_t) -> Option<SocketAddr> {
    let length = length as usize;
    if name.is_null() || length < size_of::<sa_family_t>() {
        return None;
    }
    // SAFETY: each read is within `length` bytes.
    unsafe {
        match i32::from(name.cast::<sa_family_t>().read_unaligned()) {
            AF_INET if length >= size_of::<sockaddr_in>() => {
                let v4 = name.cast::<sockaddr_in>().read_unaligned();
                let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
                Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            AF_INET6 if length >= size_of::<sockaddr_in6>() => {
                let v6 = name.cast::<sockaddr_in6>().read_unaligned();
                let (ip, port) = (Ipv6Addr::from(v6.sin6_addr.s6_addr), u16::from_be(v6.sin6_port));
                Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

/// Writes an address as getsockname(2) does: cut to the room there is, with its full length told.
///
/// # Errors
/// `EFAULT` for a null pointer, `EINVAL` for a negative length.
///
/// # Safety
/// `length` is null or points to the length of the bytes at `name`, which are null or can be written.
pub(super) unsafe fn write(
    address: SocketAddr,
    name: *mut sockaddr,
    length: *mut socklen_t,
) -> Result<(), Errno> {
    if name.is_null() || length.is_null() {
        return Err(Errno::FAULT);
    }
    // SAFETY: the caller's promise.
    let room = unsafe { length.read_unaligned() };
    let room = usize::try_from(room as i32).map_err(|_| Errno::INVAL)?;
    match address {
        SocketAddr::V4(v4) => {
            let value = sockaddr_in {
                sin_family: AF_INET as sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: the caller's promise.
            unsafe { copy(&value, name, room, length) };
        }
        SocketAddr::V6(v6) => {
            let value = sockaddr_in6 {
                sin6_family: AF_INET6 as sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: the caller's promise.
            unsafe { copy(&value, name, room, length) };
        }
    }
    Ok(())
}

/// # Safety
/// `room` bytes at `name` and the length at `length` can be written; `value` has no padding.
unsafe fn copy<T>(value: &T, name: *mut sockaddr, room: usize, length: *mut socklen_t) {
    let bytes = room.min(size_of::<T>());
    // SAFETY: the caller's promise; the source is as long as its type.
    unsafe {
        std::ptr::from_ref(value).cast::<u8>().copy_to_nonoverlapping(name.cast(), bytes);
        length.write_unaligned(size_of::<T>() as socklen_t);
    }
}

/// The name of an accepted connection's other end, if the switch asks for it: `accept` is made to tell it also where the program does
/// not want it, so that it takes no further call. Needs no destructor: the call may be cancelled.
pub(super) struct Peer {
    name: sockaddr_in6,
    length: socklen_t,
    /// Bytes that may be written at the program's place, if it has one.
    room: socklen_t,
    asked: bool,
}

impl Peer {
    pub(super) fn new() -> Self {
        // SAFETY: integers only, for which zero is a value.
        let name = unsafe { std::mem::zeroed() };
        let length = size_of::<sockaddr_in6>() as socklen_t;
        Self { name, length, room: length, asked: front::asks_for_peers() }
    }

    /// Where accept(2) has to put the name: the program's place, or our own if it has none.
    ///
    /// # Safety
    /// As accept(2).
    pub(super) unsafe fn asked_for(
        &mut self,
        name: *mut sockaddr,
        length: *mut socklen_t,
    ) -> (*mut sockaddr, *mut socklen_t) {
        if !self.asked {
            return (name, length);
        }
        if name.is_null() {
            return ((&raw mut self.name).cast(), &raw mut self.length);
        }
        if length.is_null() {
            self.asked = false;
        } else {
            // SAFETY: the caller's promise.
            self.room = unsafe { length.read_unaligned() };
        }
        (name, length)
    }

    /// The call has returned `fd`: what it has put there is for the switch.
    ///
    /// # Safety
    /// The call was made with these pointers, as [`Peer::asked_for`] gave them.
    pub(super) unsafe fn tell(&self, fd: c_int, name: *const sockaddr, length: *const socklen_t) {
        if fd < 0 || !self.asked {
            return;
        }
        // SAFETY: after success the kernel has read and written there.
        let peer = unsafe { read(name, length.read_unaligned().min(self.room)) };
        if let (Some(socket), Some(peer)) = (front::find(fd), peer) {
            notice::peer_known(socket, peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_as_they_went() {
        for text in ["127.0.0.1:80", "[fe80::1%7]:65535", "[::ffff:10.1.2.3]:1"] {
            let address: SocketAddr = text.parse().expect("an address");
            let mut place = [0u64; 4];
            let name: *mut sockaddr = place.as_mut_ptr().cast();
            let mut length: socklen_t = 32;
            // SAFETY: the place has 32 bytes.
            let back = unsafe {
                write(address, name, &raw mut length).expect("room");
                read(name, length)
            };
            assert_eq!(back, Some(address));
            assert_eq!(length, if address.is_ipv4() { 16 } else { 28 });
            // SAFETY: as above.
            assert_eq!(unsafe { read(name, length - 1) }, None);
        }
    }

    #[test]
    fn short_places_are_not_overrun() {
        let mut place = [0xAAu8; 16];
        let mut length: socklen_t = 4;
        let address: SocketAddr = "1.2.3.4:5".parse().expect("an address");
        // SAFETY: four bytes of the place are to be written.
        unsafe { write(address, place.as_mut_ptr().cast(), &raw mut length) }.expect("not null");
        assert_eq!((length, place[4]), (16, 0xAA));
        let null = std::ptr::null_mut();
        // SAFETY: null is allowed.
        assert_eq!(unsafe { write(address, null, &raw mut length) }, Err(Errno::FAULT));
    }
}
