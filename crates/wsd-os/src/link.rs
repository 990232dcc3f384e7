//! Links between processes of one host: AF_UNIX sequenced-packet sockets (unix(7)) with names in the abstract namespace.
//!
//! A packet arrives whole or not at all, with up to [`MAX_FDS`] descriptors. Nothing here blocks: `EAGAIN` means "wait
//! for readiness first". Nothing is left in the file system, and the kernel tells when the other process ends.

use core::mem::MaybeUninit;
use std::io::{IoSlice, IoSliceMut};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect,
    listen, recvmsg, sendmsg, socket_with, socketpair,
};

use crate::fd::{AsFd, BorrowedFd, Change, OwnedFd, hidden, hidden_pair, move_high};
use crate::sockopt;

/// How many descriptors can travel with one packet.
pub const MAX_FDS: usize = 8;

/// A name in the abstract namespace, waiting for connections.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
}

impl Listener {
    /// Takes `name` (at most 107 bytes, any values) and lets up to `backlog` connections wait to be accepted. The name is
    /// free again when the last descriptor of the listener is closed.
    ///
    /// # Errors
    ///
    /// `EADDRINUSE` if another socket in this network namespace has the name; `ENAMETOOLONG`; `EMFILE`.
    pub fn bind(name: &[u8], backlog: i32) -> Result<Self, Errno> {
        let fd = new_socket()?;
        bind(&fd, &SocketAddrUnix::new_abstract_name(name)?)?;
        Self::take_over(fd, backlog)
    }

    /// Takes the descriptor of a listener from another process. From now on whoever connects sees ours as the process
    /// behind it.
    ///
    /// # Errors
    ///
    /// As listen(2), if it is no such descriptor.
    pub fn take_over(fd: OwnedFd, backlog: i32) -> Result<Self, Errno> {
        listen(&fd, backlog)?;
        Ok(Self { fd })
    }

    /// Accepts a connection that waits.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if none waits; `EMFILE`, `ENFILE`.
    pub fn accept(&self) -> Result<Link, Errno> {
        loop {
            match hidden(|| accept_with(&self.fd, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)) {
                Ok(fd) => return Ok(Link { fd }),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Listener {
    /// Readable when a connection waits.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Who is at the other end of a [`Link`]: the process that connected or listened, at the time when it did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerCredentials {
    /// Process number, 0 if it is not visible from our PID namespace.
    pub pid: u32,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
}

impl PeerCredentials {
    /// Whether it could do by itself whatever we do for it: root, or our own user.
    pub fn is_trusted(&self) -> bool {
        self.uid == 0 || self.uid == rustix::process::geteuid().as_raw()
    }
}

/// A packet that was received.
#[derive(Debug)]
pub struct Packet {
    /// Its length in bytes.
    pub len: usize,
    /// The descriptors that came with it, close-on-exec, in the order in which they were sent. Take what you want; the
    /// rest is closed with the packet.
    pub fds: [Option<OwnedFd>; MAX_FDS],
}

/// One end of a link.
#[derive(Debug)]
pub struct Link {
    fd: OwnedFd,
}

impl Link {
    /// Connects to the [`Listener`] that has `name`. The link can be used at once, before the other side accepts it.
    ///
    /// # Errors
    ///
    /// `ECONNREFUSED` if nobody has the name; `EAGAIN` if too many connections wait there; `ENAMETOOLONG`; `EMFILE`.
    pub fn connect(name: &[u8]) -> Result<Self, Errno> {
        let fd = new_socket()?;
        connect(&fd, &SocketAddrUnix::new_abstract_name(name)?)?;
        Ok(Self { fd })
    }

    /// Two ends connected to each other.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENFILE`.
    pub fn pair() -> Result<(Self, Self), Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) =
            hidden_pair(|| socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None))?;
        Ok((Self { fd: one }, Self { fd: other }))
    }

    /// Takes a descriptor as one end of a link.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is not an AF_UNIX sequenced-packet socket.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, Errno> {
        let domain = sockopt::get_int(fd.as_fd(), libc::SOL_SOCKET, libc::SO_DOMAIN)?;
        let kind = sockopt::get_int(fd.as_fd(), libc::SOL_SOCKET, libc::SO_TYPE)?;
        if domain == libc::AF_UNIX && kind == libc::SOCK_SEQPACKET {
            Ok(Self { fd })
        } else {
            Err(Errno::INVAL)
        }
    }

    /// Who is at the other end, as the kernel knows it (unix(7), SO_PEERCRED).
    ///
    /// # Errors
    ///
    /// None on a connected link.
    pub fn peer_credentials(&self) -> Result<PeerCredentials, Errno> {
        let bytes: [u8; 12] = sockopt::get(self.as_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED)?;
        let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Ok(PeerCredentials { pid: word(0), uid: word(4), gid: word(8) })
    }

    /// Sends one packet: `bytes`, not empty, and up to [`MAX_FDS`] descriptors, of which the other side gets duplicates.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if the other side's queue is full; `EPIPE` or `ECONNRESET` if it is gone (no signal is raised);
    /// `EMSGSIZE` if the packet is larger than the send buffer; `EINVAL` for an empty packet or too many descriptors;
    /// `ETOOMANYREFS` if too many descriptors of this user are on their way.
    pub fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        if bytes.is_empty() || fds.len() > MAX_FDS {
            return Err(Errno::INVAL);
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(Errno::INVAL);
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        loop {
            match sendmsg(&self.fd, &[IoSlice::new(bytes)], &mut control, flags) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Receives one packet into `bytes`; `Ok(None)` if the other side closed the link.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if nothing is there; `EMSGSIZE` if the packet was longer than `bytes` or brought more than `max_fds`
    /// descriptors, or if the process has no descriptor number left for them: the packet is lost and its descriptors
    /// are closed; `ECONNRESET` if the other side closed the link
    /// with packets of ours unread.
    pub fn recv(&self, bytes: &mut [u8], max_fds: usize) -> Result<Option<Packet>, Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let change = Change::begin();
        let result = loop {
            match recvmsg(&self.fd, &mut [IoSliceMut::new(bytes)], &mut control, flags) {
                Err(Errno::INTR) => {}
                // Told once, before everything else, when the other side went without having read all that it was sent. What it
                // sent itself is still to be read, then the end.
                Err(Errno::CONNRESET) => {}
                result => break result?,
            }
        };
        // Before anything else: from here on they are closed by our own type, not by libc's close.
        let (fds, count) = take_fds(&mut control);
        drop(change);
        let truncated = result.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
        if truncated || count > max_fds {
            return Err(Errno::MSGSIZE);
        }
        // No packet is empty.
        Ok((result.bytes != 0).then_some(Packet { len: result.bytes, fds }))
    }
}

impl From<Link> for OwnedFd {
    fn from(link: Link) -> Self {
        link.fd
    }
}

impl AsFd for Link {
    /// Readable when a packet or the end of the link waits; writable when a packet can be sent.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn new_socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    hidden(|| socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None))
}

/// Takes the descriptors out of `control`; the second value also counts those for which there was no room.
fn take_fds(control: &mut RecvAncillaryBuffer<'_>) -> ([Option<OwnedFd>; MAX_FDS], usize) {
    let mut fds = [const { None }; MAX_FDS];
    let mut count = 0;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            for fd in rights {
                let fd = move_high(fd.into());
                if let Some(place) = fds.get_mut(count) {
                    *place = Some(fd);
                }
                count += 1;
            }
        }
    }
    (fds, count)
}

#[cfg(test)]
mod tests;
