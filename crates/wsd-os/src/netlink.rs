//! The little of netlink(7) that we need: one request, and walking over answers that are checked for their bounds.

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto, socket_with,
};

use crate::fd::{AsFd, BorrowedFd, OwnedFd, hidden};

/// The length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// Large enough for any packet of a dump (netlink(7) recommends 8192; the kernel uses up to 32768).
const BUFFER: usize = 32 * 1024;
/// Flag of a dump: all entries.
const DUMP: u16 = (libc::NLM_F_ROOT | libc::NLM_F_MATCH) as u16;
/// Flag of an answer: entries changed while they were listed.
const INTERRUPTED: u16 = 0x10;

/// `NETLINK_ROUTE`, protocol 0.
pub(crate) const ROUTE: Option<Protocol> = None;
/// `NETLINK_SOCK_DIAG`.
pub(crate) const SOCK_DIAG: Option<Protocol> = Some(rustix::net::netlink::SOCK_DIAG);

/// A netlink socket.
#[derive(Debug)]
pub(crate) struct Netlink {
    fd: OwnedFd,
}

/// One message of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    /// `nlmsg_type`.
    pub(crate) kind: u16,
    /// `nlmsg_flags`.
    pub(crate) flags: u16,
    /// What follows the header.
    pub(crate) body: &'a [u8],
}

impl Netlink {
    /// A socket of `protocol` that also gets the multicasts of `groups`.
    pub(crate) fn new(protocol: Option<Protocol>, groups: u32) -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = hidden(|| socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol))?;
        bind(&fd, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self { fd })
    }

    /// Sends one request to the kernel, which answers before this returns.
    pub(crate) fn request(&self, kind: u16, flags: u16, body: &[u8]) -> Result<(), Errno> {
        let len = HEADER + body.len();
        let mut packet = [0; 128];
        let packet = packet.get_mut(..len).ok_or(Errno::INVAL)?;
        packet[0..4].copy_from_slice(&(len as u32).to_ne_bytes());
        packet[4..6].copy_from_slice(&kind.to_ne_bytes());
        packet[6..8].copy_from_slice(&(flags | libc::NLM_F_REQUEST as u16).to_ne_bytes());
        packet[HEADER..].copy_from_slice(body);
        sendto(&self.fd, packet, SendFlags::NOSIGNAL, &SocketAddrNetlink::new(0, 0)).map(drop)
    }

    /// Receives one packet; `EAGAIN` if none is there, `ENOBUFS` if some were lost.
    pub(crate) fn receive<'a>(&self, buffer: &'a mut [u8]) -> Result<&'a [u8], Errno> {
        let (got, len) = recv(&self.fd, &mut *buffer, RecvFlags::DONTWAIT | RecvFlags::TRUNC)?;
        if len > got { Err(Errno::MSGSIZE) } else { Ok(&buffer[..got]) }
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Asks for all entries of a kind, `body` saying which, and gives each to `each`. False if they changed meanwhile.
pub(crate) fn dump(
    protocol: Option<Protocol>,
    kind: u16,
    body: &[u8],
    mut each: impl FnMut(Message<'_>),
) -> Result<bool, Errno> {
    let netlink = Netlink::new(protocol, 0)?;
    netlink.request(kind, DUMP, body)?;
    let mut buffer = vec![0; BUFFER];
    let mut complete = true;
    loop {
        for message in messages(netlink.receive(&mut buffer)?) {
            complete &= message.flags & INTERRUPTED == 0;
            match message.end() {
                Some(end) => return end.map(|()| complete),
                None => each(message),
            }
        }
    }
}

/// The messages of a packet.
pub(crate) fn messages(mut packet: &[u8]) -> impl Iterator<Item = Message<'_>> {
    core::iter::from_fn(move || {
        let len = number::<4>(packet, 0).map(u32::from_ne_bytes)? as usize;
        let whole = packet.get(..len).filter(|whole| whole.len() >= HEADER)?;
        packet = packet.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind: u16_at(whole, 4)?, flags: u16_at(whole, 6)?, body: &whole[HEADER..] })
    })
}

impl Message<'_> {
    /// If this is NLMSG_ERROR or NLMSG_DONE: what it says. `Ok` is success.
    pub(crate) fn end(&self) -> Option<Result<(), Errno>> {
        match i32::from(self.kind) {
            libc::NLMSG_ERROR | libc::NLMSG_DONE => {
                let code = number::<4>(self.body, 0).map_or(0, i32::from_ne_bytes);
                Some(match code {
                    -4095..0 => Err(Errno::from_raw_os_error(-code)),
                    // No error number: Errno cannot hold it.
                    ..-4095 => Err(Errno::IO),
                    0.. => Ok(()),
                })
            }
            _ => None,
        }
    }
}

/// The attributes (`struct rtattr`) of a message body after `skip` bytes, as type and value.
pub(crate) fn attributes(body: &[u8], skip: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = body.get(skip..).unwrap_or_default();
    core::iter::from_fn(move || {
        let len = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)?;
        let value = rest.get(4..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// `N` bytes of `bytes` from `at`.
pub(crate) fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// A 16-bit number in the host's order.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    number(bytes, at).map(u16::from_ne_bytes)
}

/// A 32-bit number in the host's order.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    number(bytes, at).map(u32::from_ne_bytes)
}

#[cfg(test)]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_lengths_end_the_walk() {
        let mut packet = vec![0; 40];
        packet[0..4].copy_from_slice(&20_u32.to_ne_bytes());
        packet[4..6].copy_from_slice(&7_u16.to_ne_bytes());
        packet[20..24].copy_from_slice(&21_u32.to_ne_bytes());
        let kinds: Vec<u16> = messages(&packet).map(|message| message.kind).collect();
        assert_eq!(kinds, [7], "the second claims more than there is");
        for len in 0..4_u16 {
            let mut body = [0; 8];
            body[0..2].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(attributes(&body, 0).count(), 0, "an attribute of {len} bytes is too short");
        }
        assert_eq!(messages(&[0; 64]).count(), 0);
        assert_eq!(messages(&[]).count(), 0);
    }

    #[test]
    fn numbers_that_are_no_errors_are_survived() {
        let end = |code: i32| {
            let body = code.to_ne_bytes();
            Message { kind: libc::NLMSG_ERROR as u16, flags: 0, body: &body }.end()
        };
        assert_eq!(end(-libc::ENOENT), Some(Err(Errno::NOENT)));
        assert_eq!(end(0), Some(Ok(())));
        for code in [-4096, i32::MIN] {
            assert_eq!(end(code), Some(Err(Errno::IO)));
        }
    }
}
